"""Rotations as axis-angle vectors, 3x3 matrices and unit quaternions, in batches.

Axis-angle vectors are radians times a unit axis. Quaternions are `(x, y, z, w)`, as on the wire. Every function takes
any leading batch shape, and is accurate at the identity and at half turns alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TINY = np.finfo(np.float64).tiny
_IDENTITY = np.eye(3)
# A vector times this is its skew matrix, row by row.
_SKEW = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0],
        [0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)


def _outer_of_quaternion(m: NDArray[np.float64]) -> NDArray[np.float64]:
    """The outer product 4 q q^T `(N, 4, 4)` of the quaternions of rotation matrices `(N, 3, 3)`, less the identity."""
    m00, m11, m22 = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    outer = np.empty((len(m), 4, 4))
    outer[:, 0, 0] = m00 - m11 - m22
    outer[:, 1, 1] = -m00 + m11 - m22
    outer[:, 2, 2] = -m00 - m11 + m22
    outer[:, 3, 3] = m00 + m11 + m22
    outer[:, 0, 1] = outer[:, 1, 0] = m[:, 0, 1] + m[:, 1, 0]
    outer[:, 0, 2] = outer[:, 2, 0] = m[:, 0, 2] + m[:, 2, 0]
    outer[:, 1, 2] = outer[:, 2, 1] = m[:, 1, 2] + m[:, 2, 1]
    outer[:, 0, 3] = outer[:, 3, 0] = m[:, 2, 1] - m[:, 1, 2]
    outer[:, 1, 3] = outer[:, 3, 1] = m[:, 0, 2] - m[:, 2, 0]
    outer[:, 2, 3] = outer[:, 3, 2] = m[:, 1, 0] - m[:, 0, 1]
    return outer


# It is linear in the matrix: what it makes of each of the nine elements `(9, 16)` is applied as one product.
_OUTER_OF_ELEMENTS = _outer_of_quaternion(np.eye(9).reshape(9, 3, 3)).reshape(9, 16)
_OUTER_OF_ZERO = np.eye(4).ravel()


def matrix_from_axis_angle(axis_angle: ArrayLike) -> NDArray[np.float64]:
    """Turn axis-angle vectors into rotation matrices (Rodrigues).

    Args:
        axis_angle: Vectors `(..., 3)`, radians.

    Returns:
        Rotation matrices `(..., 3, 3)`.
    """
    vector = _last_axis("axis-angle vectors", axis_angle, 3)
    angle = _length(vector)
    # sinc is smooth at 0, so that no case is needed there: sin(a)/a and (1 - cos(a))/a^2.
    half = angle * (0.5 / np.pi)
    half_sinc = np.sinc(half)
    sine = half_sinc * np.cos(np.pi * half)
    versine = 0.5 * half_sinc * half_sinc
    matrix: NDArray[np.float64] = (versine * vector)[..., :, None] * vector[..., None, :]
    matrix += np.cos(angle)[..., None] * _IDENTITY
    matrix += skew_from_vector(sine * vector)
    return matrix


def skew_from_vector(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn vectors `(..., 3)` into the matrices `(..., 3, 3)` that take others to the cross product with them."""
    skew: NDArray[np.float64] = (vector @ _SKEW).reshape(*vector.shape, 3)
    return skew


def quaternion_from_axis_angle(axis_angle: ArrayLike) -> NDArray[np.float64]:
    """Turn axis-angle vectors into unit quaternions.

    Args:
        axis_angle: Vectors `(..., 3)`, radians.

    Returns:
        Unit quaternions `(..., 4)`, x, y, z, w.
    """
    vector = _last_axis("axis-angle vectors", axis_angle, 3)
    angle = _length(vector)
    return np.concatenate([0.5 * np.sinc(angle * (0.5 / np.pi)) * vector, np.cos(0.5 * angle)], axis=-1)


