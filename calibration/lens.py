"""Lens distortion on the plane at depth 1: OpenCV's models, their inverse, and the range in which there is one."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

CameraModel = Literal["brown-conrady", "fisheye"]

DISTORTION_COUNTS: dict[CameraModel, tuple[int, ...]] = {"brown-conrady": (5, 8), "fisheye": (4,)}

_FIRST_GUESS_ITERATIONS = 60
_NEWTON_STEPS = 12
_CONVERGED = 1e-12
_LOST = 1e-11
# So near to the axis a fisheye lens does nothing, and cannot be divided by the radius.
_ON_AXIS = 1e-8

_IDENTITY = np.eye(3)
_ZERO = np.zeros(3)


def distort(rays: NDArray[np.float64], distortion: NDArray[np.float64], model: CameraModel) -> NDArray[np.float64]:
    """Apply the lens.

    OpenCV's models are written out here: its own functions bring derivatives along, for several times the time.

    Args:
        rays: Undistorted coordinates `(N, 2)` at depth 1.
        distortion: Coefficients in OpenCV's order.
        model: The lens model.

    Returns:
        Distorted coordinates `(N, 2)`.
    """
    x, y = rays[:, 0], rays[:, 1]
    xx, yy = x * x, y * y
    squared = xx + yy
    if model == "fisheye":
        k1, k2, k3, k4 = distortion.tolist()
        radius = np.sqrt(squared)
        angle = np.arctan(radius)
        a2 = angle * angle
        bent = angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4))))
        on_axis = radius < _ON_AXIS
        return rays * np.where(on_axis, 1.0, bent / np.where(on_axis, 1.0, radius))[:, None]
    k1, k2, p1, p2, k3, *denominator = distortion.tolist()
    radial = 1 + squared * (k1 + squared * (k2 + squared * k3))
    if denominator:
        k4, k5, k6 = denominator
        radial /= 1 + squared * (k4 + squared * (k5 + squared * k6))
    twice_xy = 2 * x * y
    distorted = np.empty_like(rays)
    distorted[:, 0] = x * radial + p1 * twice_xy + p2 * (squared + 2 * xx)
    distorted[:, 1] = y * radial + p1 * (squared + 2 * yy) + p2 * twice_xy
    return distorted


def distort_with_slope(
    rays: NDArray[np.float64], distortion: NDArray[np.float64], model: CameraModel
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Apply the lens, as `distort` does, and say how it bends there.

    Args:
        rays: Undistorted coordinates `(N, 2)` at depth 1, at least one.
        distortion: Coefficients in OpenCV's order.
        model: The lens model.

    Returns:
        Distorted coordinates `(N, 2)`, and their derivative by the undistorted ones `(N, 2, 2)`.
    """
    points = np.column_stack([rays, np.ones(len(rays))])[:, None, :]
    if model == "fisheye":
        distorted, jacobian = cv2.fisheye.projectPoints(points, _ZERO, _ZERO, _IDENTITY, distortion)
        translation = 2 + 2 + 4 + 3
    else:
        distorted, jacobian = cv2.projectPoints(points, _ZERO, _ZERO, _IDENTITY, distortion)
        translation = 3
    # At depth 1 a shift of the camera by (dx, dy) is a shift of the ray by it.
    by_ray = np.asarray(jacobian, dtype=np.float64).reshape(len(rays), 2, -1)[:, :, translation : translation + 2]
    return np.asarray(distorted, dtype=np.float64).reshape(-1, 2), by_ray


def undistort(
    distorted: NDArray[np.float64], distortion: NDArray[np.float64], model: CameraModel, radius: float
) -> NDArray[np.float64]:
    """Invert the lens: `distort(undistort(x)) == x`, or NaN where no ray of the invertible range maps to x.

    Args:
        distorted: Distorted coordinates `(N, 2)` at depth 1.
        distortion: Coefficients in OpenCV's order.
        model: The lens model.
        radius: The lens's `invertible_radius`.

    Returns:
        Undistorted coordinates `(N, 2)` at depth 1.
    """
    if not len(distorted):
        return distorted.copy()
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _FIRST_GUESS_ITERATIONS, _CONVERGED)
    source = np.ascontiguousarray(distorted[:, None, :])
    invert = cv2.fisheye.undistortPoints if model == "fisheye" else cv2.undistortPoints
    rays = np.asarray(invert(source, _IDENTITY, distortion, criteria=criteria), dtype=np.float64).reshape(-1, 2)
    # The fixed point iteration is fast near the axis, slow or divergent at the border: Newton finishes what it left.
    guess_failed = ~(np.abs(rays).max(axis=1) < 1e3)
    rays[guess_failed] = distorted[guess_failed]
    with np.errstate(all="ignore"):
        back, by_ray = distort_with_slope(rays, distortion, model)
        residual = np.abs(distorted - back).max(axis=1)
        for _ in range(_NEWTON_STEPS):
            active = np.flatnonzero(~(residual <= _CONVERGED) & np.isfinite(distorted).all(axis=1))
            if not active.size:
                break
            trial = rays[active] + _solve(by_ray[active], distorted[active] - back[active])
            trial_back, trial_by_ray = distort_with_slope(trial, distortion, model)
            trial_residual = np.abs(distorted[active] - trial_back).max(axis=1)
            better = trial_residual < residual[active]
            if not better.any():
                break
            moved = active[better]
            rays[moved], back[moved], by_ray[moved] = trial[better], trial_back[better], trial_by_ray[better]
            residual[moved] = trial_residual[better]
        upright = by_ray[:, 0, 0] * by_ray[:, 1, 1] - by_ray[:, 0, 1] * by_ray[:, 1, 0] > 0
        within = np.hypot(rays[:, 0], rays[:, 1]) <= radius
        rays[~(upright & within & (residual <= _LOST * (1 + np.abs(distorted).max(axis=1))))] = np.nan
    return rays


def invertible_radius(distortion: NDArray[np.float64], model: CameraModel) -> float:
    """Return the distance from the axis, at depth 1, up to which the radial distortion grows with the ray.

    Beyond it the polynomial turns back and would put rays from far outside the field of view into the image.

    Args:
        distortion: Coefficients in OpenCV's order.
        model: The lens model.
    """
    if model == "fisheye":
        slope = Polynomial(np.array([1.0, *distortion]) * (1, 3, 5, 7, 9))
        angle = np.sqrt(_first_positive_root(slope))
        return float(np.tan(angle)) if angle < np.pi / 2 else np.inf
    k1, k2, _, _, k3 = distortion[:5]
    numerator = Polynomial([1.0, k1, k2, k3])
    denominator = Polynomial([1.0, *distortion[5:8]])
    twice = Polynomial([0.0, 2.0])
    slope = (numerator + twice * numerator.deriv()) * denominator - twice * numerator * denominator.deriv()
    return float(np.sqrt(min(_first_positive_root(slope), _first_positive_root(denominator))))


def _first_positive_root(polynomial: Polynomial) -> float:
    # What is smaller plays no part within 45 degrees of the axis and far beyond, but would overflow in the division.
    roots = polynomial.trim(1e-14).roots()
    real = roots.real[(np.abs(roots.imag) <= 1e-9 * np.abs(roots)) & (roots.real > 0)]
    return float(real.min()) if real.size else np.inf


def _solve(matrices: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve N systems of two equations; a singular one gives a step that is not finite, and no exception."""
    a, b, c, d = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1]
    x, y = values.T
    return np.column_stack([d * x - b * y, a * y - c * x]) / (a * d - b * c)[:, None]
