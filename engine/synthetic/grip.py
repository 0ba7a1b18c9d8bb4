"""How a hand holds a thing: where the thing lies, and fingers that close until their skin touches it.

All is worked out for right hands, in the rest axes of the hand with the wrist at the origin: fingers point to -x, the
palm faces -y. Fingers close as an underactuated gripper does: all joints bend until one part of the finger meets the
thing; that part rests, and what lies beyond it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import PosedHand, ShapedHand
from engine.hand_model.rotations import matrix_from_axis_angle
from engine.synthetic.activities import Activity
from engine.synthetic.keyposes import KEYPOSES, LIMITS_DEG, PoseBuilder
from engine.synthetic.props import PINCHED, Prop

Array = NDArray[np.float64]
Distance = Callable[[Array], Array]

_MIRROR: Final = np.array([-1.0, 1.0, 1.0])
_PALM_OUT: Final = np.array([0.0, -1.0, 0.0])
_SQUEEZE_M: Final = 0.001
"""So far skin gives way."""

_STEPS: Final = 36
# MANO's first joint of thumb, index, middle, ring and little finger.
_FIRST_JOINT: Final = (13, 1, 4, 10, 7)
# Which angle bends each of a finger's three joints: of the thumb, of the others.
_THUMB_BENDS: Final = (0, 3, 4)
_FINGER_BENDS: Final = (0, 1, 2)
_FINGER_OPEN: Final = (-6.0, 2.0, 2.0)
_FINGER_SHUT: Final = (84.0, 98.0, 62.0)
_THUMB_TWIST_DEG: Final = 20.0
_THUMB_OPEN: Final = (-14.0, -4.0, -6.0)
_THUMB_SHUT: Final = (46.0, 46.0, 56.0)
_THUMB_LIFTS_DEG: Final = np.linspace(-29.0, 43.0, 10)
# Fingers that meet nothing stay so far from open.
_IDLE: Final = 0.45
_CLEAR_M: Final = 0.016
"""From the middle of a finger to that of another that lies beside it."""

_PINCH_OPENINGS_DEG: Final = np.linspace(-14.0, 26.0, 41)
_SPINS: Final = 12
_TRIES: Final = 4
# So many besides the thumb make a firm grip.
_HOLDING_FINGERS: Final = 2


@dataclass(frozen=True, eq=False, slots=True)
class Grip:
    """How one hand holds one thing.

    Args:
        prop: The thing.
        activity: What the fingers do meanwhile: they stay, and those that do not carry move a bit.
        R_hand_prop: From the thing's axes to a right hand's rest axes `(3, 3)`.
        middle_hand: The thing's middle from the wrist `(3,)`, metres, same axes.
    """

    prop: Prop
    activity: Activity
    R_hand_prop: Array
    middle_hand: Array

    def placed(self, posed: PosedHand) -> tuple[Array, Array]:
        """Say where the thing is.

        Args:
            posed: The hand.

        Returns:
            Its rotation `(3, 3)` and its middle `(3,)`, metres, in the frame of the hand's joints.
        """
        R, middle = self.R_hand_prop, self.middle_hand
        if posed.shaped.model.side == "left":
            # Things are their own mirror images along each of their axes, which keeps the rotation a proper one.
            R, middle = _MIRROR[:, None] * R * _MIRROR, middle * _MIRROR
        return posed.rotations[0] @ R, posed.joints[0] + posed.rotations[0] @ middle

    def points(self, posed: PosedHand) -> Array:
        """The thing's vertices `(N, 3)`, metres, in the frame of the hand's joints."""
        R, middle = self.placed(posed)
        return self.prop.vertices @ R.T + middle


def find_grip(shaped: ShapedHand, builder: PoseBuilder, prop: Prop, rng: np.random.Generator) -> Grip:
    """Lay a thing into a hand and close the fingers around it.

    Args:
        shaped: The hand, of either side.
        builder: What turns angles into poses.
        prop: The thing.
        rng: Where all chance comes from.

    Returns:
        The grip.
    """
    hand = _Hand(shaped, builder)
    if prop.kind in PINCHED:
        return _pinched(hand, prop, rng)
    tried = [_grasped(hand, prop, rng)]
    while tried[-1][0] > 0.0 and len(tried) < _TRIES:
        tried.append(_grasped(hand, prop, rng))
    return min(tried, key=lambda one: one[0])[1]


class _Hand:
    """The skin of a right hand, or of a left one's mirror image, with fingers that bend as rigid parts."""

    def __init__(self, shaped: ShapedHand, builder: PoseBuilder) -> None:
        joints, vertices = shaped.rest_joints_21, shaped.rest_vertices
        if shaped.model.side == "left":
            joints, vertices = joints * _MIRROR, vertices * _MIRROR
        self.joints = joints - joints[0]
        self._builder = builder
        weights = shaped.model.skinning_weights
        self.palm = (vertices - joints[0])[weights[:, 0] > 0.5]
        self._skin: list[Array] = []
        self.part: list[NDArray[np.int64]] = []
        for finger, first in enumerate(_FIRST_JOINT):
            own = weights[:, first : first + 3]
            chosen = np.flatnonzero(own.sum(axis=1) > 0.6)
            part = own[chosen].argmax(axis=1)
            chain = joints[1 + 4 * finger : 4 + 4 * finger]
            self._skin.append(vertices[chosen] - chain[part])
            self.part.append(part)

    def skin(self, finger: int, angles_deg: Array) -> Array:
        """Skin of a finger `(N, M, 3)` in each of many shapes of it `(N, 5 or 4)`, degrees."""
        R = self._builder.chain(finger, angles_deg)
        chain = self.joints[1 + 4 * finger : 4 + 4 * finger]
        R01 = R[:, 0] @ R[:, 1]
        turned = np.stack([R[:, 0], R01, R01 @ R[:, 2]], axis=1)
        second = chain[0] + R[:, 0] @ (chain[1] - chain[0])
        starts = np.stack(
            [np.broadcast_to(chain[0], second.shape), second, second + R01 @ (chain[2] - chain[1])], axis=1
        )
        moved = np.empty((len(R), len(self._skin[finger]), 3))
        for part in range(3):
            own = self.part[finger] == part
            moved[:, own] = starts[:, part, None] + self._skin[finger][own] @ turned[:, part].transpose(0, 2, 1)
        return moved

    def middle_line(self, finger: int, angles_deg: Array) -> Array:
        """Points `(6, 3)` inside a finger, from the middle of its first part to near its tip."""
        skin = self.skin(finger, angles_deg[None])[0]
        a, b, c = (skin[self.part[finger] == part].mean(axis=0) for part in range(3))
        return np.stack([a, 0.5 * (a + b), b, 0.5 * (b + c), c, c + 0.5 * (c - b)])


