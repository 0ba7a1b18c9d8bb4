"""Bundle adjustment on a board: cameras, lenses and board poses at once, by Levenberg and Marquardt.

Each instant's board pose meets only the cameras that saw it, so poses are eliminated block by block (Schur complement)
and what is solved densely is as small as the rig.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.observations import BoardView
from calibration.solving.projection import cross_matrices, lens_of, project_with_derivatives, with_lens

_FIRST_DAMPING: Final = 1e-3
_WORST_DAMPING: Final = 1e12
_CONVERGED: Final = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class LensBelief:
    """What is known of a lens before any picture: a mean and a standard deviation for each number.

    Args:
        mean: Values `(L,)` in the order of `lens_of`.
        sigma: Standard deviations `(L,)`: 0 holds a number at its mean, infinity says nothing.
        aspect_sigma: Standard deviation of fx / fy about 1; infinity says nothing.
    """

    mean: NDArray[np.float64]
    sigma: NDArray[np.float64]
    aspect_sigma: float = np.inf


@dataclass(frozen=True, eq=False, slots=True)
class Bundle:
    """Where everything is.

    Args:
        cameras: In the rig's order; the first one's place is never moved.
        T_world_board: The board's pose `(4, 4)` at each instant.
    """

    cameras: tuple[Camera, ...]
    T_world_board: Mapping[int, NDArray[np.float64]]


@dataclass(frozen=True, eq=False, slots=True)
class Adjusted:
    """What an adjustment came to.

    Args:
        bundle: Where everything is.
        residuals_px: Measured minus projected `(N, 2)` of each view, in the order of the views.
        covariance: Of the cameras' numbers, each camera's lens and then its place (turn by the camera's axes in
            radians, shift in metres), camera by camera `(Q, Q)`; rows of what was held are zero.
        noise_px: Standard deviation of a corner along one axis that the residuals show.
        iterations: Steps that were taken.
    """

    bundle: Bundle
    residuals_px: tuple[NDArray[np.float64], ...]
    covariance: NDArray[np.float64]
    noise_px: float
    iterations: int


@dataclass(frozen=True, eq=False, slots=True)
class _Doubt:
    """A direction in which a view's residuals say less, and the share of them that is taken away."""

    direction: NDArray[np.float64]
    share: float

    @classmethod
    def of(cls, doubt_px: NDArray[np.float64], noise_px: float) -> _Doubt | None:
        """Take the square root of the inverse of noise^2 I + d d^T apart."""
        length = float(np.linalg.norm(doubt_px))
        if length < 1e-9:
            return None
        return cls(doubt_px.ravel() / length, 1.0 - 1.0 / float(np.hypot(1.0, length / noise_px)))


class _Normal:
    """The normal equations of one linearisation, with the board poses apart."""

    def __init__(self, own: list[slice], instants: int) -> None:
        size = own[-1].stop
        self.own = own
        self.H = np.zeros((size, size))
        self.g = np.zeros(size)
        self.H_board = np.zeros((instants, 6, 6))
        self.g_board = np.zeros((instants, 6))
        self.across: list[dict[int, NDArray[np.float64]]] = [{} for _ in range(instants)]
        self.cost = 0.0


def adjust(
    bundle: Bundle,
    views: Sequence[BoardView],
    points_board: NDArray[np.float64],
    beliefs: Mapping[str, LensBelief],
    *,
    noise_px: float = 0.3,
    robust_px: float = 1.0,
    places_free: bool = True,
    doubts_px: Sequence[NDArray[np.float64]] | None = None,
    max_iterations: int = 60,
) -> Adjusted:
    """Adjust cameras and board poses until the corners are where they were seen.

    Args:
        bundle: Where to start; every instant of the views must have a pose.
        views: What was seen.
        points_board: The board's corners `(P, 3)`, metres.
        beliefs: What is known of each camera's lens, by its id.
        noise_px: What a corner's error is expected to be, which weighs beliefs against corners.
        robust_px: Residuals beyond count as if they grew in proportion only (Huber).
        places_free: Whether cameras move.
        doubts_px: For each view, an error `(N, 2)` that all of its corners may have together, one standard deviation
            of it: a board that moved while nobody knew exactly when its picture was taken.
        max_iterations: Steps at most.
    """
    doubts = [_Doubt.of(d, noise_px) for d in doubts_px] if doubts_px is not None else [None] * len(views)
    problem = _Problem(bundle, views, points_board, beliefs, noise_px, robust_px, places_free, doubts)
    state, normal, damping = bundle, problem.linearise(bundle), _FIRST_DAMPING
    iterations = 0
    while iterations < max_iterations and damping < _WORST_DAMPING:
        iterations += 1
        trial = problem.moved(state, *_step(normal, damping))
        cost = problem.cost(trial)
        if not cost < normal.cost:
            damping *= 8
            continue
        gain = (normal.cost - cost) / max(normal.cost, 1e-30)
        state, normal, damping = trial, problem.linearise(trial), max(damping / 6, 1e-12)
        if gain < _CONVERGED:
            break
    return problem.adjusted(state, normal, iterations)


