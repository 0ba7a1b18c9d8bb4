"""What one view says of one hand: a crop with its camera, and the joints that were found in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from engine.crops import CropCamera
from engine.detector.networks import Landmarks
from engine.triangulation import Observations


@dataclass(frozen=True, eq=False, slots=True)
class HandView:
    """One hand in one view.

    Args:
        view: Index of the camera in the rig.
        crop: The crop that was looked at.
        landmarks: What the network found in it.
    """

    view: int
    crop: CropCamera
    landmarks: Landmarks

    def keypoints_px(self, camera: Camera) -> NDArray[np.float64]:
        """The joints `(21, 2)` in the camera's own distorted pixels."""
        return camera.project_camera(self.crop.to_camera(self.landmarks.keypoints_crop_px))

    def joint_directions(self) -> NDArray[np.float64]:
        """Directions `(21, 3)` to the joints in the camera's axes, z = 1."""
        directions = self.crop.to_camera(self.landmarks.keypoints_crop_px)
        return directions / directions[:, 2:]


def observe(views: list[HandView], rig: Rig) -> Observations:
    """Gather the views of one hand for triangulation; views that are not listed get confidence 0."""
    count = len(rig)
    projections = np.zeros((count, 3, 4))
    points = np.zeros((count, 21, 2))
    focals = np.ones(count)
    confidence = np.zeros((count, 21))
    for index, camera in enumerate(rig):
        projections[index] = camera.T_camera_world[:3]
    for seen in views:
        projections[seen.view] = seen.crop.projection(rig.cameras[seen.view])
        points[seen.view] = seen.crop.rays(seen.landmarks.keypoints_crop_px)
        focals[seen.view] = seen.crop.focal_px
        confidence[seen.view] = seen.landmarks.presence
    return Observations(projections, points, focals, confidence)
