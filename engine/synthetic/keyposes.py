"""Named hand shapes, as the angles that anatomy speaks of, and their way into MANO's pose vector.

Angles are degrees of a right hand away from the flat rest pose. A finger has four: flexion at the knuckle, at the
middle and at the end joint, and spread away from the middle finger (towards the thumb for index and middle, away from
it for ring and little). The thumb has five: at its root `across` the palm towards the little finger, `lift` out of the
palm's front into its plane and `twist` that turns its pad to the fingers; then flexion at its middle and end joints.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import ShapedHand
from engine.hand_model.anatomy import joint_axes
from engine.hand_model.rotations import axis_angle_from_matrix, matrix_from_axis_angle

ANGLES: Final = 21
"""Numbers in a hand shape: five of the thumb, then four each of index, middle, ring and little finger."""

LIMITS_DEG: Final = np.array(
    [
        *((-20.0, 50.0), (-30.0, 55.0), (-30.0, 40.0), (-10.0, 60.0), (-15.0, 80.0)),
        *((-20.0, 90.0), (-3.0, 108.0), (-5.0, 80.0), (-12.0, 20.0)),
        *((-20.0, 90.0), (-3.0, 108.0), (-5.0, 80.0), (-12.0, 12.0)),
        *((-20.0, 92.0), (-3.0, 108.0), (-5.0, 80.0), (-12.0, 18.0)),
        *((-20.0, 92.0), (-3.0, 108.0), (-5.0, 80.0), (-12.0, 28.0)),
    ]
)
"""Least and greatest value of each angle `(21, 2)`, degrees; no motion leaves them."""

_STRAIGHT: Final = (2.0, 4.0, 3.0)
_CURLED: Final = (82.0, 98.0, 60.0)
_THUMB_OUT: Final = (-4.0, 28.0, 0.0, 4.0, 4.0)
_THUMB_REST: Final = (6.0, 8.0, 0.0, 12.0, 12.0)
_THUMB_OVER: Final = (30.0, 10.0, 20.0, 40.0, 55.0)
_THUMB_FOLDED: Final = (38.0, -6.0, 20.0, 35.0, 45.0)


def _shape(
    thumb: tuple[float, ...],
    *fingers: tuple[float, ...],
    spread: tuple[float, float, float, float] = (2.0, 0.0, 2.0, 4.0),
) -> NDArray[np.float64]:
    rows = [(*flexion, side) for flexion, side in zip(fingers, spread, strict=True)]
    return np.array([*thumb, *np.ravel(rows)])


def _all(
    thumb: tuple[float, ...], flexion: tuple[float, ...], spread: tuple[float, float, float, float]
) -> NDArray[np.float64]:
    return _shape(thumb, flexion, flexion, flexion, flexion, spread=spread)


KEYPOSES: Final[dict[str, NDArray[np.float64]]] = {
    "flat": _all((4.0, 12.0, 0.0, 4.0, 4.0), _STRAIGHT, (0.0, 0.0, 0.0, 0.0)),
    "open": _all(_THUMB_OUT, (-2.0, 6.0, 4.0), (8.0, 1.0, 6.0, 12.0)),
    "spread": _all((-12.0, 40.0, -5.0, 0.0, 0.0), (-8.0, 3.0, 2.0), (17.0, 2.0, 14.0, 24.0)),
    "relaxed": _shape(_THUMB_REST, (18.0, 24.0, 12.0), (24.0, 28.0, 14.0), (28.0, 32.0, 16.0), (30.0, 30.0, 16.0)),
    "fist": _all(_THUMB_OVER, _CURLED, (0.0, 0.0, 0.0, 0.0)),
    "half": _all((14.0, 8.0, 5.0, 20.0, 20.0), (38.0, 52.0, 28.0), (2.0, 0.0, 2.0, 4.0)),
    "claw": _all((0.0, 22.0, 5.0, 20.0, 35.0), (8.0, 62.0, 40.0), (10.0, 1.0, 8.0, 14.0)),
    "grasp": _all((2.0, -6.0, 15.0, 18.0, 18.0), (32.0, 34.0, 20.0), (8.0, 1.0, 6.0, 12.0)),
    "pinch": _shape(
        (10.0, -4.0, 15.0, 22.0, 24.0), (46.0, 46.0, 22.0), (38.0, 42.0, 22.0), (40.0, 44.0, 22.0), (40.0, 42.0, 22.0)
    ),
    "ok": _shape(
        (12.0, -2.0, 15.0, 26.0, 26.0),
        (52.0, 52.0, 24.0),
        (14.0, 12.0, 6.0),
        (4.0, 8.0, 5.0),
        (-4.0, 6.0, 4.0),
        spread=(2.0, 0.0, 8.0, 16.0),
    ),
    "thumbs up": _all((-14.0, 36.0, 0.0, -4.0, -6.0), _CURLED, (0.0, 0.0, 0.0, 0.0)),
    "point": _shape(_THUMB_OVER, _STRAIGHT, _CURLED, _CURLED, _CURLED),
    "two": _shape(_THUMB_FOLDED, _STRAIGHT, _STRAIGHT, _CURLED, _CURLED, spread=(12.0, -6.0, 0.0, 0.0)),
    "three": _shape(_THUMB_FOLDED, _STRAIGHT, _STRAIGHT, _STRAIGHT, _CURLED, spread=(12.0, 0.0, 10.0, 0.0)),
    "four": _all(_THUMB_FOLDED, _STRAIGHT, (8.0, 1.0, 6.0, 12.0)),
    "gun": _shape(_THUMB_OUT, _STRAIGHT, _CURLED, _CURLED, _CURLED),
    "horns": _shape(_THUMB_OVER, _STRAIGHT, _CURLED, _CURLED, _STRAIGHT, spread=(4.0, 0.0, 0.0, 10.0)),
    "phone": _shape((-8.0, 32.0, 0.0, 0.0, 0.0), _CURLED, _CURLED, _CURLED, _STRAIGHT, spread=(0.0, 0.0, 0.0, 14.0)),
    "wave": _shape(_THUMB_REST, (4.0, 6.0, 4.0), (20.0, 24.0, 12.0), (40.0, 44.0, 22.0), (56.0, 60.0, 30.0)),
    "bent": _all((8.0, 4.0, 10.0, 14.0, 10.0), (62.0, 8.0, 4.0), (0.0, 0.0, 0.0, 0.0)),
}
"""Hand shapes `(21,)` by name, degrees."""

_ACROSS_AXIS: Final = np.array([0.25, -0.55, -0.8])
_MANO_FINGER: Final = (0, 1, 3, 2)
"""Where index, middle, ring and little finger stand in MANO's order: pinky before ring."""


