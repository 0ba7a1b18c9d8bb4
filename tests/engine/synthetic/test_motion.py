"""Motion is smooth, inside people's limits, repeatable in any order, and mirrored between sides."""

from __future__ import annotations

import numpy as np
import pytest

from engine.hand_model import HandModel, Side
from engine.hand_model.anatomy import joint_axes, joint_limits
from engine.hand_model.rotations import matrix_from_axis_angle
from engine.synthetic.keyposes import ANGLES, KEYPOSES, LIMITS_DEG, PoseBuilder
from engine.synthetic.motion import HandMotion

SIDES: tuple[Side, ...] = ("right", "left")
STEP_S = 1.0 / 120.0
# The fastest fingertip of quick gestures moves at about 3 m/s.
MAX_SPEED_M_S = 3.5


@pytest.fixture(scope="module", params=SIDES)
def side(request: pytest.FixtureRequest) -> Side:
    chosen: Side = request.param
    return chosen


@pytest.mark.parametrize("seed", [1, 7])
def test_no_joint_moves_faster_than_a_hand_can(side: Side, seed: int) -> None:
    shaped = HandModel.load(side=side).with_shape(np.zeros(10))
    motion = HandMotion(seed, side)
    samples = [motion.at(i * STEP_S) for i in range(1200)]
    joints = np.stack([shaped.posed(s.pose, s.translation(shaped)).joints for s in samples])
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=2) / STEP_S
    assert speed.max() < MAX_SPEED_M_S
    # And it does move, all of the time on average.
    assert speed.mean() > 0.05


def test_fingers_stay_inside_anatomical_limits(side: Side) -> None:
    axes, limits = joint_axes(HandModel.load(side=side)), joint_limits()
    motion = HandMotion(5, side)
    fingers = np.stack([motion.at(0.1 * i).pose[3:].reshape(15, 3) for i in range(400)])
    flexion = np.einsum("nji,ji->nj", fingers, axes.flexion)
    # Knuckles combine two turns, so that their angles along single axes are only about the ones that were asked for.
    slack = np.radians(8.0)
    assert (flexion[:, :12] > limits.lower[:12, 0] - slack).all()
    assert (flexion[:, :12] < limits.upper[:12, 0] + slack).all()
    hinges = [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]
    across = fingers[:, hinges] - flexion[:, hinges, None] * axes.flexion[hinges]
    assert np.abs(across).max() < 1e-9


def test_a_motion_with_a_period_begins_again_without_a_seam(side: Side) -> None:
    period_s = 11.7
    motion = HandMotion(7, side, pace=1.3, period_s=period_s)

    def numbers(time_s: float) -> np.ndarray:
        sample = motion.at(time_s)
        return np.concatenate([matrix_from_axis_angle(sample.pose.reshape(16, 3)).ravel(), sample.wrist_world])

    for time_s in (0.0, 0.4, 5.0, 11.6):
        np.testing.assert_allclose(numbers(time_s + period_s), numbers(time_s), atol=1e-9)
        np.testing.assert_allclose(numbers(time_s + 40 * period_s), numbers(time_s), atol=1e-8)
    # Half a period later it is somewhere else, and at the seam it moves no faster than it does elsewhere.
    assert np.abs(numbers(0.5 * period_s) - numbers(0.0)).max() > 0.1
    steps = np.abs(np.diff([numbers(i * STEP_S) for i in range(round(period_s / STEP_S) + 12)], axis=0)).max(axis=1)
    assert steps[-24:].max() <= steps[:-24].max()


def test_hand_shapes_are_inside_their_own_limits() -> None:
    for name, angles in KEYPOSES.items():
        assert angles.shape == (ANGLES,), name
        assert (angles >= LIMITS_DEG[:, 0]).all(), name
        assert (angles <= LIMITS_DEG[:, 1]).all(), name


def test_a_fist_brings_fingertips_to_the_palm_and_an_open_hand_does_not() -> None:
    shaped = HandModel.load(side="right").with_shape(np.zeros(10))
    builder = PoseBuilder(shaped)

    def reach(name: str) -> float:
        pose = np.concatenate([np.zeros(3), builder.finger_pose(KEYPOSES[name])])
        joints = shaped.posed(pose, np.zeros(3)).joints
        return float(np.linalg.norm(joints[[8, 12, 16, 20]] - joints[0], axis=1).mean())

    assert reach("fist") < 0.6 * reach("flat")


def test_any_order_and_any_process_gives_the_same_hand(side: Side) -> None:
    first, second = HandMotion(3, side), HandMotion(3, side)
    forward = [first.at(0.25 * i).pose for i in range(60)]
    backward = [second.at(0.25 * i).pose for i in reversed(range(60))][::-1]
    np.testing.assert_array_equal(forward, backward)
    assert not np.allclose(forward[10], HandMotion(4, side).at(2.5).pose)


def test_the_forearm_joins_where_the_hand_is_at_rest(side: Side) -> None:
    sample = HandMotion(3, side).at(1.0)
    np.testing.assert_allclose(sample.forearm_rotation @ sample.forearm_rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(sample.forearm_rotation) == pytest.approx(1.0)
    shaped = HandModel.load(side=side).with_shape(np.zeros(10))
    posed = shaped.posed(sample.pose, sample.translation(shaped))
    np.testing.assert_allclose(posed.joints[0], sample.wrist_world, atol=1e-12)
