"""Two hands that meet and do not pass through each other: one is moved up to the other until skin touches skin.

Hands and forearms count as balls along their bones, things as their surfaces' points.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import PosedHand
from engine.hand_model.model import PARENTS_21

Array = NDArray[np.float64]

_FAR_M: Final = 0.45
_NEAR_ENOUGH_M: Final = 2e-4
_MAX_STEPS: Final = 40
_SHARES: Final = np.array([0.0, 1 / 3, 2 / 3])[:, None, None]
_FINGER_RADIUS_M: Final = 0.0095
_PALM_RADIUS_M: Final = 0.015
# Balls of a forearm: how far behind the wrist, and how thick.
_FOREARM_M: Final = np.arange(0.02, 0.42, 0.03)
_FOREARM_RADIUS_M: Final = 0.03 + 0.05 * _FOREARM_M.clip(0.0, 0.2)
# Joints whose bone to the wrist's side lies in the palm.
_PALM_JOINTS: Final = frozenset({1, 2, 5, 9, 13, 17})


class Balls:
    """What fills the space of a hand and its forearm.

    Args:
        centers: Middles `(N, 3)`, metres.
        radii: `(N,)`, metres.
    """

    def __init__(self, centers: Array, radii: Array) -> None:
        self.centers = centers
        self.radii = radii

    @classmethod
    def of(cls, posed: PosedHand, forearm_rotation: Array) -> Balls:
        """Fill a hand and its forearm.

        Args:
            posed: The hand.
            forearm_rotation: From the hand's rest axes to the forearm's `(3, 3)`, in the hand's rest axes.

        Returns:
            The balls, in the frame of the hand's joints.
        """
        joints = posed.joints
        ends, starts = joints[1:], joints[list(PARENTS_21[1:])]
        bones = starts + _SHARES * (ends - starts)
        radii = np.array([_PALM_RADIUS_M if joint in _PALM_JOINTS else _FINGER_RADIUS_M for joint in range(1, 21)])
        away = -1.0 if posed.shaped.model.side == "left" else 1.0
        axis = away * (posed.rotations[0] @ forearm_rotation)[:, 0]
        return cls(
            np.concatenate([bones.reshape(-1, 3), ends[3::4], joints[0] + _FOREARM_M[:, None] * axis]),
            np.concatenate([np.tile(radii, 3), np.full(5, 0.7 * _FINGER_RADIUS_M), _FOREARM_RADIUS_M]),
        )

    def with_points(self, points: Array) -> Balls:
        """The same with points `(N, 3)` besides."""
        return Balls(np.concatenate([self.centers, points]), np.concatenate([self.radii, np.zeros(len(points))]))

    def clearance(self, other: Balls, offset: Array) -> float:
        """Distance from these to others that are moved by an offset `(3,)`, metres; negative where they cross."""
        apart = np.linalg.norm(self.centers[:, None] - (other.centers + offset), axis=2)
        return float((apart - self.radii[:, None] - other.radii).min())


def way_to(still: Balls, moving: Balls, direction: Array, gap_m: float) -> Array:
    """Bring something up to another from far along a direction, until only a gap is left.

    Args:
        still: What stays.
        moving: What comes; both begin about the same middle.
        direction: Unit vector `(3,)`: from what stays to where the other comes from.
        gap_m: So much stays free; negative presses them together.

    Returns:
        By how much `moving` is to be moved `(3,)`, metres.
    """
    far = _FAR_M
    # Nothing is nearer than the clearance: steps of that length never go through.
    for _ in range(_MAX_STEPS):
        room = still.clearance(moving, far * direction) - gap_m
        if room < _NEAR_ENOUGH_M or far <= 0.0:
            break
        far -= room
    return np.asarray(max(far, 0.0) * direction, dtype=np.float64)
