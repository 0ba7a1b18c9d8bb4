"""Which hands of different views are the same hand: by geometry, with side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from calibration import Rig
from engine.detector.views import HandView, observe
from engine.triangulation import Triangulated, triangulate

# Wrist to middle knuckle of any human hand, metres, with room for the network's error.
_PALM_LENGTH_M = (0.045, 0.15)
_WRIST, _MIDDLE_KNUCKLE = 0, 9


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """Views that show one hand.

    Args:
        views: One entry a view, at least two.
        triangulated: Their joints.
        cost_px: Median residual over views and joints, crop pixels.
    """

    views: list[HandView]
    triangulated: Triangulated
    cost_px: float


def plausible_palm(triangulated: Triangulated) -> bool:
    """Whether the palm is as long as a human one."""
    joints = triangulated.joints_world
    length = float(np.linalg.norm(joints[_MIDDLE_KNUCKLE] - joints[_WRIST]))
    return _PALM_LENGTH_M[0] <= length <= _PALM_LENGTH_M[1]


def associate(detections: list[HandView], rig: Rig, max_cost_px: float) -> list[Candidate]:
    """Group detections of one instant into hands.

    Pairs of views that agree best start a hand; the other views' detections join where they agree with it. A detection
    belongs to one hand, and a hand has one detection a view.

    Args:
        detections: Hands found in single views.
        rig: The cameras.
        max_cost_px: Largest median residual of views of one hand, crop pixels.

    Returns:
        Hands seen by at least two views, best first.
    """
    pairs = []
    for a, b in combinations(range(len(detections)), 2):
        if detections[a].view == detections[b].view:
            continue
        candidate = _candidate([detections[a], detections[b]], rig)
        if candidate is not None and candidate.cost_px <= max_cost_px:
            disagree = (detections[a].landmarks.right_probability > 0.5) != (
                detections[b].landmarks.right_probability > 0.5
            )
            pairs.append((candidate.cost_px + (max_cost_px / 2 if disagree else 0.0), a, b, candidate))
    pairs.sort(key=lambda entry: entry[0])
    taken: set[int] = set()
    hands = []
    for _, a, b, candidate in pairs:
        if a in taken or b in taken:
            continue
        taken |= {a, b}
        hand = candidate
        views = {detections[a].view, detections[b].view}
        for extra in sorted({d.view for d in detections} - views):
            best: tuple[float, int, Candidate] | None = None
            for index, detection in enumerate(detections):
                if detection.view != extra or index in taken:
                    continue
                grown = _candidate([*hand.views, detection], rig)
                # The newcomer itself must agree: the median of all would hide one view.
                if grown is None or np.nanmedian(grown.triangulated.residual_px[extra]) > max_cost_px:
                    continue
                if best is None or grown.cost_px < best[0]:
                    best = (grown.cost_px, index, grown)
            if best is not None:
                taken.add(best[1])
                hand = best[2]
        hands.append(hand)
    return hands


def _candidate(views: list[HandView], rig: Rig) -> Candidate | None:
    triangulated = triangulate(observe(views, rig))
    if triangulated is None or not plausible_palm(triangulated):
        return None
    return Candidate(views, triangulated, float(np.nanmedian(triangulated.residual_px)))
