"""A track's estimate in the form that leaves the engine."""

from __future__ import annotations

import numpy as np

from calibration import Rig
from engine.detector.track import Estimate, Track
from engine.hand_model.rotations import quaternion_from_matrix
from engine.types import HandPose

# Tips turn with the last bone of their finger.
_ROTATION_OF_JOINT = np.array([0, 13, 14, 15, 15, 1, 2, 3, 3, 4, 5, 6, 6, 10, 11, 12, 12, 7, 8, 9, 9])
_VIEW_USED_WEIGHT = 0.2


def hand_pose(track: Track, estimate: Estimate, rig: Rig) -> HandPose:
    """Put a track's estimate into the form that leaves the engine."""
    count = len(rig)
    keypoints = np.full((count, 21, 2), np.nan)
    reprojection = np.full(count, np.nan)
    presence = np.zeros(count)
    triangulated = estimate.triangulated
    used = triangulated.view_weight >= _VIEW_USED_WEIGHT
    for view in estimate.views:
        camera = rig.cameras[view.view]
        # Both at once: the lens model costs by the call.
        found, answered = camera.project_camera(
            np.stack([view.joint_directions(), camera.to_camera(estimate.joints_world)])
        )
        keypoints[view.view] = found
        presence[view.view] = view.landmarks.presence
        if used[view.view]:
            error = np.linalg.norm(answered - found, axis=1)
            reprojection[view.view] = float(np.nanmedian(error)) if np.isfinite(error).any() else np.nan
    quaternions = quaternion_from_matrix(estimate.fitted.posed.rotations)
    return HandPose(
        id=track.id,
        side=track.side,
        confidence=float((presence * triangulated.view_weight)[used].mean()) if used.any() else 0.0,
        joints_world=estimate.joints_world,
        covariance_mm2=estimate.covariance_m2 * 1e6,
        pose=estimate.fitted.pose,
        shape=estimate.fitted.posed.shaped.shape,
        translation=estimate.fitted.translation,
        orientations_xyzw=quaternions[_ROTATION_OF_JOINT],
        posed=estimate.fitted.posed,
        view_confidence=triangulated.weights * presence[:, None],
        view_weight=triangulated.view_weight,
        reprojection_px=reprojection,
        keypoints_px=keypoints,
    )
