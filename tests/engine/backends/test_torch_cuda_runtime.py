"""The runtime on a GPU without one: CUDA itself is stood in for, at its edge; all else is what runs."""

from __future__ import annotations

import copy
import gc
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from engine.backends import NetworkOutputs, torch_cuda_backend  # noqa: E402
from engine.backends.gpu_bench import energy_reader, joints_apart_mm, measure_frames  # noqa: E402
from engine.backends.gpu_settings import GpuSettings  # noqa: E402
from engine.backends.pictures import PictureRuntime, Ticket  # noqa: E402
from engine.backends.torch_cuda_backend import TorchCudaRuntime, build_step  # noqa: E402
from engine.backends.trial import in_one_mapping, trial_inputs, trial_pictures  # noqa: E402
from engine.errors import EngineError  # noqa: E402
from engine.hand_model import HandModel  # noqa: E402
from engine.network.network import UstHandNetwork  # noqa: E402
from tests.engine.backends.test_gpu_step import CONFIG, SMALL, CpuKernels, assert_close, wanted  # noqa: E402

EAGER = GpuSettings(precision="float32", tf32=False, compiled=None)


class Stream:
    """A stream on which everything has finished."""

    cuda_stream = 0

    def __init__(self, device: Any = None) -> None:
        pass

    def synchronize(self) -> None:
        pass


class Event:
    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self, stream: Stream) -> None:
        pass

    def elapsed_time(self, _other: Event) -> float:
        return 0.25


class Replayed:
    """A captured graph: work that is run again, by the same buffers."""

    made = 0

    def __init__(self, work: Callable[[], None], _stream: Stream) -> None:
        Replayed.made += 1
        self.work = work
        self.nodes = 7

    def launch(self) -> None:
        with torch.no_grad():
            self.work()

    def close(self) -> None:
        self.work = None


_TRACED: dict[Any, Any] = {}


