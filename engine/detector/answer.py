"""A track's estimate in the form that leaves the engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from engine.detector.track import Estimate, Track
from engine.hand_model.model import PosedHand
from engine.hand_model.rotations import quaternion_from_matrix
from engine.triangulation import view_medians
from engine.types import HandPose

VIEW_USED_WEIGHT = 0.2
"""A view whose robust weight is lower was not used, whatever little it pulled."""

# Tips turn with the last bone of their finger.
_ROTATION_OF_JOINT = np.array([0, 13, 14, 15, 15, 1, 2, 3, 3, 4, 5, 6, 6, 10, 11, 12, 12, 7, 8, 9, 9])


def orientations_xyzw(posed: PosedHand) -> NDArray[np.float64]:
    """Global rotation of each canonical joint `(21, 4)`."""
    orientations: NDArray[np.float64] = quaternion_from_matrix(posed.rotations)[_ROTATION_OF_JOINT]
    return orientations


def found_and_answered(
    camera: Camera, directions: NDArray[np.float64], joints_world: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare what a view found with the answer, in the camera's own picture.

    Args:
        camera: The view's camera.
        directions: Directions of the joints that it found `(21, 3)`, camera axes.
        joints_world: The answer `(21, 3)`, metres.

    Returns:
        What was found `(21, 2)` and how far the answer lies from it `(21,)`, distorted pixels; NaN outside the lens.
    """
    # Both at once: the lens model costs by the call.
    found, answered = camera.project_camera(np.stack([directions, camera.to_camera(joints_world)]))
    return found, np.linalg.norm(answered - found, axis=1)


def median_px(error_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over each view's joints `(V,)` that have an error `(V, 21)`; NaN where none has."""
    median = view_medians(error_px, ~np.isnan(error_px))
    return np.where(np.isinf(median), np.nan, median)


def hand_pose(track: Track, estimate: Estimate, rig: Rig) -> HandPose:
    """Put a track's estimate into the form that leaves the engine."""
    count = len(rig)
    keypoints = np.full((count, 21, 2), np.nan)
    error_px = np.full((count, 21), np.nan)
    presence = np.zeros(count)
    triangulated = estimate.triangulated
    used = triangulated.view_weight >= VIEW_USED_WEIGHT
    for view in estimate.views:
        keypoints[view.view], error_px[view.view] = found_and_answered(
            rig.cameras[view.view], view.joint_directions(), estimate.joints_world
        )
        presence[view.view] = view.landmarks.presence
    error_px[~used] = np.nan
    return HandPose(
        id=track.id,
        side=track.side,
        confidence=float((presence * triangulated.view_weight)[used].mean()) if used.any() else 0.0,
        joints_world=estimate.joints_world,
        covariance_mm2=estimate.covariance_m2 * 1e6,
        pose=estimate.fitted.pose,
        shape=estimate.fitted.posed.shaped.shape,
        translation=estimate.fitted.translation,
        orientations_xyzw=orientations_xyzw(estimate.fitted.posed),
        posed=estimate.fitted.posed,
        view_confidence=triangulated.weights * presence[:, None],
        view_weight=triangulated.view_weight,
        reprojection_px=median_px(error_px),
        keypoints_px=keypoints,
        rig=rig,
    )