def _grasped(hand: _Hand, prop: Prop, rng: np.random.Generator) -> tuple[float, Grip]:
    """In the palm, under the fingers; with how bad that grip is, 0 where nothing is wrong."""
    turn = matrix_from_axis_angle(np.array([0.0, rng.normal(0.0, 0.3), 0.0]))
    if prop.kind == "phone" and rng.random() < 0.4:
        # Along the fingers.
        turn = turn @ matrix_from_axis_angle(np.array([0.0, 0.5 * np.pi, 0.0]))
    along = hand.joints[9] - (hand.joints[9] @ _PALM_OUT) * _PALM_OUT
    along /= np.linalg.norm(along)
    # The long axis lies across the palm.
    R = np.stack([along, _PALM_OUT, np.cross(along, _PALM_OUT)], axis=1) @ turn
    spread = rng.uniform(0.0, 0.7) * KEYPOSES["grasp"][[8, 12, 16, 20]]
    fingers = [np.array([*_FINGER_OPEN, aside]) for aside in spread]
    still = np.concatenate([hand.palm, *(hand.skin(1 + i, angles[None])[0] for i, angles in enumerate(fingers))])
    middle = hand.joints[[5, 9, 13, 17]].mean(axis=0) + rng.uniform(-0.014, 0.012) * along
    middle = _laid(still, prop, R, middle + 0.12 * _PALM_OUT)

    def distance(points: Array) -> Array:
        return prop.distance((points - middle) @ R)

    angles = np.empty(21)
    fault = _HOLDING_FINGERS * _CLEAR_M
    for finger, start in enumerate(fingers):
        shut = np.array([*_FINGER_SHUT, start[3]])
        closed, gap = _closed(hand, 1 + finger, start, shut, _FINGER_BENDS, distance)
        fault -= _CLEAR_M * (gap < 2.0 * _SQUEEZE_M)
        angles[5 + 4 * finger : 9 + 4 * finger] = closed
    others = np.concatenate([hand.middle_line(finger, _own(angles, finger)) for finger in range(1, 5)])
    angles[:5], best, off_m = KEYPOSES["open"][:5], np.inf, np.inf
    for lift in _THUMB_LIFTS_DEG:
        start, shut = (
            np.array([across, lift, _THUMB_TWIST_DEG, middle_deg, end_deg])
            for across, middle_deg, end_deg in (_THUMB_OPEN, _THUMB_SHUT)
        )
        closed, gap = _closed(hand, 0, start, shut, _THUMB_BENDS, distance)
        thumb = hand.middle_line(0, closed)
        crossing_m = max(0.0, _CLEAR_M - float(np.linalg.norm(thumb[:, None] - others, axis=2).min()))
        # Against the fingers, far out from the palm, holds best; a thumb in the air, or in a finger, not at all.
        cost = gap + 4.0 * crossing_m - 0.15 * float(thumb[-1] @ _PALM_OUT)
        if cost < best:
            best, angles[:5], off_m = cost, closed, gap + crossing_m
    angles = np.clip(angles, LIMITS_DEG[:, 0], LIMITS_DEG[:, 1])
    shapes = [angles]
    for finger in rng.permutation(4)[:2]:
        raised = angles.copy()
        raised[5 + 4 * finger] -= rng.uniform(5.0, 25.0)
        raised = np.clip(raised, LIMITS_DEG[:, 0], LIMITS_DEG[:, 1])
        way = np.linspace(_own(angles, 1 + finger), _own(raised, 1 + finger), 6)
        if distance(hand.skin(1 + finger, way)).min() > -2.0 * _SQUEEZE_M:
            shapes += [raised, angles]
    fault = max(fault, 0.0) + max(off_m - 2.0 * _SQUEEZE_M, 0.0)
    return fault, Grip(prop, Activity("holding", tuple(shapes), 1.6, play=0.06), R, middle)


