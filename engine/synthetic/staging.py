"""What else is in a scene: other attitudes and activities, held things, things in the way, a second hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import ShapedHand
from engine.hand_model.rotations import matrix_from_axis_angle
from engine.synthetic.activities import ACTIVITIES, FREE, Activity
from engine.synthetic.grip import Grip, find_grip
from engine.synthetic.motion import REACH_M, mean_right_builder
from engine.synthetic.props import Prop, draw_prop
from engine.synthetic.skin import Sleeve

# Palm down, fingers away from the owner: over a table.
_OVER_TABLE: Final = matrix_from_axis_angle(np.array([-0.5 * np.pi, 0.0, 0.0]))
# What two hands that meet leave free between them, metres: they press, touch or nearly do.
_PRESSED_M: Final = -0.005
_NEARLY_M: Final = 0.04
# Beside a thing the arm moves that much less.
_SWAY_BESIDE: Final = 0.4
# The space that a hand fills about its middle, whatever it does, metres.
_HAND_RADIUS_M: Final = 0.13


@dataclass(frozen=True, slots=True)
class SceneVariety:
    """How often scenes have what; each scene draws for itself.

    Args:
        turned: Share of hands that are not raised: over a table, or any way round.
        acting: Share of hands that do one thing (grasp, pinch, count, sign, type) and not anything.
        bare: Share of arms without a sleeve.
        holding: Share of hands that hold something.
        obstacle: Share of scenes with a thing beside the hand that hides it from some views, where there is neither a
            second hand nor a held thing.
        partner: Share of scenes in which a second hand moves at the tracked one, and mostly touches it.
    """

    turned: float = 0.6
    acting: float = 0.6
    bare: float = 0.4
    holding: float = 0.3
    obstacle: float = 0.25
    partner: float = 0.25


@dataclass(frozen=True, eq=False, slots=True)
class Partner:
    """A second hand that moves at the tracked one.

    Args:
        from_world: Unit vector `(3,)`: from which side it comes.
        gap_m: What it leaves free, metres; negative presses.
        attitude_world: How it is turned from being raised `(3, 3)`.
        activity: What it does.
    """

    from_world: NDArray[np.float64]
    gap_m: float
    attitude_world: NDArray[np.float64]
    activity: Activity


@dataclass(frozen=True, eq=False, slots=True)
class Staging:
    """What one scene drew.

    Args:
        activity: What the tracked hand does.
        attitude_world: How it is turned from being raised `(3, 3)`.
        sleeve: What both arms wear.
        grip: What the tracked hand holds, and how.
        obstacle: A thing at rest, as vertices and a rotation in the world; None where there is none.
        partner: The second hand; None without one.
    """

    activity: Activity
    attitude_world: NDArray[np.float64]
    sleeve: Sleeve
    grip: Grip | None
    obstacle: tuple[Prop, NDArray[np.float64], NDArray[np.float64]] | None
    partner: Partner | None

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
        partner, obstacle = None, None
        aside = _beside_forearm(attitude, rng)
        if shaped.model.side == "left":
            # The motion of a left hand is a right one's mirror image.
            aside[0] = -aside[0]
        if rng.random() < variety.partner:
            gap_m = _PRESSED_M if rng.random() < 0.5 else rng.uniform(_PRESSED_M, _NEARLY_M)
            # Hands that do something together are held alike, more or less.
            turned = _leant(attitude, rng, 40.0)
            partner = Partner(aside, gap_m, turned, ACTIVITIES[rng.integers(len(ACTIVITIES))])
        elif grip is None and rng.random() < variety.obstacle:
            activity = replace(activity, sway=_SWAY_BESIDE * activity.sway)
            prop = draw_prop(rng)
            R = _any_turn(rng)
            vertices = rng.uniform(1.2, 2.6) * prop.vertices @ R.T
            # Out of all that the hand may reach, and no further than that.
            reach = activity.sway * float(np.abs(aside) @ REACH_M) + _HAND_RADIUS_M
            obstacle = (prop, vertices + aside * (reach - float((vertices @ aside).min())), R)
        return cls(
            activity=activity, attitude_world=attitude, sleeve=sleeve, grip=grip, obstacle=obstacle, partner=partner
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


def _beside_forearm(attitude: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A direction `(3,)` about across the forearm of a right hand of some attitude."""
    forearm = -attitude[:, 2]
    direction = rng.normal(size=3)
    direction -= (direction @ forearm) * forearm
    return np.asarray(direction / np.linalg.norm(direction), dtype=np.float64)
