"""Whether an answer of the network is a hand, and how far each view bears it out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.detector.association import plausible_hand
from engine.tracker.answer import NetworkAnswer
from engine.tracker.config import JudgeConfig

_MIN_VIEWS = 2


def seeing_views(answer: NetworkAnswer, config: JudgeConfig) -> list[int]:
    """The views that see a hand at all, by their mean confidence."""
    return [v for v in answer.aim.views if answer.view_confidence[v].mean() >= config.min_view_confidence]


def accepted(answer: NetworkAnswer, config: JudgeConfig) -> bool:
    """Whether the answer is a hand: made of numbers, of a hand's form, and borne out by two views at least.

    The network always answers something, also where there is no hand any more; it has no output that says so.
    """
    if not answer.valid or not answer.finite:
        return False
    agreeing = sum(
        float(np.median(answer.reprojection_crop_px[view])) <= config.max_disagreement * crop.size_px
        for view in seeing_views(answer, config)
        if (crop := answer.aim.crops[view]) is not None
    )
    return agreeing >= _MIN_VIEWS and plausible_hand(answer.joints_world) and plausible_hand(answer.mano_joints_world)


def view_weights(answer: NetworkAnswer, joints_world: NDArray[np.float64], config: JudgeConfig) -> NDArray[np.float64]:
    """How far each view bears out the answer `(V,)`, in [0, 1]; 0 where it does not see the hand.

    Args:
        answer: What the network said.
        joints_world: What is answered in the end `(21, 3)`, metres.
        config: Settings.
    """
    rig = answer.aim.rig
    weights = np.zeros(len(rig))
    for view in seeing_views(answer, config):
        crop = answer.aim.crops[view]
        if crop is None:
            continue
        projection = crop.projection(rig.cameras[view])
        moved = joints_world @ projection[:, :3].T + projection[:, 3]
        if (moved[:, 2] <= 0).any():
            continue
        away_px = np.linalg.norm(
            crop.pixels(moved[:, :2] / moved[:, 2:]) - answer.keypoints_crop_px[view],
            axis=1,
        )
        share = float(np.median(away_px)) / (config.view_outlier * crop.size_px)
        weights[view] = 1 / (1 + share**2) ** 2
    return weights
