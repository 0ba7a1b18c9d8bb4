"""A network as TensorRT plans: staged, captured, launched and read back, on a GPU that is this machine's memory."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx")

from engine.backends import best_backend
from engine.backends.cuda_memory import CudaContext
from engine.backends.onnxruntime_backend import OnnxRuntimeRuntime
from engine.backends.packing import upload_packing
from engine.backends.pictures import PictureInputs, PictureRuntime, Ticket
from engine.backends.plan_builder import PlanSettings, build_plan
from engine.backends.tensorrt_api import find_library
from engine.backends.tensorrt_backend import TensorrtRuntime
from engine.backends.trial import trial_inputs
from engine.errors import EngineError
from engine.kernels.places import nodes_along
from tests.engine.backends.host_gpu import Machine, machine  # noqa: F401 - a fixture
from tests.engine.backends.support import CARD, stub_model

Opener = Callable[..., TensorrtRuntime]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An exported file that is next to nothing."""
    path = tmp_path / "stub.onnx"
    path.write_bytes(stub_model().SerializeToString())
    return path


@pytest.fixture
def opened(machine: Machine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """Builds plans for some sizes, and opens a runtime on them."""
    trt = machine.install(monkeypatch)
    runtimes: list[TensorrtRuntime] = []

    def make(sizes: tuple[tuple[int, int], ...] = ((1, 3), (2, 3)), **options: Any) -> TensorrtRuntime:
        settings = PlanSettings("fp32", plugin=False)
        for hands, views in sizes:
            build_plan(model, tmp_path / "plans", find_library(), settings, views=views, hands=hands)
        runtime = TensorrtRuntime(model, tmp_path / "plans", **options)
        runtimes.append(runtime)
        return runtime

    make.trt = trt  # type: ignore[attr-defined]
    yield make
    for runtime in runtimes:
        runtime.close()
    assert not machine.allocated
    assert not machine.pinned


def pictures_of(hands: int, views: int, *, seed: int = 0) -> PictureInputs:
    """Pictures of noise, crops somewhere in them; the last view is missing."""
    rng = np.random.default_rng(seed)
    arrays = trial_inputs(CARD, hands, views, seed=seed)
    along = nodes_along(CARD.input_px)
    grid = np.stack(np.meshgrid(np.arange(along), np.arange(along)), axis=-1) * 16.0
    nodes = grid + rng.uniform(5, 20, (hands, views, 1, 1, 2))
    arrays.view_mask[:, -1] = 0
    pictures = [rng.integers(0, 256, (80, 90, 3), np.uint8) for _ in range(views - 1)]
    return PictureInputs(
        pictures=[*pictures, None],
        nodes=nodes.astype(np.float32),
        mirrored=np.arange(hands) % 2 == 1,
        projections=arrays.projections,
        view_mask=arrays.view_mask,
        noise=arrays.noise,
        state=arrays.state,
        state_valid=arrays.state_valid,
    )


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("hands", [1, 2])
def test_answers_are_those_of_onnx_runtime(opened: Opener, model: Path, captured: bool, hands: int) -> None:
    runtime, plain = opened(captured=captured), OnnxRuntimeRuntime(model, 1)
    for seed in range(3):
        inputs = trial_inputs(CARD, hands, 3, seed=seed)
        got, expected = runtime.run(inputs), plain.run(inputs)
        for name in type(got).__dataclass_fields__:
            np.testing.assert_allclose(getattr(got, name), getattr(expected, name), atol=1e-6, err_msg=name)


def test_a_frame_is_captured_once_a_slot_and_launched_from_then_on(opened: Opener, machine: Machine) -> None:  # noqa: F811
    runtime = opened()
    runtime.prepare(3, 2)
    captures = machine.captures
    assert captures == 2 * 2
    machine.launches = 0
    for seed in range(5):
        runtime.run_pictures(pictures_of(1 + seed % 2, 3, seed=seed))
    assert machine.captures == captures
    assert machine.launches == 5
    assert runtime.graph_nodes(1, 3) == 5


def test_pictures_give_what_their_crops_give(opened: Opener) -> None:
    runtime = opened()
    assert isinstance(runtime, PictureRuntime)
    inputs = pictures_of(2, 3)
    first = runtime.run_pictures(inputs)
    np.testing.assert_allclose(first.joints[0], inputs.noise[0].mean(), atol=1e-6)
    assert first.state.tobytes() == inputs.state.tobytes()


def locked_pictures(inputs: PictureInputs) -> tuple[PictureInputs, NDArray[np.uint8]]:
    """The same with pictures in one mapping."""
    memory = np.frombuffer(mmap.mmap(-1, 1 << 20), np.uint8)
    pictures: list[NDArray[np.uint8] | None] = []
    for view, picture in enumerate(inputs.pictures):
        if picture is not None:
            place = memory[view << 16 :][: picture.size].reshape(picture.shape)
            place[...] = picture
            picture = place
        pictures.append(picture)
    return replace(inputs, pictures=pictures), memory


def test_pictures_in_locked_memory_are_read_where_they_lie(opened: Opener, machine: Machine) -> None:  # noqa: F811
    runtime = opened()
    copied = pictures_of(2, 3)
    expected = runtime.run_pictures(copied)
    inputs, memory = locked_pictures(copied)
    assert runtime.lock(memory)
    assert runtime.lock(memory)
    assert machine.locked == {memory.ctypes.data: memory.nbytes}
    machine.uploaded.clear()
    got = runtime.run_pictures(inputs)
    for name in type(got).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    # The arrays alone go up in a copy, whose size is always the same.
    assert machine.uploaded == [upload_packing(CARD, 2, 3).arrays.size]
    # The stub's answer says nothing of the crops.
    frame = runtime._buckets[2, 3].frames[0]
    crops = frame._crops.values.copy()
    assert crops.any()
    runtime.run_pictures(copied)
    np.testing.assert_array_equal(frame._crops.values, crops)
    # Nothing of them is kept on the host.
    frame._host_up[upload_packing(CARD, 2, 3).arrays.size :] = 0
    runtime.run_pictures(inputs)
    np.testing.assert_array_equal(frame._crops.values, crops)
    memory[:] = 0
    runtime.run_pictures(inputs)
    assert not frame._crops.values.any()
    del frame
    runtime.close()
    assert not machine.locked


def test_memory_is_held_until_its_step_is_collected_and_then_unlocked(
    opened: Opener,
    machine: Machine,  # noqa: F811
) -> None:
    runtime, other = opened(), opened()
    inputs, memory = locked_pictures(pictures_of(1, 3))
    for one in (runtime, other):
        one.lock(memory)
    ticket = runtime.submit(inputs)
    del inputs, memory
    assert len(machine.locked) == 1
    # The other runtime reads of it no more, this one still does.
    other.close()
    assert len(machine.locked) == 1
    runtime.collect(ticket)
    assert not machine.locked
    assert machine.contexts == 0


def test_memory_that_cannot_be_locked_is_copied_from_and_that_is_said_once(
    opened: Opener,
    machine: Machine,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine.refuses_locking = True
    runtime = opened()
    copied = pictures_of(1, 3)
    inputs, memory = locked_pictures(copied)
    for _ in range(3):
        assert not runtime.lock(memory)
        _, further = locked_pictures(copied)
        assert not runtime.lock(further)
    assert caplog.text.count("they are copied in each frame") == 1
    assert runtime.run_pictures(inputs).joints.tobytes() == runtime.run_pictures(copied).joints.tobytes()
    with pytest.raises(EngineError, match="does not begin with a page"):
        runtime.lock(memory[16:])


def test_two_steps_are_under_way_and_a_third_is_refused(opened: Opener) -> None:
    runtime = opened()
    inputs = [pictures_of(1, 3, seed=seed) for seed in range(3)]
    tickets = [runtime.submit(inputs[0]), runtime.submit(inputs[1])]
    with pytest.raises(EngineError, match="2 steps are under way; collect one first"):
        runtime.submit(inputs[2])
    for ticket, given in reversed(list(zip(tickets, inputs, strict=False))):
        assert runtime.collect(ticket).state.tobytes() == given.state.tobytes()
    assert runtime.run_pictures(inputs[2]).state.tobytes() == inputs[2].state.tobytes()


def test_sizes_without_a_plan_name_the_command(opened: Opener, model: Path) -> None:
    runtime = opened()
    with pytest.raises(EngineError, match=rf"for 4 views and 1 hands .*usthand build-plan {model} --views 4 --hands 1"):
        runtime.prepare(4, 1)


def test_a_closed_runtime_says_so_and_closing_twice_is_fine(opened: Opener) -> None:
    runtime = opened()
    runtime.close()
    runtime.close()
    with pytest.raises(EngineError, match="is closed; open it again"):
        runtime.run_pictures(pictures_of(1, 3))


def test_the_backend_says_what_runs(opened: Opener) -> None:
    said = opened().backend
    assert said == ("tensorrt 11.4.0.106, Host GPU, fp32 convolutions, TopK for nearest points, one CUDA graph a frame")


def test_parts_of_a_frame_are_timed_in_their_order(opened: Opener, machine: Machine) -> None:  # noqa: F811
    runtime = opened()
    inputs = pictures_of(1, 3)
    times = runtime.stage_times_ms(inputs, 4)
    assert list(times) == ["upload", "pixels", "crops", "network", "download"]
    assert all(part.tolist() == [1.0] * 4 for part in times.values())
    assert runtime.memory_bytes() == sum(held.nbytes for held in machine.allocated.values())
    # Timing leaves the frame as it was.
    assert runtime.run_pictures(inputs).state.tobytes() == inputs.state.tobytes()


def test_what_is_left_out_of_a_capture_is_noticed(
    opened: Opener,
    machine: Machine,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = machine.submit

    def forgetful(work: Any) -> None:
        # Copies are captured, kernels are not: the fourth piece of work is the plan.
        if machine.recording is not None and len(machine.recording) == 3 and not skipped:
            skipped.append(work)
            return
        plain(work)

    skipped: list[Any] = []
    monkeypatch.setattr(machine, "submit", forgetful)
    with pytest.raises(EngineError, match="the captured frame gives another joints than its work by itself"):
        opened().prepare(3, 1)


def test_a_capture_that_fails_leaves_the_stream_usable(
    opened: Opener,
    machine: Machine,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = opened()
    plain = machine.submit

    def failing(work: Any) -> None:
        if machine.recording is not None:
            raise EngineError("this cannot be captured")
        plain(work)

    monkeypatch.setattr(machine, "submit", failing)
    with pytest.raises(EngineError, match="this cannot be captured"):
        runtime.prepare(3, 1)
    assert machine.recording is None
    monkeypatch.setattr(machine, "submit", plain)
    inputs = pictures_of(1, 3)
    assert runtime.run_pictures(inputs).state.tobytes() == inputs.state.tobytes()


def test_a_step_is_collected_once(opened: Opener) -> None:
    runtime = opened()
    inputs = [pictures_of(1, 3, seed=seed) for seed in range(2)]
    done = runtime.submit(inputs[0])
    runtime.collect(done)
    under_way = runtime.submit(inputs[1])
    with pytest.raises(EngineError, match="this step is not under way here; collect each step once"):
        runtime.collect(done)
    with pytest.raises(EngineError, match="this step is not under way here"):
        runtime.collect(Ticket(2, 5))
    runtime.submit(inputs[0])
    with pytest.raises(EngineError, match="2 steps are under way"):
        runtime.submit(inputs[0])
    assert runtime.collect(under_way).state.tobytes() == inputs[1].state.tobytes()


def test_what_comes_between_leaves_a_step_under_way_alone(opened: Opener) -> None:
    runtime = opened()
    inputs, others = pictures_of(1, 3, seed=1), pictures_of(1, 3, seed=2)
    ticket = runtime.submit(inputs)
    runtime.stage_times_ms(others, 2)
    with pytest.raises(EngineError, match="while a step is under way; collect that first"):
        runtime.run(trial_inputs(CARD, 1, 3))
    assert runtime.collect(ticket).state.tobytes() == inputs.state.tobytes()
    assert runtime.run(trial_inputs(CARD, 1, 3)).valid.shape == (1,)


def test_a_gpu_that_the_library_does_not_run_on_is_refused(
    opened: Opener,
    machine: Machine,  # noqa: F811
    model: Path,
) -> None:
    opened()
    machine.capability = (7, 0)
    for call in (
        lambda: TensorrtRuntime(model, model.parent / "plans"),
        lambda: build_plan(
            model, model.parent / "plans", find_library(), PlanSettings("fp32", plugin=False), views=3, hands=1
        ),
    ):
        with pytest.raises(EngineError, match=r"Host GPU has compute capability 7\.0; tensorrt .* needs 7\.5 or newer"):
            call()


def test_a_rigs_plans_are_there_or_it_is_said_at_once(opened: Opener, model: Path) -> None:
    opened()
    plans = model.parent / "plans"
    TensorrtRuntime.check(model, plans)
    TensorrtRuntime.check(model, plans, views=3, hands=2)
    with pytest.raises(EngineError, match=r"for 4 views and 1 hands in .* --views 4 --hands 2`"):
        TensorrtRuntime(model, plans, views=4, hands=2)
    with pytest.raises(EngineError, match=r"for 3 views and 3 hands in .* --views 3 --hands 3 --pre"):
        TensorrtRuntime.check(model, plans, views=3, hands=3)


def test_auto_takes_plans_for_the_rigs_cameras_alone(
    opened: Opener, model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened()
    monkeypatch.setenv("USTHAND_PLANS", str(model.parent / "plans"))
    monkeypatch.setattr("engine.backends.has_nvidia_driver", lambda: True)
    assert best_backend(model, 3, 2) == "tensorrt"
    with caplog.at_level("INFO"):
        assert best_backend(model, 4, 2) != "tensorrt"
    assert "no TensorRT plan for 4 views and 1 hands" in caplog.text


@pytest.mark.parametrize("broken", ["deserialize_cuda_engine", "set_tensor_address"])
def test_a_plan_that_tensorrt_does_not_take_is_built_by_force(
    opened: Opener, model: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    runtime = opened()
    if broken == "deserialize_cuda_engine":
        monkeypatch.setattr(type(runtime._runtime), broken, lambda *_: None)
    else:
        context = runtime._runtime.deserialize_cuda_engine(stub_model().SerializeToString()).create_execution_context()
        monkeypatch.setattr(type(context), broken, lambda *_: False)
    # Without --force it would be found to be there.
    with pytest.raises(EngineError, match=rf"run `usthand build-plan {model} --views 3 --hands 1 .*--force`"):
        runtime.prepare(3, 1)


def test_a_library_that_fails_leaves_no_context(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    detached: list[CudaContext] = []
    monkeypatch.setattr(CudaContext, "close", lambda context: detached.append(context))

    def failing() -> None:
        raise EngineError("the kernels do not load")

    with monkeypatch.context() as broken:
        broken.setattr("engine.backends.tensorrt_backend.KernelLibrary", failing)
        with pytest.raises(EngineError, match="the kernels do not load"):
            opened()
    assert len(detached) == 1
