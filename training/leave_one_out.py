"""Hold a view out, answer from the others, and ask the held-out view's own picture how good the answer was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from capture.frames import Frame, FrameSet
from engine.crops import crop_around_joints, crop_around_palm, sample_crop
from engine.detector.networks import LANDMARK_INPUT_PX, LandmarkNetwork, PalmDetector
from engine.detector.views import HandView
from engine.triangulation import weighted_dlt
from engine.types import HandEngine

MIN_VIEWS: Final = 3
PALM_JOINTS: Final = np.array([0, 5, 9, 13, 17])

_WRIST, _MIDDLE_KNUCKLE = 0, 9
_MIN_PRESENCE: Final = 0.5

Keypoints = NDArray[np.float64]
"""Joints of one detection `(21, 2)`, distorted pixels."""

Detections = Sequence[Sequence[Sequence[Keypoints]]]
"""What single views saw: for each frame set, for each view, the detections."""

Place = tuple[int, int, int]
"""One hand to be judged by: frame set, held-out view, index of the detection there."""


class SingleView:
    """Finds hands in one picture, knowing nothing of other views or of what was before.

    It is what the engine does to find new hands: palms in the whole picture, joints in a crop about each, and joints
    again in a crop that is aimed by them.
    """

    def __init__(self) -> None:
        self._palms = PalmDetector()
        self._landmarks = LandmarkNetwork()

    def detect(self, frame: Frame, camera: Camera) -> list[Keypoints]:
        """Return the joints of each hand, in the camera's pixels."""
        found = []
        for palm in self._palms.detect(frame.image_bgr):
            crop = crop_around_palm(
                camera, palm.center_px, palm.size_px, palm.wrist_px, palm.middle_knuckle_px, LANDMARK_INPUT_PX
            )
            if crop is None:
                continue
            seen = HandView(0, crop, self._landmarks.infer(sample_crop(frame.image_bgr, camera, crop)))
            if seen.landmarks.presence < _MIN_PRESENCE:
                continue
            better = crop_around_joints(seen.joint_directions(), LANDMARK_INPUT_PX)
            if better is not None:
                seen = HandView(0, better, self._landmarks.infer(sample_crop(frame.image_bgr, camera, better)))
            if seen.landmarks.presence >= _MIN_PRESENCE:
                found.append(seen.keypoints_px(camera))
        return found


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """What was answered without one view.

    Args:
        frame_set: The frame set.
        view: The view that was held out.
        joints_world: The answer's joints `(21, 3)`, metres.
        mano_joints_world: The hand model's joints `(21, 3)`, metres; None where there is no model.
    """

    frame_set: int
    view: int
    joints_world: NDArray[np.float64]
    mano_joints_world: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Answers:
    """One pass over a recording.

    Args:
        rig: The cameras.
        frames: For each frame set, the index of each view's frame in its recording; None where it is missing.
        detections: What our own networks see in single views.
        held_out: The engine's answers without each view.
    """

    rig: Rig
    frames: list[tuple[int | None, ...]] = field(default_factory=list)
    detections: list[list[list[Keypoints]]] = field(default_factory=list)
    held_out: list[HeldOut] = field(default_factory=list)


def answer_without_each_view(
    frame_sets: Iterable[FrameSet],
    rig: Rig,
    open_engine: Callable[[], HandEngine],
    advance: Callable[[int], None] = lambda _: None,
) -> Answers:
    """Run, over one decode, an engine without each view and the single-view detector on all of them.

    Args:
        frame_sets: The recording.
        rig: Its calibration.
        open_engine: Opens the engine; it is opened once a view.
        advance: Told how many frame sets are done.

    Raises:
        ValueError: If the rig has fewer than three views.
    """
    if len(rig) < MIN_VIEWS:
        raise ValueError(
            f"rig {rig.name or 'of this recording'}: it has {len(rig)} views; to leave one out and have two left, "
            f"{MIN_VIEWS} are needed"
        )
    answers = Answers(rig)
    others = [rig.subset(tuple(i for i in rig.camera_ids if i != left_out)) for left_out in rig.camera_ids]
    engines = [open_engine() for _ in rig]
    single = SingleView()
    try:
        for count, frame_set in enumerate(frame_sets):
            answers.frames.append(tuple(None if frame is None else frame.index for frame in frame_set.frames))
            answers.detections.append(
                [
                    [] if frame is None else single.detect(frame, camera)
                    for frame, camera in zip(frame_set.frames, rig, strict=True)
                ]
            )
            for view, (engine, rest) in enumerate(zip(engines, others, strict=True)):
                frames = tuple(frame for other, frame in enumerate(frame_set.frames) if other != view)
                if all(frame is None for frame in frames):
                    continue
                for hand in engine.process(FrameSet(frame_set.id, frames, frame_set.skew_ms), rest):
                    answers.held_out.append(HeldOut(count, view, hand.joints_world, hand.posed.joints))
            advance(count + 1)
    finally:
        for engine in engines:
            engine.close()
    return answers


@dataclass(frozen=True, eq=False, slots=True)
class Score:
    """How far answers lie from what held-out views saw.

    Args:
        errors_px: Distance to the view's joints `(21,)` for each hand that it could be judged by.
        mano_px: The same for the hand model's joints, where there are some.
        unmatched: Hands for which the held-out view had no detection within a palm's length.
    """

    errors_px: Mapping[Place, NDArray[np.float64]]
    mano_px: Mapping[Place, NDArray[np.float64]]
    unmatched: int


