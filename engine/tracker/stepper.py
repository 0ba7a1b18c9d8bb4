"""One step of the network for several hands: crops into one array, all hands in one run, answers apart again.

A runtime that cuts crops out of pictures itself is given those, and where the nodes of each crop lie in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from capture.frames import Frame, FrameSet
from engine.backends.base import MAX_VIEWS, NetworkInputs, NetworkOutputs, NetworkRuntime
from engine.backends.pictures import PictureInputs, PictureRuntime
from engine.crops import CropCamera, crop_nodes, sample_crop
from engine.detector.frame_sets import frame_of
from engine.errors import EngineError
from engine.kernels.places import nodes_along
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
    """A step of which the crops, or their nodes, are being made.

    Args:
        requests: The hands.
        frame_set: The frames.
        rig: The cameras.
        sampling: One job a crop.
    """

    requests: Sequence[Request]
    frame_set: FrameSet
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
        most_hands: A step is rarely of more hands; a runtime may get ready for so many.
    """

    def __init__(self, runtime: NetworkRuntime, pool: ThreadPoolExecutor, most_hands: int = 1) -> None:
        self._runtime = runtime
        self._pictures = runtime if isinstance(runtime, PictureRuntime) else None
        self._pool = pool
        self._most_hands = most_hands
        self._size_px = runtime.card.input_px
        self._place = (self._size_px, self._size_px, 3)
        self._grid = (nodes_along(self._size_px), nodes_along(self._size_px), 2)
        self._crops = np.zeros((0, 0, *self._place), np.uint8)
        self._nodes = np.zeros((0, 0, *self._grid), np.float32)
        self._noise = np.zeros((0, runtime.card.hypotheses, 21, 2), np.float32)

    def attend(self, views: int) -> None:
        """Get ready for a rig of so many views.

        Raises:
            EngineError: If they are more than the network takes, or the runtime cannot get ready for them.
        """
        if views > MAX_VIEWS:
            raise EngineError(
                f"the rig has {views} cameras and the network takes {MAX_VIEWS}; leave some out of the rig, or use "
                "the detector engine"
            )
        self._crops = np.zeros((0, views, *self._place), np.uint8)
        self._nodes = np.zeros((0, views, *self._grid), np.float32)
        self._noise = noise_table(views, self._runtime.card.hypotheses)
        if self._pictures is not None:
            self._pictures.prepare(views, self._most_hands)

    def start(self, frame_set: FrameSet, rig: Rig, requests: Sequence[Request]) -> Step:
        """Start to sample the crops of a step.

        Args:
            frame_set: The frames; they are read until `Step.wait` or `run` returns.
            rig: Their cameras.
            requests: The hands.
        """
        if self._pictures is None:
            return Step(requests, frame_set, rig, self._sample(frame_set, rig, requests))
        for frame in frame_set.frames:
            # A camera's frames all lie in one mapping: its first one locks it.
            if frame is not None and frame.memory is not None:
                self._pictures.lock(frame.memory)
        sampling = self._find_nodes(rig, requests)
        return Step(requests, frame_set, rig, sampling)

    def _sample(self, frame_set: FrameSet, rig: Rig, requests: Sequence[Request]) -> list[Future[None]]:
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
        return sampling

    def _find_nodes(self, rig: Rig, requests: Sequence[Request]) -> list[Future[None]]:
        if len(requests) > len(self._nodes):
            self._nodes = np.zeros((len(requests), *self._nodes.shape[1:]), np.float32)
        finding = []
        for request, slots in zip(requests, self._nodes, strict=False):
            for camera, crop, slot in zip(rig, request.aim.crops, slots, strict=True):
                if crop is None:
                    slot[:] = 0
                else:
                    finding.append(self._pool.submit(_find_nodes, camera, crop, slot))
        return finding

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
        outputs = self._outputs(step, aims)
        return [hand_answer(outputs, index, aim, self._size_px) for index, aim in enumerate(aims)]

    def _outputs(self, step: Step, aims: Sequence[Aim]) -> NetworkOutputs:
        """Run the runtime on what lies ready for it."""
        projections = np.stack([aim.projections() for aim in aims])
        view_mask = np.stack([aim.mask for aim in aims])
        noise = np.repeat(self._noise[None], len(aims), axis=0)
        state = np.stack([request.state.values for request in step.requests])
        state_valid = np.stack([request.state.valid for request in step.requests])
        if self._pictures is None:
            crops = self._crops[: len(aims)]
            return self._runtime.run(NetworkInputs(crops, projections, view_mask, noise, state, state_valid))
        frames = step.frame_set.frames
        pictures = [None if frame is None else frame.image_bgr for frame in frames]
        mirrored = np.array([aim.mirrored for aim in aims])
        nodes = self._nodes[: len(aims)]
        return self._pictures.run_pictures(
            PictureInputs(pictures, nodes, mirrored, projections, view_mask, noise, state, state_valid)
        )


def _sample(frame: Frame, camera: Camera, crop: CropCamera, mirrored: bool, slot: NDArray[np.uint8]) -> None:
    """Write a crop as RGB into its place `(S, S, 3)`."""
    sampled = sample_crop(frame.image_bgr, camera, crop)
    if mirrored:
        sampled = cv2.flip(sampled, 1).astype(np.uint8, copy=False)
    cv2.cvtColor(sampled, cv2.COLOR_BGR2RGB, dst=slot)


def _find_nodes(camera: Camera, crop: CropCamera, slot: NDArray[np.float32]) -> None:
    """Write the nodes of a crop into their place `(G, G, 2)`."""
    slot[:] = crop_nodes(camera, crop)
