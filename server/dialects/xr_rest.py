"""The 26 joints of OpenXR in a hand's rest pose: where they lie, which way they face, and how thick the hand is there.

Palm and finger metacarpals are no joints of the tracked skeleton. They are put where an adult's are, from wrist and
knuckles: the shares below give the mean open hand metacarpals of 68, 65, 59 and 54 mm, as long as adults' are on the
average. The palm is the middle of the middle finger's metacarpal, as OpenXR has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import HandModel, ShapedHand
from engine.hand_model.anatomy import joint_axes

FINGERS: Final = ("thumb", "index", "middle", "ring", "little")

PALM: Final = 0
WRIST: Final = 1
FINGER_METACARPALS: Final = (6, 11, 16, 21)
TIPS: Final = (5, 10, 15, 20, 25)
SYNTHESISED: Final = (PALM, *FINGER_METACARPALS)

MANO_OF_CANONICAL: Final = np.array([0, 13, 14, 15, 15, 1, 2, 3, 3, 4, 5, 6, 6, 10, 11, 12, 12, 7, 8, 9, 9])
"""MANO's joint that each of the 21 canonical ones turns with; a tip turns with its last bone."""

CANONICAL_OF_XR: Final = np.array([0, 0, 1, 2, 3, 4, *(j for f in range(4) for j in (0, *range(5 + 4 * f, 9 + 4 * f)))])
"""The canonical joint whose bone each of the 26 belongs to: the wrist's for wrist, palm and finger metacarpals."""

XR_OF_CANONICAL: Final = np.array([WRIST, 2, 3, 4, 5, *(j for f in range(4) for j in range(7 + 5 * f, 11 + 5 * f))])
"""Where each of the 21 canonical joints is among the 26."""

XR_PARENTS: Final = (
    *(WRIST, -1, WRIST, 2, 3, 4),
    *(parent for base in FINGER_METACARPALS for parent in (WRIST, *range(base, base + 4))),
)
"""Parent of each of the 26 joints; the wrist is the root, although the palm comes first."""

_MIDDLE_METACARPAL: Final = FINGER_METACARPALS[1]

BONES: Final = np.array(
    [
        (_MIDDLE_METACARPAL, _MIDDLE_METACARPAL + 1),
        (WRIST, _MIDDLE_METACARPAL),
        *((2, 3), (3, 4), (4, 5), (4, 5)),
        *((base + i, base + i + 1) for base in FINGER_METACARPALS for i in (0, 1, 2, 3, 3)),
    ]
)
"""From which to which joint the bone goes that each of the 26 points along; a tip has its last bone's."""

# How far each metacarpal's base lies from the wrist on the way to the knuckles' middle, and how wide the bases are
# spread against the knuckles.
_BASE_SHARES: Final = (0.27, 0.30, 0.35, 0.39)
_BASE_SPREAD: Final = 0.5

# Flesh is looked for in a column of so many metres to each side, through the joint from the back of the hand inwards.
_COLUMN_M: Final = 0.006
_WIDER: Final = 1.25
_LEAST_RADIUS_M: Final = 0.001


def _blend() -> NDArray[np.float64]:
    blend = np.zeros((26, 21))
    blend[XR_OF_CANONICAL, np.arange(21)] = 1.0
    knuckles = np.array([5, 9, 13, 17])
    for base, knuckle, share in zip(FINGER_METACARPALS, knuckles, _BASE_SHARES, strict=True):
        blend[base, 0] = 1.0 - share
        blend[base, knuckles] = (share - _BASE_SPREAD) / 4
        blend[base, knuckle] += _BASE_SPREAD
    blend[PALM] = (blend[_MIDDLE_METACARPAL] + blend[_MIDDLE_METACARPAL + 1]) / 2
    return blend


BLEND: Final = _blend()
"""The 26 joints as weighted means of the 21 canonical ones `(26, 21)`; rows sum to 1. Tips lie on the skin still."""

_PALM_JOINTS: Final = [0, 5, 9, 13, 17]
_SYNTHESIS: Final = BLEND[np.ix_(SYNTHESISED, _PALM_JOINTS)]


