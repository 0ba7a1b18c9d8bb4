"""Bundle adjustment on a board: cameras, lenses and board poses at once, by Levenberg and Marquardt.

Each instant's board pose meets only the cameras that saw it, so poses are eliminated block by block (Schur complement)
and what is solved densely is as small as the rig. A camera's sights are one batch, padded to the same count of corners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.observations import BoardView
from calibration.solving.descent import Normal, descend, huber
from calibration.solving.numbers import CameraNumbers, LensBelief, eliminated, inverted, turned
from calibration.solving.projection import cross_matrices, project_with_derivatives

_NEAREST_M: Final = 1e-3
_BEHIND_PX: Final = 1e6


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
            radians, shift in metres), camera by camera `(Q, Q)`; rows of what was held are zero. Places are relative
            to the first camera's, which is held.
        noise_px: Standard deviation of a corner along one axis that the residuals show.
        iterations: Steps that were taken.
    """

    bundle: Bundle
    residuals_px: tuple[NDArray[np.float64], ...]
    covariance: NDArray[np.float64]
    noise_px: float
    iterations: int


@dataclass(frozen=True, eq=False, slots=True)
class _State:
    cameras: tuple[Camera, ...]
    T_world_board: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class _Batch:
    """One camera's sights, padded.

    Args:
        numbers: Which of the views they are `(n,)`.
        rows: Their instants' rows `(n,)`.
        points: The board's corners that each saw `(n, C, 3)`.
        pixels: Where `(n, C, 2)`.
        there: 1 for corners, 0 for padding `(n, C)`.
        direction: Unit vectors `(n, 2 C)` along which each sight's residuals say less.
        share: The share of them that is taken away `(n,)`.
    """

    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]
    points: NDArray[np.float64]
    pixels: NDArray[np.float64]
    there: NDArray[np.float64]
    direction: NDArray[np.float64]
    share: NDArray[np.float64]

    def weighed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weigh residuals or derivatives `(n, C, 2, k)` down along what is in doubt."""
        if not self.share.any():
            return values
        flat = values.reshape(len(self.rows), self.direction.shape[1], -1)
        along = (self.share[:, None] * self.direction)[:, :, None] * (self.direction[:, None, :] @ flat)
        weighed: NDArray[np.float64] = (flat - along).reshape(values.shape)
        return weighed


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
    moving = {camera.id for camera in bundle.cameras[1:]} if places_free else set()
    numbers = CameraNumbers(bundle.cameras, beliefs, moving, noise_px=noise_px)
    problem = _Problem(bundle, views, points_board, numbers, noise_px, robust_px, doubts_px)
    state, normal, iterations = descend(problem, problem.start, max_iterations)
    return problem.adjusted(state, normal, iterations)


class _Problem:
    def __init__(
        self,
        bundle: Bundle,
        views: Sequence[BoardView],
        points_board: NDArray[np.float64],
        numbers: CameraNumbers,
        noise_px: float,
        robust_px: float,
        doubts_px: Sequence[NDArray[np.float64]] | None,
    ) -> None:
        self._numbers = numbers
        self._views = views
        self._robust = robust_px
        self._instants = list(bundle.T_world_board)
        poses = np.array([bundle.T_world_board[instant] for instant in self._instants]).reshape(-1, 4, 4)
        self.start = _State(bundle.cameras, poses)
        row_of = {instant: row for row, instant in enumerate(self._instants)}
        self._batches = []
        for camera in bundle.cameras:
            own = [number for number, view in enumerate(views) if view.camera_id == camera.id]
            rows = [row_of[views[number].instant] for number in own]
            self._batches.append(_padded(own, rows, views, points_board, noise_px, doubts_px))

    def _looked(
        self, state: _State, camera: Camera, batch: _Batch
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return residuals `(n, C, 2)` and their derivatives by the camera's numbers and by the boards' `(..., k)`."""
        poses = state.T_world_board[batch.rows]
        board = batch.points @ poses[:, :3, :3].transpose(0, 2, 1)
        points = camera.to_camera(board + poses[:, None, :3, 3]).reshape(-1, 3)
        behind = points[:, 2] <= _NEAREST_M
        points[behind] = (0.0, 0.0, 1.0)
        pixels, by_point, by_lens = project_with_derivatives(camera, points)
        residuals = batch.pixels.reshape(-1, 2) - pixels
        by_pose = np.concatenate([-by_point @ cross_matrices(points), by_point], axis=2)
        by_shift = by_point @ camera.T_camera_world[:3, :3]
        by_board = np.concatenate([-by_shift @ cross_matrices(board.reshape(-1, 3)), by_shift], axis=2)
        J = np.concatenate([by_lens, by_pose], axis=2)
        residuals[behind], J[behind], by_board[behind] = _BEHIND_PX, 0.0, 0.0
        shape = (*batch.there.shape, 2)
        there = batch.there[:, :, None]
        return (
            residuals.reshape(shape) * there,
            J.reshape(*shape, -1) * there[..., None],
            by_board.reshape(*shape, -1) * there[..., None],
        )

    def linearise(self, state: _State) -> Normal:
        cost, g, H = self._numbers.believed(state.cameras)
        count = len(self._instants)
        H_board, g_board = np.zeros((count, 6, 6)), np.zeros((count, 6))
        across = np.zeros((count, self._numbers.tie.shape[1], 6))
        for camera, own, batch in zip(state.cameras, self._numbers.own, self._batches, strict=True):
            if not batch.rows.size:
                continue
            residuals, J, J_board = self._looked(state, camera, batch)
            residuals = batch.weighed(residuals)
            costs, weights = huber(np.linalg.norm(residuals, axis=2), self._robust)
            cost += float(costs.sum())
            root = np.sqrt(weights)[:, :, None]
            r = (root * residuals).reshape(len(batch.rows), -1)
            J = (root[..., None] * batch.weighed(J)).reshape(*r.shape, -1)
            J_board = (root[..., None] * batch.weighed(J_board)).reshape(*r.shape, -1)
            flat = J.reshape(-1, J.shape[2])
            H[own, own] += flat.T @ flat
            g[own] -= flat.T @ r.ravel()
            turned_over = J_board.transpose(0, 2, 1)
            # A camera sees an instant once, so that rows do not repeat.
            H_board[batch.rows] += turned_over @ J_board
            g_board[batch.rows] -= (turned_over @ r[:, :, None])[:, :, 0]
            across[batch.rows] += self._numbers.tie[own].T @ (J.transpose(0, 2, 1) @ J_board)
        tie = self._numbers.tie
        return Normal(tie.T @ H @ tie, tie.T @ g, H_board, g_board, across, cost)

    def moved(self, state: _State, step: NDArray[np.float64], boards: NDArray[np.float64]) -> _State:
        cameras = self._numbers.moved(state.cameras, self._numbers.tie @ step)
        return _State(cameras, turned(state.T_world_board, boards))

    def adjusted(self, state: _State, normal: Normal, iterations: int) -> Adjusted:
        by_view: list[NDArray[np.float64]] = [np.empty((0, 2))] * len(self._views)
        squares, measured = 0.0, 0
        for camera, batch in zip(state.cameras, self._batches, strict=True):
            if not batch.rows.size:
                continue
            residuals = self._looked(state, camera, batch)[0]
            for number, own, there in zip(batch.numbers, residuals, batch.there > 0, strict=True):
                by_view[number] = own[there]
            lengths = np.linalg.norm(batch.weighed(residuals), axis=2)
            squares += float((huber(lengths, self._robust)[1] * lengths**2).sum())
            measured += 2 * int(batch.there.sum())
        tie = self._numbers.tie
        noise = float(np.sqrt(squares / max(measured - tie.shape[1] - 6 * len(self._instants), 1)))
        inverses = np.linalg.pinv(normal.H_seen, hermitian=True).astype(np.float64)
        reduced = eliminated(normal.H, normal.across, inverses)
        covariance = noise**2 * tie @ inverted(reduced) @ tie.T
        poses = dict(zip(self._instants, state.T_world_board, strict=True))
        return Adjusted(Bundle(state.cameras, poses), tuple(by_view), covariance, noise, iterations)


