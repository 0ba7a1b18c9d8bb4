"""A runtime that cuts crops out of pictures gets what it needs to cut the same crops as the CPU does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from capture.frames import Frame, FrameSet
from engine.backends.base import NetworkInputs, NetworkOutputs
from engine.backends.packing import upload_packing
from engine.backends.pictures import PictureInputs, check_pictures
from engine.backends.staging import Stager
from engine.tracker.aim import aim_at
from engine.tracker.state import StreamState
from engine.tracker.stepper import Request, Stepper
from tests.engine.backends.sampling import gather, sampled_crop
from tests.engine.tracker.support import CARD, RIG, Oracle, pattern, truth_at


class Cutter(Oracle):
    """The oracle, as a runtime that cuts crops itself, in numpy."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared: list[tuple[int, int]] = []
        self.locked: list[NDArray[np.uint8]] = []

    def prepare(self, views: int, hands: int) -> None:
        self.prepared.append((views, hands))

    def lock(self, memory: NDArray[np.uint8]) -> bool:
        self.locked.append(memory)
        return True

    def submit(self, inputs: PictureInputs) -> None:
        raise NotImplementedError

    collect = stage_times_ms = memory_bytes = submit

    def run_pictures(self, inputs: PictureInputs) -> NetworkOutputs:
        check_pictures(inputs, CARD)
        hands, views = inputs.view_mask.shape
        upload = upload_packing(CARD, hands, views)
        buffer = np.zeros(upload.size, np.uint8)
        Stager(upload, buffer, buffer.ctypes.data, lambda _: None).stage(inputs)
        places = upload.arrays.sections["places"].of(buffer)
        # The pixels come to another buffer, with places of its own.
        pixels = np.zeros(upload.size, np.uint8)
        gather(places, pixels)
        nodes = upload.arrays.sections["nodes"].of(buffer).reshape(-1, *inputs.nodes.shape[2:])
        crops = np.stack([sampled_crop(pixels, at, one, CARD.input_px) for at, one in zip(places, nodes, strict=True)])
        names = ("projections", "view_mask", "noise", "state", "state_valid")
        rest = {name: getattr(inputs, name) for name in names}
        return self.run(NetworkInputs(crops=crops.reshape(hands, views, *crops.shape[1:]), **rest))


def test_crops_of_pictures_are_the_same_crops() -> None:
    # The last camera's pictures lie by themselves, the others' each in a ring.
    rings = [np.zeros(pattern(view).nbytes, np.uint8) for view in range(len(RIG) - 1)]
    frames = [Frame(camera.id, 0, 0, 0, pattern(view)) for view, camera in enumerate(RIG)]
    frames[:-1] = [replace(frame, memory=ring) for frame, ring in zip(frames, rings, strict=False)]
    frame_set = FrameSet(0, (None, *frames[1:]), 0.0)
    hands = (truth_at("right", x=0.05), truth_at("left", x=-0.05))
    seen = []
    for runtime in (Oracle(), Cutter()):
        runtime.hands = hands
        runtime.pictures = {view: frame.image_bgr for view, frame in enumerate(frames)}
        with ThreadPoolExecutor(2) as pool:
            stepper = Stepper(runtime, pool, 2)
            stepper.attend(len(RIG))
            aims = [aim_at(frame_set, RIG, hand.joints_world, hand.side, CARD.input_px) for hand in hands]
            aims[1] = replace(aims[1].without([2]))
            requests = [Request(aim, StreamState.blank(CARD)) for aim in aims]
            answers = stepper.run(stepper.start(frame_set, RIG, requests))
        assert len(answers) == 2
        seen.append(runtime)
    plain, cutter = seen
    assert isinstance(cutter, Cutter)
    assert cutter.prepared == [(len(RIG), 2)]
    # The first camera's frame is missing.
    assert [id(memory) for memory in cutter.locked] == [id(ring) for ring in rings[1:]]
    (by_cpu,), (by_cutter,) = plain.inputs, cutter.inputs
    assert not by_cutter.crops[:, 0].any()
    assert not by_cutter.crops[1, 2].any()
    assert by_cutter.crops[0, 1].std() > 5
    # cv2 rounds places to a 32nd of a pixel.
    assert np.abs(by_cpu.crops.astype(int) - by_cutter.crops).mean() < 0.6
    for name in ("projections", "view_mask", "noise", "state", "state_valid"):
        np.testing.assert_array_equal(getattr(by_cpu, name), getattr(by_cutter, name))