@dataclass(frozen=True, eq=False, slots=True)
class XrRest:
    """A hand's rest pose, in the hand model's frame.

    Args:
        bones: Unit direction of each joint's bone, towards the tip `(26, 3)`.
        frames: Axes of each joint as columns `(26, 3, 3)`: -z along its bone, y out of the back of the hand.
        radii_m: Half the thickness of the flesh at each joint, along the joint's y `(26,)`, metres; all above 0.
    """

    bones: NDArray[np.float64]
    frames: NDArray[np.float64]
    radii_m: NDArray[np.float64]


@lru_cache(maxsize=16)
def xr_rest(shaped: ShapedHand) -> XrRest:
    """Work out the rest pose of a shape, once."""
    joints = blended(shaped.rest_joints_21)
    bones = unit(joints[BONES[:, 1]] - joints[BONES[:, 0]])
    frames = _frames(bones, _dorsal(shaped.model, bones))
    return XrRest(bones, frames, _radii(shaped, joints, frames))


def blended(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `BLEND @ joints` `(26, 3)`; a joint that is not a number spoils only those that are made of it."""
    blend = np.empty((26, 3))
    blend[XR_OF_CANONICAL] = joints
    blend[list(SYNTHESISED)] = _SYNTHESIS @ joints[_PALM_JOINTS]
    return blend


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale vectors `(..., 3)` to length 1; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0.0, lengths, 1.0), dtype=np.float64)


def _dorsal(model: HandModel, bones: NDArray[np.float64]) -> NDArray[np.float64]:
    """Out of the back of the hand at each joint: the model's +y for the palm, across the flexion axis for fingers."""
    dorsal = np.tile([0.0, 1.0, 0.0], (26, 1))
    fingers = MANO_OF_CANONICAL[CANONICAL_OF_XR] > 0
    flexion = joint_axes(model).flexion[MANO_OF_CANONICAL[CANONICAL_OF_XR[fingers]] - 1]
    # Positive flexion swings the bone to the palm: along flexion x bone.
    dorsal[fingers] = np.cross(bones[fingers], flexion)
    return dorsal


def _frames(bones: NDArray[np.float64], dorsal: NDArray[np.float64]) -> NDArray[np.float64]:
    y = unit(dorsal - np.einsum("ji,ji->j", dorsal, bones)[:, None] * bones)
    return np.stack([np.cross(y, -bones), y, -bones], axis=-1)


def _radii(shaped: ShapedHand, joints: NDArray[np.float64], frames: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = shaped.model.skinning_weights
    radii = np.empty(26)
    for joint in range(26):
        flesh = shaped.rest_vertices[weights[:, _bones_of_flesh(joint)].sum(axis=1) > 0.5]
        place = joints[joint]
        if joint in TIPS:
            # A tip lies on the skin: the finger is as thick there as it is so far behind.
            place = place + radii[joint - 1] * frames[joint, :, 2]
        radii[joint] = _half_thickness((flesh - place) @ frames[joint])
    return radii


def _bones_of_flesh(joint: int) -> list[int]:
    """The MANO joints whose flesh counts at a joint, so that a neighbouring finger's does not."""
    mano = int(MANO_OF_CANONICAL[CANONICAL_OF_XR[joint]])
    if mano == 0:
        return [0, 1, 4, 7, 10]
    first = mano - (mano - 1) % 3
    own = [first, first + 1, first + 2]
    return [0, *own] if mano == first else own


def _half_thickness(flesh: NDArray[np.float64]) -> float:
    """Half the extent along y of the skin `(N, 3)` in a column about y, widened until there is skin on both sides."""
    for width in _COLUMN_M * _WIDER ** np.arange(12):
        depth = flesh[(np.abs(flesh[:, 0]) < width) & (np.abs(flesh[:, 2]) < width), 1]
        if depth.size and np.ptp(depth) > 2 * _LEAST_RADIUS_M:
            return float(np.ptp(depth)) / 2
    # A mesh with next to no vertices here.
    return _LEAST_RADIUS_M