def axis_angle_from_quaternion(quaternion_xyzw: ArrayLike) -> NDArray[np.float64]:
    """Turn quaternions into axis-angle vectors of the smaller angle.

    Args:
        quaternion_xyzw: Quaternions `(..., 4)`; they need not have unit length, and `q` means the same as `-q`.

    Returns:
        Vectors `(..., 3)`, radians, with angles in [0, pi].

    Raises:
        ValueError: If a quaternion is zero.
    """
    unit = _unit_quaternion(quaternion_xyzw)
    unit = np.where(unit[..., 3:] < 0.0, -unit, unit)
    sine = _length(unit[..., :3])
    # angle / sin(angle / 2) tends to 2 as the angle goes to 0.
    ratio = np.where(sine > 1e-9, 2.0 * np.arctan2(sine, unit[..., 3:]) / np.maximum(sine, _TINY), 2.0)
    return np.asarray(ratio * unit[..., :3], dtype=np.float64)


def matrix_from_quaternion(quaternion_xyzw: ArrayLike) -> NDArray[np.float64]:
    """Turn quaternions into rotation matrices.

    Args:
        quaternion_xyzw: Quaternions `(..., 4)`; they need not have unit length.

    Returns:
        Rotation matrices `(..., 3, 3)`.

    Raises:
        ValueError: If a quaternion is zero.
    """
    unit = _unit_quaternion(quaternion_xyzw)
    x, y, z, w = (unit[..., i] for i in range(4))
    matrix = np.empty((*unit.shape[:-1], 3, 3), dtype=np.float64)
    matrix[..., 0, 0] = 1.0 - 2.0 * (y * y + z * z)
    matrix[..., 0, 1] = 2.0 * (x * y - z * w)
    matrix[..., 0, 2] = 2.0 * (x * z + y * w)
    matrix[..., 1, 0] = 2.0 * (x * y + z * w)
    matrix[..., 1, 1] = 1.0 - 2.0 * (x * x + z * z)
    matrix[..., 1, 2] = 2.0 * (y * z - x * w)
    matrix[..., 2, 0] = 2.0 * (x * z - y * w)
    matrix[..., 2, 1] = 2.0 * (y * z + x * w)
    matrix[..., 2, 2] = 1.0 - 2.0 * (x * x + y * y)
    return matrix


def quaternion_from_matrix(matrix: ArrayLike) -> NDArray[np.float64]:
    """Turn rotation matrices into unit quaternions with `w >= 0`.

    Args:
        matrix: Rotation matrices `(..., 3, 3)`.

    Returns:
        Unit quaternions `(..., 4)`, x, y, z, w.
    """
    m = _last_axis("rotation matrices", matrix, 3)
    if m.ndim < 2 or m.shape[-2] != 3:
        raise ValueError(f"rotation matrices have shape {m.shape}; give an array that ends in (3, 3)")
    # Each row of 4 q q^T is the quaternion times four times one of its elements. The row of the largest element is far
    # from zero whatever the angle is.
    outer = (m.reshape(-1, 9) @ _OUTER_OF_ELEMENTS + _OUTER_OF_ZERO).reshape(-1, 4, 4)
    largest = np.argmax(np.einsum("nii->ni", outer), axis=-1)
    row = outer[np.arange(len(outer)), largest].reshape(*m.shape[:-2], 4)
    unit = row / _length(row)
    return np.asarray(np.where(unit[..., 3:] < 0.0, -unit, unit), dtype=np.float64)


def axis_angle_from_matrix(matrix: ArrayLike) -> NDArray[np.float64]:
    """Turn rotation matrices into axis-angle vectors of the smaller angle.

    Args:
        matrix: Rotation matrices `(..., 3, 3)`.

    Returns:
        Vectors `(..., 3)`, radians, with angles in [0, pi].
    """
    return axis_angle_from_quaternion(quaternion_from_matrix(matrix))


def _length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths `(..., 1)` of vectors `(..., N)`; half the time of numpy's own for a few short ones."""
    return np.asarray(np.sqrt(np.einsum("...i,...i->...", vectors, vectors)), dtype=np.float64)[..., None]


def _unit_quaternion(quaternion_xyzw: ArrayLike) -> NDArray[np.float64]:
    quaternion = _last_axis("quaternions", quaternion_xyzw, 4)
    norm = _length(quaternion)
    if not (norm > 0.0).all():
        raise ValueError("a quaternion is zero or not a number and means no rotation; give one of non-zero length")
    return np.asarray(quaternion / norm, dtype=np.float64)


def _last_axis(what: str, values: Any, size: int) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != size:
        raise ValueError(f"{what} have shape {array.shape}; give an array whose last axis has {size} elements")
    return array
