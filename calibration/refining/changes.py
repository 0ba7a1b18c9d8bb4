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
    references = [landmarks for _, landmarks in pictures] if before is None else before.pictures
    looks = _clearest_looks(camera, references, pictures)
    if len(looks) < _LEAST_LOOKS:
        return None
    turns = np.array([motion.turn_rad for _, motion in looks])
    split = _split(turns, whole_allowed=before is not None)
    after = turns[split:]
    if len(after) < _LEAST_LOOKS:
        return None
    turn = np.median(after, axis=0)
    move = np.zeros(3)
    if before is None:
        turn = turn - np.median(turns[:split], axis=0)
    else:
        turn, move = _lacking(turn, before.camera, camera)
    if np.degrees(np.linalg.norm(turn)) < LEAST_TURN_DEG and np.linalg.norm(move) < _LEAST_MOVE_M:
        return None
    spread = 1.4826 * np.median(np.abs(after - np.median(after, axis=0)), axis=0)
    sigma = np.sqrt(spread**2 / len(after) + _FLOOR_RAD**2)
    if split == 0:
        return Change(-np.inf, -np.inf, turn, sigma, move)
    return Change(looks[split][0], looks[split - 1][0], turn, sigma, move)


def _clearest_looks(
    camera: Camera, references: Sequence[Landmarks], pictures: Sequence[tuple[float, Landmarks]]
) -> list[tuple[float, PictureMotion]]:
    """Compare pictures with the one reference that has most in common with all of them: in others people stand.

    Any will do, also one of after the bump: what counts is the step from one part of the pictures to the other.
    """
    step = -(-len(references) // _MOST_REFERENCES) or 1
    tried = [
        [(time_s, motion) for time_s, now in pictures if (motion := picture_motion(camera, reference, now)) is not None]
        for reference in references[::step]
    ]
    return max(tried, key=lambda looks: sum(motion.agreeing for _, motion in looks), default=[])


def _lacking(
    turn_rad: NDArray[np.float64], before: Camera, now: Camera
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the calibration of now lacks of the one from before, turned as the pictures say: turn and move."""
    T = np.eye(4)
    T[:3, :3] = cv2.Rodrigues(turn_rad)[0]
    lacking = T @ before.T_camera_world @ np.linalg.inv(now.T_camera_world)
    return np.asarray(cv2.Rodrigues(lacking[:3, :3])[0], dtype=np.float64).ravel(), lacking[:3, 3].copy()


def _split(turns: NDArray[np.float64], *, whole_allowed: bool) -> int:
    """Where the series of turns `(N, 3)` breaks in two, leaving the least in both parts; 0 where there is no break."""
    costs = {
        split: float(sum(np.abs(part - np.median(part, axis=0)).sum() for part in (turns[:split], turns[split:])))
        for split in range(1, len(turns))
    }
    split = min(costs, key=lambda split: costs[split])
    step = np.median(turns[split:], axis=0) - np.median(turns[:split], axis=0)
    # Noise can always be cut in two with a little gain.
    return 0 if whole_allowed and np.degrees(np.linalg.norm(step)) < LEAST_TURN_DEG else split
