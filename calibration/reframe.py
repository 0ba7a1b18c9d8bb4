"""The same rig said otherwise: in another world frame, with other names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.rig import Rig


def in_first_camera(rig: Rig) -> Rig:
    """Return the rig with its first camera's frame as the world: cameras stay where they are to each other."""
    T_camera0_world = rig.cameras[0].T_camera_world
    R, t = T_camera0_world[:3, :3], T_camera0_world[:3, 3]
    T_world_camera0 = np.eye(4)
    T_world_camera0[:3, :3], T_world_camera0[:3, 3] = R.T, -R.T @ t
    first, *others = rig.cameras
    moved = [camera.with_transform(camera.T_camera_world @ T_world_camera0) for camera in others]
    # The first is the identity to the last digit, which formats without a world ask for.
    return Rig((first.with_transform(np.eye(4)), *moved), rig.name)


def renumbered(rig: Rig) -> Rig:
    """Return the rig with cameras named `cam0`, `cam1`, ... in its order."""
    return Rig(tuple(replace(camera, id=f"cam{number}") for number, camera in enumerate(rig)), rig.name)