def _padded(
    own: Sequence[int],
    rows: Sequence[int],
    views: Sequence[BoardView],
    points_board: NDArray[np.float64],
    noise_px: float,
    doubts_px: Sequence[NDArray[np.float64]] | None,
) -> _Batch:
    most = max((len(views[number].corner_ids) for number in own), default=0)
    ids = np.zeros((len(own), most), dtype=np.int64)
    pixels, there = np.zeros((len(own), most, 2)), np.zeros((len(own), most))
    direction, share = np.zeros((len(own), 2 * most)), np.zeros(len(own))
    for place, number in enumerate(own):
        view = views[number]
        count = len(view.corner_ids)
        # Padding repeats a corner that was seen, which is where a lens can project it.
        ids[place], ids[place, :count] = view.corner_ids[0], view.corner_ids
        pixels[place, :count], there[place, :count] = view.corners_px, 1.0
        length = float(np.linalg.norm(doubts_px[number])) if doubts_px is not None else 0.0
        if doubts_px is not None and length > 1e-9:
            # The square root of the inverse of noise^2 I + d d^T.
            direction[place, : 2 * count] = doubts_px[number].ravel() / length
            share[place] = 1.0 - 1.0 / float(np.hypot(1.0, length / noise_px))
    return _Batch(
        np.array(own, dtype=np.int64),
        np.array(rows, dtype=np.int64),
        points_board[ids],
        pixels,
        there,
        direction,
        share,
    )
