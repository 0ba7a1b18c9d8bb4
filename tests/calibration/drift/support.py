"""Bumped cameras, and a monitor that is shown hands by their own clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from calibration.drift import DriftMonitor, Verdict
from engine.synthetic.seen_joints import SeenJoints, seen_joints

TILT = np.radians([1.0, 0.0, 0.0])


def turned(rig: Rig, camera_id: str, turn_rad: NDArray[np.float64]) -> Rig:
    T = rig.camera(camera_id).T_camera_world.copy()
    T[:3] = cv2.Rodrigues(turn_rad)[0] @ T[:3]
    cameras = tuple(camera.with_transform(T) if camera.id == camera_id else camera for camera in rig)
    return replace(rig, cameras=cameras)


def apart_deg(a: Rig, b: Rig, camera_id: str) -> float:
    between = a.camera(camera_id).T_camera_world[:3, :3] @ b.camera(camera_id).T_camera_world[:3, :3].T
    return float(np.degrees(np.linalg.norm(cv2.Rodrigues(between)[0])))


def show(monitor: DriftMonitor, frames: Iterable[SeenJoints]) -> list[tuple[float, tuple[Verdict, ...]]]:
    """Show hands to a monitor and have it judge twice a second; what it said when."""
    said = []
    judged_s: float | None = None
    for frame in frames:
        judged_s = frame.time_s if judged_s is None else judged_s
        monitor.see(frame.sightings)
        if frame.time_s - judged_s >= 0.5:
            judged_s = frame.time_s
            said.append((frame.time_s, monitor.judge()))
    return said


def hands(
    rig: Rig,
    seconds: float,
    *,
    start_s: float = 0.0,
    older_s: Mapping[str, float] | None = None,
    rate_hz: float = 15.0,
) -> Iterable[SeenJoints]:
    return seen_joints(rig, seconds, 2, hands=2, start_s=start_s, older_s=older_s, rate_hz=rate_hz)


def states(monitor: DriftMonitor) -> dict[str, str]:
    return {verdict.camera_id: verdict.state for verdict in monitor.verdicts}


def picture(seed: int, width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    """A room with things in it."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(60, 200, (12, 16, 3)).astype(np.uint8), (width, height))
    for _ in range(120):
        x, y = rng.integers(0, width), rng.integers(0, height)
        size = rng.integers(8, 40, 2)
        corner = (int(x + size[0]), int(y + size[1]))
        cv2.rectangle(image, (int(x), int(y)), corner, [int(v) for v in rng.integers(0, 255, 3)], -1)
    return np.asarray(image, dtype=np.uint8)
