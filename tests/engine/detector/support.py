"""Rendered frame sets in memory, made-up detections, and how far poses are from the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.crops import crop_around_joints
from engine.detector.engine import DetectorConfig, DetectorEngine
from engine.detector.networks import LANDMARK_INPUT_PX, Landmarks
from engine.detector.views import HandView
from engine.hand_model import HandModel
from engine.synthetic.scene import HandScene, HandTruth
from engine.types import HandPose

Array = NDArray[np.float64]

START_NS = 7_000_000_000
JOINT_GROUPS = {
    "wrist": [0],
    "thumb": [1, 2, 3, 4],
    "knuckles": [5, 9, 13, 17],
    "middle joints": [6, 7, 10, 11, 14, 15, 18, 19],
    "tips": [8, 12, 16, 20],
}


def hand_view(
    rig: Rig,
    view: int,
    joints_world: Array,
    *,
    right_probability: float = 0.95,
    presence: float = 0.99,
    noise_px: float = 0.0,
    rng: np.random.Generator | None = None,
) -> HandView:
    """What a view would say of a hand."""
    camera = rig.cameras[view]
    joints_camera = camera.to_camera(joints_world)
    crop = crop_around_joints(joints_camera, LANDMARK_INPUT_PX)
    assert crop is not None
    turned = joints_camera @ crop.R_crop_camera.T
    pixels = crop.focal_px * turned[:, :2] / turned[:, 2:] + crop.principal_px
    if rng is not None:
        pixels = pixels + rng.normal(0.0, noise_px, pixels.shape)
    return HandView(view, crop, Landmarks(pixels, presence, right_probability))


@dataclass(frozen=True)
class Film:
    """Frames of a scene through all cameras of a rig, in memory.

    Args:
        rig: The cameras.
        scene: What they see.
        indices: Frames of the scene, one a frame set.
        images: `[frame set][view]`.
    """

    rig: Rig
    scene: HandScene
    indices: tuple[int, ...]
    images: tuple[tuple[NDArray[np.uint8], ...], ...]

    def __len__(self) -> int:
        return len(self.indices)

    def truth(self, number: int) -> tuple[HandTruth, ...]:
        return self.scene.truth(self.indices[number])

    def frame_set(
        self,
        number: int,
        change: Callable[[int, int, NDArray[np.uint8]], NDArray[np.uint8] | None] | None = None,
        start_ns: int = START_NS,
    ) -> FrameSet:
        """One frame set; `change(number, view, image)` may put another picture or None in a view's place."""
        stamp_ns = start_ns + round(self.indices[number] / self.scene.rate_hz * 1e9)
        frames: list[Frame | None] = []
        for view, camera in enumerate(self.rig):
            image: NDArray[np.uint8] | None = self.images[number][view]
            if change is not None and image is not None:
                image = change(number, view, image)
            frames.append(None if image is None else Frame(camera.id, number, stamp_ns, stamp_ns, image))
        return FrameSet(number, tuple(frames), 0.0)


def film(rig: Rig, scene: HandScene, indices: Iterable[int]) -> Film:
    chosen = tuple(indices)
    return Film(rig, scene, chosen, tuple(tuple(scene.render(camera, i) for camera in rig) for i in chosen))


@cache
def model() -> HandModel:
    return HandModel.load()


def engine(config: DetectorConfig | None = None) -> DetectorEngine:
    return DetectorEngine(model(), config, threads=2)


def follow(
    film: Film,
    change: Callable[[int, int, NDArray[np.uint8]], NDArray[np.uint8] | None] | None = None,
    tracker: DetectorEngine | None = None,
    numbers: Sequence[int] | None = None,
) -> list[tuple[HandPose, ...]]:
    """Run an engine over a film."""
    own = tracker is None
    runner = engine() if tracker is None else tracker
    try:
        return [
            runner.process(film.frame_set(number, change), film.rig)
            for number in (range(len(film)) if numbers is None else numbers)
        ]
    finally:
        if own:
            runner.close()


def by_side(hands: tuple[HandPose, ...]) -> dict[str, HandPose]:
    found = {hand.side: hand for hand in hands}
    assert len(found) == len(hands), "two hands of one side"
    return found


def errors_mm(pairs: Sequence[tuple[HandPose, HandTruth]]) -> Array:
    """Errors `(N, 21)` after each joint's median offset in the hand's own axes is taken out.

    The networks and the model put a joint at different places in the flesh; that difference is none of tracking's.
    """
    offsets = np.stack([(hand.joints_world - true.joints_world) @ true.posed.rotations[0] for hand, true in pairs])
    return np.asarray(1e3 * np.linalg.norm(offsets - np.median(offsets, axis=0), axis=2))
