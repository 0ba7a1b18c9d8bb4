"""One step of the network for several hands: crops into one array, all hands in one run, answers apart again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from capture.frames import Frame, FrameSet
from engine.backends.base import MAX_VIEWS, NetworkInputs, NetworkRuntime
from engine.crops import CropCamera, sample_crop
from engine.detector.frame_sets import frame_of
from engine.errors import EngineError
from engine.tracker.aim import Aim
from engine.tracker.answer import NetworkAnswer, hand_answer
from engine.tracker.noise import noise_table
from engine.tracker.state import StreamState


@dataclass(frozen=True, eq=False, slots=True)
class Request:
    """One hand to be looked at.

    Args:
        aim: Where.
        state: What is remembered of it.
    """

    aim: Aim
    state: StreamState


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """A step of which the crops are being sampled.

    Args:
        requests: The hands.
        rig: The cameras.
        sampling: One job a crop.
    """

    requests: Sequence[Request]
    rig: Rig
    sampling: list[Future[None]]

    def wait(self) -> None:
        """Wait until the frames are not read any more, whether that went well or not."""
        wait(self.sampling)


class Stepper:
    """Runs the network on hands.

    The crops of a step lie in an array that the next step overwrites: run one before the next is started.

    Args:
        runtime: The network.
        pool: Crops are sampled in it.
    """

    def __init__(self, runtime: NetworkRuntime, pool: ThreadPoolExecutor) -> None:
        self._runtime = runtime
        self._pool = pool
        self._size_px = runtime.card.input_px
        self._crops = np.zeros((0, 0, self._size_px, self._size_px, 3), np.uint8)
        self._noise = np.zeros((0, runtime.card.hypotheses, 21, 2), np.float32)

    def attend(self, views: int) -> None:
        """Get ready for a rig of so many views.

        Raises:
            EngineError: If they are more than the network takes.
        """
        if views > MAX_VIEWS:
            raise EngineError(
                f"the rig has {views} cameras and the network takes {MAX_VIEWS}; leave some out of the rig, or use "
                "the detector engine"
            )
        self._crops = np.zeros((0, views, self._size_px, self._size_px, 3), np.uint8)
        self._noise = noise_table(views, self._runtime.card.hypotheses)

    def start(self, frame_set: FrameSet, rig: Rig, requests: Sequence[Request]) -> Step:
        """Start to sample the crops of a step.

        Args:
            frame_set: The frames; they are read until `Step.wait` or `run` returns.
            rig: Their cameras.
            requests: The hands.
        """
        if len(requests) > len(self._crops):
            self._crops = np.zeros((len(requests), *self._crops.shape[1:]), np.uint8)
        sampling = []
        for request, slots in zip(requests, self._crops, strict=False):
            for view, (crop, slot) in enumerate(zip(request.aim.crops, slots, strict=True)):
                if crop is None:
                    # What is masked does not matter, but equal frames are to make equal inputs.
                    slot[:] = 0
                    continue
                frame, camera = frame_of(frame_set, view), rig.cameras[view]
                sampling.append(self._pool.submit(_sample, frame, camera, crop, request.aim.mirrored, slot))
        return Step(requests, rig, sampling)

    def run(self, step: Step) -> list[NetworkAnswer]:
        """Run the network.

        Returns:
            One answer a request.

        Raises:
            EngineError: If the runtime fails.
        """
        step.wait()
        for sampled in step.sampling:
            sampled.result()
        if not step.requests:
            return []
        aims = [request.aim for request in step.requests]
        outputs = self._runtime.run(
            NetworkInputs(
                crops=self._crops[: len(aims)],
                projections=np.stack([aim.projections(step.rig) for aim in aims]),
                view_mask=np.stack([aim.mask for aim in aims]),
                noise=np.repeat(self._noise[None], len(aims), axis=0),
                state=np.stack([request.state.values for request in step.requests]),
                state_valid=np.stack([request.state.valid for request in step.requests]),
            )
        )
        return [hand_answer(outputs, index, aim, self._size_px) for index, aim in enumerate(aims)]


def _sample(frame: Frame, camera: Camera, crop: CropCamera, mirrored: bool, slot: NDArray[np.uint8]) -> None:
    """Write a crop as RGB into its place `(S, S, 3)`."""
    sampled = sample_crop(frame.image_bgr, camera, crop)
    if mirrored:
        sampled = cv2.flip(sampled, 1).astype(np.uint8, copy=False)
    cv2.cvtColor(sampled, cv2.COLOR_BGR2RGB, dst=slot)
