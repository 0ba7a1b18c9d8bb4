"""Calibrated covariances hold the truth as often as they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.network.network import UstHandNetwork
from training.calibrate import calibrate, fit_scale_and_floor
from training.evaluate import ellipsoid_coverage, evaluate
from training.samples import Window
from training.truth import Truth
from training.usthand import UstHandMethod

Array = NDArray[np.float64]


def _spread(frames: int, seed: int) -> Array:
    shapes = np.random.default_rng(seed).normal(size=(frames, 21, 3, 3)) * (3.0, 1.0, 0.3)
    return shapes @ shapes.transpose(0, 1, 3, 2)


def _covariance(spread: Array, scale: Array, floor_mm: Array) -> Array:
    return scale[:, None, None] ** 2 * spread + floor_mm[:, None, None] ** 2 * np.eye(3)


def _errors(covariance: Array, seed: int, heavy: bool = False) -> Array:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=covariance.shape[:-1])
    if heavy:
        normal /= np.sqrt(rng.chisquare(4.0, normal.shape[:-1]) / 4.0)[..., None]
    return np.einsum("fjab,fjb->fja", np.linalg.cholesky(covariance), normal)


def test_scale_and_floor_of_each_joint_are_found_again() -> None:
    scale, floor_mm = np.geomspace(0.6, 3.0, 21), np.geomspace(3.0, 0.7, 21)
    spread = _spread(1200, 0)
    found_scale, found_floor = fit_scale_and_floor(_errors(_covariance(spread, scale, floor_mm), 1), spread)
    np.testing.assert_allclose(found_scale, scale, rtol=0.3)
    np.testing.assert_allclose(found_floor, floor_mm, rtol=0.3)


@pytest.mark.parametrize("heavy", [False, True])
def test_ellipsoids_hold_for_other_frames(heavy: bool) -> None:
    scale, floor_mm = np.full(21, 0.5), np.full(21, 2.0)
    spread, other = _spread(800, 0), _spread(800, 2)
    found = fit_scale_and_floor(_errors(_covariance(spread, scale, floor_mm), 1, heavy), spread)
    errors_mm = _errors(_covariance(other, scale, floor_mm), 3, heavy)
    covered = ellipsoid_coverage(errors_mm / 1e3, _covariance(other, *found), np.zeros_like(errors_mm))
    assert covered[0.9] == pytest.approx(0.9, abs=0.02)


def test_joints_without_any_spread_get_their_floor() -> None:
    errors_mm = np.random.default_rng(0).normal(0.0, 3.0, (800, 21, 3))
    _, floor_mm = fit_scale_and_floor(errors_mm, np.zeros((800, 21, 3, 3)))
    np.testing.assert_allclose(floor_mm, 3.0, rtol=0.15)


def test_a_network_is_calibrated_in_place(
    small_network: Callable[[], UstHandNetwork], small_samples: list[tuple[Window, Truth]]
) -> None:
    network = small_network()
    before = evaluate(UstHandMethod(network), small_samples)
    calibrate(network, small_samples)
    after = evaluate(UstHandMethod(network), small_samples)
    assert after.coverage is not None
    assert after.coverage[0.9] == pytest.approx(0.9, abs=0.03)
    assert after.joints == before.joints
    # However it was calibrated before.
    scale = network.covariance.scale.clone()
    calibrate(network, small_samples)
    assert network.covariance.scale.equal(scale)
    blind = [(window.with_views([0]), truth) for window, truth in small_samples]
    with pytest.raises(ValueError, match="two views or more"):
        calibrate(network, blind)
