"""Which hands of different views are the same hand: by geometry, with side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from engine.detector.views import HandView, observe
from engine.hand_model.model import PARENTS_21
from engine.triangulation import (
    Observations,
    RobustConfig,
    Triangulated,
    residuals_px,
    triangulate,
    view_medians,
    weighted_dlt,
)

# Wrist to middle knuckle of any human hand, metres, with room for the network's error.
_PALM_LENGTH_M = (0.045, 0.15)
_WRIST, _MIDDLE_KNUCKLE = 0, 9
# Lengths of the bones that end at joints 1 to 20, in lengths of the palm, roughly.
_BONES_IN_PALMS = np.array(
    [0.45, 0.36, 0.35, 0.3, 1.0, 0.42, 0.27, 0.26, 1.0, 0.46, 0.3, 0.27, 0.95, 0.42, 0.28, 0.27, 0.9, 0.33, 0.2, 0.22]
)
_BONE_TOLERANCE = 2.5
_PLAUSIBLE_BONES = 15
# How much farther than the limit a view may be from a pair's joints to be tried with it: a pair alone is less sure.
_TRIAL_FACTOR = 2.0


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """Views that show one hand.

    Args:
        views: One entry a view, at least two.
        triangulated: Their joints.
        cost_px: Mean residual over views and joints, crop pixels.
    """

    views: list[HandView]
    triangulated: Triangulated
    cost_px: float


@dataclass(frozen=True, eq=False, slots=True)
class _Guess:
    """A pair of detections taken for one hand, and the others that would join it, as indices of detections."""

    members: tuple[int, ...]
    cost_px: float


def plausible_hand(joints_world: NDArray[np.float64]) -> bool:
    """Whether joints `(21, 3)`, metres, could be a human hand's: its palm's length, and most bones in proportion."""
    palm_m = float(np.linalg.norm(joints_world[_MIDDLE_KNUCKLE] - joints_world[_WRIST]))
    if not _PALM_LENGTH_M[0] <= palm_m <= _PALM_LENGTH_M[1]:
        return False
    ratio = np.linalg.norm(joints_world[1:] - joints_world[list(PARENTS_21[1:])], axis=1) / (palm_m * _BONES_IN_PALMS)
    fitting = (ratio > 1 / _BONE_TOLERANCE) & (ratio < _BONE_TOLERANCE)
    return int(np.count_nonzero(fitting)) >= _PLAUSIBLE_BONES


def agree(views: list[HandView], rig: Rig, max_disagreement_px: float, robust: RobustConfig) -> Triangulated | None:
    """Triangulate what views saw of one hand.

    Args:
        views: What they saw.
        rig: The cameras.
        max_disagreement_px: Median residual up to which a view agrees, crop pixels.
        robust: How far a view is believed.

    Returns:
        The joints; None when no two views agree on a hand.
    """
    triangulated = triangulate(observe(views, rig), robust)
    if triangulated is None or not plausible_hand(triangulated.joints_world):
        return None
    residual = triangulated.residual_px
    agreeing = view_medians(residual, ~np.isnan(residual)) <= max_disagreement_px
    return triangulated if np.count_nonzero(agreeing) >= 2 else None


def associate(detections: list[HandView], rig: Rig, max_cost_px: float) -> list[Candidate]:
    """Group detections of one instant into hands.

    Every pair of views that could show one hand is tried with the other views' detections. The hand that most views
    agree on is taken first, then the next of what is left: two views can agree on a ghost by chance, more hardly can. A
    detection belongs to one hand, and a hand has one detection a view.

    Args:
        detections: Hands found in single views.
        rig: The cameras.
        max_cost_px: Largest mean residual of a view of one hand, crop pixels.

    Returns:
        Hands seen by at least two views, in the order in which they were taken.
    """
    pairs, away_px = _pairs(detections, rig)
    hands = []
    left = set(range(len(detections)))
    while True:
        guesses = [
            guess
            for pair, away in zip(pairs, away_px, strict=True)
            if left.issuperset(pair) and (guess := _guess(pair, away, detections, left, max_cost_px)) is not None
        ]
        guesses.sort(key=lambda guess: (-len(guess.members), guess.cost_px))
        for guess in guesses:
            candidate = _agreeing([detections[index] for index in guess.members], rig, max_cost_px)
            if candidate is not None:
                hands.append(candidate)
                left -= {index for index in guess.members if detections[index] in candidate.views}
                break
        else:
            return hands


def _pairs(detections: list[HandView], rig: Rig) -> tuple[list[tuple[int, int]], NDArray[np.float64]]:
    """Find the pairs of detections that could show one hand.

    Returns:
        Pairs of two views, as indices of detections; and how far each detection is from each pair's joints by the plain
        DLT, the mean over the joints `(P, D)`, crop pixels.
    """
    pairs = [
        pair for pair in combinations(range(len(detections)), 2) if len({detections[index].view for index in pair}) == 2
    ]
    if not pairs:
        return [], np.zeros((0, len(detections)))
    # All at once: there are many pairs in a rig of many cameras.
    observed = Observations(
        projections=np.stack([seen.crop.projection(rig.cameras[seen.view]) for seen in detections]),
        points=np.stack([seen.crop.rays(seen.landmarks.keypoints_crop_px) for seen in detections]),
        focals_px=np.array([seen.crop.focal_px for seen in detections]),
        confidence=np.ones((len(detections), 21)),
    )
    members = np.array(pairs)
    joints = weighted_dlt(observed.projections[members], observed.points[members], observed.confidence[members])
    plausible = [index for index, hand in enumerate(joints) if plausible_hand(hand)]
    return [pairs[index] for index in plausible], residuals_px(observed, joints[plausible]).mean(axis=-1)


def _guess(
    pair: tuple[int, int],
    away_px: NDArray[np.float64],
    detections: list[HandView],
    left: set[int],
    max_cost_px: float,
) -> _Guess | None:
    """Find the other views' detections that lie on a pair's joints; None where the pair itself does not."""
    away = {index: float(away_px[index]) for index in left}
    if max(away[index] for index in pair) > max_cost_px:
        return None
    members, costs = list(pair), [away[index] for index in pair]
    for view in {detections[index].view for index in left} - {detections[index].view for index in pair}:
        best = min((index for index in left if detections[index].view == view), key=away.__getitem__)
        if away[best] <= _TRIAL_FACTOR * max_cost_px:
            members.append(best)
            costs.append(away[best])
    right = [detections[index].landmarks.right_probability > 0.5 for index in members]
    # Views that disagree on the side are less likely one hand, though the network often errs.
    minority = min(np.count_nonzero(right), len(right) - np.count_nonzero(right))
    return _Guess(tuple(members), float(np.mean(costs)) + max_cost_px * minority / len(members))


def _agreeing(views: list[HandView], rig: Rig, max_cost_px: float) -> Candidate | None:
    """Triangulate views, leaving out the worst until all agree; None when fewer than two do."""
    while len(views) >= 2:
        triangulated = triangulate(observe(views, rig))
        if triangulated is None:
            return None
        residual = triangulated.residual_px[[view.view for view in views]].mean(axis=1)
        worst = int(np.argmax(residual))
        if residual[worst] <= max_cost_px:
            if not plausible_hand(triangulated.joints_world):
                return None
            return Candidate(views, triangulated, float(residual.mean()))
        views = views[:worst] + views[worst + 1 :]
    return None
