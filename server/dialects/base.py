"""What a dialect is: an adapter at the edge, from the canonical hand to what one family of clients expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from calibration.up import Up
from engine.types import HandPose


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The joints of a dialect, and how to read its numbers.

    Args:
        dialect: The dialect's name.
        units: Units of positions, angles and covariances, in words.
        axes: Axes and origin, in words.
        joint_names: One name a joint.
        parents: Index of each joint's parent; -1 for the root, which need not come first.
        up: Which axis of the calibration's world the dialect takes for up; None if it takes none.
    """

    dialect: str
    units: str
    axes: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    up: Up | None = None


@dataclass(frozen=True, eq=False, slots=True)
class DialectHand:
    """One hand in a dialect's terms.

    Args:
        joints: Positions `(J, 3)`.
        orientations_xyzw: Global rotations `(J, 4)`.
        covariance_mm2: Covariance of each position `(J, 3, 3)`, square millimetres, in the dialect's axes.
        radii: Half the thickness of the flesh at each joint `(J,)`, in the unit of `joints`, all above 0; from the hand
            model's mesh in the rest pose of the hand's shape.
        tracked: Whether a view saw the joint in this frame set `(J,)`. All joints are valid; one that is not tracked
            comes from the hand model.
        extra: What else the dialect says of a hand: maps, arrays, numbers and strings, by their key in the message.
    """

    joints: NDArray[np.float64]
    orientations_xyzw: NDArray[np.float64]
    covariance_mm2: NDArray[np.float64]
    radii: NDArray[np.float64]
    tracked: NDArray[np.bool_]
    extra: Mapping[str, Any] = field(default_factory=dict)


class Dialect(Protocol):
    """An adapter. It keeps nothing between two calls, and equal ones say the same. MANO parameters are left alone."""

    @property
    def name(self) -> str:
        """What clients ask for."""

    def skeleton(self, rig: Rig) -> Skeleton:
        """Describe the dialect for the running calibration."""

    def hand(self, hand: HandPose, rig: Rig) -> DialectHand:
        """Say a hand in the dialect's terms."""

    def points(self, points_world: NDArray[np.float64], hand: HandPose, rig: Rig) -> NDArray[np.float64]:
        """Move further points `(N, 3)` of the hand, metres in world axes, to where `hand` puts the joints."""
