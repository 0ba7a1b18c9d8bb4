"""When, in a recording, a camera was moved, and how it turned: by what stands still in its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.drift.background import Landmarks, PictureMotion, picture_motion

# A turn that is smaller is none: so much a picture's figure wanders by itself.
LEAST_TURN_DEG: Final = 0.1
_LEAST_MOVE_M: Final = 0.001
_LEAST_LOOKS: Final = 2
# Of minutes of pictures: each is compared with all.
_MOST_REFERENCES: Final = 8
# The figure's systematic error, beyond what its corners' spread says: lens, parallax, people in the picture.
_FLOOR_RAD: Final = np.radians(0.03)


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """A camera that stands otherwise than its calibration says.

    Args:
        at_s: The first picture that shows it, seconds on the recording's clock; -inf if the whole recording does,
            against a reference from before.
        since_s: The last picture that does not show it.
        turn_rad: `(3,)`: the turn that `T_camera_world` lacks after it.
        sigma_rad: Standard deviation of each part `(3,)`.
        move_m: `(3,)`: the move that it lacks; of a camera that only turned none.
    """

    at_s: float
    since_s: float
    turn_rad: NDArray[np.float64]
    sigma_rad: NDArray[np.float64]
    move_m: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True, eq=False, slots=True)
class Before:
    """A camera as it was when its calibration was right.

    Args:
        pictures: Corners of pictures of then; one is enough if nobody stands in the way.
        camera: Its calibration of then.
    """

    pictures: Sequence[Landmarks]
    camera: Camera


def find_change(
    camera: Camera, pictures: Sequence[tuple[float, Landmarks]], before: Before | None = None
) -> Change | None:
    """Look for the moment from which on a camera stands otherwise than its calibration says.

    Args:
        camera: The camera, as it is calibrated now.
        pictures: Corners of its pictures with their times, seconds, in order.
        before: The camera when its calibration was right; None takes the pictures themselves and the calibration of
            now.

    Returns:
        The change; None if the camera stands as calibrated, or its pictures do not tell.
    """
    earlier = () if before is None else before.pictures
    compared = _clearest(camera, pictures, earlier)
    if compared is None:
        return None
    looks = compared.looks
    turns = np.array([motion.turn_rad for _, motion in looks])
    split = _split(turns, whole_allowed=before is not None)
    if split is None:
        return None
    after = turns[split:]
    at_rest = turns[:split] if before is None else np.array([motion.turn_rad for motion in compared.earlier])
    turn = _between(np.median(at_rest, axis=0), np.median(after, axis=0))
    move = np.zeros(3)
    if before is not None:
        turn, move = _lacking(turn, before.camera, camera)
    if np.degrees(np.linalg.norm(turn)) < LEAST_TURN_DEG and np.linalg.norm(move) < _LEAST_MOVE_M:
        return None
    spread = 1.4826 * np.median(np.abs(after - np.median(after, axis=0)), axis=0)
    sigma = np.sqrt(spread**2 / len(after) + _FLOOR_RAD**2)
    if split == 0:
        return Change(-np.inf, -np.inf, turn, sigma, move)
    return Change(looks[split][0], looks[split - 1][0], turn, sigma, move)


@dataclass(frozen=True, eq=False, slots=True)
class _Compared:
    """Pictures of the recording, with their times, and pictures from before it, against one reference."""

    looks: list[tuple[float, PictureMotion]]
    earlier: list[PictureMotion]

    @property
    def agreeing(self) -> int:
        return sum(motion.agreeing for motion in (*(motion for _, motion in self.looks), *self.earlier))


def _clearest(
    camera: Camera, pictures: Sequence[tuple[float, Landmarks]], earlier: Sequence[Landmarks]
) -> _Compared | None:
    """Compare pictures with the one that has most in common with all of them: in others people stand.

    Any will do for a reference, also one of after the bump: what counts is the step from one part of them to the other.
    """
    references = [*earlier, *(landmarks for _, landmarks in pictures)]
    best: _Compared | None = None
    for reference in references[:: max(1, -(-len(references) // _MOST_REFERENCES))]:
        looks = [(time_s, m) for time_s, now in pictures if (m := picture_motion(camera, reference, now)) is not None]
        before = [m for then in earlier if (m := picture_motion(camera, reference, then)) is not None]
        compared = _Compared(looks, before)
        tells = len(looks) >= _LEAST_LOOKS and (before or not earlier)
        if tells and (best is None or compared.agreeing > best.agreeing):
            best = compared
    return best


def _between(one_rad: NDArray[np.float64], other_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the turn `(3,)` that leads from one turn to another."""
    one, other = (cv2.Rodrigues(turn)[0] for turn in (one_rad, other_rad))
    return np.asarray(cv2.Rodrigues(other @ one.T)[0], dtype=np.float64).ravel()


def _lacking(
    turn_rad: NDArray[np.float64], before: Camera, now: Camera
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the calibration of now lacks of the one from before, turned as the pictures say: turn and move."""
    T = np.eye(4)
    T[:3, :3] = cv2.Rodrigues(turn_rad)[0]
    lacking = T @ before.T_camera_world @ np.linalg.inv(now.T_camera_world)
    return np.asarray(cv2.Rodrigues(lacking[:3, :3])[0], dtype=np.float64).ravel(), lacking[:3, 3].copy()


def _split(turns: NDArray[np.float64], *, whole_allowed: bool) -> int | None:
    """Where the series of turns `(N, 3)` breaks in two, leaving the least in both parts.

    Returns:
        The first after the break; 0 where all are after it; None where they must break and do not.
    """
    costs = {
        split: float(sum(np.abs(part - np.median(part, axis=0)).sum() for part in (turns[:split], turns[split:])))
        for split in range(1, len(turns))
    }
    split = min(costs, key=lambda split: costs[split])
    step = np.median(turns[split:], axis=0) - np.median(turns[:split], axis=0)
    # Noise can always be cut in two with a little gain, and an odd look at the end is no break.
    noise = whole_allowed and np.degrees(np.linalg.norm(step)) < LEAST_TURN_DEG
    if noise or len(turns) - split < _LEAST_LOOKS:
        return 0 if whole_allowed else None
    return split
