"""Rotations as files write them: quaternions and rotation vectors, exact also near half a turn."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def quaternion_from_matrix(R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit quaternion `(w, x, y, z)`, w not negative, of the rotation nearest to `R` `(3, 3)`."""
    xx, xy, xz, yx, yy, yz, zx, zy, zz = np.asarray(R, dtype=np.float64).ravel()
    # The quaternion is the eigenvector of the largest eigenvalue: unlike formulas by cases, equally exact everywhere.
    lower = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [xy + yx, yy - xx - zz, 0, 0],
            [xz + zx, yz + zy, zz - xx - yy, 0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    x, y, z, w = np.linalg.eigh(lower)[1][:, -1]
    return np.array([w, x, y, z]) * (1.0 if w >= 0 else -1.0)


def matrix_from_quaternion(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation `(3, 3)` of a unit quaternion `(w, x, y, z)`."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def vector_from_matrix(R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation vector `(3,)`, radians, of the rotation nearest to `R` `(3, 3)`."""
    w, *axis = quaternion_from_matrix(R)
    length = float(np.linalg.norm(axis))
    # For tiny angles the vector is twice the quaternion's: the ratio's limit.
    return np.array(axis) * (2 * np.arctan2(length, w) / length if length > 1e-12 else 2.0)


def matrix_from_vector(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation `(3, 3)` of a rotation vector `(3,)`, radians."""
    return np.asarray(cv2.Rodrigues(np.asarray(vector, dtype=np.float64))[0], dtype=np.float64)
