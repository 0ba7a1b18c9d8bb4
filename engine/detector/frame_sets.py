"""A frame set before its rig: which frames are there, and which of them can see a place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.crops import CropCamera, crops_around_joints

_MIN_JOINTS_INSIDE = 7


def check_views(frame_set: FrameSet, rig: Rig) -> None:
    """Refuse a frame set that is not the rig's.

    Raises:
        ValueError: If it does not have one entry a camera.
    """
    if len(frame_set.frames) != len(rig):
        raise ValueError(
            f"frame set {frame_set.id} has {len(frame_set.frames)} views and the rig {len(rig)}; "
            "give one entry a camera"
        )


def frame_of(frame_set: FrameSet, view: int) -> Frame:
    """The frame of a view that is there.

    Raises:
        ValueError: If it is not.
    """
    frame = frame_set.frames[view]
    if frame is None:
        raise ValueError(f"frame set {frame_set.id} has no view {view}; only views that are there are looked at")
    return frame


def crops_at(
    frame_set: FrameSet, rig: Rig, joints_world: NDArray[np.float64], size_px: int
) -> list[tuple[int, CropCamera]]:
    """Crops of a hand in every view that can see its place, also where it was not detected.

    Args:
        frame_set: The frames.
        rig: Their cameras.
        joints_world: Where the hand is `(21, 3)`, metres.
        size_px: Side of the crops.

    Returns:
        Views, by their index in the rig, with their crops.
    """
    present = [view for view, frame in enumerate(frame_set.frames) if frame is not None]
    if not present:
        return []
    joints_camera = np.stack([rig.cameras[view].to_camera(joints_world) for view in present])
    crops = []
    for view, joints, crop in zip(present, joints_camera, crops_around_joints(joints_camera, size_px), strict=True):
        camera = rig.cameras[view]
        if crop is not None and np.count_nonzero(camera.contains(camera.project_camera(joints))) >= _MIN_JOINTS_INSIDE:
            crops.append((view, crop))
    return crops
