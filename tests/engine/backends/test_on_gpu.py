"""The runtime on a real GPU: as the CPU, nothing stale, two at a time, from any thread, closed and opened again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from capture.shared_memory import Segment  # noqa: E402
from engine.backends import NetworkOutputs  # noqa: E402
from engine.backends.gpu_bench import measure_frames  # noqa: E402
from engine.backends.gpu_settings import GpuSettings  # noqa: E402
from engine.backends.pictures import PictureInputs  # noqa: E402
from engine.backends.torch_cuda_backend import TorchCudaRuntime, gpu_reason  # noqa: E402
from engine.backends.trial import in_one_mapping, trial_inputs, trial_pictures  # noqa: E402
from engine.hand_model import HandModel  # noqa: E402
from engine.kernels.places import NODE_SPACING_PX  # noqa: E402
from engine.network.network import UstHandNetwork  # noqa: E402
from tests.engine.backends.test_gpu_step import CONFIG, SMALL, assert_close, wanted  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    # Some of PyTorch's own start-up code is deprecated by itself.
    pytest.mark.filterwarnings("default"),
]

EXACT = GpuSettings(precision="float32", tf32=False, compiled=None)


@pytest.fixture(scope="module")
def network() -> UstHandNetwork:
    # A draw whose keypoints half precision moves by half of what is allowed, on a CPU.
    torch.manual_seed(1)
    return UstHandNetwork(CONFIG, HandModel.load(), pretrained=False).eval()


@pytest.fixture(scope="module")
def runtime(network: UstHandNetwork) -> Iterator[TorchCudaRuntime]:
    reason = gpu_reason()
    if reason is not None:
        pytest.fail(reason)
    opened = TorchCudaRuntime.from_network(network, SMALL, EXACT)
    yield opened
    opened.close()


def cpu_crops(inputs: PictureInputs) -> Any:
    """Crops `(B, V, S, S, 3)` as the CPU samples them of the same nodes."""
    to_nodes = np.array([[1 / NODE_SPACING_PX, 0, 0], [0, 1 / NODE_SPACING_PX, 0]])
    size = (SMALL.input_px, SMALL.input_px)
    hands, views = inputs.view_mask.shape
    crops = np.zeros((hands, views, *size, 3), np.uint8)
    for hand in range(hands):
        for view, picture in enumerate(inputs.pictures):
            if picture is None or not inputs.view_mask[hand, view]:
                continue
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            columns, rows = cv2.split(cv2.warpAffine(inputs.nodes[hand, view], to_nodes, size, flags=flags))
            crop = cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[..., ::-1]
            crops[hand, view] = crop[:, ::-1] if inputs.mirrored[hand] else crop
    return crops


def smooth(inputs: PictureInputs) -> PictureInputs:
    """The same with smooth pictures, in which a rounded place makes no other grey value."""
    return replace(inputs, pictures=[cv2.GaussianBlur(picture, (0, 0), 8) for picture in inputs.pictures])


@pytest.mark.parametrize(("hands", "mask"), [(1, (1, 1)), (1, (1, 0, 1)), (2, (1, 1, 0, 1)), (1, (0, 0))])
def test_it_answers_as_the_cpu(
    runtime: TorchCudaRuntime, network: UstHandNetwork, hands: int, mask: tuple[int, ...]
) -> None:
    for seed in (1, 2):
        inputs = trial_inputs(SMALL, hands, len(mask), seed=seed)
        inputs.view_mask[0] = mask
        assert_close(runtime.run(inputs), wanted(network, inputs), 1e-4)


def test_crops_cut_on_the_gpu_are_the_cpus(runtime: TorchCudaRuntime, network: UstHandNetwork) -> None:
    shown = smooth(trial_pictures(SMALL, 2, 3, seed=4))
    shown.view_mask[1, 0] = 0.0
    answer = runtime.run_pictures(shown)
    frame = runtime._buckets[2, 3][1][0].frame
    crops = frame.inputs[0].cpu().numpy()
    assert np.abs(crops.astype(int) - cpu_crops(shown)).max() <= 2
    given = replace(trial_inputs(SMALL, 2, 3, seed=4), crops=crops, view_mask=shown.view_mask)
    assert_close(answer, wanted(network, given), 1e-4)


def test_a_graph_that_is_launched_again_sees_new_inputs(runtime: TorchCudaRuntime) -> None:
    one, other = (trial_pictures(SMALL, 1, 2, seed=seed) for seed in (1, 2))
    first = runtime.run_pictures(one)
    second = runtime.run_pictures(other)
    again = runtime.run_pictures(one)
    for name in ("joints", "keypoints", "state", "covariance_mm2"):
        assert not np.array_equal(getattr(first, name), getattr(second, name)), name
    for field in fields(NetworkOutputs):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
    # A small frame after a large one: what is left of the large one is not seen.
    tiny = replace(one, nodes=one.nodes * 0 + 5.0)
    runtime.run_pictures(tiny)
    for field in fields(NetworkOutputs):
        np.testing.assert_array_equal(getattr(runtime.run_pictures(one), field.name), getattr(first, field.name))


def test_a_captured_frame_equals_its_kernels_one_by_one(runtime: TorchCudaRuntime) -> None:
    for seed in range(3):
        shown = trial_pictures(SMALL, 2, 3, seed=seed)
        captured, launched = runtime.run_pictures(shown), runtime.run_uncaptured(shown)
        for field in fields(NetworkOutputs):
            np.testing.assert_array_equal(getattr(captured, field.name), getattr(launched, field.name))


def test_two_frames_under_way_do_not_mix(runtime: TorchCudaRuntime) -> None:
    shown = [trial_pictures(SMALL, 1, 2, seed=seed) for seed in range(6)]
    alone = [runtime.run_pictures(one) for one in shown]
    ticket = runtime.submit(shown[0])
    for number in range(1, len(shown)):
        following = runtime.submit(shown[number])
        np.testing.assert_array_equal(runtime.collect(ticket).joints, alone[number - 1].joints)
        ticket = following
    np.testing.assert_array_equal(runtime.collect(ticket).joints, alone[-1].joints)


def test_pictures_in_a_cameras_memory_give_the_same_and_are_read_there(runtime: TorchCudaRuntime) -> None:
    steps = [trial_pictures(SMALL, 2, 2, seed=seed) for seed in range(4)]
    copied = [runtime.run_pictures(step) for step in steps]
    mapped, anonymous = in_one_mapping(steps)
    # As a camera's ring is: written through another mapping, and a read-only array here.
    segment = Segment(anonymous.nbytes, "")
    written, memory = segment.writable(0, anonymous.nbytes), segment.readable(0, anonymous.nbytes)
    written[:] = anonymous
    start = anonymous.ctypes.data
    shown = []
    for step in mapped:
        at = [picture.ctypes.data - start for picture in step.pictures if picture is not None]
        pictures = [memory[first : first + 1280 * 720 * 3].reshape(720, 1280, 3) for first in at]
        shown.append(replace(step, pictures=pictures))
    assert runtime.lock(memory), "a mapping is not locked"
    assert runtime._locked.address(shown[0].pictures[0]) is not None, "a camera's memory is not locked"
    ticket = runtime.submit(shown[0])
    for number in range(1, len(shown)):
        following = runtime.submit(shown[number])
        answer = runtime.collect(ticket)
        for field in fields(NetworkOutputs):
            np.testing.assert_array_equal(getattr(answer, field.name), getattr(copied[number - 1], field.name))
        ticket = following
    np.testing.assert_array_equal(runtime.collect(ticket).joints, copied[-1].joints)
    for field in fields(NetworkOutputs):
        launched = runtime.run_uncaptured(shown[0])
        np.testing.assert_array_equal(getattr(launched, field.name), getattr(copied[0], field.name))
    # What the camera writes next is what is read next.
    written[:] = 0
    frame = runtime._buckets[2, 2][1][0].frame
    assert frame.inputs[0].any()
    runtime.run_pictures(shown[0])
    assert not frame.inputs[0].any()
    del shown, memory, at, pictures
    assert not [one for one in runtime._locked._used.values() if one.memory() is not None and one.shift is not None]
    # Unlocked as it went: another mapping, perhaps at the same address, is locked as well as the first.
    again, memory = in_one_mapping(steps[:1])
    assert runtime.lock(memory), "a mapping is not locked"
    assert runtime._locked.address(again[0].pictures[0]) is not None
    np.testing.assert_array_equal(runtime.run_pictures(again[0]).joints, copied[0].joints)


def test_another_thread_may_call(runtime: TorchCudaRuntime) -> None:
    shown = trial_pictures(SMALL, 1, 2)
    here = runtime.run_pictures(shown)
    found: list[NetworkOutputs] = []
    thread = threading.Thread(target=lambda: found.append(runtime.run_pictures(shown)))
    thread.start()
    thread.join(60)
    np.testing.assert_array_equal(found[0].joints, here.joints)


def test_nothing_is_captured_on_a_frame_that_was_prepared(
    runtime: TorchCudaRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.prepare(2, 2)
    monkeypatch.setattr("engine.backends.torch_cuda_backend.CapturedGraph", None)
    for hands in (1, 2):
        answer = runtime.run_pictures(trial_pictures(SMALL, hands, 2))
        assert answer.joints.shape == (hands, 21, 3)


def test_half_precision_compiled_and_fused_is_near(network: UstHandNetwork) -> None:
    fast = TorchCudaRuntime.from_network(network, SMALL)
    assert " compiled" in fast.backend, fast.backend
    inputs = trial_inputs(SMALL, 1, 2)
    answer, expected = fast.run(inputs), wanted(network, inputs)
    np.testing.assert_allclose(answer.keypoints, expected.keypoints, atol=5e-3)
    assert "not compiled" not in fast.backend
    assert "not fused" not in fast.backend
    fast.close()


def test_it_closes_and_opens_again(network: UstHandNetwork) -> None:
    inputs = trial_inputs(SMALL, 1, 2)
    answers = []
    for _ in range(2):
        opened = TorchCudaRuntime.from_network(network, SMALL, EXACT)
        answers.append(opened.run(inputs))
        opened.close()
    np.testing.assert_array_equal(answers[0].joints, answers[1].joints)


@pytest.mark.parametrize("locked", [True, False])
def test_it_is_timed(runtime: TorchCudaRuntime, locked: bool) -> None:
    times = measure_frames(runtime, 1, 2, frames=20, locked=locked)
    assert all((spent > 0).all() for spent in times.stages_ms.values())
    assert times.memory_bytes > 0
