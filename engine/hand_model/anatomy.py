"""How a hand model's fingers bend: axes of the 15 finger joints, and how far people's joints go.

Used as a prior of the pose fit and to make motion. Axes come from the rest pose's geometry, so they hold for any model
in MANO's layout; they are in the model's frame, in which MANO's local rotations are written: `angle * axis` is a
joint's axis-angle. Joints are MANO's without the wrist: index 1-3, middle 1-3, pinky 1-3, ring 1-3, thumb 1-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model.model import HandModel

_TIP_OF_FINGER: Final = (1, 2, 4, 3, 0)
_THUMB: Final = 4


@dataclass(frozen=True, eq=False)
class JointAxes:
    """Right-handed orthonormal axes of each finger joint, unit vectors in the model's frame.

    The same angles pose a left and a right hand as mirror images of each other.

    Args:
        flexion: `(15, 3)`; a positive angle curls the finger towards the palm.
        abduction: `(15, 3)`, across bone and flexion axis; a positive angle swings a finger to the thumb's side, and
            the thumb along its own flexion axis.
        twist: `(15, 3)`; along the bone: outward on a right hand, towards the wrist on a left one.
    """

    flexion: NDArray[np.float64]
    abduction: NDArray[np.float64]
    twist: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointLimits:
    """How far people's finger joints go from the flat hand, roughly; radians.

    Args:
        lower: `(15, 3)`: flexion, abduction, twist.
        upper: `(15, 3)`.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


def joint_axes(model: HandModel) -> JointAxes:
    """Find the axes of a model's finger joints from its mean shape.

    A finger's flexion axis lies in the palm's plane, across the finger. The thumb's is the long axis of its end
    phalanx's cross-section (a thumb is wider than thick), turned so that it curls towards the little finger's knuckle.

    Args:
        model: Any model in MANO's layout, of either side.

    Returns:
        The axes.
    """
    if model.side == "left":
        # A mirrored rotation turns about the mirrored axis the other way round.
        axes = joint_axes(model.mirrored())
        signs = np.array([1.0, -1.0, -1.0])
        return JointAxes(axes.flexion * signs, axes.abduction * signs, axes.twist * signs)
    rest = model.with_shape(np.zeros(10))
    joints, tips = rest.rest_joints, rest.rest_tips
    ends = np.empty((15, 3))
    for finger in range(5):
        first = 3 * finger
        ends[first : first + 2] = joints[first + 2 : first + 4]
        ends[first + 2] = tips[_TIP_OF_FINGER[finger]]
    twist = _unit(ends - joints[1:])
    # Wrist at +x and thumb at +z: the back of the hand is at +y.
    dorsal = _unit(np.cross(joints[1] - joints[7], joints[0] - 0.5 * (joints[4] + joints[10])))
    flexion = _unit(np.cross(dorsal, twist))
    flexion[3 * _THUMB :] = _thumb_flexion(model, joints, twist[3 * _THUMB :])
    return JointAxes(flexion=flexion, abduction=_unit(np.cross(twist, flexion)), twist=twist)


def flexion_axes(model: HandModel) -> NDArray[np.float64]:
    """Return `joint_axes(model).flexion` `(15, 3)`: positive angles curl towards the palm."""
    return joint_axes(model).flexion


def abduction_axes(model: HandModel) -> NDArray[np.float64]:
    """Return `joint_axes(model).abduction` `(15, 3)`: positive angles swing to the thumb's side."""
    return joint_axes(model).abduction


def joint_limits() -> JointLimits:
    """Return rough limits of the finger joints, the same for both sides.

    The active ranges of goniometry textbooks, with some slack for the rest pose's own bend and for soft tissue.
    """
    knuckle = [(-35.0, 95.0), (-25.0, 25.0), (-10.0, 10.0)]
    hinge_middle = [(-10.0, 115.0), (-4.0, 4.0), (-4.0, 4.0)]
    hinge_end = [(-15.0, 90.0), (-4.0, 4.0), (-4.0, 4.0)]
    thumb = [
        [(-30.0, 50.0), (-40.0, 40.0), (-35.0, 35.0)],
        [(-20.0, 70.0), (-15.0, 15.0), (-10.0, 10.0)],
        [(-25.0, 90.0), (-4.0, 4.0), (-4.0, 4.0)],
    ]
    limits = np.radians(np.array([knuckle, hinge_middle, hinge_end] * 4 + thumb))
    return JointLimits(lower=limits[:, :, 0], upper=limits[:, :, 1])


def _thumb_flexion(model: HandModel, joints: NDArray[np.float64], bones: NDArray[np.float64]) -> NDArray[np.float64]:
    share = model.skinning_weights[:, 15]
    offsets = model.template_vertices - joints[15]
    offsets = offsets - (offsets @ bones[2])[:, None] * bones[2]
    offsets -= share @ offsets / share.sum()
    wide = np.linalg.eigh((share[:, None] * offsets).T @ offsets)[1][:, -1]
    # Curling moves the end towards the little finger's knuckle.
    if np.cross(wide, bones[2]) @ (joints[7] - joints[15]) < 0.0:
        wide = -wide
    return _unit(wide - (bones @ wide)[:, None] * bones)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
