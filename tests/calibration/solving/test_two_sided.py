"""Cameras that face each other share a board that has two sides."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from calibration import Camera
from calibration.boards import parse_board
from calibration.solving.solve import Sights, Wishes, solve_rig
from calibration.solving.timing import MovingView


def facing_rig() -> tuple[Camera, ...]:
    """One camera at the origin, the other 1.2 m before it and turned to look back, a little to the side."""
    K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    T = np.eye(4)
    T[:3, :3] = cv2.Rodrigues(np.array([0.0, np.radians(170.0), 0.0]))[0]
    T[:3, 3] = -T[:3, :3] @ np.array([0.1, 0.05, 1.2])
    return Camera("front", 640, 480, K), Camera("back", 640, 480, K, T_camera_world=T)


def test_cameras_on_both_sides_of_a_board_are_calibrated_together() -> None:
    board = parse_board("charuco:6x5:0.04:DICT_4X4_100:two-sided:0.01")
    rng = np.random.default_rng(4)
    cameras = facing_rig()
    views = []
    for instant in range(40):
        T = np.eye(4)
        T[:3, :3] = cv2.Rodrigues(rng.uniform(-0.6, 0.6, 3))[0]
        T[:3, 3] = rng.uniform((-0.15, -0.1, 0.5), (0.15, 0.1, 0.75)) - T[:3, :3] @ (0.12, 0.1, 0.005)
        points_world = board.points_board @ T[:3, :3].T + T[:3, 3]
        for side, camera in enumerate(cameras):
            first = board.first_corner(side)
            ids = np.arange(first, first + board.corners_a_side)
            pixels = camera.project(points_world[ids]) + rng.normal(0, 0.1, (len(ids), 2))
            seen = camera.contains(pixels)
            if seen.sum() >= 8:
                nothing = np.zeros((int(seen.sum()), 2))
                views.append(MovingView(camera.id, instant, ids[seen], pixels[seen], 0.0, None, nothing))
    edges = np.vstack([board.pattern.edges, board.pattern.edges + board.corners_a_side])
    sizes = {camera.id: (640, 480) for camera in cameras}
    solved = solve_rig(Sights(board.points_board, edges, sizes, tuple(views)), Wishes("brown-conrady-5"))
    assert np.linalg.norm(solved.cameras[1].center_world - cameras[1].center_world) < 4e-3
    assert solved.held_out.rms_px == pytest.approx(0.14, abs=0.03)
