"""What people want to know of a rig at a glance: fields of view, baselines, where the cameras look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.rig import Rig

# Two axes that are closer to parallel than about 2 degrees say nothing of where they meet.
_MIN_CONDITION = 1e-3


def field_of_view_rad(camera: Camera) -> tuple[float, float]:
    """Return the horizontal and vertical field of view through the principal point, radians.

    An angle is NaN where the lens model reaches no ray at the border of the image.
    """
    cx, cy = camera.K[0, 2], camera.K[1, 2]
    right, bottom = camera.width - 0.5, camera.height - 0.5
    rays = camera.unproject([[-0.5, cy], [right, cy], [cx, -0.5], [cx, bottom]])
    left, right_, top, bottom_ = np.arctan([rays[0, 0], rays[1, 0], rays[2, 1], rays[3, 1]])
    return float(right_ - left), float(bottom_ - top)


def baselines_m(rig: Rig) -> NDArray[np.float64]:
    """Return the distances `(V, V)` between the optical centres, metres."""
    centers = np.array([camera.center_world for camera in rig])
    return np.asarray(np.linalg.norm(centers[:, None] - centers[None], axis=-1))


@dataclass(frozen=True, eq=False, slots=True)
class MeetingPoint:
    """Where the optical axes come closest to each other.

    Args:
        point_world: The point `(3,)`, metres.
        miss_m: Root mean square distance of the axes from it, metres.
    """

    point_world: NDArray[np.float64]
    miss_m: float


def axes_meeting_point(rig: Rig) -> MeetingPoint | None:
    """Return the point closest to all optical axes; None for one camera or parallel ones."""
    centers = np.array([camera.center_world for camera in rig])
    axes = np.array([camera.T_camera_world[2, :3] for camera in rig])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    normal = across.sum(axis=0) / len(rig)
    if np.linalg.eigvalsh(normal)[0] < _MIN_CONDITION:
        return None
    point = np.linalg.solve(normal, np.einsum("vij,vj->i", across, centers) / len(rig))
    misses = np.linalg.norm(np.einsum("vij,vj->vi", across, point - centers), axis=1)
    return MeetingPoint(point, float(np.sqrt(np.mean(misses**2))))
