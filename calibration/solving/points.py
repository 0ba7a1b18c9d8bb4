"""Bundle adjustment on free points: cameras, lenses and whatever points they saw, without a board.

Each point meets only cameras, so points are eliminated as board poses are (`bundle`). What points cannot say is held:
one camera's place, and where no second place is held, that camera's distance from another, which is the scale.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.observations import BoardView
from calibration.solving.descent import Normal, descend, huber
from calibration.solving.measured import triangulated
from calibration.solving.numbers import CameraNumbers, LensBelief, eliminated, inverted
from calibration.solving.projection import cross_matrices, project_with_derivatives

_NEAREST_M: Final = 1e-3
_BEHIND_PX: Final = 1e6
# The scale is held to this share of itself. Points do not pull on it, so that any number leads there; a small one takes
# more steps.
_SCALE_SIGMA: Final = 1e-2


@dataclass(frozen=True, eq=False, slots=True)
class PointView:
    """The points that one camera saw.

    Args:
        camera_id: Which camera.
        point_ids: Which points `(N,)`, each once.
        pixels: Where `(N, 2)`, distorted pixels.
    """

    camera_id: str
    point_ids: NDArray[np.int64]
    pixels: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class AdjustedPoints:
    """What an adjustment came to.

    Args:
        cameras: In the order that they were given in.
        points_world: Where the points are `(P, 3)`, metres.
        residuals_px: Measured minus projected `(N, 2)` of each view.
        covariance: Of the cameras' numbers `(Q, Q)`, as `bundle.Adjusted` has it; of what was held it is zero.
        points_covariance: Of each point `(P, 3, 3)`, square metres.
        noise_px: Standard deviation of a point's picture along one axis that the residuals show.
        iterations: Steps that were taken.
    """

    cameras: tuple[Camera, ...]
    points_world: NDArray[np.float64]
    residuals_px: tuple[NDArray[np.float64], ...]
    covariance: NDArray[np.float64]
    points_covariance: NDArray[np.float64]
    noise_px: float
    iterations: int


def adjust_points(
    cameras: Sequence[Camera],
    points_world: NDArray[np.float64] | None,
    views: Sequence[PointView],
    beliefs: Mapping[str, LensBelief],
    *,
    held: Collection[str] = (),
    shared: Sequence[Collection[str]] = (),
    noise_px: float = 0.3,
    robust_px: float = 1.0,
    max_iterations: int = 60,
) -> AdjustedPoints:
    """Adjust cameras and points until the points are where they were seen.

    Lenses are fixed where a belief holds them (`lenses.held_belief`), free where it does not (`lenses.belief_of`), and
    one for all cameras of a group in `shared`.

    Args:
        cameras: Where to start.
        points_world: Where the points are, to begin with `(P, 3)`, metres; None begins where their rays meet.
        views: What each camera saw; a camera may have several, of different points.
        beliefs: What is known of each camera's lens, by its id.
        held: Cameras whose places are known; none holds the first one, and its distance from the camera farthest from
            it.
        shared: Groups of camera ids that have one and the same lens.
        noise_px: What a point's error is expected to be, which weighs beliefs against points.
        robust_px: Residuals beyond count as if they grew in proportion only (Huber).
        max_iterations: Steps at most.

    Raises:
        ValueError: If a point was not seen by two cameras, a view is of no camera, or a camera saw a point twice; if a
            point's rays do not meet.
    """
    if points_world is None:
        points_world = _where_rays_meet(cameras, views)
    _check(cameras, points_world, views, held)
    still = set(held) or {cameras[0].id}
    moving = {camera.id for camera in cameras} - still
    numbers = CameraNumbers(cameras, beliefs, moving, shared, noise_px)
    problem = _Problem(cameras, views, numbers, robust_px, _Scale.of(cameras, still) if len(still) == 1 else None)
    start = _State(tuple(cameras), np.array(points_world, dtype=np.float64))
    state, normal, iterations = descend(problem, start, max_iterations)
    return problem.adjusted(state, normal, iterations, views)


def _where_rays_meet(cameras: Sequence[Camera], views: Sequence[PointView]) -> NDArray[np.float64]:
    ids = {camera.id for camera in cameras}
    known = [BoardView(view.camera_id, 0, view.point_ids, view.pixels) for view in views if view.camera_id in ids]
    met = triangulated(cameras, known)
    count = 1 + max((int(view.point_ids.max()) for view in views if view.point_ids.size), default=-1)
    lost = [point for point in range(count) if (0, point) not in met]
    if lost:
        raise ValueError(
            f"the rays of {len(lost)} points do not meet, the first is point {lost[0]}; see each from two cameras that "
            "stand apart, and number points from 0 without a gap"
        )
    return np.array([met[0, point] for point in range(count)]).reshape(-1, 3)


def _check(
    cameras: Sequence[Camera], points_world: NDArray[np.float64], views: Sequence[PointView], held: Collection[str]
) -> None:
    ids = [camera.id for camera in cameras]
    if unknown := sorted({*held, *(view.camera_id for view in views)} - set(ids)):
        raise ValueError(f"there is no camera {unknown[0]!r}; there are {', '.join(ids)}")
    seen = np.zeros((len(ids), len(points_world)), dtype=np.int64)
    for view in views:
        np.add.at(seen[ids.index(view.camera_id)], view.point_ids, 1)
    camera, point = np.unravel_index(int(seen.argmax()), seen.shape)
    if seen[camera, point] > 1:
        raise ValueError(f"camera {ids[camera]} saw point {point} {seen[camera, point]} times; give each of them once")
    few = np.flatnonzero((seen > 0).sum(axis=0) < 2)
    if few.size:
        raise ValueError(
            f"{few.size} points were seen by fewer than two cameras, the first is point {few[0]}; leave them out, for "
            "they say nothing"
        )


@dataclass(frozen=True, eq=False, slots=True)
class _State:
    cameras: tuple[Camera, ...]
    points: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Two cameras whose distance holds the scale: their numbers in the rig, and the distance in metres."""

    one: int
    other: int
    length_m: float

    @classmethod
    def of(cls, cameras: Sequence[Camera], still: Collection[str]) -> _Scale | None:
        one = next(number for number, camera in enumerate(cameras) if camera.id in still)
        lengths = [float(np.linalg.norm(camera.center_world - cameras[one].center_world)) for camera in cameras]
        other = int(np.argmax(lengths))
        return cls(one, other, lengths[other]) if lengths[other] > 0 else None