def _laid(still: Array, prop: Prop, R: Array, middle: Array) -> Array:
    """Move a thing straight to the palm until it touches the skin `(N, 3)`."""
    for _ in range(40):
        gap = float(prop.distance((still - middle) @ R).min())
        middle = middle - gap * _PALM_OUT
        if abs(gap) < 1e-4:
            break
    return middle


def _closed(
    hand: _Hand, finger: int, start: Array, shut: Array, bends: tuple[int, ...], distance: Distance
) -> tuple[Array, float]:
    """Bend a finger from one shape to another, as far as the thing lets it.

    Returns:
        Its angles, degrees, and how far its end stays from the thing, metres; infinite where it begins inside it.
    """
    angles, part = start, hand.part[finger]
    share = np.linspace(0.0, 1.0, _STEPS)[:, None]
    free = 0
    met = False
    while free < 3:
        moving = list(bends[free:])
        tried = np.tile(angles, (_STEPS, 1))
        tried[:, moving] += share * (shut[moving] - angles[moving])
        gaps = distance(hand.skin(finger, tried))
        gaps[:, part < free] = np.inf
        inside = np.flatnonzero(gaps.min(axis=1) < -_SQUEEZE_M)
        if not len(inside):
            angles = tried[-1] if met else angles + _IDLE * (tried[-1] - angles)
            break
        if inside[0] == 0 and not met:
            return start, np.inf
        angles, met = tried[max(inside[0] - 1, 0)], True
        free = int(part[gaps[inside[0]].argmin()]) + 1
    gap = distance(hand.skin(finger, angles[None])[0][part == 2]).min()
    return angles, max(float(gap), 0.0)


