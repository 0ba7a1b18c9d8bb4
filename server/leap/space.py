"""Leap's frame: millimetres, right-handed, +Y up, the origin 200 mm below the middle of the space that is tracked.

A Leap device lies on a table and looks up, and programs made for it expect hands a hand's breadth or two above it.
Here the middle of the tracked space is where the cameras' optical axes meet, and that point is at (0, 200, 0), as if a
device lay below it. Where the axes meet nowhere before the cameras, the calibration's origin is at (0, 200, 0).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from calibration.overview import axes_meeting_point
from calibration.up import Up
from server.dialects.axes import AxisChange
from server.dialects.up import up_rotation

MIDDLE_MM: Final = (0.0, 200.0, 0.0)
BOX_SIZE_MM: Final = (235.247, 235.247, 147.751)
"""Size of the interaction box, as a Leap device gives it."""


class LeapSpace:
    """The way from a calibration's world to Leap's frame.

    Args:
        rig: The calibration.
        up: Which axis of its world points up.
    """

    def __init__(self, rig: Rig, up: Up) -> None:
        self._change = AxisChange(up_rotation(up), 1e3)
        self._middle_world = _middle_world(rig)

    def points_mm(self, points_world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move points `(..., 3)`, metres in world axes."""
        points_mm: NDArray[np.float64] = self._change.points(points_world - self._middle_world) + np.array(MIDDLE_MM)
        return points_mm

    def vectors_mm(self, vectors_world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn displacements or velocities `(..., 3)`, metres (a second) in world axes."""
        return self._change.points(vectors_world)

    def rotations(self, rotations_world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn rotations to the world's axes `(..., 3, 3)` into rotations to Leap's."""
        return np.asarray(self._change.matrix @ rotations_world, dtype=np.float64)


def _middle_world(rig: Rig) -> NDArray[np.float64]:
    meeting = axes_meeting_point(rig)
    if meeting is None or any(camera.to_camera(meeting.point_world[None])[0, 2] <= 0.0 for camera in rig):
        return np.zeros(3)
    return np.asarray(meeting.point_world, dtype=np.float64)
