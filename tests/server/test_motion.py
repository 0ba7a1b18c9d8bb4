"""Prediction: where a hand will be, and when nothing is predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from capture.frames import Frame, FrameSet
from engine.hand_model import HandModel
from engine.hand_model.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from engine.synthetic.rigs import make_rig
from server.dialects import DIALECTS
from server.encoding import OPEN_STAMP
from server.messages import DEFAULT_FIELDS
from server.motion import MotionHistory
from server.outgoing import Outgoing
from server.solved import Solved

PERIOD_NS = 33_000_000
VELOCITY_M_S = np.array([0.4, -0.2, 0.1])
SPIN_RAD_S = np.array([0.5, 2.0, -1.0])
CURL_RAD_S = 3.0


@pytest.fixture
def moving(hand_of):
    """A hand that moves, turns and curls its index finger, each at a constant rate, by the time in seconds."""
    shaped = HandModel.load(side="left").with_shape(np.full(10, 0.3))
    still = np.random.default_rng(3).normal(0, 0.1, (16, 3))

    def at(time_s, hand_id=3):
        local = matrix_from_axis_angle(still)
        local[0] = matrix_from_axis_angle(SPIN_RAD_S * time_s) @ local[0]
        local[2] = matrix_from_axis_angle(np.array([0, 0, CURL_RAD_S * time_s])) @ local[2]
        translation = VELOCITY_M_S * time_s
        posed = shaped.posed_from_rotations(local, translation)
        hand = hand_of(posed, axis_angle_from_matrix(local).ravel(), translation, hand_id=hand_id)
        # Measured a little beside the model, alike in each joint's own axes.
        return replace(hand, joints_world=hand.joints_world + _beside(posed))

    return at


def _beside(posed):
    mano = [0, 13, 14, 15, 15, 1, 2, 3, 3, 4, 5, 6, 6, 10, 11, 12, 12, 7, 8, 9, 9]
    return posed.rotations[mano] @ np.array([0.002, 0.001, -0.003])


@pytest.fixture
def answer():
    rig = make_rig(2, seed=5, width=320, height=240)

    def build(number, *hands, rig=rig, at_ns=None):
        at_ns = 10**9 + number * PERIOD_NS if at_ns is None else at_ns
        frames = tuple(Frame(camera.id, number, at_ns, at_ns, np.zeros((2, 2, 3), np.uint8)) for camera in rig)
        return Solved(FrameSet(number, frames, 0.0, lambda: None), rig, hands, at_ns, number, "fake-1")

    return build


def seen(history, answer, moving, numbers):
    motion = {}
    for number in numbers:
        motion = history.add(answer(number, moving(number * PERIOD_NS * 1e-9)))
    return motion


@pytest.mark.parametrize("horizon_s", [0.01, 0.033, 0.1])
def test_a_steady_motion_goes_on_and_fades(moving, answer, horizon_s):
    motion = seen(MotionHistory(), answer, moving, range(6))[3]
    predicted = motion.predicted(horizon_s)
    reach_s = 0.2 * (1 - np.exp(-horizon_s / 0.2))
    assert 0.75 * horizon_s < reach_s < horizon_s
    expected = moving(5 * PERIOD_NS * 1e-9 + reach_s)
    assert_allclose(predicted.joints_world, expected.joints_world, atol=3e-4)
    assert_allclose(predicted.translation, expected.translation, atol=3e-4)
    assert_allclose(predicted.pose, expected.pose, atol=2e-3)
    assert abs(np.einsum("ji,ji->j", predicted.orientations_xyzw, expected.orientations_xyzw)).min() > 1 - 1e-5


def test_a_prediction_is_a_hand_of_the_same_size_that_agrees_with_itself(moving, answer):
    hand = moving(5 * PERIOD_NS * 1e-9)
    predicted = seen(MotionHistory(), answer, moving, range(6))[3].predicted(0.05)
    posed = predicted.posed.shaped.posed(predicted.pose, predicted.translation)
    assert_allclose(posed.joints, predicted.posed.joints, atol=1e-9)
    assert_allclose(predicted.joints_world - predicted.posed.joints, _beside(predicted.posed), atol=1e-9)
    bones = [np.linalg.norm(np.diff(each.posed.joints[5:9], axis=0), axis=1) for each in (hand, predicted)]
    assert_allclose(bones[0], bones[1], atol=1e-9)
    assert (predicted.id, predicted.side, predicted.confidence) == (hand.id, hand.side, hand.confidence)


def test_the_further_the_less_sure(moving, answer):
    motion = seen(MotionHistory(), answer, moving, range(6))[3]
    variances = [np.trace(motion.predicted(ms * 1e-3).covariance_mm2[8]) for ms in (0, 10, 50, 100)]
    assert variances == sorted(variances)
    assert variances[0] == 3
    assert variances[3] > variances[0] + 2 * 5**2


def test_joint_velocities_are_those_of_the_motion(moving, answer):
    velocity = seen(MotionHistory(), answer, moving, range(6))[3].joint_velocity()
    assert_allclose(velocity[0], VELOCITY_M_S, atol=0.01)
    assert np.linalg.norm(velocity[8] - VELOCITY_M_S) > 0.1


def test_noise_is_averaged_over_a_few_answers(moving, answer):
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(30):
        history = MotionHistory()
        for number in range(6):
            hand = moving(number * PERIOD_NS * 1e-9)
            motion = history.add(
                answer(number, replace(hand, joints_world=hand.joints_world + rng.normal(0, 0.001, 3)))
            )
        errors.append(motion[3].joint_velocity()[0] - VELOCITY_M_S)
    # Of two answers it would be sqrt(2) mm in 33 ms: 0.043 m/s.
    assert np.std(errors) < 0.02


def test_a_new_track_stays_where_it_is(moving, answer):
    motion = seen(MotionHistory(), answer, moving, [0])[3]
    assert not motion.predictable
    hand = motion.predicted(0.1)
    assert hand is motion.sightings[-1].hand
    assert_allclose(motion.joint_velocity(), 0)


@pytest.mark.parametrize(
    "interruption",
    [
        lambda answer, _: [answer(6)],
        lambda answer, hand: [answer(6, replace(hand, id=9))],
        lambda answer, hand: [answer(6, hand, rig=make_rig(2, seed=6, width=320, height=240))],
        lambda answer, hand: [answer(6, replace(hand, side="right"))],
    ],
    ids=["missing once", "another track", "another calibration", "another side"],
)
def test_nothing_is_predicted_across_a_loss(moving, answer, interruption):
    history = MotionHistory()
    seen(history, answer, moving, range(6))
    for solved in interruption(answer, moving(6 * PERIOD_NS * 1e-9)):
        history.add(solved)
    motion = history.add(answer(7, moving(7 * PERIOD_NS * 1e-9)))[3]
    assert not motion.predictable
    assert motion.first_ns == 10**9 + 7 * PERIOD_NS


@pytest.mark.parametrize("at_ns", [10**9 + 5 * PERIOD_NS, 10**9, 2 * 10**9])
def test_nothing_is_predicted_across_a_jump_in_time(moving, answer, at_ns):
    history = MotionHistory()
    seen(history, answer, moving, range(6))
    assert not history.add(answer(6, moving(0.2), at_ns=at_ns))[3].predictable


def test_a_track_is_known_since_it_came_and_only_a_few_answers_are_kept(moving, answer):
    motion = seen(MotionHistory(), answer, moving, range(50))[3]
    assert motion.first_ns == 10**9
    assert len(motion.sightings) == 4


def test_hands_are_predicted_each_by_its_own_motion(moving, answer):
    history = MotionHistory()
    for number in range(5):
        time_s = number * PERIOD_NS * 1e-9
        motion = history.add(answer(number, moving(time_s, 1), moving(-time_s, 2)))
    assert_allclose(motion[1].joint_velocity()[0], VELOCITY_M_S, atol=0.02)
    assert_allclose(motion[2].joint_velocity()[0], -VELOCITY_M_S, atol=0.02)


def test_an_answer_is_predicted_once_for_all_who_ask_the_same(moving, answer, monkeypatch):
    history = MotionHistory()
    seen(history, answer, moving, range(5))
    solved = answer(5, moving(5 * PERIOD_NS * 1e-9), moving(0.3, hand_id=8))
    outgoing = Outgoing(solved, history.add(solved))
    made = []
    motion = type(outgoing.motion[3])
    original = motion.predicted
    monkeypatch.setattr(motion, "predicted", lambda self, s: made.append(s) or original(self, s))
    for encoding in ("json", "msgpack"):
        for dialect in DIALECTS.values():
            outgoing.encoded(encoding, dialect, DEFAULT_FIELDS, 33)
            outgoing.encoded(encoding, dialect, DEFAULT_FIELDS)
    assert made == [0.033, 0.033]
    assert outgoing.predicted(0) is solved


def test_the_message_says_how_far_each_hand_was_predicted(moving, answer):
    import json

    history = MotionHistory()
    seen(history, answer, moving, range(5))
    solved = answer(5, moving(5 * PERIOD_NS * 1e-9), moving(0.3, hand_id=8))
    outgoing = Outgoing(solved, history.add(solved))
    fields = DEFAULT_FIELDS | {"vertices"}
    moved, plain = (
        json.loads(outgoing.encoded("json", DIALECTS["mano"], fields, ms).sent(OPEN_STAMP - 1)) for ms in (50, 0)
    )
    assert (moved["predicted_ms"], plain["predicted_ms"]) == (50, 0)
    assert [hand["predicted_ms"] for hand in moved["hands"]] == [50, 0]
    assert "predicted_ms" not in plain["hands"][0]
    # The known hand went on, parameters, joints and mesh alike; the new one stayed.
    for part in ("joints", "vertices", "orientations"):
        assert moved["hands"][0][part] != plain["hands"][0][part]
        assert moved["hands"][1][part] == plain["hands"][1][part]
    assert moved["hands"][0]["mano"]["translation"] != plain["hands"][0]["mano"]["translation"]
    assert moved["hands"][0]["mano"]["shape"] == plain["hands"][0]["mano"]["shape"]
    assert moved["stamps_ns"]["exposure"] == plain["stamps_ns"]["exposure"]