def _step(normal: _Normal, damping: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve the damped normal equations: steps of the cameras `(Q,)` and of the boards `(F, 6)`."""
    H = normal.H + damping * np.diag(np.diag(normal.H))
    diagonal = np.einsum("fii->fi", normal.H_board)
    H_board = normal.H_board + damping * np.einsum("fi,ij->fij", diagonal, np.eye(6)) + 1e-12 * np.eye(6)
    inverse = np.linalg.inv(H_board)
    g = normal.g.copy()
    for row, across in enumerate(normal.across):
        for one, W in across.items():
            g[normal.own[one]] -= W @ (inverse[row] @ normal.g_board[row])
            for other, V in across.items():
                H[normal.own[one], normal.own[other]] -= W @ inverse[row] @ V.T
    # What is held has empty rows: a one on the diagonal keeps it still.
    held = np.flatnonzero(np.diag(normal.H) == 0)
    H[held, held] = 1.0
    step = np.asarray(np.linalg.solve(H, -g), dtype=np.float64)
    boards = np.empty_like(normal.g_board)
    for row, across in enumerate(normal.across):
        pull = normal.g_board[row] + sum((W.T @ step[normal.own[one]] for one, W in across.items()), np.zeros(6))
        boards[row] = -inverse[row] @ pull
    return step, boards


class _Problem:
    def __init__(
        self,
        bundle: Bundle,
        views: Sequence[BoardView],
        points_board: NDArray[np.float64],
        beliefs: Mapping[str, LensBelief],
        noise_px: float,
        robust_px: float,
        places_free: bool,
        doubts: Sequence[_Doubt | None],
    ) -> None:
        self._doubts = doubts
        self._views = views
        self._points = points_board
        self._beliefs = [beliefs[camera.id] for camera in bundle.cameras]
        self._noise = noise_px
        self._robust = robust_px
        self._row = {instant: row for row, instant in enumerate(bundle.T_world_board)}
        self._place = {camera.id: place for place, camera in enumerate(bundle.cameras)}
        sizes = [lens_of(camera).size for camera in bundle.cameras]
        starts = np.concatenate([[0], np.cumsum(np.array(sizes) + 6)])
        self._lens = [slice(int(a), int(a) + size) for a, size in zip(starts, sizes, strict=False)]
        self._pose = [slice(lens.stop, lens.stop + 6) for lens in self._lens]
        self._own = [slice(lens.start, pose.stop) for lens, pose in zip(self._lens, self._pose, strict=True)]
        self._free = np.ones(int(starts[-1]), dtype=bool)
        for place, belief in enumerate(self._beliefs):
            self._free[self._lens[place]] = belief.sigma > 0
            if place == 0 or not places_free:
                self._free[self._pose[place]] = False

    def _residuals(self, state: Bundle, view: BoardView) -> NDArray[np.float64]:
        camera = state.cameras[self._place[view.camera_id]]
        T = camera.T_camera_world @ state.T_world_board[view.instant]
        points = self._points[view.corner_ids] @ T[:3, :3].T + T[:3, 3]
        if (points[:, 2] <= 1e-3).any():
            return np.full((len(points), 2), 1e6)
        return view.corners_px - project_with_derivatives(camera, points)[0]

    def cost(self, state: Bundle) -> float:
        total = 0.0
        for view, doubt in zip(self._views, self._doubts, strict=True):
            total += _huber(_without(doubt, self._residuals(state, view)), self._robust)[0]
        return total + sum(self._belief_terms(state, place)[0] for place in range(len(state.cameras)))

    def _belief_terms(self, state: Bundle, place: int) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return cost, gradient `(L,)` and Hessian `(L, L)` of what is known of a lens, in squared pixels."""
        belief, lens = self._beliefs[place], lens_of(state.cameras[place])
        weight = np.zeros(lens.size)
        told = np.isfinite(belief.sigma) & (belief.sigma > 0)
        weight[told] = (self._noise / belief.sigma[told]) ** 2
        off = lens - belief.mean
        cost = float(weight @ off**2) / 2
        gradient: NDArray[np.float64] = weight * off
        hessian = np.asarray(np.diag(weight), dtype=np.float64)
        if np.isfinite(belief.aspect_sigma):
            # fx / fy - 1 = 0, to first order in the difference.
            row = np.zeros(lens.size)
            row[:2] = (1.0 / lens[1], -1.0 / lens[1])
            pull = (self._noise / belief.aspect_sigma) ** 2
            aspect = lens[0] / lens[1] - 1.0
            cost += pull * aspect**2 / 2
            gradient += pull * aspect * row
            hessian += pull * np.outer(row, row)
        return cost, gradient, hessian

    def linearise(self, state: Bundle) -> _Normal:
        normal = _Normal(self._own, len(self._row))
        for view, doubt in zip(self._views, self._doubts, strict=True):
            place, row = self._place[view.camera_id], self._row[view.instant]
            camera = state.cameras[place]
            T_world_board = state.T_world_board[view.instant]
            board = self._points[view.corner_ids] @ T_world_board[:3, :3].T
            points = camera.to_camera(board + T_world_board[:3, 3])
            pixels, by_point, by_lens = project_with_derivatives(camera, points)
            residuals = _without(doubt, view.corners_px - pixels)
            cost, weights = _huber(residuals, self._robust)
            normal.cost += cost
            by_pose = np.concatenate([-by_point @ cross_matrices(points), by_point], axis=2)
            by_shift = by_point @ camera.T_camera_world[:3, :3]
            by_board = np.concatenate([-by_shift @ cross_matrices(board), by_shift], axis=2)
            J = np.concatenate([by_lens, by_pose], axis=2).reshape(2 * len(points), -1)
            J = _without(doubt, J * self._free[self._own[place]])
            J_board = _without(doubt, by_board.reshape(2 * len(points), 6))
            weighted = (weights[:, None] * residuals).ravel()
            spread = np.repeat(weights, 2)[:, None]
            own = self._own[place]
            normal.H[own, own] += J.T @ (spread * J)
            normal.g[own] -= J.T @ weighted
            normal.H_board[row] += J_board.T @ (spread * J_board)
            normal.g_board[row] -= J_board.T @ weighted
            normal.across[row][place] = normal.across[row].get(place, 0.0) + J.T @ (spread * J_board)
        for place in range(len(state.cameras)):
            cost, gradient, hessian = self._belief_terms(state, place)
            lens = self._lens[place]
            free = self._free[lens]
            normal.cost += cost
            normal.g[lens] += gradient * free
            normal.H[lens, lens] += hessian * np.outer(free, free)
        return normal

    def moved(self, state: Bundle, step: NDArray[np.float64], boards: NDArray[np.float64]) -> Bundle:
        cameras = []
        for place, camera in enumerate(state.cameras):
            lens = lens_of(camera) + step[self._lens[place]]
            # A focal length that a wild step makes negative is refused by its cost, not by an exception.
            lens[:2] = np.maximum(lens[:2], 1.0)
            T = _small(step[self._pose[place]]) @ camera.T_camera_world
            cameras.append(replace(with_lens(camera, lens), T_camera_world=_rigid(T)))
        poses = {}
        for instant, row in self._row.items():
            T = state.T_world_board[instant].copy()
            # Boards turn about their own origin, so that a turn does not swing a board that is far from the world's.
            T[:3, :3] = _rotation(boards[row, :3]) @ T[:3, :3]
            T[:3, 3] += boards[row, 3:]
            poses[instant] = _rigid(T)
        return Bundle(tuple(cameras), poses)

    def adjusted(self, state: Bundle, normal: _Normal, iterations: int) -> Adjusted:
        residuals = tuple(self._residuals(state, view) for view in self._views)
        numbers = int(self._free.sum()) + 6 * len(self._row)
        measured = 2 * sum(len(r) for r in residuals)
        weighed = [_without(doubt, r) for doubt, r in zip(self._doubts, residuals, strict=True)]
        squares = sum(float(np.sum(_huber(r, self._robust)[1][:, None] * r**2)) for r in weighed)
        noise = float(np.sqrt(squares / max(measured - numbers, 1)))
        inverse = np.linalg.pinv(normal.H_board, hermitian=True)
        reduced = normal.H.copy()
        for row, across in enumerate(normal.across):
            for one, W in across.items():
                for other, V in across.items():
                    reduced[self._own[one], self._own[other]] -= W @ inverse[row] @ V.T
        covariance = np.zeros_like(reduced)
        free = np.ix_(self._free, self._free)
        covariance[free] = noise**2 * np.linalg.pinv(reduced[free], hermitian=True)
        return Adjusted(state, residuals, covariance, noise, iterations)


def _without(doubt: _Doubt | None, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh residuals `(N, 2)` or their derivatives `(2 N, Q)` down along what is in doubt."""
    if doubt is None:
        return values
    flat = values.reshape(doubt.direction.size, -1)
    weighed: NDArray[np.float64] = flat - doubt.share * np.outer(doubt.direction, doubt.direction @ flat)
    return weighed.reshape(values.shape)


def _huber(residuals: NDArray[np.float64], robust_px: float) -> tuple[float, NDArray[np.float64]]:
    """Return the cost of a view's residuals `(N, 2)`, and the weight of each corner `(N,)`."""
    lengths = np.linalg.norm(residuals, axis=1)
    beyond = lengths > robust_px
    costs = np.where(beyond, robust_px * (lengths - robust_px / 2), lengths**2 / 2)
    return float(costs.sum()), np.where(beyond, robust_px / np.maximum(lengths, 1e-12), 1.0)


def _rotation(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.Rodrigues(turn)[0], dtype=np.float64)


def _small(step: NDArray[np.float64]) -> NDArray[np.float64]:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = _rotation(step[:3]), step[3:]
    return T


def _rigid(T: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the rounding of many products out of a rotation."""
    U, _, Vt = np.linalg.svd(T[:3, :3])
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = U @ Vt, T[:3, 3]
    return rigid
