"""How good a calibration is, in pixels and millimetres, on sights that it was not solved from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.observations import BoardView
from calibration.plausibility import MIN_BASELINE_M
from calibration.solving.bundle import Bundle, adjust
from calibration.solving.lenses import held_belief, rms_px
from calibration.solving.measured import Misshape, misshape, neighbours_mm, off_board_mm, triangulated
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
_SURE_PX: Final = 2.0
# Of a picture's width: a number that is known no better says nothing, however well the corners that were seen fit.
_LOST_WIDTHS: Final = 0.05
# An A2 print that is stretched by 0.4 %, or a board of that size bent by 1 mm, is off by so much, and moves cameras by
# one to some millimetres.
_SHAPE_MM: Final = 0.25
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
        misshape: What of that is the same wherever the board is held.
        outliers: How many corners were left out, each far off in a sight that is not.
    """

    residuals_px: tuple[NDArray[np.float64], ...]
    views: tuple[BoardView, ...]
    neighbours_mm: NDArray[np.float64]
    off_board_mm: NDArray[np.float64]
    misshape: Misshape
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
        return HeldOut((), (), np.empty(0), np.empty(0), Misshape(), 0)
    start = Bundle(tuple(cameras), board_poses(cameras, used, points_board))
    beliefs = {camera.id: held_belief(camera) for camera in cameras}
    robust = adjust(start, used, points_board, beliefs, places_free=False)
    used, outliers = _without_lone_outliers(used, robust.residuals_px)
    # Not robust: a sight that the calibration does not explain counts in full.
    residuals = adjust(robust.bundle, used, points_board, beliefs, places_free=False, robust_px=1e6).residuals_px
    points = triangulated(cameras, used)
    return HeldOut(
        residuals,
        used,
        neighbours_mm(points, points_board, edges),
        off_board_mm(points, points_board),
        misshape(points, points_board),
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
    grave = [
        *_unjudged(by_camera),
        *_off_px(known, USABLE_PX, np.inf, f"move the board slower, check that the cameras are synchronised and that "
                 f"{weakest_camera} did not move"),
        *_at_one_place(cameras),
    ]  # fmt: skip
    reasons = _off_px(known, GOOD_PX, USABLE_PX, "hold the board still for a moment in each place, check the "
                      f"synchronisation, and that {weakest_camera} did not move")  # fmt: skip
    mm, off_mm = abs(held_out.median_neighbour_mm), held_out.rms_off_board_mm
    if mm > GOOD_MM:
        worse = mm > USABLE_MM
        (grave if worse else reasons).append(
            f"neighbouring corners are {mm:.2f} mm off in the median: measure the board "
            + ("and correct its spec" if worse else "again")
        )
    if off_mm > GOOD_MM:
        (grave if off_mm > USABLE_MM else reasons).append(
            f"triangulated corners lie {off_mm:.2f} mm off the board (rms), more than {GOOD_MM:g}: "
            "hold the board still for a moment in each place, and check that it is flat"
        )
    reasons += _misshapen(held_out.misshape)
    reasons += _late(late_s)
    for camera in cameras:
        share = float((coverage(camera, views) > 0).mean())
        if share < _COVERED:
            reasons.append(
                f"{camera.id} saw the board in {100 * share:.0f} % of its picture: hold it where the coverage picture "
                "is empty"
            )
        number = weakest[camera.id]
        if number.effect_px > _SURE_PX:
            (grave if number.effect_px > _LOST_WIDTHS * camera.width else reasons).append(
                f"{camera.id}'s {number.name} is known to {number.effect_px:.1f} px only: tilt the board more, and "
                "hold it nearer and farther from this camera"
            )
    verdict: Verdict = "bad" if grave else "usable" if reasons else "good"
    return Judgement(verdict, tuple(grave + reasons), weakest_camera, dict(weakest))


def _unjudged(by_camera: Mapping[str, float]) -> list[str]:
    blind = [camera_id for camera_id, px in by_camera.items() if not np.isfinite(px)]
    if len(blind) == len(by_camera):
        return ["no sight was held out, so that nothing is known of its accuracy: film more, or set --hold-out"]
    return [
        f"no held-out sight judges {camera_id}, so that nothing is known of its place: hold the board longer where "
        "this camera and another one see it at once"
        for camera_id in blind
    ]


def _off_px(known: Mapping[str, float], above: float, up_to: float, remedy: str) -> list[str]:
    """Say which cameras' errors lie between two limits: a rig's mean would hide one camera among many."""
    off = sorted((i for i, px in known.items() if above < px <= up_to), key=lambda i: -known[i])
    said = ", ".join(f"{known[i]:.2f} px in {i}" for i in off)
    return [f"held-out corners are off by {said} (rms), more than {above:g}: {remedy}"] if off else []


def _at_one_place(cameras: Sequence[Camera]) -> list[str]:
    return [
        f"{one.id} and {other.id} stand within {MIN_BASELINE_M * 1e3:g} mm of each other, closer than lenses can be: "
        "does the rig file give one source to both?"
        for one, other in combinations(cameras, 2)
        if np.linalg.norm(one.center_world - other.center_world) < MIN_BASELINE_M
    ]


def _misshapen(shape: Misshape) -> list[str]:
    found = []
    if shape.in_plane_mm > _SHAPE_MM:
        found.append(
            f"wherever the board is held, its corners lie {shape.in_plane_mm:.2f} mm (rms) from where its spec has "
            "them, along it: is the print stretched? Measure a whole row of squares and a whole column"
        )
    if shape.out_of_plane_mm > _SHAPE_MM:
        found.append(
            f"wherever the board is held, its corners lie {shape.out_of_plane_mm:.2f} mm (rms) out of its plane: is it "
            "bent, or of another thickness than its spec? Glue it to something flat"
        )
    return found


def _late(late_s: Mapping[str, float]) -> list[str]:
    """Say whose pictures are taken at other times than their timestamps say, against a camera that most agree with.

    The first camera, whose time is zero, may be the odd one itself.
    """
    off = {one: [i for i in late_s if abs(late_s[i] - late_s[one]) > _PUNCTUAL_S] for one in late_s}
    first = min(off, key=lambda one: len(off[one]))
    if not off[first]:
        return []
    said = [
        f"{i} takes its pictures {abs(1e3 * (late_s[i] - late_s[first])):.0f} ms "
        f"{'later' if late_s[i] > late_s[first] else 'earlier'} than its timestamps say, against {first}: the "
        "calibration allows for it, tracking hands does not"
        for i in off[first]
    ]
    # Against the latest one, so that all can be followed at once and nothing is exposed after it has arrived.
    latest_s = max(late_s.values())
    offsets_ms = {i: round(1e3 * (late - latest_s)) for i, late in late_s.items()}
    listed = ", ".join(f"{i} {offset}" for i, offset in offsets_ms.items() if offset)
    said[-1] += f"; trigger the cameras, or add to time_offset_ms in the rig file: {listed}"
    return said
