"""The noise is standard normal exactly, as far as so few samples can be, and always the same."""

from __future__ import annotations

import numpy as np
import pytest

from engine.tracker.noise import noise_table


@pytest.mark.parametrize("hypotheses", [4, 5, 8, 16, 17, 40])
def test_every_joint_has_the_moments_of_a_standard_normal(hypotheses: int) -> None:
    noise = noise_table(3, hypotheses).astype(np.float64)
    assert noise.shape == (3, hypotheses, 21, 2)
    np.testing.assert_allclose(noise.mean(axis=1), 0, atol=1e-7)
    covariance = np.einsum("vmji,vmjk->vjik", noise, noise) / hypotheses
    np.testing.assert_allclose(covariance, np.tile(np.eye(2), (3, 21, 1, 1)), atol=1e-6)


def test_samples_come_with_their_opposites() -> None:
    noise = noise_table(2, 7)
    np.testing.assert_array_equal(noise[:, :3], -noise[:, 3:6])
    np.testing.assert_array_equal(noise[:, 6], 0)


@pytest.mark.parametrize("hypotheses", [1, 2, 3])
def test_a_few_samples_are_drawn_as_they_come(hypotheses: int) -> None:
    noise = noise_table(4, hypotheses)
    assert noise.shape == (4, hypotheses, 21, 2)
    assert np.isfinite(noise).all()
    assert 0.4 < noise[:, 0].std() < 1.6


def test_a_view_has_its_noise_whatever_others_there_are() -> None:
    np.testing.assert_array_equal(noise_table(3, 8), noise_table(8, 8)[:3])
    many = noise_table(8, 8)
    assert all(not np.array_equal(many[0], many[view]) for view in range(1, 8))
    assert many.dtype == np.float32
