"""How a board moves in each camera's pictures, from one to the next."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.solving.timing import MovingView
from server.calibrating.footage import Footage, Sight

_NEAR_NS: Final = 400_000_000
"""Pictures farther apart say nothing of how the board moves between them."""


def moving_views(footage: Footage) -> tuple[MovingView, ...]:
    """Add to each sight how its corners move: a parabola through the pictures before and after, or a line through one.

    Returns:
        In the order of the footage.
    """
    by_camera: dict[str, list[Sight]] = defaultdict(list)
    for sight in footage.sights:
        by_camera[sight.camera_id].append(sight)
    views: dict[tuple[str, int], MovingView] = {}
    for sights in by_camera.values():
        for place, sight in enumerate(sights):
            around = [s for s in sights[max(0, place - 1) : place + 2] if s is not sight]
            near = [s for s in around if abs(s.timestamp_ns - sight.timestamp_ns) <= _NEAR_NS]
            velocity, bend = _motion(sight, near)
            views[sight.camera_id, sight.instant] = MovingView(
                sight.camera_id,
                sight.instant,
                sight.corner_ids,
                sight.corners_px,
                (footage.instants_ns[sight.instant] - sight.timestamp_ns) / 1e9,
                velocity,
                bend,
            )
    return tuple(views[sight.camera_id, sight.instant] for sight in footage.sights)


def _motion(sight: Sight, near: list[Sight]) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Return velocity `(N, 2)` in px/s, and bend `(N, 2)` in px/s^2; no velocity if nobody knows."""
    nothing = np.zeros_like(sight.corners_px)
    times_s, slopes = [], []
    for other in near:
        time_s = (other.timestamp_ns - sight.timestamp_ns) / 1e9
        displacement = _displacement_px(sight, other)
        if displacement is not None and time_s != 0:
            times_s.append(time_s)
            slopes.append(displacement / time_s)
    if not slopes:
        return None, nothing
    if len(slopes) == 1:
        return slopes[0], nothing
    # Newton's form of the parabola: the slope to one picture, and how it changes on to the other.
    bend = (slopes[1] - slopes[0]) / (times_s[1] - times_s[0])
    return slopes[0] - bend * times_s[0], bend


def _displacement_px(sight: Sight, other: Sight) -> NDArray[np.float64] | None:
    """Return how far each corner `(N, 2)` is from where another sight has it; the median where it has not."""
    _, own, others = np.intersect1d(sight.corner_ids, other.corner_ids, return_indices=True)
    if not len(own):
        return None
    displacement = np.full_like(sight.corners_px, np.nan)
    displacement[own] = other.corners_px[others] - sight.corners_px[own]
    return np.where(np.isnan(displacement), np.median(displacement[own], axis=0), displacement)
