"""Which of many frame sets to solve from: those that show the board where and how it was not yet seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from calibration.solving.timing import MovingView

MAX_INSTANTS: Final = 150
"""More say little that is new, and take time."""

_COLUMNS, _ROWS = 6, 4

Kind = tuple[str, int, int, int, int]


def choose_instants(
    views: Sequence[MovingView], sizes: Mapping[str, tuple[int, int]], most: int = MAX_INSTANTS
) -> frozenset[int]:
    """Choose frame sets whose sights differ most: where in the picture, how near, how turned.

    Args:
        views: All sights.
        sizes: Picture sizes by camera.
        most: How many to choose at most.
    """
    kinds: dict[int, list[Kind]] = defaultdict(list)
    for view in views:
        kinds[view.instant].append(_kind(view, sizes[view.camera_id]))
    if len(kinds) <= most:
        return frozenset(kinds)
    seen: Counter[Kind] = Counter()
    left = dict(kinds)
    chosen: set[int] = set()
    while len(chosen) < most:
        best = max(left, key=lambda instant: (sum(1.0 / (1 + seen[kind]) for kind in left[instant]), -instant))
        seen.update(left.pop(best))
        chosen.add(best)
    return frozenset(chosen)


def _kind(view: MovingView, size: tuple[int, int]) -> Kind:
    """Sort a sight by camera, cell of the picture, size (in steps of 1.5) and turn in the picture (in eighths)."""
    middle = view.corners_px.mean(axis=0)
    away = view.corners_px - middle
    column, row = (min(int(m / s * n), n - 1) for m, s, n in zip(middle, size, (_COLUMNS, _ROWS), strict=True))
    spread, axes = np.linalg.eigh(away.T @ away / len(away))
    near = round(float(np.log(np.sqrt(max(float(spread[1]), 1e-6)) / size[0]) / np.log(1.5)))
    turn = int((np.arctan2(axes[1, 1], axes[0, 1]) % np.pi) / (np.pi / 4))
    return view.camera_id, max(column, 0), max(row, 0), near, turn