def _pinched(hand: _Hand, prop: Prop, rng: np.random.Generator) -> Grip:
    """Between the ends of thumb and index."""
    shape = KEYPOSES["ok" if rng.random() < 0.5 else "pinch"].copy()
    # The other fingers rest, more or less curled.
    shape[9:] += rng.uniform(-0.3, 0.5) * (KEYPOSES["half"] - shape)[9:]
    # It turns about the line between the ends, and is held near one of its own.
    spins = [
        (
            matrix_from_axis_angle(np.array([0.0, rng.normal(0.0, 0.8), 0.0])),
            prop.half_m * (rng.uniform(-0.6, 0.6), 0.0, rng.uniform(0.3, 0.85)),
        )
        for _ in range(_SPINS)
    ]
    apart_m, aside_m = 2.0 * prop.half_m[1] - _SQUEEZE_M, 0.0
    for _ in range(_TRIES):
        shape, contact, axes = _pinch(hand, shape, apart_m)
        contact = contact + aside_m * axes[:, 1]
        rest = np.concatenate(
            [
                hand.palm,
                *(hand.skin(f, _own(shape, f)[None])[0][hand.part[f] < 2] for f in (0, 1)),
                *(hand.skin(f, _own(shape, f)[None])[0] for f in (2, 3, 4)),
            ]
        )
        placed = [(axes @ turn, contact + axes @ turn @ offset) for turn, offset in spins]
        # What it must not pass through: all but the ends that hold it.
        R, middle = max(placed, key=lambda one: min(0.0, prop.distance((rest - one[1]) @ one[0]).min()))
        thumb, index = (
            float(prop.distance((hand.skin(f, _own(shape, f)[None])[0][hand.part[f] == 2] - middle) @ R).min())
            for f in (0, 1)
        )
        # Ends are round: they come closer than the planes before them.
        apart_m -= thumb + index + _SQUEEZE_M
        aside_m += 0.5 * (index - thumb)
    looser = shape.copy()
    looser[9:] *= rng.uniform(0.75, 1.0)
    return Grip(prop, Activity("holding", (shape, looser), 1.6, play=0.06), R, middle)


def _pinch(hand: _Hand, shape: Array, apart_m: float) -> tuple[Array, Array, Array]:
    """Open or close thumb and index until their ends are so far apart.

    Returns:
        The shape; the middle between the ends; axes whose second runs from thumb to index and whose third runs away
        from the wrist.
    """
    thumbs, indexes = (np.tile(_own(shape, finger), (len(_PINCH_OPENINGS_DEG), 1)) for finger in (0, 1))
    thumbs[:, 0] -= 0.5 * _PINCH_OPENINGS_DEG
    indexes[:, 0] -= 0.7 * _PINCH_OPENINGS_DEG
    ends = [hand.skin(finger, tried)[:, hand.part[finger] == 2] for finger, tried in enumerate((thumbs, indexes))]
    middles = [end.mean(axis=1) for end in ends]
    across = middles[1] - middles[0]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    low = np.einsum("nmi,ni->nm", ends[0], across).max(axis=1)
    high = np.einsum("nmi,ni->nm", ends[1], across).min(axis=1)
    at = int(np.abs(high - low - apart_m).argmin())
    pinched = shape.copy()
    pinched[:5], pinched[5:9], n = thumbs[at], indexes[at], across[at]
    contact = 0.5 * (middles[0][at] + middles[1][at])
    contact += (0.5 * (low[at] + high[at]) - contact @ n) * n
    ahead = contact - (contact @ n) * n
    ahead /= np.linalg.norm(ahead)
    pinched = np.clip(pinched, LIMITS_DEG[:, 0], LIMITS_DEG[:, 1])
    return pinched, contact, np.stack([np.cross(n, ahead), n, ahead], axis=1)


def _own(shape: Array, finger: int) -> Array:
    """One finger's angles of a hand shape `(21,)`."""
    return shape[:5] if finger == 0 else shape[1 + 4 * finger : 5 + 4 * finger]
