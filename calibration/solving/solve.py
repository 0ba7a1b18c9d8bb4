"""From sights of a board to calibrated cameras with their judgement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.observations import BoardView
from calibration.solving.bundle import Adjusted, Bundle, adjust
from calibration.solving.judging import HeldOut, Judgement, hold_out, judge, weakest_numbers
from calibration.solving.lenses import Lens, LensChoice, belief_of, held_belief, rms_px, solve_lens
from calibration.solving.numbers import LensBelief
from calibration.solving.places import board_poses, chain_cameras
from calibration.solving.timing import MAX_ROUNDS, MovingView, Timing, refine_timing, settled

MAX_UNSURE_PX: Final = 3.0
"""A sight whose corners may be farther off (one standard deviation) because the board moved says nothing of places."""

_OUTLIER_SPREADS: Final = 6.0
_OUTLIER_PX: Final = 2.0


@dataclass(frozen=True, eq=False, slots=True)
class Sights:
    """What there is to solve from.

    Args:
        points_board: The board's corners `(P, 3)`, metres.
        edges: Pairs of neighbouring corners `(E, 2)`.
        sizes: Each camera's picture size, in the rig's order.
        views: What was seen.
    """

    points_board: NDArray[np.float64]
    edges: NDArray[np.int64]
    sizes: Mapping[str, tuple[int, int]]
    views: tuple[MovingView, ...]


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to solve.

    Args:
        model: The lens model.
        hold_out: Share of the instants that is kept for judging.
        advance: Told what is being done.
    """

    model: LensChoice = "auto"
    hold_out: float = 0.2
    advance: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True, eq=False, slots=True)
class Solved:
    """A calibration and what is known of it.

    Args:
        cameras: Solved from all sights; the first camera is the world.
        T_world_board: Where the board was.
        judged: The same, solved without the held-out sights: what the judgement is of.
        held_out: What the held-out sights say.
        judgement: The verdict.
        timing: When the cameras take their pictures.
        lenses: How each lens was found; empty if they were given.
        views: The sights that places were solved from, at their instants' common times.
        too_fast: How many sights moved too fast to say anything of places.
        outliers: How many corners were left out.
        covariance: Of the cameras' numbers `(Q, Q)`, as `Adjusted` has it.
    """

    cameras: tuple[Camera, ...]
    T_world_board: Mapping[int, NDArray[np.float64]]
    judged: tuple[Camera, ...]
    held_out: HeldOut
    judgement: Judgement
    timing: Timing
    lenses: Mapping[str, Lens]
    views: tuple[BoardView, ...]
    too_fast: int
    outliers: int
    covariance: NDArray[np.float64]


