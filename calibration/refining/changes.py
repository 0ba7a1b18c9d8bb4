"""When, in a recording, a camera was moved, and how it turned: by what stands still in its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.drift.background import Landmarks, PictureMotion, picture_motion

# A turn that is smaller is none: so much a picture's figure wanders by itself.
LEAST_TURN_DEG: Final = 0.1
_LEAST_LOOKS: Final = 2
# The figure's systematic error, beyond what its corners' spread says: lens, parallax, people in the picture.
_FLOOR_RAD: Final = np.radians(0.03)


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """A camera that turned.

    Args:
        at_s: The first picture that shows it, seconds on the recording's clock; -inf if the whole recording does,
            against a reference from before.
        since_s: The last picture that does not show it.
        turn_rad: `(3,)`: the turn that `T_camera_world` lacks after it.
        sigma_rad: Standard deviation of each part `(3,)`.
    """

    at_s: float
    since_s: float
    turn_rad: NDArray[np.float64]
    sigma_rad: NDArray[np.float64]


def find_change(
    camera: Camera, pictures: Sequence[tuple[float, Landmarks]], reference: Landmarks | None = None
) -> Change | None:
    """Look for the moment at which a camera was moved for good.

    Args:
        camera: Its lens.
        pictures: Corners of its pictures with their times, seconds, in order.
        reference: Corners of a picture from when the calibration was right; None takes the first one for it.

    Returns:
        The change; None if the camera stood still, or its pictures do not tell.
    """
    if not pictures:
        return None
    first = pictures[0][1] if reference is None else reference
    looks = [
        (time_s, motion)
        for time_s, landmarks in (pictures[1:] if reference is None else pictures)
        if (motion := picture_motion(camera, first, landmarks)) is not None
    ]
    if len(looks) < _LEAST_LOOKS:
        return None
    turns = np.array([motion.turn_rad for _, motion in looks])
    if reference is None:
        # The reference picture is a look, too: at rest.
        looks.insert(0, (pictures[0][0], PictureMotion((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0, 0, 1.0)))
        turns = np.vstack([np.zeros(3), turns])
    split = _split(turns, whole_allowed=reference is not None)
    after = turns[split:]
    before = turns[:split]
    origin = np.median(before, axis=0) if len(before) and reference is None else np.zeros(3)
    turn = np.median(after, axis=0) - origin
    if len(after) < _LEAST_LOOKS or np.degrees(np.linalg.norm(turn)) < LEAST_TURN_DEG:
        return None
    spread = 1.4826 * np.median(np.abs(after - np.median(after, axis=0)), axis=0)
    sigma = np.sqrt(spread**2 / len(after) + _FLOOR_RAD**2)
    if split == 0:
        return Change(-np.inf, -np.inf, turn, sigma)
    return Change(looks[split][0], looks[split - 1][0], turn, sigma)


def _split(turns: NDArray[np.float64], *, whole_allowed: bool) -> int:
    """Where the series of turns `(N, 3)` breaks in two: the break that leaves the least in both parts."""
    # The first of equals wins: what did not change during the recording has no break in it.
    costs = {
        split: float(
            sum(np.abs(part - np.median(part, axis=0)).sum() for part in (turns[:split], turns[split:]) if len(part))
        )
        for split in range(0 if whole_allowed else 1, len(turns))
    }
    return min(costs, key=lambda split: costs[split])
