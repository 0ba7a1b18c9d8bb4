"""Smoothed poses are poses: rotations stay rotations."""

from __future__ import annotations

import numpy as np
import pytest

from engine.hand_model.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from engine.smoothing import OneEuroConfig
from engine.tracker.smoother import PoseSmoother

PERIOD_NS = 33_333_333


def test_what_rests_stays() -> None:
    rng = np.random.default_rng(1)
    rotations = matrix_from_axis_angle(rng.normal(0.0, 1.0, (16, 3)))
    points = rng.normal(0.0, 0.1, (22, 3))
    smoother = PoseSmoother(OneEuroConfig())
    for index in range(4):
        turned, moved = smoother.smooth(rotations, points, index * PERIOD_NS)
        np.testing.assert_allclose(turned, rotations, atol=1e-12)
        np.testing.assert_allclose(moved, points, atol=1e-12)


def test_noise_is_less_and_rotations_remain() -> None:
    rng = np.random.default_rng(2)
    rest = matrix_from_axis_angle(rng.normal(0.0, 1.0, (16, 3)))
    smoother = PoseSmoother(OneEuroConfig())
    raw, smooth = [], []
    for index in range(60):
        noisy = rest @ matrix_from_axis_angle(rng.normal(0.0, 0.02, (16, 3)))
        turned, _ = smoother.smooth(noisy, np.zeros((1, 3)), index * PERIOD_NS)
        np.testing.assert_allclose(turned @ np.swapaxes(turned, 1, 2), np.tile(np.eye(3), (16, 1, 1)), atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(turned), 1)
        raw.append(axis_angle_from_matrix(np.swapaxes(rest, 1, 2) @ noisy))
        smooth.append(axis_angle_from_matrix(np.swapaxes(rest, 1, 2) @ turned))
    assert np.std(smooth[20:]) < 0.6 * np.std(raw[20:])


@pytest.mark.parametrize("angle", [np.pi, 3.0])
def test_a_turn_by_half_between_two_frames_gives_a_rotation_all_the_same(angle: float) -> None:
    smoother = PoseSmoother(OneEuroConfig(beta_per_m=0.0))
    rotations = np.tile(np.eye(3), (16, 1, 1))
    smoother.smooth(rotations, np.zeros((1, 3)), 0)
    turned, _ = smoother.smooth(
        matrix_from_axis_angle(np.tile([0.0, angle, 0.0], (16, 1))), np.zeros((1, 3)), 60_000_000
    )
    assert np.isfinite(turned).all()
    np.testing.assert_allclose(np.linalg.det(turned), 1)
