"""A small rig that films a moving board: videos, rig file and the exact truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from calibration.boards import Board
from tests.calibration.boards.filming import BoardFilm

SIZE = (320, 240)
RATE_HZ = 10.0


def small_rig(views: int) -> Rig:
    """Cameras in an arc that all look at a point 0.6 m before the first one, which is the world."""
    cameras = []
    for number in range(views):
        angle = np.radians(28.0) * number
        R = cv2.Rodrigues(np.array([0.05 * number, -angle, 0.03 * number]))[0]
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R, np.array([0.0, 0.0, 0.6]) - R @ np.array([0.0, 0.0, 0.6])
        K = np.array([[300.0 + 8 * number, 0, 160.0 + 3 * number], [0, 300.0 + 8 * number, 117.0], [0, 0, 1]])
        cameras.append(Camera(f"cam{number}", *SIZE, K, [-0.12 + 0.04 * number, 0.05, 0, 0, 0], T))
    return Rig(tuple(cameras), "small")


def board_path(board: Board, rig: Rig, frames: int, seed: int = 5, start: float = 0.0) -> list[NDArray[np.float64]]:
    """Move a board smoothly before the cameras, near and far, tilted all ways: `T_world_board` of each frame."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 6)
    middle = np.append(np.array(board.pattern.size_m) / 2, 0.0)
    # Half-way between the first camera and the last.
    turn_to_middle = np.radians(28.0) * (len(rig) - 1) / 2
    poses = []
    for time in start + np.arange(frames):
        waves = np.sin(phases + time * np.array([0.41, 0.53, 0.37, 0.29, 0.47, 0.61]))
        R = cv2.Rodrigues(np.array([0.55, 0.45, 0.5]) * waves[:3])[0]
        R = cv2.Rodrigues(np.array([0.0, turn_to_middle, 0.0]))[0] @ R
        T = np.eye(4)
        T[:3, :3] = R
        T[:3, 3] = np.array([0.09, 0.06, 0.1]) * waves[3:] + (0.0, 0.0, 0.56) - R @ middle
        poses.append(T)
    return poses


def film(board: Board, rig: Rig, poses: Sequence[NDArray[np.float64]], out: Path) -> Path:
    """Film a board with every camera, one video each; return the rig file, which names no calibration."""
    lines = ["name: filmed", "cameras:"]
    for camera in rig:
        shutter = BoardFilm(board, camera, px_per_m=1200.0)
        path = out / f"{camera.id}.avi"
        fourcc = cv2.VideoWriter.fourcc(*"MJPG")
        writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, fourcc, RATE_HZ, SIZE)
        writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 97)
        for number, pose in enumerate(poses):
            writer.write(shutter.take(pose, noise=2.0, seed=number))
        writer.release()
        lines.append(f"  - {{id: {camera.id}, source: {{type: file, path: {path.name}}}}}")
    (out / "rig.yaml").write_text("\n".join(lines) + "\n")
    return out / "rig.yaml"
