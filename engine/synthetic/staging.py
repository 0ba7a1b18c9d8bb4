"""What else is in a scene: other attitudes and activities, held things, things in the way, a second hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import ShapedHand
from engine.hand_model.rotations import matrix_from_axis_angle
from engine.synthetic.activities import ACTIVITIES, FREE, Activity
from engine.synthetic.grip import Grip, find_grip
from engine.synthetic.motion import mean_right_builder
from engine.synthetic.props import Prop, draw_prop
from engine.synthetic.skin import Sleeve

# Palm down, fingers away from the owner: over a table.
_OVER_TABLE: Final = matrix_from_axis_angle(np.array([-0.5 * np.pi, 0.0, 0.0]))
# Where the other hand is from the tracked one, metres: near enough to overlap in most views.
_PARTNER_APART_M: Final = (0.05, 0.13)
_OBSTACLE_APART_M: Final = (0.13, 0.26)


@dataclass(frozen=True, slots=True)
class SceneVariety:
    """How often scenes have what; each scene draws for itself.

    Args:
        turned: Share of hands that are not raised: over a table, or any way round.
        acting: Share of hands that do one thing (grasp, pinch, count, sign, type) and not anything.
        bare: Share of arms without a sleeve.
        holding: Share of hands that hold something.
        obstacle: Share of scenes with a thing near the hand that hides it from some views.
        partner: Share of scenes in which a second hand moves close to the tracked one.
    """

    turned: float = 0.6
    acting: float = 0.6
    bare: float = 0.4
    holding: float = 0.3
    obstacle: float = 0.15
    partner: float = 0.25


@dataclass(frozen=True, eq=False, slots=True)
class Staging:
    """What one scene drew.

    Args:
        activity: What the tracked hand does.
        attitude_world: How it is turned from being raised `(3, 3)`.
        sleeve: What both arms wear.
        grip: What the tracked hand holds, and how.
        obstacle: A thing at rest, as vertices in the world; None where there is none.
        partner_from_hand: Where the second hand's space is from the tracked one's `(3,)`, metres; None without one.
        partner_attitude_world: How the second hand is turned.
        partner_activity: What it does.
    """

    activity: Activity
    attitude_world: NDArray[np.float64]
    sleeve: Sleeve
    grip: Grip | None
    obstacle: tuple[Prop, NDArray[np.float64], NDArray[np.float64]] | None
    partner_from_hand: NDArray[np.float64] | None
    partner_attitude_world: NDArray[np.float64]
    partner_activity: Activity

    @classmethod
    def draw(cls, variety: SceneVariety, shaped: ShapedHand, seed: tuple[int, ...]) -> Staging:
        """Draw a scene's for a hand; equal arguments give equal ones."""
        rng = np.random.default_rng(seed)
        activity = ACTIVITIES[rng.integers(1, len(ACTIVITIES))] if rng.random() < variety.acting else FREE
        attitude = _attitude(rng) if rng.random() < variety.turned else np.eye(3)
        if activity.name == "typing":
            attitude = _leant(_OVER_TABLE, rng)
        sleeve: Sleeve = "bare" if rng.random() < variety.bare else "any"
        grip = None
        if rng.random() < variety.holding:
            grip = find_grip(shaped, mean_right_builder(), draw_prop(rng), rng)
            activity = grip.activity
        obstacle = None
        if rng.random() < variety.obstacle:
            prop = draw_prop(rng)
            size = rng.uniform(1.0, 2.5)
            R = _any_turn(rng)
            place = _direction(rng) * rng.uniform(*_OBSTACLE_APART_M)
            obstacle = (prop, size * prop.vertices @ R.T + place, R)
        partner = None
        if rng.random() < variety.partner:
            partner = _direction(rng) * rng.uniform(*_PARTNER_APART_M)
        return cls(
            activity=activity,
            attitude_world=attitude,
            sleeve=sleeve,
            grip=grip,
            obstacle=obstacle,
            partner_from_hand=partner,
            # Hands that do something together are held alike, more or less.
            partner_attitude_world=_leant(attitude, rng, 40.0),
            partner_activity=ACTIVITIES[rng.integers(len(ACTIVITIES))],
        )


def _attitude(rng: np.random.Generator) -> NDArray[np.float64]:
    if rng.random() < 0.5:
        return _leant(_OVER_TABLE, rng)
    return _any_turn(rng)


def _leant(attitude: NDArray[np.float64], rng: np.random.Generator, deg: float = 20.0) -> NDArray[np.float64]:
    spin = matrix_from_axis_angle(np.array([0.0, 0.0, rng.normal(0.0, np.radians(1.5 * deg))]))
    return np.asarray(spin @ matrix_from_axis_angle(rng.normal(0.0, np.radians(deg) / 1.7, 3)) @ attitude)


def _any_turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation `(3, 3)`, all alike likely."""
    Q, R = np.linalg.qr(rng.normal(size=(3, 3)))
    Q = Q * np.sign(np.diag(R))
    return np.asarray(Q * np.linalg.det(Q), dtype=np.float64)


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    direction = rng.normal(size=3)
    return np.asarray(direction / np.linalg.norm(direction), dtype=np.float64)
