"""A tracked hand as OpenXR's 26 joints, in the calibration's world frame.

After the conventions of hand joints of `XR_EXT_hand_tracking`: each joint's +Z points back along its bone, away from
the tip, and its +Y out of the back of the hand. Bones are those between the measured joints, so that -Z points exactly
at the next joint; the turn about the bone comes from the hand model's pose, carried along by the smallest rotation
from the model's bone to the measured one.

A tip of the tracked skeleton lies on the skin; OpenXR's is in the flesh, so that a sphere of its radius just reaches
the end of the finger. It is moved back along the last bone by its radius.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model.rotations import matrix_from_quaternion
from engine.types import HandPose
from server.dialects.xr_rest import (
    BLEND,
    BONES,
    CANONICAL_OF_XR,
    SYNTHESISED,
    TIPS,
    XR_OF_CANONICAL,
    blended,
    unit,
    xr_rest,
)

SEEN_CONFIDENCE: Final = 0.1
"""From so much confidence on, [0, 1], a view is said to have seen a joint."""

_TIPS: Final = list(TIPS)
_TINY: Final = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class XrJoints:
    """The 26 joints of one hand.

    Args:
        positions_world: `(26, 3)`, metres.
        rotations_world: From each joint's own axes to the world's `(26, 3, 3)`.
        covariance_mm2: Of the positions `(26, 3, 3)`, square millimetres, world axes.
        radii_m: `(26,)`, metres, all above 0.
        tracked: Whether a view saw the joint `(26,)`; false for palm and finger metacarpals, which are synthesised.
    """

    positions_world: NDArray[np.float64]
    rotations_world: NDArray[np.float64]
    covariance_mm2: NDArray[np.float64]
    radii_m: NDArray[np.float64]
    tracked: NDArray[np.bool_]


@lru_cache(maxsize=32)
def xr_joints(hand: HandPose) -> XrJoints:
    """Work out the 26 joints of a hand, once for all dialects and protocols that ask."""
    rest = xr_rest(hand.posed.shaped)
    positions = blended(hand.joints_world)
    bones = unit(positions[BONES[:, 1]] - positions[BONES[:, 0]])
    posed = matrix_from_quaternion(hand.orientations_xyzw)[CANONICAL_OF_XR]
    swing = smallest_rotation(np.einsum("jik,jk->ji", posed, rest.bones), bones)
    tracked = seen_joints(hand)[CANONICAL_OF_XR]
    tracked[list(SYNTHESISED)] = False
    # Short last bones occur in measurements gone wrong: the tip stays on its own side of the last joint.
    last_m = np.linalg.norm(positions[_TIPS] - positions[[tip - 1 for tip in TIPS]], axis=1)
    positions[_TIPS] -= np.minimum(rest.radii_m[_TIPS], 0.5 * last_m)[:, None] * bones[_TIPS]
    return XrJoints(
        positions_world=positions,
        rotations_world=swing @ posed @ rest.frames,
        # Errors of different joints are taken as independent.
        covariance_mm2=np.einsum("xj,jab->xab", BLEND**2, hand.covariance_mm2),
        radii_m=rest.radii_m,
        tracked=tracked,
    )


def seen_joints(hand: HandPose) -> NDArray[np.bool_]:
    """Say of each canonical joint `(21,)` whether any view saw it in this frame set."""
    seen: NDArray[np.bool_] = hand.view_confidence.max(axis=0, initial=0.0) >= SEEN_CONFIDENCE
    return seen


def is_whole(hand: HandPose) -> bool:
    """Say whether all joints of a hand are numbers: protocols that know no absent joint leave other hands out."""
    return bool(np.isfinite(hand.joints_world).all() and np.isfinite(hand.confidence))


def canonical_radii_m(hand: HandPose) -> NDArray[np.float64]:
    """Return half the thickness of the flesh at each canonical joint `(21,)`, metres; at a tip, just behind it."""
    radii_m: NDArray[np.float64] = xr_rest(hand.posed.shaped).radii_m[XR_OF_CANONICAL]
    return radii_m


def smallest_rotation(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest rotations `(N, 3, 3)` that take unit vectors `(N, 3)` to others.

    For opposite vectors, where there is no smallest one, it is a half turn about some axis across.
    """
    # Two half turns make it: about the start itself, then about the bisector.
    bisector = start + end
    flat = np.linalg.norm(bisector, axis=1) < _TINY
    if flat.any():
        least = np.eye(3)[np.argmin(np.abs(start[flat]), axis=1)]
        bisector[flat] = np.cross(start[flat], least)
    bisector = unit(bisector)
    return _half_turn(bisector) @ _half_turn(start)


def _half_turn(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    turned: NDArray[np.float64] = 2.0 * axes[:, :, None] * axes[:, None, :] - np.eye(3)
    return turned
