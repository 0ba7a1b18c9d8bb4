"""The lens as it is written out, beside OpenCV's, which brings derivatives along."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.lens import CameraModel, distort, distort_with_slope

LENSES: dict[str, tuple[CameraModel, list[float]]] = {
    "brown-conrady 5": ("brown-conrady", [-0.28, 0.09, 1e-3, -8e-4, 0.01]),
    "brown-conrady 8": ("brown-conrady", [0.3, -0.1, 1e-3, 5e-4, 0.02, 0.6, -0.05, 0.01]),
    "fisheye": ("fisheye", [-0.03, 0.01, -0.004, 0.001]),
}


@pytest.mark.parametrize("lens", list(LENSES))
def test_a_ray_is_bent_as_opencv_bends_it(lens: str) -> None:
    model, coefficients = LENSES[lens]
    distortion = np.array(coefficients)
    # On the axis and next to it, too: there a fisheye's radius cannot be divided by.
    rays = np.concatenate([[[0.0, 0.0], [1e-9, 0.0], [0.0, -1e-7]], np.random.default_rng(1).uniform(-1, 1, (200, 2))])
    bent = distort(rays, distortion, model)
    np.testing.assert_allclose(bent, distort_with_slope(rays, distortion, model)[0], rtol=0, atol=1e-14)
    assert np.abs(bent - rays).max() > 0.05


@pytest.mark.parametrize("lens", list(LENSES))
def test_the_slope_is_the_derivative(lens: str) -> None:
    model, coefficients = LENSES[lens]
    distortion, step = np.array(coefficients), 1e-6
    rays = np.random.default_rng(2).uniform(-0.7, 0.7, (50, 2))
    by_ray = distort_with_slope(rays, distortion, model)[1]
    for axis, shift in enumerate(np.eye(2) * step):
        change = (distort(rays + shift, distortion, model) - distort(rays - shift, distortion, model)) / (2 * step)
        np.testing.assert_allclose(by_ray[:, :, axis], change, rtol=0, atol=1e-8)