def held_out_instants(instants: Iterable[int], share: float) -> frozenset[int]:
    """Choose instants to hold out: spread evenly over the footage, the same ones every time."""
    if share <= 0:
        return frozenset()
    every = max(2, round(1.0 / share))
    return frozenset(sorted(set(instants))[every // 2 :: every])


def solve_lenses(sights: Sights, wishes: Wishes, held: frozenset[int]) -> dict[str, Lens]:
    """Solve each camera's lens from its own sights.

    Raises:
        CalibrationError: If a camera's sights do not suffice; every such camera is named.
    """
    lenses: dict[str, Lens] = {}
    reasons: dict[str, list[str]] = {}
    for camera_id, size in sights.sizes.items():
        wishes.advance(f"lens of {camera_id}")
        own = [view for view in sights.views if view.camera_id == camera_id]
        train = [view.as_taken() for view in own if view.instant not in held]
        rest = [view.as_taken() for view in own if view.instant in held]
        try:
            lens = solve_lens(camera_id, size, train, rest, sights.points_board, wishes.model)
            kept, dropped = without_outliers(train, lens.adjusted.residuals_px)
            if dropped:
                lens = solve_lens(camera_id, size, kept, rest, sights.points_board, lens.name)
            lenses[camera_id] = lens
        except CalibrationError as error:
            reasons |= error.reasons
    if reasons:
        raise CalibrationError(reasons)
    return lenses


def solve_rig(sights: Sights, wishes: Wishes, lenses: Sequence[Camera] | None = None) -> Solved:
    """Solve lenses and places of a rig.

    Args:
        sights: What was seen.
        wishes: How to solve.
        lenses: Cameras whose lenses are known and held; None solves them too.

    Raises:
        CalibrationError: If the sights do not suffice: for each camera why, and what to film.
    """
    held = held_out_instants((view.instant for view in sights.views), wishes.hold_out)
    found: dict[str, Lens] = {}
    if lenses is None:
        found = solve_lenses(sights, wishes, held)
        lenses = [lens.camera for lens in found.values()]
    train = [view for view in sights.views if view.instant not in held]
    points = sights.points_board
    still = Timing(dict.fromkeys(sights.sizes, 0.0), 0.0)
    wishes.advance("places")
    cameras = chain_cameras(lenses, [view.at(0.0) for view in train], points) if len(lenses) > 1 else tuple(lenses)
    cameras, timing = _place_and_time(cameras, train, points, still) if len(lenses) > 1 else (cameras, still)
    wishes.advance("all at once")
    beliefs = {c.id: belief_of(c) if found else held_belief(c) for c in cameras}
    usable = _sure(sights.views, timing)
    train = [view for view in usable if view.instant not in held]
    first = _adjust(cameras, train, points, timing, beliefs)
    kept, outliers = without_outliers(_taken(train, timing), first.residuals_px)
    judged = _readjust(first, kept, train, points, timing, beliefs)
    rest = _taken([view for view in usable if view.instant in held], timing)
    judged_by = hold_out(judged.bundle.cameras, rest, points, sights.edges)
    wishes.advance("with the held-out sights")
    # Also sights that one camera alone had, which judge no places: their outliers would pull on lenses.
    everything, more = without_outliers(rest, _posed_residuals_px(judged.bundle.cameras, rest, points))
    final = judged
    if held:
        final = _readjust(judged, [*kept, *everything], usable, points, timing, beliefs)
    depth_m = _depth_m(final.bundle, kept)
    weakest = weakest_numbers(final.bundle.cameras, kept, final.covariance, depth_m)
    cameras = tuple(
        replace(camera, rms_px=_finite(judged_by.camera_rms_px(camera.id))) for camera in final.bundle.cameras
    )
    return Solved(
        cameras,
        final.bundle.T_world_board,
        judged.bundle.cameras,
        judged_by,
        judge(judged_by, cameras, [view.as_taken() for view in sights.views], weakest, timing.late_s),
        timing,
        found,
        (*kept, *everything),
        len(sights.views) - len(usable),
        outliers + more,
        final.covariance,
    )


def _place_and_time(
    cameras: tuple[Camera, ...], views: Sequence[MovingView], points: NDArray[np.float64], timing: Timing
) -> tuple[tuple[Camera, ...], Timing]:
    """Place cameras and find when they take their pictures, in turns, with lenses held."""
    beliefs = {camera.id: held_belief(camera) for camera in cameras}
    known = [view for view in views if view.velocity_px_s is not None]
    for _ in range(MAX_ROUNDS):
        cameras = _adjust(cameras, views, points, timing, beliefs, iterations=15).bundle.cameras
        if not known:
            break
        before, timing = timing, refine_timing(cameras, known, points, timing)
        if settled(before, timing):
            break
    return cameras, timing


def _adjust(
    cameras: tuple[Camera, ...],
    views: Sequence[MovingView],
    points: NDArray[np.float64],
    timing: Timing,
    beliefs: Mapping[str, LensBelief],
    iterations: int = 60,
) -> Adjusted:
    taken = _taken(views, timing)
    start = Bundle(cameras, board_poses(cameras, taken, points))
    return adjust(start, taken, points, beliefs, doubts_px=timing.doubts_px(views), max_iterations=iterations)


def _readjust(
    before: Adjusted,
    kept: Sequence[BoardView],
    views: Sequence[MovingView],
    points: NDArray[np.float64],
    timing: Timing,
    beliefs: Mapping[str, LensBelief],
) -> Adjusted:
    """Adjust again with the corners that are kept, from where an adjustment ended."""
    moving = {(view.camera_id, view.instant): view for view in views}
    doubts = []
    for view in kept:
        whole = moving[view.camera_id, view.instant]
        (doubt,) = timing.doubts_px([whole])
        doubts.append(doubt[np.isin(whole.corner_ids, view.corner_ids)])
    poses = board_poses(before.bundle.cameras, kept, points) | {
        i: T for i, T in before.bundle.T_world_board.items() if i in {view.instant for view in kept}
    }
    return adjust(Bundle(before.bundle.cameras, poses), kept, points, beliefs, doubts_px=doubts)


def _taken(views: Sequence[MovingView], timing: Timing) -> list[BoardView]:
    return [view.at(timing.late_s[view.camera_id]) for view in views]


def _sure(views: Sequence[MovingView], timing: Timing) -> list[MovingView]:
    """Return the sights whose corners are known at the common time, however the picture's own time is off."""
    return [v for v in views if v.velocity_px_s is None or v.speed_px_s * timing.jitter_s <= MAX_UNSURE_PX]


def without_outliers(
    views: Sequence[BoardView], residuals_px: Sequence[NDArray[np.float64]]
) -> tuple[list[BoardView], int]:
    """Leave out corners that are far off where the others are not; a sight that loses most corners goes as a whole."""
    if not views:
        return [], 0
    lengths = [np.linalg.norm(r, axis=1) for r in residuals_px]
    limit = max(_OUTLIER_PX, _OUTLIER_SPREADS * 1.4826 * float(np.median(np.concatenate(lengths))))
    kept, dropped = [], 0
    for view, length in zip(views, lengths, strict=True):
        near = length <= limit
        if near.sum() < max(4, len(near) / 2):
            dropped += len(near)
            continue
        dropped += int((~near).sum())
        kept.append(BoardView(view.camera_id, view.instant, view.corner_ids[near], view.corners_px[near]))
    return kept, dropped


def _posed_residuals_px(
    cameras: tuple[Camera, ...], views: Sequence[BoardView], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Return what is left of sights once the board is posed at each instant, robustly, with the cameras as they are."""
    beliefs = {camera.id: held_belief(camera) for camera in cameras}
    start = Bundle(cameras, board_poses(cameras, views, points))
    return adjust(start, views, points, beliefs, places_free=False).residuals_px


def _depth_m(bundle: Bundle, views: Sequence[BoardView]) -> float:
    by_id = {camera.id: camera for camera in bundle.cameras}
    depths = [by_id[v.camera_id].to_camera(bundle.T_world_board[v.instant][:3, 3])[2] for v in views]
    return float(np.median(depths))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def stillest_instant(views: Sequence[MovingView]) -> int:
    """Return the instant that most cameras saw, of those the one at which the board moved least."""
    by_instant: dict[int, list[float]] = defaultdict(list)
    for view in views:
        by_instant[view.instant].append(min(view.speed_px_s, 1e6))
    return max(by_instant, key=lambda i: (len(by_instant[i]), -max(by_instant[i]), -i))


__all__ = [
    "MAX_UNSURE_PX",
    "Sights",
    "Solved",
    "Wishes",
    "held_out_instants",
    "rms_px",
    "solve_lenses",
    "solve_rig",
    "stillest_instant",
    "without_outliers",
]