class PoseBuilder:
    """Turns the angles of hand shapes into poses of one right hand.

    Args:
        shaped: A right hand; its rest skeleton gives the axes.
    """

    def __init__(self, shaped: ShapedHand) -> None:
        axes = joint_axes(shaped.model)
        flexion = axes.flexion.reshape(5, 3, 3)
        self._flexion = flexion[list(_MANO_FINGER)]
        # +y turns a finger towards the thumb.
        self._spread = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, -1.0, 0.0]])
        self._thumb_flexion = flexion[4]
        self._twist = axes.twist[12]
        across = _ACROSS_AXIS - (self._twist @ _ACROSS_AXIS) * self._twist
        self._across = across / np.linalg.norm(across)
        self._lift = np.array([-1.0, 0.0, 0.0])

    def finger_pose(self, angles_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn a hand shape `(21,)`, degrees, into the 15 finger joints of MANO's pose `(45,)`, radians."""
        angles = np.radians(angles_deg)
        across, lift, twist, middle, end = angles[:5]
        fingers = angles[5:].reshape(4, 4)
        pose = np.empty((5, 3, 3))
        for finger, row in enumerate(_MANO_FINGER):
            flexion, spread = fingers[finger, :3], fingers[finger, 3]
            pose[row] = self._flexion[finger] * flexion[:, None]
            knuckle = matrix_from_axis_angle(np.stack([self._spread[finger] * spread, pose[row, 0]]))
            pose[row, 0] = axis_angle_from_matrix(knuckle[0] @ knuckle[1])
        root = matrix_from_axis_angle(np.stack([self._lift * lift, self._across * across, self._twist * twist]))
        pose[4, 0] = axis_angle_from_matrix(root[0] @ root[1] @ root[2])
        pose[4, 1:] = self._thumb_flexion[1:] * np.array([[middle], [end]])
        return pose.reshape(45)

    def chain(self, finger: int, angles_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn one finger's angles into the rotations of its joints, as `finger_pose` does, many at a time.

        Args:
            finger: 0 is the thumb, 4 the little finger.
            angles_deg: `(N, 5)` of the thumb, `(N, 4)` of a finger, degrees.

        Returns:
            Each joint's rotation from its parent `(N, 3, 3, 3)`.
        """
        angles = np.radians(angles_deg)[..., None]
        if finger == 0:
            across, lift, twist, middle, end = np.moveaxis(angles, 1, 0)
            axes = (self._lift * lift, self._across * across, self._twist * twist)
            turned = matrix_from_axis_angle(np.stack([*axes, *(self._thumb_flexion[1:, None] * (middle, end))], axis=1))
            return np.stack([turned[:, 0] @ turned[:, 1] @ turned[:, 2], turned[:, 3], turned[:, 4]], axis=1)
        flexion = self._flexion[finger - 1] * angles[:, :3]
        turned = matrix_from_axis_angle(np.concatenate([self._spread[finger - 1] * angles[:, 3:], flexion], axis=1))
        return np.concatenate([turned[:, :1] @ turned[:, 1:2], turned[:, 2:]], axis=1)
