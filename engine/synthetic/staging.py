"""What else is in a scene: other attitudes and activities, held things, things in the way, a second hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import PosedHand
from engine.hand_model.rotations import matrix_from_axis_angle
from engine.synthetic.activities import ACTIVITIES, FREE, Activity, holding
from engine.synthetic.props import PINCHED, Prop, draw_prop
from engine.synthetic.skin import Sleeve

# Palm down, fingers away from the owner: over a table.
_OVER_TABLE: Final = matrix_from_axis_angle(np.array([-0.5 * np.pi, 0.0, 0.0]))
_SKIN_M: Final = 0.011
"""From the bones of the palm to its skin."""

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
class Held:
    """A thing in a hand.

    Args:
        prop: The thing.
        turn: From its axes to the hand's frame of `held_pose` `(3, 3)`.
    """

    prop: Prop
    turn: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Staging:
    """What one scene drew.

    Args:
        activity: What the tracked hand does.
        attitude_world: How it is turned from being raised `(3, 3)`.
        sleeve: What both arms wear.
        held: What the tracked hand holds.
        obstacle: A thing at rest, as vertices in the world; None where there is none.
        partner_from_hand: Where the second hand's space is from the tracked one's `(3,)`, metres; None without one.
        partner_attitude_world: How the second hand is turned.
        partner_activity: What it does.
    """

    activity: Activity
    attitude_world: NDArray[np.float64]
    sleeve: Sleeve
    held: Held | None
    obstacle: tuple[Prop, NDArray[np.float64], NDArray[np.float64]] | None
    partner_from_hand: NDArray[np.float64] | None
    partner_attitude_world: NDArray[np.float64]
    partner_activity: Activity

    @classmethod
    def draw(cls, variety: SceneVariety, seed: tuple[int, ...]) -> Staging:
        """Draw a scene's; equal seeds give equal ones."""
        rng = np.random.default_rng(seed)
        activity = ACTIVITIES[rng.integers(1, len(ACTIVITIES))] if rng.random() < variety.acting else FREE
        attitude = _attitude(rng) if rng.random() < variety.turned else np.eye(3)
        if activity.name == "typing":
            attitude = _leant(_OVER_TABLE, rng)
        sleeve: Sleeve = "bare" if rng.random() < variety.bare else "any"
        held = None
        if rng.random() < variety.holding:
            held = _held(rng)
            pinched = held.prop.kind in PINCHED
            # The thicker it is, the less the fingers close.
            activity = holding(float(np.clip(0.72 - 11.0 * held.prop.thickness_m, 0.25, 0.72)), pinched=pinched)
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
            held=held,
            obstacle=obstacle,
            partner_from_hand=partner,
            # Hands that do something together are held alike, more or less.
            partner_attitude_world=_leant(attitude, rng, 40.0),
            partner_activity=ACTIVITIES[rng.integers(len(ACTIVITIES))],
        )


def held_pose(held: Held, posed: PosedHand) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Say where a held thing is.

    Args:
        held: The thing.
        posed: The hand.

    Returns:
        Its rotation `(3, 3)` and its middle `(3,)`, metres, in the frame of the hand's joints.
    """
    joints = posed.joints
    palm_out = posed.rotations[0] @ np.array([0.0, -1.0, 0.0])
    if held.prop.kind in PINCHED:
        tips = 0.5 * (joints[4] + joints[8])
        ahead = tips - joints[0]
        ahead /= np.linalg.norm(ahead)
        side = np.cross(ahead, joints[4] - joints[8])
        side /= max(float(np.linalg.norm(side)), 1e-9)
        axes = np.stack([side, np.cross(ahead, side), ahead], axis=1)
        # It is held near one end, not by its middle.
        reach = 0.6 * float(np.abs(held.prop.vertices[:, 2]).max())
        R = axes @ held.turn
        return R, tips + reach * R[:, 2]
    along = joints[9] - joints[0]
    along -= (along @ palm_out) * palm_out
    along /= np.linalg.norm(along)
    # The long axis lies across the palm, under the fingers.
    axes = np.stack([along, palm_out, np.cross(along, palm_out)], axis=1)
    knuckles = joints[[5, 9, 13, 17]].mean(axis=0)
    middle = knuckles - 0.012 * along + (_SKIN_M + held.prop.thickness_m) * palm_out
    return axes @ held.turn, middle


def _held(rng: np.random.Generator) -> Held:
    prop = draw_prop(rng)
    turn = matrix_from_axis_angle(np.array([0.0, rng.normal(0.0, 0.35), 0.0]))
    if prop.kind in PINCHED:
        turn = matrix_from_axis_angle(rng.normal(0.0, 0.5, 3))
    elif prop.kind == "phone" and rng.random() < 0.5:
        # Along the fingers.
        turn = turn @ matrix_from_axis_angle(np.array([0.0, 0.5 * np.pi, 0.0]))
    return Held(prop, turn)


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
