"""A lens as numbers that a solver may turn, and how a picture changes with each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera

LENS_NAMES: Final = {
    "brown-conrady": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}
"""What the numbers of `lens_of` are called, in their order."""

_ZERO = np.zeros(3)


def lens_of(camera: Camera) -> NDArray[np.float64]:
    """Return a camera's lens as numbers: fx, fy, cx, cy, and the distortion."""
    K = camera.K
    return np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2], *camera.distortion])


def with_lens(camera: Camera, lens: NDArray[np.float64]) -> Camera:
    """Return the camera with another lens."""
    fx, fy, cx, cy = lens[:4]
    return replace(camera, K=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]), distortion=lens[4:])


def project_with_derivatives(
    camera: Camera, points_camera: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Project points in front of a camera, and say how the pixels change.

    Args:
        camera: The camera; its place does not count.
        points_camera: Points `(N, 3)` in its coordinates.

    Returns:
        Pixels `(N, 2)`, their derivatives by the point `(N, 2, 3)`, and by the lens `(N, 2, L)`, in the order of
        `lens_of`.
    """
    # OpenCV differentiates by a shift of all points, which is what a shift of one point does to that one.
    points = np.ascontiguousarray(points_camera[:, None, :])
    count = camera.distortion.size
    if camera.model == "fisheye":
        pixels, jacobian = cv2.fisheye.projectPoints(points, _ZERO, _ZERO, camera.K, camera.distortion)
        columns = np.asarray(jacobian, dtype=np.float64).reshape(len(points), 2, -1)
        by_lens, by_point = columns[:, :, : 4 + count], columns[:, :, 4 + count + 3 : 4 + count + 6]
    else:
        pixels, jacobian = cv2.projectPoints(points, _ZERO, _ZERO, camera.K, camera.distortion)
        columns = np.asarray(jacobian, dtype=np.float64).reshape(len(points), 2, -1)
        by_lens, by_point = columns[:, :, 6 : 10 + count], columns[:, :, 3:6]
    return np.asarray(pixels, dtype=np.float64).reshape(-1, 2), by_point, by_lens


def derivatives_by_board(
    camera: Camera, T_world_board: NDArray[np.float64], points_board: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how pixels change `(2 N, 6)` as the board turns about its origin by the world's axes, and shifts.

    Args:
        camera: Where it is.
        T_world_board: Where the board is.
        points_board: Its corners `(N, 3)`.
    """
    turned = points_board @ T_world_board[:3, :3].T
    by_point = project_with_derivatives(camera, camera.to_camera(turned + T_world_board[:3, 3]))[1]
    by_shift = by_point @ camera.T_camera_world[:3, :3]
    return np.concatenate([-by_shift @ cross_matrices(turned), by_shift], axis=2).reshape(-1, 6)


def cross_matrices(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrices `(N, 3, 3)` that take the cross product with vectors `(N, 3)`."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
