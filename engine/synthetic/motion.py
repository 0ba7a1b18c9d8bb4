"""Smooth, seeded hand motion: a function of time that never leaves anatomical limits, and repeats only if asked to.

Fingers go from one named hand shape to the next on minimum-jerk paths, each finger with its own timing and strength.
The forearm sways and turns on B-splines of seeded random values, which bounds them and their derivatives. Everything
at a time is found from the seed directly: frames can be sampled in any order, in any process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import HandModel, ShapedHand, Side
from engine.hand_model.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from engine.synthetic.activities import FREE, Activity
from engine.synthetic.keyposes import ANGLES, LIMITS_DEG, PoseBuilder

HAND_CENTER: Final = 0.085
"""Distance from the wrist to the middle of the hand, metres: what the sweeps turn about."""

REACH_M: Final = (0.08, 0.07, 0.06)
"""How far the middle of a hand by itself goes from the world's origin along each axis, metres."""

_SWAY_S: Final = 1.3
"""Time between control values of the forearm's and the wrist's motion, seconds."""

_JITTER_DEG: Final = 5.0
_FINGER_OF_ANGLE: Final = np.repeat(np.arange(5), (5, 4, 4, 4, 4))

# Rows: lean forward, turn of the forearm, wrist flexion, wrist deviation (degrees).
_SWAY_DEG: Final = np.array([(-14.0, 22.0), (-42.0, 42.0), (-28.0, 20.0), (-16.0, 20.0)])

# A right hand raised in front of its owner: fingers (-x of the hand) up, palm (-y) forward, thumb (+z) to the left.
_RAISED: Final = np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])


