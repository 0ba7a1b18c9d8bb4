"""Which frame the cameras' places are given in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError

# The board's z points into it and its y down its rows: lying face up, the floor's z is up and its x is the board's.
_T_FLOOR_BOARD = np.diag([1.0, -1.0, -1.0, 1.0])


def check_world(world: str, camera_ids: Sequence[str]) -> None:
    """Refuse a world that `place_world` does not know.

    Raises:
        CalibrationError: With those that it knows.
    """
    if world not in ("board", "floor", "first-camera", *camera_ids):
        raise CalibrationError(
            {"": [f"world {world!r} is not known; use board, floor, first-camera or one of {', '.join(camera_ids)}"]}
        )


def place_world(
    cameras: Sequence[Camera],
    world: str,
    T_world_board: Mapping[int, NDArray[np.float64]],
    instant: int,
) -> tuple[Camera, ...]:
    """Give cameras' places in another world frame.

    Args:
        cameras: Where they are.
        world: `first-camera`; a camera's id; `board`, its frame at an instant; or `floor`, the board lying on it face
            up: origin at its top left, x along its columns, z up.
        T_world_board: Where the board is at each instant, in the frame that the cameras are in.
        instant: The instant that `board` and `floor` mean.

    Raises:
        CalibrationError: If there is no such camera or instant.
    """
    ids = [camera.id for camera in cameras]
    check_world(world, ids)
    if world == "first-camera":
        world = ids[0]
    if world in ("board", "floor"):
        if instant not in T_world_board:
            raise CalibrationError(
                {"": [f"the board was not solved at frame set {instant}; name one that it was well seen in"]}
            )
        T_board_new = np.linalg.inv(_T_FLOOR_BOARD) if world == "floor" else np.eye(4)
        T_old_new = np.asarray(T_world_board[instant] @ T_board_new, dtype=np.float64)
    else:
        T_old_new = np.asarray(np.linalg.inv(cameras[ids.index(world)].T_camera_world), dtype=np.float64)
    return tuple(camera.with_transform(camera.T_camera_world @ T_old_new) for camera in cameras)
