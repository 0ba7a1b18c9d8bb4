"""Rotations as axis-angle vectors, 3x3 matrices and unit quaternions, in batches.

Axis-angle vectors are radians times a unit axis. Quaternions are `(x, y, z, w)`, as on the wire. Every function takes
any leading batch shape, and is accurate at the identity and at half turns alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TINY = np.finfo(np.float64).tiny


def matrix_from_axis_angle(axis_angle: ArrayLike) -> NDArray[np.float64]:
    """Turn axis-angle vectors into rotation matrices (Rodrigues).

    Args:
        axis_angle: Vectors `(..., 3)`, radians.

    Returns:
        Rotation matrices `(..., 3, 3)`.
    """
    vector = _last_axis("axis-angle vectors", axis_angle, 3)
    angle = np.sqrt(np.einsum("...i,...i->...", vector, vector))
    # sinc is smooth at 0, so that no case is needed there: sin(a)/a and (1 - cos(a))/a^2.
    half = angle * (0.5 / np.pi)
    half_sinc = np.sinc(half)
    sine = half_sinc * np.cos(np.pi * half)
    versine = 0.5 * half_sinc * half_sinc
    matrix: NDArray[np.float64] = (versine[..., None] * vector)[..., :, None] * vector[..., None, :]
    diagonal = np.cos(angle)
    scaled = sine[..., None] * vector
    x, y, z = scaled[..., 0], scaled[..., 1], scaled[..., 2]
    matrix[..., 0, 0] += diagonal
    matrix[..., 1, 1] += diagonal
    matrix[..., 2, 2] += diagonal
    matrix[..., 0, 1] -= z
    matrix[..., 1, 0] += z
    matrix[..., 0, 2] += y
    matrix[..., 2, 0] -= y
    matrix[..., 1, 2] -= x
    matrix[..., 2, 1] += x
    return matrix


def quaternion_from_axis_angle(axis_angle: ArrayLike) -> NDArray[np.float64]:
    """Turn axis-angle vectors into unit quaternions.

    Args:
        axis_angle: Vectors `(..., 3)`, radians.

    Returns:
        Unit quaternions `(..., 4)`, x, y, z, w.
    """
    vector = _last_axis("axis-angle vectors", axis_angle, 3)
    angle = np.sqrt(np.einsum("...i,...i->...", vector, vector))[..., None]
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
    sine = np.linalg.norm(unit[..., :3], axis=-1, keepdims=True)
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
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # The rows of 4 q q^T: each is the quaternion times four times one of its elements. The row of the largest element
    # is far from zero whatever the angle is.
    outer = np.empty((*m.shape[:-2], 4, 4), dtype=np.float64)
    outer[..., 0, 0] = 1.0 + m00 - m11 - m22
    outer[..., 1, 1] = 1.0 - m00 + m11 - m22
    outer[..., 2, 2] = 1.0 - m00 - m11 + m22
    outer[..., 3, 3] = 1.0 + m00 + m11 + m22
    outer[..., 0, 1] = outer[..., 1, 0] = m[..., 0, 1] + m[..., 1, 0]
    outer[..., 0, 2] = outer[..., 2, 0] = m[..., 0, 2] + m[..., 2, 0]
    outer[..., 1, 2] = outer[..., 2, 1] = m[..., 1, 2] + m[..., 2, 1]
    outer[..., 0, 3] = outer[..., 3, 0] = m[..., 2, 1] - m[..., 1, 2]
    outer[..., 1, 3] = outer[..., 3, 1] = m[..., 0, 2] - m[..., 2, 0]
    outer[..., 2, 3] = outer[..., 3, 2] = m[..., 1, 0] - m[..., 0, 1]
    largest = np.argmax(np.einsum("...ii->...i", outer), axis=-1)
    row = np.take_along_axis(outer, largest[..., None, None], axis=-2)[..., 0, :]
    unit = row / np.linalg.norm(row, axis=-1, keepdims=True)
    return np.asarray(np.where(unit[..., 3:] < 0.0, -unit, unit), dtype=np.float64)


def axis_angle_from_matrix(matrix: ArrayLike) -> NDArray[np.float64]:
    """Turn rotation matrices into axis-angle vectors of the smaller angle.

    Args:
        matrix: Rotation matrices `(..., 3, 3)`.

    Returns:
        Vectors `(..., 3)`, radians, with angles in [0, pi].
    """
    return axis_angle_from_quaternion(quaternion_from_matrix(matrix))


def _unit_quaternion(quaternion_xyzw: ArrayLike) -> NDArray[np.float64]:
    quaternion = _last_axis("quaternions", quaternion_xyzw, 4)
    norm = np.linalg.norm(quaternion, axis=-1, keepdims=True)
    if not np.all(norm > 0.0):
        raise ValueError("a quaternion is zero or not a number and means no rotation; give one of non-zero length")
    return np.asarray(quaternion / norm, dtype=np.float64)


def _last_axis(what: str, values: Any, size: int) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != size:
        raise ValueError(f"{what} have shape {array.shape}; give an array whose last axis has {size} elements")
    return array