@dataclass(frozen=True, eq=False)
class MotionSample:
    """Where a hand is at one time, in the synthetic world frame.

    Args:
        pose: MANO pose `(48,)`, axis-angle, radians, `flat_hand_mean`.
        wrist_world: Position of the wrist joint `(3,)`, metres.
        forearm_rotation: From the hand's rest axes to the forearm's `(3, 3)`, written in the hand's rest axes; the
            identity where the wrist is straight.
    """

    pose: NDArray[np.float64]
    wrist_world: NDArray[np.float64]
    forearm_rotation: NDArray[np.float64]

    def translation(self, shaped: ShapedHand) -> NDArray[np.float64]:
        """MANO's translation `(3,)`, metres, that brings this hand's wrist joint to where it is."""
        return np.asarray(self.wrist_world - shaped.rest_joints[0], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Knots:
    """Instants at which something new is drawn.

    Args:
        apart_s: Seconds between two.
        count: So many, then the first again; None never ends.
    """

    apart_s: float
    count: int | None

    @classmethod
    def of(cls, apart_s: float, period_s: float | None) -> _Knots:
        """About so far apart, as many as fit into a period."""
        if period_s is None:
            return cls(apart_s, None)
        count = max(1, round(period_s / apart_s))
        return cls(period_s / count, count)

    def at(self, knot: int) -> int:
        """The knot that stands for this one."""
        return knot if self.count is None else knot % self.count


class HandMotion:
    """One hand's motion.

    Args:
        seed: Equal seeds give equal motions.
        side: Which hand.
        center_world: Middle of the space it moves in `(3,)`, metres.
        reach_m: How far the middle of the hand goes from there along each axis `(3,)`.
        lean_deg: How far the forearm leans to either side.
        pace: Factor on all speeds.
        activity: What the hand does.
        attitude_world: Turns the raised hand to another attitude `(3, 3)`; None leaves it raised.
        period_s: The motion begins again after so long, without a seam, for which its intervals are stretched a little;
            None never does.
    """

    def __init__(
        self,
        seed: int,
        side: Side,
        center_world: tuple[float, float, float] = (0.0, 0.0, 0.0),
        reach_m: tuple[float, float, float] = REACH_M,
        lean_deg: float = 30.0,
        pace: float = 1.0,
        activity: Activity = FREE,
        attitude_world: NDArray[np.float64] | None = None,
        period_s: float | None = None,
    ) -> None:
        self.seed = seed
        self.side = side
        self._center = np.array(center_world)
        self._reach = np.array(reach_m)
        self._sway_deg = np.concatenate([[(-lean_deg, lean_deg)], _SWAY_DEG])
        self._pace = pace
        self._activity = activity
        self._attitude = attitude_world
        self._stream = (seed, 0x4D6F, int(side == "left"))
        self._builder = mean_right_builder()
        period = None if period_s is None else period_s * pace
        self._keys = _Knots.of(activity.key_s, period)
        self._sways = _Knots.of(_SWAY_S, period)
        self._turns = _Knots.of(3.0 * _SWAY_S, period)
        self._key = lru_cache(maxsize=16)(self._draw_key)
        self._sway = lru_cache(maxsize=16)(self._draw_sway)

    def at(self, time_s: float) -> MotionSample:
        """Return where the hand is at a time, seconds; any time from 0 on, in any order."""
        time = time_s * self._pace + 1e3
        sway = self._spline(time / self._sways.apart_s)
        sway[:8] *= self._activity.sway
        angles = np.clip(
            self._finger_angles(time / self._keys.apart_s) + _JITTER_DEG * self._activity.play * sway[8 : 8 + ANGLES],
            LIMITS_DEG[:, 0],
            LIMITS_DEG[:, 1],
        )
        low, high = self._sway_deg.T
        sideways, forward, turn, flexion, deviation = np.radians(low + (sway[:5] + 1.0) / 2.0 * (high - low))
        # The forearm's turn is about its own axis; leaning tilts all of it about the horizontal axes of the world.
        lean = matrix_from_axis_angle(np.array([-forward, sideways, 0.0]))
        forearm = lean @ matrix_from_axis_angle(np.array([0.0, 0.0, turn + self._facing(time)])) @ _RAISED
        if self._attitude is not None:
            forearm = self._attitude @ forearm
        bend = matrix_from_axis_angle(np.array([0.0, deviation, flexion]))
        hand = forearm @ bend
        middle = self._center + self._reach * sway[5:8]
        wrist = middle + HAND_CENTER * hand[:, 0]
        pose = np.concatenate([axis_angle_from_matrix(hand), self._builder.finger_pose(angles)])
        forearm_in_hand = bend.T
        if self.side == "left":
            # The mirror image of a right hand across the person's own middle plane, x = 0.
            mirror = np.array([-1.0, 1.0, 1.0])
            wrist = wrist * mirror + 2.0 * self._center * (mirror < 0)
            pose = (pose.reshape(16, 3) * -mirror).ravel()
            forearm_in_hand = forearm_in_hand * np.outer(mirror, mirror)
        return MotionSample(pose, wrist, forearm_in_hand)

    def _facing(self, time: float) -> float:
        """Which way the palm faces: 0 forward, and now and then half a turn, back to its owner."""
        position = time / self._turns.apart_s
        knot = int(np.floor(position))
        values = [np.pi * float(self._rng(self._turns.at(knot + i), 2).random() < 0.45) for i in (0, 1)]
        return values[0] + (values[1] - values[0]) * float(_minimum_jerk((position - knot) * 2.5))

    def _finger_angles(self, position: float) -> NDArray[np.float64]:
        knot = int(np.floor(position))
        angles, start, duration = self._key(self._keys.at(knot))
        after, _, _ = self._key(self._keys.at(knot + 1))
        progress = _minimum_jerk((position - knot - start) / duration)[_FINGER_OF_ANGLE]
        return np.asarray(angles + (after - angles) * progress, dtype=np.float64)

    def _draw_key(self, knot: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Hand shape at a knot `(21,)`, and when each finger leaves it and for how long `(5,)`, in knot intervals."""
        rng = self._rng(knot, 0)
        shapes = self._activity.shapes
        angles = shapes[knot % len(shapes) if self._activity.in_order else rng.integers(len(shapes))]
        play = self._activity.play
        strength = rng.normal(1.0, 0.08 * play, 5)[_FINGER_OF_ANGLE]
        angles = angles * np.clip(strength, 0.8, 1.2) + rng.normal(0.0, 3.0 * play, ANGLES)
        start = rng.uniform(0.15, 0.35)
        return (
            np.clip(angles, LIMITS_DEG[:, 0], LIMITS_DEG[:, 1]),
            start + rng.uniform(0.0, 0.12, 5),
            np.full(5, rng.uniform(0.45, 0.53)),
        )

    def _spline(self, position: float) -> NDArray[np.float64]:
        """Uniform cubic B-spline through seeded values in [-1, 1]: it stays inside them."""
        knot = int(np.floor(position))
        u = position - knot
        weights = np.array([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3]) / 6.0
        return np.asarray(
            weights @ np.stack([self._sway(self._sways.at(knot + i)) for i in range(-1, 3)]), dtype=np.float64
        )

    def _draw_sway(self, knot: int) -> NDArray[np.float64]:
        # Splines soften: drawing from the ends more often than from the middle gives the range back.
        values = 1.6 * self._rng(knot, 1).uniform(-1.0, 1.0, 8 + ANGLES)
        return np.clip(values, -1.0, 1.0)

    def _rng(self, knot: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((*self._stream, purpose, knot))


def _minimum_jerk(progress: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Go from 0 to 1 with no velocity and no acceleration at either end; constant outside."""
    t = np.clip(progress, 0.0, 1.0)
    return np.asarray(t**3 * (10.0 - 15.0 * t + 6.0 * t**2), dtype=np.float64)


@lru_cache(maxsize=1)
def mean_right_builder() -> PoseBuilder:
    """What turns the angles of hand shapes into poses, for all people alike."""
    return PoseBuilder(HandModel.load(side="right").with_shape(np.zeros(10)))
