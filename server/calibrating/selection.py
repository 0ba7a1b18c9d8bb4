"""Which of many frame sets to solve from: those that show the board where and how it was not yet seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from calibration.solving.timing import MovingView

MAX_INSTANTS: Final = 150
"""More say little that is new, and take time."""

_COLUMNS, _ROWS = 6, 4
_ENOUGH_SIGHTS: Final = 30
"""Of one camera: so many lenses are solved well from (docs/calibration.md)."""

_ENOUGH_SHARED: Final = 15
_FIRST: Final = 100.0
"""What is needed comes before all that is only new."""

Kind = tuple[str, ...] | tuple[str, int, int, int, int]


def choose_instants(
    views: Sequence[MovingView], sizes: Mapping[str, tuple[int, int]], most: int = MAX_INSTANTS
) -> frozenset[int]:
    """Choose frame sets whose sights differ most: where in the picture, how near, how turned.

    First come those without which nothing is solved: some of every camera, and of the pairs of cameras that join the
    rig, which may share only a few among thousands.

    Args:
        views: All sights.
        sizes: Picture sizes by camera.
        most: How many to choose at most.
    """
    kinds: dict[int, list[Kind]] = defaultdict(list)
    saw: dict[int, list[str]] = defaultdict(list)
    for view in views:
        kinds[view.instant].append(_kind(view, sizes[view.camera_id]))
        saw[view.instant].append(view.camera_id)
    if len(kinds) <= most:
        return frozenset(kinds)
    joining = _joining_pairs(saw.values())
    for instant, cameras in saw.items():
        kinds[instant] += [(camera_id,) for camera_id in cameras]
        kinds[instant] += [pair for pair in combinations(sorted(cameras), 2) if pair in joining]
    worth = {kind: _worth(kind, 0) for own in kinds.values() for kind in own}
    seen: Counter[Kind] = Counter()
    chosen: set[int] = set()
    while len(chosen) < most:
        best = max(kinds, key=lambda instant: (sum(map(worth.__getitem__, kinds[instant])), -instant))
        chosen.add(best)
        for kind in kinds.pop(best):
            seen[kind] += 1
            worth[kind] = _worth(kind, seen[kind])
    return frozenset(chosen)


def _worth(kind: Kind, seen: int) -> float:
    """Return what one more of a kind is worth: a camera, a pair of cameras, or a sort of sight."""
    enough = {1: _ENOUGH_SIGHTS, 2: _ENOUGH_SHARED}.get(len(kind))
    if enough is None:
        return 1.0 / (1 + seen)
    return _FIRST / (1 + seen) if seen < enough else 0.0


def _joining_pairs(together: Iterable[Sequence[str]]) -> frozenset[tuple[str, str]]:
    """Return the pairs of cameras along which the rig hangs together by the most shared frame sets."""
    shared = Counter(pair for cameras in together for pair in combinations(sorted(cameras), 2))
    group = {camera_id: camera_id for pair in shared for camera_id in pair}
    joining = set()
    for one, other in sorted(shared, key=lambda pair: (-shared[pair], pair)):
        old, new = group[other], group[one]
        if old != new:
            joining.add((one, other))
            group = {camera_id: new if own == old else own for camera_id, own in group.items()}
    return frozenset(joining)


def _kind(view: MovingView, size: tuple[int, int]) -> Kind:
    """Sort a sight by camera, cell of the picture, size (in steps of 1.5) and turn in the picture (in eighths)."""
    middle = view.corners_px.mean(axis=0)
    away = view.corners_px - middle
    column, row = (min(int(m / s * n), n - 1) for m, s, n in zip(middle, size, (_COLUMNS, _ROWS), strict=True))
    spread, axes = np.linalg.eigh(away.T @ away / len(away))
    near = round(float(np.log(np.sqrt(max(float(spread[1]), 1e-6)) / size[0]) / np.log(1.5)))
    turn = int((np.arctan2(axes[1, 1], axes[0, 1]) % np.pi) / (np.pi / 4))
    return view.camera_id, max(column, 0), max(row, 0), near, turn