class _Problem:
    def __init__(
        self,
        cameras: Sequence[Camera],
        views: Sequence[PointView],
        numbers: CameraNumbers,
        robust_px: float,
        scale: _Scale | None,
    ) -> None:
        self._numbers = numbers
        self._robust = robust_px
        self._scale = scale
        self._ids, self._pixels = [], []
        for camera in cameras:
            own = [view for view in views if view.camera_id == camera.id]
            self._ids.append(np.concatenate([np.empty(0, dtype=np.int64), *(view.point_ids for view in own)]))
            self._pixels.append(np.concatenate([np.empty((0, 2)), *(view.pixels for view in own)]))

    def _looked(
        self, state: _State, number: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return a camera's residuals `(n, 2)` and their derivatives by its numbers and by the points `(n, 2, k)`."""
        camera = state.cameras[number]
        points = camera.to_camera(state.points[self._ids[number]])
        behind = points[:, 2] <= _NEAREST_M
        points[behind] = (0.0, 0.0, 1.0)
        pixels, by_point, by_lens = project_with_derivatives(camera, points)
        residuals = self._pixels[number] - pixels
        J = np.concatenate([by_lens, -by_point @ cross_matrices(points), by_point], axis=2)
        by_world = by_point @ camera.T_camera_world[:3, :3]
        residuals[behind], J[behind], by_world[behind] = _BEHIND_PX, 0.0, 0.0
        return residuals, J, by_world

    def linearise(self, state: _State) -> Normal:
        cost, g, H = self._numbers.believed(state.cameras)
        count, tie = len(state.points), self._numbers.tie
        H_seen, g_seen = np.zeros((count, 3, 3)), np.zeros((count, 3))
        across = np.zeros((count, tie.shape[1], 3))
        for number, own in enumerate(self._numbers.own):
            ids = self._ids[number]
            if not ids.size:
                continue
            residuals, J, by_world = self._looked(state, number)
            costs, weights = huber(np.linalg.norm(residuals, axis=1), self._robust)
            cost += float(costs.sum())
            root = np.sqrt(weights)[:, None]
            r, J, by_world = root * residuals, root[:, :, None] * J, root[:, :, None] * by_world
            flat = J.reshape(-1, J.shape[2])
            H[own, own] += flat.T @ flat
            g[own] -= flat.T @ r.ravel()
            turned_over = by_world.transpose(0, 2, 1)
            # A camera sees a point once, so that ids do not repeat.
            H_seen[ids] += turned_over @ by_world
            g_seen[ids] -= (turned_over @ r[:, :, None])[:, :, 0]
            across[ids] += tie[own].T @ (J.transpose(0, 2, 1) @ by_world)
        if self._scale is not None:
            cost += self._hold_scale(state, self._scale, g, H)
        return Normal(tie.T @ H @ tie, tie.T @ g, H_seen, g_seen, across, cost)

    def _hold_scale(self, state: _State, scale: _Scale, g: NDArray[np.float64], H: NDArray[np.float64]) -> float:
        """Add what holds the scale to gradient and Hessian; return its cost."""
        row, length = self._by_scale(state, scale)
        weight = 1.0 / (_SCALE_SIGMA * scale.length_m) ** 2
        off = length - scale.length_m
        g += weight * off * row
        H += weight * np.outer(row, row)
        return weight * off**2 / 2

    def _by_scale(self, state: _State, scale: _Scale) -> tuple[NDArray[np.float64], float]:
        """Return how the distance that holds the scale changes with the cameras' numbers `(Q,)`, and that distance."""
        one, other = state.cameras[scale.one], state.cameras[scale.other]
        between = other.center_world - one.center_world
        length = float(np.linalg.norm(between))
        row = np.zeros(self._numbers.size)
        # A camera's centre moves against its shift, by its own axes; a turn leaves it where it is.
        row[self._numbers.place[scale.other]][3:] = -other.T_camera_world[:3, :3] @ between / length
        return row, length

    def moved(self, state: _State, step: NDArray[np.float64], seen: NDArray[np.float64]) -> _State:
        return _State(self._numbers.moved(state.cameras, self._numbers.tie @ step), state.points + seen)

    def adjusted(self, state: _State, normal: Normal, iterations: int, views: Sequence[PointView]) -> AdjustedPoints:
        tie = self._numbers.tie
        residuals = [self._looked(state, number)[0] for number in range(len(state.cameras))]
        squares = 0.0
        for own in residuals:
            lengths = np.linalg.norm(own, axis=1)
            squares += float((huber(lengths, self._robust)[1] * lengths**2).sum())
        measured = 2 * sum(len(own) for own in residuals)
        noise = float(np.sqrt(squares / max(measured - tie.shape[1] - 3 * len(state.points), 1)))
        inverses = np.linalg.pinv(normal.H_seen, hermitian=True).astype(np.float64)
        free = noise**2 * inverted(eliminated(normal.H, normal.across, inverses))
        if self._scale is not None:
            # The scale is given: what is left is what is known of all else, with that distance as it is.
            along = free @ tie.T @ self._by_scale(state, self._scale)[0]
            free = free - np.outer(along, along) / float(self._by_scale(state, self._scale)[0] @ tie @ along)
        follows = normal.across @ inverses
        points_covariance = noise**2 * inverses + follows.transpose(0, 2, 1) @ free @ follows
        return AdjustedPoints(
            state.cameras,
            state.points,
            self._by_view(state.cameras, residuals, views),
            tie @ free @ tie.T,
            points_covariance,
            noise,
            iterations,
        )

    def _by_view(
        self, cameras: Sequence[Camera], residuals: Sequence[NDArray[np.float64]], views: Sequence[PointView]
    ) -> tuple[NDArray[np.float64], ...]:
        """Share each camera's residuals out among its views, which follow one another in their order."""
        number_of = {camera.id: number for number, camera in enumerate(cameras)}
        taken = [0] * len(cameras)
        shares = []
        for view in views:
            number = number_of[view.camera_id]
            start, taken[number] = taken[number], taken[number] + len(view.point_ids)
            shares.append(residuals[number][start : taken[number]])
        return tuple(shares)
