"""A track's estimate in the form that leaves the engine."""

from __future__ import annotations

import numpy as np

from engine.detector.answer import VIEW_USED_WEIGHT, found_and_answered, median_px, orientations_xyzw
from engine.hand_model.rotations import axis_angle_from_matrix
from engine.tracker.config import JudgeConfig
from engine.tracker.judge import seeing_views, view_weights
from engine.tracker.track import Estimate, NetworkTrack
from engine.types import HandPose


def hand_pose(track: NetworkTrack, estimate: Estimate, config: JudgeConfig) -> HandPose:
    """Put a track's estimate into the form that leaves the engine."""
    answer = estimate.answer
    rig = answer.aim.rig
    weight = view_weights(answer, estimate.joints_world, config)
    used = weight >= VIEW_USED_WEIGHT
    keypoints = np.full((len(rig), 21, 2), np.nan)
    error_px = np.full((len(rig), 21), np.nan)
    for view in seeing_views(answer, config):
        crop = answer.aim.crops[view]
        if crop is None:
            continue
        keypoints[view], error_px[view] = found_and_answered(
            rig.cameras[view], crop.to_camera(answer.keypoints_crop_px[view]), estimate.joints_world
        )
    error_px[~used] = np.nan
    confidence = answer.view_confidence.mean(axis=1) * weight
    return HandPose(
        id=track.id,
        side=track.side,
        confidence=float(np.clip(confidence[used].mean(), 0.0, 1.0)) if used.any() else 0.0,
        joints_world=estimate.joints_world,
        covariance_mm2=answer.covariance_mm2,
        pose=axis_angle_from_matrix(estimate.rotations).ravel(),
        shape=estimate.posed.shaped.shape,
        translation=estimate.translation,
        orientations_xyzw=orientations_xyzw(estimate.posed),
        posed=estimate.posed,
        view_confidence=answer.view_confidence * weight[:, None],
        view_weight=weight,
        reprojection_px=median_px(error_px),
        keypoints_px=keypoints,
        rig=rig,
    )
