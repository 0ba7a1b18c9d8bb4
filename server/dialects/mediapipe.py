"""The `mediapipe` dialect: what MediaPipe's hand landmarker gives, for clients that were written for it.

World landmarks are metres about the hand's geometric centre, which is the mean of the 21 joints; `origin_world` in
each hand says where that centre is in the calibration's world frame. Their axes are those of the rig's first camera:
x right, y down, z away from the camera, as if MediaPipe had looked through it.

Image landmarks are given for each view in which at least one of them lies inside the picture and none behind the
camera. x and y run from 0 to 1 over the width and the height, from the outer edge of the first pixel to that of the
last. z is the depth behind the wrist, in the units of x: metres behind the wrist times focal length over the wrist's
depth, divided by the image width; negative is nearer to the camera than the wrist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from engine.hand_model.model import JOINT_NAMES, PARENTS_21
from engine.hand_model.rotations import matrix_from_quaternion, quaternion_from_matrix
from engine.types import HandPose
from server.dialects.base import DialectHand, Skeleton
from server.dialects.xr_joints import canonical_radii_m, seen_joints


@dataclass(frozen=True)
class MediaPipeDialect:
    """21 landmarks about the hand's centre, and their place in each picture."""

    name = "mediapipe"

    def skeleton(self, rig: Rig) -> Skeleton:
        """Describe the landmarks for the rig's first camera."""
        return Skeleton(
            dialect=self.name,
            units="metres; radians; covariance in square millimetres; image landmarks in [0, 1] of the picture",
            axes=(
                f"right-handed; x right, y down, z forward of camera {rig.cameras[0].id}; origin is the hand's centre "
                "(the mean of its joints, origin_world); mano stays in the calibration's world frame"
            ),
            joint_names=tuple(JOINT_NAMES),
            parents=tuple(PARENTS_21),
        )

    def hand(self, hand: HandPose, rig: Rig) -> DialectHand:
        """Move the hand to the first camera's axes, about its own centre."""
        R = _camera_rotation(rig)
        return DialectHand(
            joints=self.points(hand.joints_world, hand, rig),
            orientations_xyzw=quaternion_from_matrix(R @ matrix_from_quaternion(hand.orientations_xyzw)),
            covariance_mm2=R @ hand.covariance_mm2 @ R.T,
            radii=canonical_radii_m(hand),
            tracked=seen_joints(hand),
            extra={
                "origin_world": hand.joints_world.mean(axis=0),
                "image_landmarks": {
                    camera.id: landmarks
                    for camera in rig
                    if (landmarks := image_landmarks(hand.as_seen_by(camera), hand.joints_world)) is not None
                },
            },
        )

    def points(self, points_world: NDArray[np.float64], hand: HandPose, rig: Rig) -> NDArray[np.float64]:
        """Move points to the first camera's axes, about the hand's centre."""
        moved: NDArray[np.float64] = (points_world - hand.joints_world.mean(axis=0)) @ _camera_rotation(rig).T
        return moved


def image_landmarks(camera: Camera, joints_world: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Project joints to normalised image coordinates.

    Args:
        camera: The camera that looks.
        joints_world: The 21 joints `(21, 3)`, metres; the wrist is first.

    Returns:
        `(21, 3)`: x, y and relative depth as the module says; None where the hand is not in the picture.
    """
    joints_camera = camera.to_camera(joints_world)
    pixels = camera.project_camera(joints_camera)
    if not np.isfinite(pixels).all() or not camera.contains(pixels).any():
        return None
    size = np.array([camera.width, camera.height])
    wrist_depth_m = joints_camera[0, 2]
    depth = (joints_camera[:, 2] - wrist_depth_m) * camera.K[0, 0] / (wrist_depth_m * camera.width)
    return np.column_stack([(pixels + 0.5) / size, depth])


def _camera_rotation(rig: Rig) -> NDArray[np.float64]:
    return rig.cameras[0].T_camera_world[:3, :3]
