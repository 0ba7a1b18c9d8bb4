"""Pictures of boards as calibrated cameras would take them, through the cameras' own lenses, with the exact truth."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RectBivariateSpline

from calibration import Camera
from calibration.boards import Board
from calibration.boards.drawing import draw, panel_m

BACKGROUND = 110.0
BLACK, WHITE = 30.0, 220.0


class BoardFilm:
    """Films a board with one camera.

    Args:
        board: The board.
        camera: The camera; its place in the world counts.
        px_per_m: Resolution of the drawn board; best is that of the samples, so that each sees one point of it.
        samples: Rays a pixel, along each axis.
    """

    def __init__(self, board: Board, camera: Camera, px_per_m: float = 2200.0, samples: int = 2) -> None:
        self._board = board
        self._camera = camera
        self._px_per_m = px_per_m
        self._samples = samples
        self._textures = [draw(board, side, px_per_m).astype(np.float32) for side in range(board.sides)]
        height, width = camera.height * samples, camera.width * samples
        # A coarse lattice of rays, interpolated: lenses are smooth, and unprojecting every sample takes seconds.
        lattice_x, lattice_y = (np.arange(-8.0, length + 16.0, 8.0) for length in (camera.width, camera.height))
        coarse = camera.unproject(np.stack(np.meshgrid(lattice_x, lattice_y), axis=-1))
        x, y = ((np.arange(length) + 0.5) / samples - 0.5 for length in (width, height))
        rays = [RectBivariateSpline(lattice_y, lattice_x, coarse[..., axis])(y, x) for axis in (0, 1)]
        self._rays = np.stack(rays, axis=-1).astype(np.float32)

    def take(
        self, T_world_board: ArrayLike, noise: float = 0.0, seed: int = 0, exposure: Sequence[ArrayLike] = ()
    ) -> NDArray[np.uint8]:
        """Take a picture `(H, W, 3)`, BGR.

        Args:
            T_world_board: Where the board is.
            noise: Standard deviation, grey values.
            seed: Of the noise.
            exposure: Where the board is during the exposure, besides; the picture is the mean.
        """
        poses = [np.asarray(pose, dtype=np.float64) for pose in (T_world_board, *exposure)]
        light = np.mean([self._light(pose) for pose in poses], axis=0)
        grey = cv2.GaussianBlur(light, (0, 0), 0.6) + np.random.default_rng(seed).normal(0.0, noise, light.shape)
        grey = np.rint(np.clip(grey, 0, 255)).astype(np.uint8)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)

    def _light(self, T_world_board: NDArray[np.float64]) -> NDArray[np.float64]:
        T = self._camera.T_camera_world @ T_world_board
        # The front is seen from where the board's z points away from the camera.
        side = 0 if T[:3, 2] @ T[:3, 3] > 0 or self._board.sides == 1 else 1
        if side == 1:
            T_board_back = np.diag([-1.0, 1.0, -1.0, 1.0])
            T_board_back[:3, 3] = self._board.pattern.size_m[0], 0.0, self._board.thickness_m or 0.0
            T = T @ T_board_back
        to_plane = np.linalg.inv(np.column_stack([T[:3, 0], T[:3, 1], T[:3, 3]])).astype(np.float32)
        hit = self._rays @ to_plane[:, :2].T + to_plane[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            xy_m = hit[..., :2] / hit[..., 2:]
        left, top = panel_m(self._board)[:2]
        where = ((xy_m - (left, top)) * self._px_per_m - 0.5).astype(np.float32)
        where[~np.isfinite(where) | (np.abs(where) > 1e6)] = -10.0
        where[hit[..., 2] <= 0] = -10.0
        white = cv2.remap(self._textures[side], where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderValue=-1.0)
        light = np.where(white < 0, BACKGROUND, BLACK + (WHITE - BLACK) * white / 255.0)
        size = (self._camera.width, self._camera.height)
        return np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), dtype=np.float64)


def pose_before(
    camera: Camera, board: Board, distance_m: float, tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> NDArray[np.float64]:
    """Hold the board's middle on a camera's axis, its front to the camera.

    Args:
        camera: The camera.
        board: The board.
        distance_m: From the camera to the board's middle.
        tilt_deg: Turns about the camera's x, y and z, applied in that order.

    Returns:
        `T_world_board` `(4, 4)`.
    """
    R = np.eye(3)
    for axis, angle in enumerate(tilt_deg):
        R = cv2.Rodrigues(np.radians(angle) * np.eye(3)[axis])[0] @ R
    T_camera_board = np.eye(4)
    T_camera_board[:3, :3] = R
    middle = np.append(np.array(board.pattern.size_m) / 2, 0.0)
    T_camera_board[:3, 3] = (0.0, 0.0, distance_m) - R @ middle
    return np.asarray(np.linalg.inv(camera.T_camera_world) @ T_camera_board)
