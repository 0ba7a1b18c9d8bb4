"""How good a calibration is, in pixels and millimetres, on sights that it was not solved from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.observations import BoardView
from calibration.solving.bundle import Bundle, adjust
from calibration.solving.lenses import held_belief, rms_px
from calibration.solving.places import board_poses
from calibration.solving.projection import LENS_NAMES, lens_of, project_with_derivatives

Verdict = Literal["good", "usable", "bad"]

GOOD_PX: Final = 0.5
GOOD_MM: Final = 1.0
USABLE_PX: Final = 1.5
USABLE_MM: Final = 3.0
"""Fingers need the first pair (the project's conventions); beyond the second, hands are visibly off."""

PLACE_NAMES: Final = ("turn x", "turn y", "turn z", "x", "y", "z")
"""What a place's numbers are called, after those of the lens: a turn by the camera's axes, and a shift."""

COVERAGE_GRID: Final = (8, 6)
_COVERED: Final = 0.4
_LONE_PX: Final = 2.0
_LONE_MEDIANS: Final = 6.0
_FEWEST_TO_LAY: Final = 6
_SURE_PX: Final = 2.0
_PUNCTUAL_S: Final = 0.01


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """What held-out sights say.

    Args:
        residuals_px: Measured minus projected `(N, 2)` of each sight, the board posed by all sights of its instant.
        views: The sights.
        neighbours_mm: Distances between neighbouring corners, triangulated from all views of an instant, less the
            board's own; millimetres.
        off_board_mm: Distances of triangulated corners from the board that fits those of their instant best.
        outliers: How many corners were left out, each far off in a sight that is not.
    """

    residuals_px: tuple[NDArray[np.float64], ...]
    views: tuple[BoardView, ...]
    neighbours_mm: NDArray[np.float64]
    off_board_mm: NDArray[np.float64]
    outliers: int

    @property
    def rms_px(self) -> float:
        """Rms over corners; NaN without any."""
        return rms_px(self.residuals_px)

    def camera_rms_px(self, camera_id: str) -> float:
        """Rms over one camera's corners; NaN without any."""
        own = [r for r, v in zip(self.residuals_px, self.views, strict=True) if v.camera_id == camera_id]
        return rms_px(own)

    @property
    def rms_off_board_mm(self) -> float:
        """Rms over triangulated corners; NaN without any."""
        return float(np.sqrt(np.mean(self.off_board_mm**2))) if self.off_board_mm.size else float("nan")

    @property
    def median_neighbour_mm(self) -> float:
        """Median deviation of a distance between neighbours, with its sign: a scale that is off; NaN without any."""
        return float(np.median(self.neighbours_mm)) if self.neighbours_mm.size else float("nan")

    @property
    def spread_neighbour_mm(self) -> float:
        """Median size of the deviation of a single distance; NaN without any."""
        return float(np.median(np.abs(self.neighbours_mm))) if self.neighbours_mm.size else float("nan")


@dataclass(frozen=True, slots=True)
class WeakNumber:
    """The number of a camera that is known worst.

    Args:
        name: Which.
        sigma: Its standard deviation in its own unit: pixels, none, radians or metres.
        effect_px: What that moves in the picture at most, pixels.
    """

    name: str
    sigma: float
    effect_px: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """A calibration, judged.

    Args:
        verdict: In one word.
        reasons: Why, worst first, each with what to do.
        weakest_camera: The camera with the largest held-out error.
        weakest: The worst known number of each camera, by its id.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    weakest_camera: str
    weakest: Mapping[str, WeakNumber]


def hold_out(
    cameras: Sequence[Camera],
    views: Sequence[BoardView],
    points_board: NDArray[np.float64],
    edges: NDArray[np.int64],
) -> HeldOut:
    """Look at held-out sights with a calibration; the board's poses are all that is fitted.

    Args:
        cameras: The calibration.
        views: Sights of instants that it was not solved from; those that one camera alone saw say nothing of places.
        points_board: The board.
        edges: Pairs of neighbouring corners `(E, 2)`.
    """
    count: dict[int, int] = defaultdict(int)
    for view in views:
        count[view.instant] += 1
    used = tuple(v for v in views if count[v.instant] >= min(2, len(cameras)))
    if not used:
        return HeldOut((), (), np.empty(0), np.empty(0), 0)
    start = Bundle(tuple(cameras), board_poses(cameras, used, points_board))
    beliefs = {camera.id: held_belief(camera) for camera in cameras}
    robust = adjust(start, used, points_board, beliefs, places_free=False)
    used, outliers = _without_lone_outliers(used, robust.residuals_px)
    # Not robust: a sight that the calibration does not explain counts in full.
    residuals = adjust(robust.bundle, used, points_board, beliefs, places_free=False, robust_px=1e6).residuals_px
    points = _triangulated(cameras, used)
    return HeldOut(
        residuals,
        used,
        _neighbours_mm(points, points_board, edges),
        _off_board_mm(points, points_board),
        outliers,
    )


def _without_lone_outliers(
    views: Sequence[BoardView], residuals_px: Sequence[NDArray[np.float64]]
) -> tuple[tuple[BoardView, ...], int]:
    """Leave out corners that lie far off where the rest of their own sight does not: detection's error, not a lens's.

    A sight that is off as a whole keeps all its corners.
    """
    kept, dropped = [], 0
    for view, residual in zip(views, residuals_px, strict=True):
        lengths = np.linalg.norm(residual, axis=1)
        near = lengths <= max(_LONE_PX, _LONE_MEDIANS * float(np.median(lengths)))
        dropped += int((~near).sum())
        kept.append(BoardView(view.camera_id, view.instant, view.corner_ids[near], view.corners_px[near]))
    return tuple(kept), dropped


Corner = tuple[int, int]


def _triangulated(cameras: Sequence[Camera], views: Sequence[BoardView]) -> dict[Corner, NDArray[np.float64]]:
    """Return corners `(3,)` in the world by instant and number: those that two cameras or more saw."""
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
        solved = -np.linalg.solve(turned_over @ A[:, :, :3], turned_over @ A[:, :, 3:])[:, :, 0]
        points.update(zip(keys, solved, strict=True))
    return points


def _neighbours_mm(
    points: Mapping[Corner, NDArray[np.float64]], points_board: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.float64]:
    true_m = np.linalg.norm(points_board[edges[:, 0]] - points_board[edges[:, 1]], axis=1)
    away = [
        np.linalg.norm(points[instant, one] - points[instant, other]) - length
        for instant in {key[0] for key in points}
        for (one, other), length in zip(edges.tolist(), true_m, strict=True)
        if (instant, one) in points and (instant, other) in points
    ]
    return 1000.0 * np.array(away, dtype=np.float64)


def _off_board_mm(
    points: Mapping[Corner, NDArray[np.float64]], points_board: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far triangulated corners lie from the board, laid among those of its instant as well as it fits."""
    by_instant: dict[int, list[int]] = defaultdict(list)
    for instant, corner in points:
        by_instant[instant].append(corner)
    away = [np.empty(0)]
    for instant, corners in by_instant.items():
        if len(corners) < _FEWEST_TO_LAY:
            continue
        found = np.array([points[instant, corner] for corner in corners])
        board = points_board[corners]
        found, board = found - found.mean(axis=0), board - board.mean(axis=0)
        U, _, Vt = np.linalg.svd(board.T @ found)
        turn = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
        away.append(np.linalg.norm(found - board @ turn, axis=1))
    return 1000.0 * np.concatenate(away)


def coverage(camera: Camera, views: Sequence[BoardView]) -> NDArray[np.int64]:
    """Count a camera's corners in each cell of its picture: `(rows, columns)` of `COVERAGE_GRID`."""
    columns, rows = COVERAGE_GRID
    counts = np.zeros((rows, columns), dtype=np.int64)
    for view in views:
        if view.camera_id == camera.id:
            cells = ((view.corners_px + 0.5) * (columns / camera.width, rows / camera.height)).astype(np.int64)
            np.add.at(counts, (cells[:, 1].clip(0, rows - 1), cells[:, 0].clip(0, columns - 1)), 1)
    return counts


def weakest_numbers(
    cameras: Sequence[Camera], views: Sequence[BoardView], covariance: NDArray[np.float64], depth_m: float
) -> dict[str, WeakNumber]:
    """Find each camera's worst known number: the one whose standard deviation moves most pixels.

    Args:
        cameras: In the order of the covariance.
        views: What they saw; a lens's number counts where corners were.
        covariance: As `Adjusted` has it.
        depth_m: How far away the board typically is.
    """
    weakest = {}
    start = 0
    for camera in cameras:
        size = lens_of(camera).size
        sigmas = np.sqrt(np.maximum(np.diag(covariance)[start : start + size + 6], 0.0))
        start += size + 6
        own = [v.corners_px for v in views if v.camera_id == camera.id]
        rays = camera.unproject(np.vstack(own) if own else np.array([[camera.width / 2, camera.height / 2]]))
        rays = rays[np.isfinite(rays).all(axis=1)]
        points = depth_m * np.column_stack([rays, np.ones(len(rays))])
        by_lens = np.linalg.norm(project_with_derivatives(camera, points)[2], axis=1).max(axis=0)
        focal = float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]))
        by_place = np.array([focal, focal, focal * 0.5, focal / depth_m, focal / depth_m, focal / depth_m * 0.5])
        effects = sigmas * np.concatenate([by_lens, by_place])
        names = (*LENS_NAMES[camera.model][:size], *PLACE_NAMES)
        worst = int(np.argmax(effects))
        weakest[camera.id] = WeakNumber(names[worst], float(sigmas[worst]), float(effects[worst]))
    return weakest


