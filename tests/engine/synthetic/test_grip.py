"""Held things touch the fingers that hold them, and pass through none."""

from __future__ import annotations

from functools import lru_cache
from typing import get_args

import numpy as np
import pytest

from engine.hand_model import HandModel, ShapedHand, Side
from engine.hand_model.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from engine.synthetic.grip import Grip, find_grip
from engine.synthetic.keyposes import KEYPOSES, LIMITS_DEG
from engine.synthetic.motion import HandMotion, mean_right_builder
from engine.synthetic.props import PINCHED, PropKind, draw_prop

KINDS: tuple[PropKind, ...] = get_args(PropKind)
SIDES: tuple[Side, ...] = ("right", "left")
# Skin gives way by a millimetre, and the mesh bends at joints where the grip counts on stiff parts.
DEEPEST_M = 0.004
TOUCHING_M = 0.0025


@lru_cache
def _held(kind: PropKind, side: Side, seed: int) -> tuple[ShapedHand, Grip]:
    rng = np.random.default_rng(seed)
    shaped = HandModel.load(side=side).with_shape(rng.normal(0.0, 0.8, 10))
    return shaped, find_grip(shaped, mean_right_builder(), draw_prop(rng, kind), rng)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", KINDS)
def test_fingers_touch_what_they_hold_and_do_not_pass_through_it(kind: PropKind, side: Side) -> None:
    for seed in (1, 2):
        shaped, grip = _held(kind, side, seed)
        motion = HandMotion(seed, side, activity=grip.activity)
        # Each finger's skin, thumb first, by the skinning weights of MANO's joints.
        fingers = [shaped.model.skinning_weights[:, first : first + 3].sum(axis=1) > 0.6 for first in (13, 1, 4, 10, 7)]
        for time_s in (0.0, 3.3, 20.0):
            sample = motion.at(time_s)
            posed = shaped.posed(sample.pose, sample.translation(shaped))
            R, middle = grip.placed(posed)
            assert np.allclose(R @ R.T, np.eye(3))
            assert np.linalg.det(R) > 0.0
            distance = grip.prop.distance((posed.vertices() - middle) @ R)
            assert distance.min() > -DEEPEST_M
            touching = [bool(distance[finger].min() < TOUCHING_M) for finger in fingers]
            assert touching[0]
            assert sum(touching) >= 2
            if kind in PINCHED:
                ends = [distance[shaped.model.skinning_weights[:, joint] > 0.5].min() for joint in (15, 3)]
                assert max(ends) < TOUCHING_M
            # On the palm's side of the hand, whichever hand it is.
            assert (middle - posed.joints[9]) @ (posed.rotations[0] @ [0.0, -1.0, 0.0]) > 0.0


def test_grips_are_inside_peoples_limits() -> None:
    for kind in KINDS:
        _, grip = _held(kind, "right", 1)
        for shape in grip.activity.shapes:
            assert (shape >= LIMITS_DEG[:, 0]).all()
            assert (shape <= LIMITS_DEG[:, 1]).all()


def test_a_thing_moves_with_the_hand() -> None:
    shaped, grip = _held("bottle", "left", 2)
    rng = np.random.default_rng(0)
    pose = rng.normal(0.0, 0.2, 48)
    first = shaped.posed(pose, np.zeros(3))
    turn, shift = matrix_from_axis_angle(np.array([0.3, -1.0, 0.4])), np.array([0.1, 0.2, -0.3])
    pose[:3] = axis_angle_from_matrix(turn @ matrix_from_axis_angle(pose[:3]))
    second = shaped.posed(pose, shift)
    moved = (grip.points(first) - first.joints[0]) @ turn.T + second.joints[0]
    np.testing.assert_allclose(grip.points(second), moved, atol=1e-12)


@pytest.mark.parametrize("name", ["fist", "ok", "spread", "claw"])
def test_fingers_bend_one_by_one_as_they_do_together(name: str) -> None:
    builder, angles = mean_right_builder(), KEYPOSES[name]
    together = matrix_from_axis_angle(builder.finger_pose(angles).reshape(5, 3, 3))
    for finger, row in enumerate((4, 0, 1, 3, 2)):
        own = angles[:5] if finger == 0 else angles[1 + 4 * finger : 5 + 4 * finger]
        np.testing.assert_allclose(builder.chain(finger, own[None])[0], together[row], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_distances_are_those_of_the_mesh(kind: PropKind) -> None:
    prop = draw_prop(np.random.default_rng(3), kind)
    assert np.abs(prop.distance(prop.vertices)).max() < 1e-9
    assert prop.distance(np.zeros((1, 3)))[0] == pytest.approx(-prop.half_m.min())
    # A closed surface that faces outwards holds a positive volume; faceted round things are a bit smaller.
    a, b, c = (prop.vertices[prop.faces[:, i]] for i in range(3))
    volume = np.einsum("ni,ni->n", a, np.cross(b, c)).sum() / 6.0
    whole = np.prod(prop.half_m) * {"ball": 4.0 / 3.0 * np.pi, "bottle": 2.0 * np.pi, "pen": 2.0 * np.pi}.get(kind, 8.0)
    assert 0.93 * whole < volume < 1.001 * whole
    # From outside, nothing of the mesh is nearer than the distance says, and something is hardly farther.
    far = np.random.default_rng(4).normal(0.0, 0.2, (40, 3))
    nearest = np.linalg.norm(far[:, None] - prop.vertices, axis=2).min(axis=1)
    said = prop.distance(far)
    outside = said > 0.02
    assert outside.sum() > 20
    assert (said[outside] <= nearest[outside] + 1e-9).all()
    assert (nearest[outside] - said[outside]).max() < 0.01