def traced_once(network: UstHandNetwork, card: Any, hands: int, views: int, *rest: Any) -> Any:
    """`build_step`, once for each shape: all networks here are equal, and tracing is slow."""
    if (hands, views) not in _TRACED:
        _TRACED[hands, views] = build_step(network, card, hands, views, *rest)
    return _TRACED[hands, views]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A CUDA that is the CPU."""
    entered: list[str] = []
    locked: dict[int, int] = {}
    driver = types.SimpleNamespace(
        cuCtxGetCurrent=lambda: (0, "context"),
        cuCtxSetCurrent=lambda context: entered.append(context),
        cuCtxPushCurrent=lambda _context: (0,),
        cuCtxPopCurrent=lambda: (0, "context"),
        cuMemHostRegister=lambda address, size, _flags: (int(locked.setdefault(address, size) != size),),
        cuMemHostGetDevicePointer=lambda address, _flags: (0, address),
        cuMemHostUnregister=lambda address: (int(locked.pop(address, None) is None),),
    )
    for name in ("cuda", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", driver)
    for name, stand_in in {
        "set_device": lambda _device: None,
        "init": lambda: None,
        "synchronize": lambda _device: None,
        "empty_cache": lambda: None,
        "stream": lambda _stream: nullcontext(),
        "Stream": Stream,
        "Event": Event,
        "memory_reserved": lambda _device: 1 << 20,
        "get_device_name": lambda _device: "a stand-in",
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch_cuda_backend, "gpu_reason", lambda: None)
    monkeypatch.setattr(torch_cuda_backend, "_gpu", lambda _number: torch.device("cpu"))
    monkeypatch.setattr(torch_cuda_backend, "CapturedGraph", Replayed)
    unloaded: list[str] = []
    kernels: Any = CpuKernels()
    kernels.close = lambda: unloaded.append("kernels")
    monkeypatch.setattr(torch_cuda_backend, "KernelLibrary", lambda: kernels)
    monkeypatch.setattr(torch_cuda_backend, "build_step", traced_once)
    Replayed.made = 0
    return types.SimpleNamespace(entered=entered, unloaded=unloaded, locked=locked)


@pytest.fixture(scope="module")
def network() -> UstHandNetwork:
    torch.manual_seed(0)
    return UstHandNetwork(CONFIG, HandModel.load(), pretrained=False).eval()


@pytest.fixture
def runtime(cuda: types.SimpleNamespace, network: UstHandNetwork) -> Iterator[TorchCudaRuntime]:
    opened = TorchCudaRuntime.from_network(network, SMALL, EAGER)
    yield opened
    opened.close()


def test_steps_of_crops_and_of_pictures(runtime: TorchCudaRuntime, network: UstHandNetwork) -> None:
    assert isinstance(runtime, PictureRuntime)
    for seed in (1, 2):
        inputs = trial_inputs(SMALL, 1, 2, seed=seed)
        assert_close(runtime.run(inputs), wanted(network, inputs))
        shown = trial_pictures(SMALL, 1, 2, width=320, height=240, seed=seed)
        answer = runtime.run_pictures(shown)
        frame = runtime._buckets[1, 2][1][0].frame
        assert_close(answer, wanted(network, replace(inputs, crops=frame.inputs[0].numpy())))
        uncaptured = runtime.run_uncaptured(shown)
        for field in fields(NetworkOutputs):
            np.testing.assert_array_equal(getattr(uncaptured, field.name), getattr(answer, field.name))
    # Two frames for pictures, two for crops: nothing is captured again.
    assert Replayed.made == 4


def test_what_was_prepared_is_not_captured_again(runtime: TorchCudaRuntime) -> None:
    runtime.prepare(2, 1)
    made = Replayed.made
    shown = trial_pictures(SMALL, 1, 2, width=320, height=240)
    first, second = runtime.submit(shown), runtime.submit(replace(shown, noise=-shown.noise))
    with pytest.raises(EngineError, match="2 steps are under way; collect one first"):
        runtime.submit(shown)
    one, other = runtime.collect(first), runtime.collect(second)
    assert not np.array_equal(one.joints, other.joints)
    assert Replayed.made == made


def test_pictures_in_locked_memory_give_the_same(runtime: TorchCudaRuntime, cuda: types.SimpleNamespace) -> None:
    shown = trial_pictures(SMALL, 2, 2, width=320, height=240)
    (inputs,), memory = in_one_mapping([shown])
    entered = len(cuda.entered)
    runtime.lock(memory)
    assert len(cuda.entered) > entered
    assert cuda.locked == {memory.ctypes.data: memory.nbytes}
    expected, got = runtime.run_pictures(shown), runtime.run_pictures(inputs)
    for field in fields(NetworkOutputs):
        np.testing.assert_array_equal(getattr(got, field.name), getattr(expected, field.name))
    ticket = runtime.submit(inputs)
    del inputs, memory
    gc.collect()
    # The step may still read of it.
    assert cuda.locked
    runtime.collect(ticket)
    assert not cuda.locked
    runtime.close()
    with pytest.raises(EngineError, match="is closed; open it again"):
        runtime.lock(np.zeros(1, np.uint8))


def test_every_call_enters_the_context(runtime: TorchCudaRuntime, cuda: types.SimpleNamespace) -> None:
    shown = trial_pictures(SMALL, 1, 2, width=320, height=240)
    runtime.run_pictures(shown)
    before = len(cuda.entered)
    runtime.run_pictures(shown)
    assert len(cuda.entered) > before


def test_a_runtime_says_what_it_runs(runtime: TorchCudaRuntime) -> None:
    assert runtime.card == SMALL
    assert runtime.backend == (
        f"torch {torch.__version__} CUDA, a stand-in, float32 convolutions, eager, one CUDA graph a frame"
    )


def test_without_triton_it_is_eager_and_says_so(
    cuda: types.SimpleNamespace, network: UstHandNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_cuda_backend.importlib.util, "find_spec", lambda _name: None)
    runtime = TorchCudaRuntime.from_network(network, SMALL, replace(EAGER, compiled=GpuSettings().compiled))
    assert runtime.settings.compiled is None
    assert "eager" in runtime.backend
    assert "triton is missing" in runtime.backend


def test_a_compiler_that_fails_leaves_it_eager_and_says_so(
    cuda: types.SimpleNamespace,
    network: UstHandNetwork,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing(*_: Any) -> None:
        raise ValueError("no compiler\nand more")

    monkeypatch.setattr(torch_cuda_backend.importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setattr(torch_cuda_backend, "compile_step", failing)
    runtime = TorchCudaRuntime.from_network(network, SMALL, replace(EAGER, compiled=GpuSettings().compiled))
    inputs = trial_inputs(SMALL, 1, 2)
    assert_close(runtime.run(inputs), wanted(network, inputs))
    assert "the compiler failed" in runtime.backend
    assert "not compiled (no compiler)" in caplog.text


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried"), ("memory is full", "fewer views")),
        (RuntimeError("CUDA error: an illegal memory access"), ("a step failed", "illegal", "restart the service")),
    ],
)
def test_a_failure_of_the_gpu_says_what_to_do(
    runtime: TorchCudaRuntime, monkeypatch: pytest.MonkeyPatch, failure: Exception, words: tuple[str, ...]
) -> None:
    inputs = trial_inputs(SMALL, 1, 2)
    runtime.run(inputs)

    def failing(self: Replayed) -> None:
        raise failure

    with monkeypatch.context() as broken:
        broken.setattr(Replayed, "launch", failing)
        with pytest.raises(EngineError) as refused:
            runtime.run(inputs)
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)
    # The buffers are free again, so that the service can go on.
    for _ in range(3):
        runtime.run(inputs)


def test_a_closed_runtime_says_so(runtime: TorchCudaRuntime) -> None:
    inputs = trial_inputs(SMALL, 1, 2)
    ticket = runtime.submit(inputs)
    runtime.close()
    runtime.close()
    for call in (lambda: runtime.run(inputs), lambda: runtime.collect(ticket), lambda: runtime.prepare(2, 1)):
        with pytest.raises(EngineError, match="is closed; open it again"):
            call()


def test_arithmetic_is_left_as_it_was(runtime: TorchCudaRuntime) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    runtime.run(trial_inputs(SMALL, 1, 2))
    after = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    assert before == after


@pytest.mark.parametrize("locked", [True, False])
def test_frames_are_timed_and_held_to_another_runtime(
    runtime: TorchCudaRuntime, cuda: types.SimpleNamespace, locked: bool
) -> None:
    times = measure_frames(runtime, 1, 2, frames=3, locked=locked)
    assert times.locked == locked
    assert list(times.stages_ms) == ["upload", "pixels", "crops", "network", "download", "whole"]
    assert times.whole_ms.shape == (3,)
    assert (times.whole_ms >= times.start_ms).all()
    assert times.rate_hz > 0
    assert times.memory_bytes == 1 << 20
    assert joints_apart_mm(runtime, runtime, 1, 2, draws=1) == 0.0
    # What was locked for it goes with it.
    assert not cuda.locked


def test_a_step_is_collected_once(runtime: TorchCudaRuntime) -> None:
    shown = trial_pictures(SMALL, 1, 2, width=320, height=240)
    done = runtime.submit(shown)
    runtime.collect(done)
    runtime.submit(shown)
    with pytest.raises(EngineError, match="this step is not under way here; collect each step once"):
        runtime.collect(done)
    with pytest.raises(EngineError, match="this step is not under way here"):
        runtime.collect(Ticket(2, 5))
    runtime.submit(shown)
    with pytest.raises(EngineError, match="2 steps are under way"):
        runtime.submit(shown)


def test_what_comes_between_leaves_a_step_under_way_alone(runtime: TorchCudaRuntime) -> None:
    shown, other = (trial_pictures(SMALL, 1, 2, width=320, height=240, seed=seed) for seed in (1, 2))
    alone = runtime.run_pictures(shown)
    ticket = runtime.submit(shown)
    runtime.stage_times_ms(other, 1)
    runtime.run_uncaptured(other)
    with pytest.raises(EngineError, match="while a step is under way; collect that first"):
        runtime.run(trial_inputs(SMALL, 1, 2))
    np.testing.assert_array_equal(runtime.collect(ticket).joints, alone.joints)


def test_a_capture_that_failed_is_made_good(runtime: TorchCudaRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [1]

    def once(*arguments: Any) -> Replayed:
        if not left:
            raise RuntimeError("no memory for the second one")
        left.pop()
        return Replayed(*arguments)

    with monkeypatch.context() as broken:
        broken.setattr(torch_cuda_backend, "CapturedGraph", once)
        with pytest.raises(EngineError, match="no memory for the second one"):
            runtime.prepare(2, 1)
    runtime.prepare(2, 1)
    assert [list(slot.graphs) for slot in runtime._buckets[1, 2][1]] == [["pictures"]] * 2
    assert Replayed.made == 2


def test_closing_holds_nothing_when_the_cache_is_emptied(
    cuda: types.SimpleNamespace, network: UstHandNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_cuda_backend, "build_step", lambda *given: copy.deepcopy(traced_once(*given)))
    runtime = TorchCudaRuntime.from_network(network, SMALL, EAGER)
    runtime.run(trial_inputs(SMALL, 1, 2))
    step, slots = runtime._buckets[1, 2]
    held = [weakref.ref(step), *(weakref.ref(slot.frame) for slot in slots)]
    del step, slots
    left: list[Any] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: left.append([one() for one in held]))
    runtime.close()
    assert left == [[None] * 3]
    assert cuda.unloaded == ["kernels"]


@pytest.mark.parametrize(("count", "visible", "told"), [(1, "0", True), (2, "1", False), (2, "", True)])
def test_energy_is_of_the_gpu_that_works_or_of_none(
    count: int, visible: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = types.SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: count,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: 1000 + handle,
        NVMLError=RuntimeError,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    read = energy_reader()
    assert (read is not None) == told
    assert read is None or read() == 1000.0
