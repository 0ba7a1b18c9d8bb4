"""The board as the cameras measure it: corners where their rays meet, and how those lie against the board's spec."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.observations import BoardView

Corner = tuple[int, int]
"""An instant, and a corner's number."""

_FEWEST_TO_LAY: Final = 6
_FEWEST_INSTANTS: Final = 5
# Of the smallest to the largest eigenvalue: rays that are closer to parallel, by 0.002 degrees, meet nowhere.
_LEAST_CROSSING: Final = 1e-9
# A shape is one where what corners have in common at all instants is this much more than chance leaves of it, squared.
_BEYOND_CHANCE: Final = 2.0
# Of the median's standard deviation to the mean's, and of the median absolute deviation to the standard deviation.
_MEDIAN_SIGMAS: Final = 1.2533
_DEVIATIONS: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Misshape:
    """How far a board's corners lie from its spec always the same way, rms over corners, beyond what chance does.

    Args:
        in_plane_mm: Along the board: a print that is stretched.
        out_of_plane_mm: Out of it: a board that is bent.
    """

    in_plane_mm: float = 0.0
    out_of_plane_mm: float = 0.0


def triangulated(cameras: Sequence[Camera], views: Sequence[BoardView]) -> dict[Corner, NDArray[np.float64]]:
    """Return corners `(3,)` in the world by instant and number: those in which rays of two cameras or more cross."""
    by_id = {camera.id: camera for camera in cameras}
    rows: dict[Corner, list[NDArray[np.float64]]] = defaultdict(list)
    for view in views:
        camera = by_id[view.camera_id]
        T = camera.T_camera_world
        rays = camera.unproject(view.corners_px)
        # Rows in pixels, so that cameras of all focal lengths weigh alike.
        own = camera.K[0, 0] * (rays[:, :, None] * T[2] - T[:2])
        for corner, pair in zip(view.corner_ids.tolist(), own, strict=True):
            rows[view.instant, corner].append(pair)
    by_count: dict[int, list[Corner]] = defaultdict(list)
    for key, pairs in rows.items():
        if len(pairs) >= 2 and np.isfinite(pairs).all():
            by_count[len(pairs)].append(key)
    points: dict[Corner, NDArray[np.float64]] = {}
    for keys in by_count.values():
        A = np.array([np.vstack(rows[key]) for key in keys])
        turned_over = A[:, :, :3].transpose(0, 2, 1)
        normal = turned_over @ A[:, :, :3]
        sizes = np.linalg.eigvalsh(normal)
        cross = sizes[:, 0] > _LEAST_CROSSING * sizes[:, 2]
        solved = -np.linalg.solve(normal[cross], (turned_over @ A[:, :, 3:])[cross])[:, :, 0]
        points.update(zip((key for key, there in zip(keys, cross, strict=True) if there), solved, strict=True))
    return points


def neighbours_mm(
    points: Mapping[Corner, NDArray[np.float64]], points_board: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return distances between neighbouring corners less the board's own, millimetres.

    Args:
        points: As `triangulated` has them.
        points_board: The board's corners `(P, 3)`, metres.
        edges: Pairs of neighbouring corners `(E, 2)`.
    """
    true_m = np.linalg.norm(points_board[edges[:, 0]] - points_board[edges[:, 1]], axis=1)
    away = [
        np.linalg.norm(points[instant, one] - points[instant, other]) - length
        for instant in {key[0] for key in points}
        for (one, other), length in zip(edges.tolist(), true_m, strict=True)
        if (instant, one) in points and (instant, other) in points
    ]
    return 1000.0 * np.array(away, dtype=np.float64)


def off_board_mm(
    points: Mapping[Corner, NDArray[np.float64]], points_board: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far corners lie from the board, laid among those of their instant as well as it fits, millimetres."""
    away = [np.linalg.norm(off, axis=1) for _, off in _laid(points, points_board)]
    return 1000.0 * np.concatenate([np.empty(0), *away])


def misshape(points: Mapping[Corner, NDArray[np.float64]], points_board: NDArray[np.float64]) -> Misshape:
    """Tell a board that is not as its spec has it: its corners lie off the same way wherever it is held.

    Args:
        points: As `triangulated` has them.
        points_board: The board's corners `(P, 3)`, metres.
    """
    by_corner: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    for corners, off in _laid(points, points_board):
        for corner, row in zip(corners, off, strict=True):
            by_corner[corner].append(row)
    series = [np.array(rows) for rows in by_corner.values() if len(rows) >= _FEWEST_INSTANTS]
    if len(series) < _FEWEST_TO_LAY:
        return Misshape()
    # Medians: a corner that is far off at one instant is detection's error.
    common = np.array([np.median(rows, axis=0) for rows in series])
    chance = np.array(
        [
            _MEDIAN_SIGMAS * _DEVIATIONS * np.median(np.abs(rows - middle), axis=0) / np.sqrt(len(rows))
            for rows, middle in zip(series, common, strict=True)
        ]
    )
    along, across = (_beyond_chance_mm(common[:, part], chance[:, part]) for part in (slice(0, 2), slice(2, 3)))
    return Misshape(along, across)


def _beyond_chance_mm(common: NDArray[np.float64], chance: NDArray[np.float64]) -> float:
    found, expected = float((common**2).sum(axis=1).mean()), float((chance**2).sum(axis=1).mean())
    return 1000.0 * float(np.sqrt(found - expected)) if found > _BEYOND_CHANCE * expected else 0.0


def _laid(
    points: Mapping[Corner, NDArray[np.float64]], points_board: NDArray[np.float64]
) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
    """Lay the board among each instant's corners: which they are, and how far they lie off it `(n, 3)` by its axes."""
    by_instant: dict[int, list[int]] = defaultdict(list)
    for instant, corner in points:
        by_instant[instant].append(corner)
    for instant, corners in by_instant.items():
        if len(corners) < _FEWEST_TO_LAY:
            continue
        found = np.array([points[instant, corner] for corner in corners])
        board = points_board[corners]
        found, board = found - found.mean(axis=0), board - board.mean(axis=0)
        U, _, Vt = np.linalg.svd(board.T @ found)
        turn = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
        yield corners, found @ turn.T - board