def judge(
    held_out: HeldOut,
    cameras: Sequence[Camera],
    views: Sequence[BoardView],
    weakest: Mapping[str, WeakNumber],
    late_s: Mapping[str, float],
) -> Judgement:
    """Say how good a calibration is, and what would make it better.

    Args:
        held_out: What held-out sights say of it.
        cameras: The calibration.
        views: What it was solved from.
        weakest: As `weakest_numbers` has it.
        late_s: How much later than its timestamps each camera takes its pictures.
    """
    by_camera = {camera.id: held_out.camera_rms_px(camera.id) for camera in cameras}
    known = {i: px for i, px in by_camera.items() if np.isfinite(px)}
    weakest_camera = max(known, key=lambda i: known[i]) if known else cameras[0].id
    grave: list[str] = []
    reasons: list[str] = []
    px, mm = held_out.rms_px, abs(held_out.median_neighbour_mm)
    if not np.isfinite(px):
        grave.append("no sight was held out, so that nothing is known of its accuracy: film more, or set --hold-out")
    elif px > USABLE_PX:
        grave.append(
            f"held-out corners are {px:.2f} px off (rms), more than {USABLE_PX:g}: move the board slower, check that "
            f"the cameras are synchronised and that {weakest_camera} did not move"
        )
    elif px > GOOD_PX:
        reasons.append(
            f"held-out corners are {px:.2f} px off (rms), more than {GOOD_PX:g}: hold the board still for a moment in "
            "each place, and check the synchronisation"
        )
    if np.isfinite(mm) and mm > USABLE_MM:
        grave.append(f"neighbouring corners are {mm:.2f} mm off in the median: measure the board and correct its spec")
    elif np.isfinite(mm) and mm > GOOD_MM:
        reasons.append(f"neighbouring corners are {mm:.2f} mm off in the median: measure the board again")
    if held_out.rms_off_board_mm > GOOD_MM:
        reasons.append(
            f"triangulated corners lie {held_out.rms_off_board_mm:.2f} mm off the board (rms), more than {GOOD_MM:g}: "
            "hold the board still for a moment in each place, and check that it is flat"
        )
    for camera_id, late in late_s.items():
        if abs(late) > _PUNCTUAL_S:
            reasons.append(
                f"{camera_id} takes its pictures {abs(1e3 * late):.0f} ms {'later' if late > 0 else 'earlier'} than "
                f"its timestamps say, against {cameras[0].id}: the calibration allows for it, tracking hands does not; "
                "correct the timestamps or trigger the cameras"
            )
    for camera in cameras:
        share = float((coverage(camera, views) > 0).mean())
        if share < _COVERED:
            reasons.append(
                f"{camera.id} saw the board in {100 * share:.0f} % of its picture: hold it where the coverage picture "
                "is empty"
            )
    for camera_id, number in weakest.items():
        if number.effect_px > _SURE_PX:
            reasons.append(
                f"{camera_id}'s {number.name} is known to {number.effect_px:.1f} px only: tilt the board more, and "
                "hold it nearer and farther from this camera"
            )
    verdict: Verdict = "bad" if grave else "usable" if reasons else "good"
    return Judgement(verdict, tuple(grave + reasons), weakest_camera, dict(weakest))
