"""A hand's shape is learnt from its bones, settles, and does not outlive its hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.hand_model import HandModel, ShapedHand, Side
from engine.hand_model.model import PARENTS_21
from engine.shape_fit import ShapeEstimator
from engine.synthetic.motion import HandMotion

Array = NDArray[np.float64]

MODELS: dict[Side, HandModel] = {"right": HandModel.load(side="right"), "left": HandModel.load(side="left")}
NOISE_M = 0.002


def _hand(side: Side, seed: int, sigma: float = 1.0) -> ShapedHand:
    return MODELS[side].with_shape(np.clip(np.random.default_rng((seed, 1)).normal(0.0, sigma, 10), -2.0, 2.0))


def _filmed(shaped: ShapedHand, frames: int, seed: int, noise_m: float = NOISE_M) -> list[Array]:
    """Noisy joints of a moving hand."""
    rng = np.random.default_rng((seed, 2))
    motion = HandMotion(seed, shaped.model.side)
    poses = [motion.at(index / 30).pose for index in range(frames)]
    return [shaped.posed(pose, np.zeros(3)).joints + rng.normal(0.0, noise_m, (21, 3)) for pose in poses]


def _bones(shaped: ShapedHand) -> Array:
    joints = shaped.rest_joints_21
    return np.linalg.norm(joints[1:] - joints[list(PARENTS_21[1:])], axis=1)


def _error_m(estimator: ShapeEstimator, truth: ShapedHand) -> float:
    return float(np.abs(_bones(estimator.shaped) - _bones(truth)).max())


@pytest.mark.parametrize("side", ["right", "left"])
def test_bones_are_learnt_within_two_seconds(side: Side) -> None:
    errors, spans = [], []
    for seed in range(12):
        truth = _hand(side, seed)
        estimator = ShapeEstimator(MODELS[side])
        before = _error_m(estimator, truth)
        for joints in _filmed(truth, 60, seed):
            estimator.add(joints)
        errors.append(np.abs(_bones(estimator.shaped) - _bones(truth)))
        assert estimator.settled
        assert errors[-1].max() < max(before, 0.002)
        palm = np.linalg.norm(truth.rest_joints_21[9] - truth.rest_joints_21[0])
        spans.append(np.linalg.norm(estimator.shaped.rest_joints_21[9] - estimator.shaped.rest_joints_21[0]) - palm)
    assert np.median(errors) < 0.0008
    assert np.percentile(errors, 95) < 0.0015, np.percentile(errors, [50, 95, 100])
    assert np.abs(spans).max() < 0.0015


def test_before_anything_is_seen_it_is_the_mean_hand() -> None:
    estimator = ShapeEstimator(MODELS["right"])
    np.testing.assert_array_equal(estimator.shaped.shape, np.zeros(10))
    assert not estimator.settled


def test_a_settled_shape_hardly_changes() -> None:
    truth = _hand("right", 3)
    frames = _filmed(truth, 700, 3)
    estimator = ShapeEstimator(MODELS["right"])
    for joints in frames[:60]:
        estimator.add(joints)
    settled = _bones(estimator.shaped)
    changes = []
    for joints in frames[60:]:
        last = _bones(estimator.shaped)
        estimator.add(joints)
        changes.append(np.abs(_bones(estimator.shaped) - last).max())
    assert max(changes) < 0.0006
    assert np.abs(_bones(estimator.shaped) - settled).max() < 0.0015
    # And comes to a rest: a recording is not jerked for ever.
    assert max(changes[-100:]) == 0.0


def test_single_wild_frames_do_not_matter() -> None:
    truth = _hand("right", 5)
    estimator = ShapeEstimator(MODELS["right"])
    for index, joints in enumerate(_filmed(truth, 60, 5)):
        estimator.add(joints * 3.0 if index % 6 == 0 else joints)
    assert _error_m(estimator, truth) < 0.003


def test_the_first_frame_alone_moves_it_little_and_bounded() -> None:
    estimator = ShapeEstimator(MODELS["right"])
    estimator.add(_filmed(_hand("right", 6), 1, 6)[0] * 2.0)
    assert np.isfinite(estimator.shaped.shape).all()
    assert np.abs(estimator.shaped.shape).max() <= 4.0


def test_a_carried_shape_is_a_start() -> None:
    truth = _hand("right", 7)
    estimator = ShapeEstimator(MODELS["right"])
    for joints in _filmed(truth, 80, 7):
        estimator.add(joints)
    heir = estimator.carried()
    np.testing.assert_array_equal(heir.shaped.shape, estimator.shaped.shape)
    assert not heir.settled
    # The heir learns for itself.
    for joints in _filmed(_hand("right", 8), 40, 8):
        heir.add(joints)
    assert not np.array_equal(heir.shaped.shape, estimator.shaped.shape)


@pytest.mark.parametrize("seen", [3, 60, 149, 1000])
def test_another_hand_outvotes_a_carried_shape(seen: int) -> None:
    large = MODELS["right"].with_shape(np.array([2.0, *np.zeros(9)]))
    small = MODELS["right"].with_shape(np.array([-2.0, *np.zeros(9)]))
    assert np.abs(_bones(large) - _bones(small)).max() > 0.008
    estimator = ShapeEstimator(MODELS["right"])
    for joints in _filmed(large, seen, 1):
        estimator.add(joints)
    heir = estimator.carried()
    for joints in _filmed(small, 60, 2):
        heir.add(joints)
    assert _error_m(heir, small) < 0.003
    # However often it is handed on.
    for joints in _filmed(large, 60, 3):
        heir = heir.carried()
        heir.add(joints)
    assert np.isfinite(heir.shaped.shape).all()
