"""What Leap says of a hand's shape: which fingers are extended, how much it grabs, how much it pinches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_EXTENDED_DEG: Final = 60.0
_THUMB_EXTENDED_DEG: Final = 45.0
# Strengths are 0 up to the first value and 1 from the second on.
_GRAB_RAD: Final = (0.6, 2.6)
_PINCH_MM: Final = (60.0, 20.0)


@dataclass(frozen=True, eq=False, slots=True)
class Gestures:
    """A hand's shape.

    Args:
        extended: Thumb, index, middle, ring, little `(5,)`.
        grab_angle: Mean angle between hand and fingers, radians; 0 for a flat hand, about pi for a fist.
        grab_strength: 0 for an open hand, 1 for a fist.
        pinch_distance_mm: From the thumb's tip to the nearest other one.
        pinch_strength: 1 when thumb and a finger touch, 0 when they are well apart.
    """

    extended: NDArray[np.bool_]
    grab_angle: float
    grab_strength: float
    pinch_distance_mm: float
    pinch_strength: float


def gestures(
    hand_direction: NDArray[np.float64], fingers: NDArray[np.float64], tips_mm: NDArray[np.float64]
) -> Gestures:
    """Read a hand's shape from its bones.

    A finger is extended when neither its knuckle nor its two further joints together bend by 60 degrees, a thumb when
    its two joints together bend by less than 45.

    Args:
        hand_direction: From the palm towards the fingers `(3,)`, unit.
        fingers: Directions of proximal, intermediate and distal bone of thumb, index, middle, ring, little
            `(5, 3, 3)`, unit; the thumb's are metacarpal, proximal and distal.
        tips_mm: Their tips `(5, 3)`.
    """
    bend = np.degrees(_angles(fingers[:, 0], fingers[:, 1]) + _angles(fingers[:, 1], fingers[:, 2]))
    knuckle = np.degrees(_angles(hand_direction, fingers[:, 0]))
    extended = (bend < _EXTENDED_DEG) & (knuckle < _EXTENDED_DEG)
    extended[0] = bend[0] < _THUMB_EXTENDED_DEG
    grab_angle = float(_angles(hand_direction, fingers[1:, 1]).mean())
    pinch_distance_mm = float(np.linalg.norm(tips_mm[1:] - tips_mm[0], axis=1).min())
    return Gestures(
        extended=extended,
        grab_angle=grab_angle,
        grab_strength=_strength(grab_angle, _GRAB_RAD),
        pinch_distance_mm=pinch_distance_mm,
        pinch_strength=_strength(pinch_distance_mm, _PINCH_MM),
    )


def _angles(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles between unit vectors `(..., 3)`, radians."""
    return np.asarray(np.arccos(np.clip((first * second).sum(axis=-1), -1.0, 1.0)), dtype=np.float64)


def _strength(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))