def score(rig: Rig, held_out: Sequence[HeldOut], reference: Detections) -> tuple[Score, dict[Place, HeldOut]]:
    """Compare answers with the held-out views' detections: the nearest within a palm's length, each used once."""
    errors: dict[Place, NDArray[np.float64]] = {}
    mano: dict[Place, NDArray[np.float64]] = {}
    judged: dict[Place, HeldOut] = {}
    unmatched = 0
    for (frame_set, view), hands in _grouped(held_out).items():
        camera, seen = rig.cameras[view], reference[frame_set][view]
        projected = [camera.project(hand.joints_world) for hand in hands]
        pairs = match(projected, [palm_px(camera, hand.joints_world) for hand in hands], seen)
        unmatched += len(hands) - len(pairs)
        for index, detection in pairs.items():
            place = (frame_set, view, detection)
            hand = hands[index]
            judged[place] = hand
            errors[place] = np.linalg.norm(projected[index] - seen[detection], axis=1)
            if hand.mano_joints_world is not None:
                mano[place] = np.linalg.norm(camera.project(hand.mano_joints_world) - seen[detection], axis=1)
    return Score(errors, mano, unmatched), judged


def plain_dlt(
    rig: Rig, judged: Mapping[Place, HeldOut], source: Detections, reference: Detections
) -> dict[Place, NDArray[np.float64]]:
    """Errors `(21,)` of an equal-weight DLT of the other views' own detections, on the same hands.

    Args:
        rig: The cameras.
        judged: The hands, and the answers that say which detections of the other views are theirs.
        source: Detections that are triangulated.
        reference: Detections that are judged by.

    Returns:
        One entry for each hand that two other views or more have a detection of.
    """
    errors = {}
    places = {id(hand): place for place, hand in judged.items()}
    for (frame_set, view), hands in _grouped(list(judged.values())).items():
        seen_by: list[dict[int, Keypoints]] = [{} for _ in hands]
        for other, camera in enumerate(rig):
            if other == view:
                continue
            detections = source[frame_set][other]
            projected = [camera.project(hand.joints_world) for hand in hands]
            reach_px = [palm_px(camera, hand.joints_world) for hand in hands]
            for index, detection in match(projected, reach_px, detections).items():
                seen_by[index][other] = detections[detection]
        for hand, seen in zip(hands, seen_by, strict=True):
            if len(seen) >= 2:
                place = places[id(hand)]
                projected_px = rig.cameras[view].project(triangulate_equally(rig, seen))
                errors[place] = np.linalg.norm(projected_px - reference[frame_set][view][place[2]], axis=1)
    return errors


def triangulate_equally(rig: Rig, seen: Mapping[int, Keypoints]) -> NDArray[np.float64]:
    """Triangulate joints `(21, 3)` of what the views saw, all with the same weight, by one linear solve."""
    projections = np.stack([rig.cameras[view].T_camera_world[:3] for view in seen])
    points = np.stack([rig.cameras[view].unproject(keypoints) for view, keypoints in seen.items()])
    return weighted_dlt(projections, points, np.ones(points.shape[:2]))


def _grouped(held_out: Sequence[HeldOut]) -> dict[tuple[int, int], list[HeldOut]]:
    groups: dict[tuple[int, int], list[HeldOut]] = {}
    for hand in held_out:
        groups.setdefault((hand.frame_set, hand.view), []).append(hand)
    return groups


def palm_px(camera: Camera, joints_world: NDArray[np.float64]) -> float:
    """How long the palm is in a view when it is not foreshortened, pixels; NaN behind the camera."""
    depth_m = float(camera.to_camera(joints_world[PALM_JOINTS]).mean(axis=0)[2])
    if depth_m <= 0:
        return float("nan")
    return float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]) * palm_length(joints_world) / depth_m)


def match(
    predicted: Sequence[NDArray[np.float64]],
    reach_px: Sequence[float],
    detections: Sequence[NDArray[np.float64]],
) -> dict[int, int]:
    """Pair hands with the detections of one view, nearest first, each used once.

    Two are a pair when the middles of their palms are within the hand's reach; which pairs are nearest is decided by
    the mean distance over all joints.

    Args:
        predicted: Projected joints of each hand `(21, 2)`, pixels; NaN behind the camera.
        reach_px: Largest distance of each hand's palm from a detection's.
        detections: Joints of each detection `(21, 2)`, pixels.

    Returns:
        Index of the detection for each hand that has one.
    """
    pairs = []
    for hand, (joints, reach) in enumerate(zip(predicted, reach_px, strict=True)):
        for index, seen in enumerate(detections):
            away = float(np.linalg.norm((joints[PALM_JOINTS] - seen[PALM_JOINTS]).mean(axis=0)))
            if away <= reach:
                pairs.append((float(np.linalg.norm(joints - seen, axis=1).mean()), hand, index))
    taken: dict[int, int] = {}
    for _, hand, index in sorted(pairs):
        if hand not in taken and index not in taken.values():
            taken[hand] = index
    return taken


def palm_length(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the wrist to the middle knuckle `(...)` of joints `(..., 21, D)`."""
    length: NDArray[np.float64] = np.linalg.norm(joints[..., _MIDDLE_KNUCKLE, :] - joints[..., _WRIST, :], axis=-1)
    return length
