"""When cameras really take their pictures: offsets between their clocks that a moving board shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.observations import BoardView
from calibration.solving.bundle import Bundle, adjust
from calibration.solving.lenses import held_belief
from calibration.solving.places import board_poses
from calibration.solving.projection import derivatives_by_board

_OFFSET_SIGMA_S: Final = 0.05
_NOISE_PX: Final = 0.5
_SETTLED_S: Final = 5e-4
_ROUNDS: Final = 12


@dataclass(frozen=True, eq=False, slots=True)
class MovingView:
    """A sight of a board, and how its corners move in the picture.

    Args:
        camera_id: Which camera.
        instant: Number of the synchronised frame set.
        corner_ids: Which corners `(N,)`.
        corners_px: Where they are `(N, 2)` in this picture.
        ahead_s: From this picture to the frame set's common time, as the timestamps have it.
        velocity_px_s: How fast the corners move `(N, 2)`; None where nobody knows.
        bend_px_s2: How half of their speed changes `(N, 2)`: at time t they are at corners + t velocity + t^2 bend.
    """

    camera_id: str
    instant: int
    corner_ids: NDArray[np.int64]
    corners_px: NDArray[np.float64]
    ahead_s: float
    velocity_px_s: NDArray[np.float64] | None
    bend_px_s2: NDArray[np.float64]

    @property
    def speed_px_s(self) -> float:
        """Median speed of the corners; infinite where nobody knows."""
        if self.velocity_px_s is None:
            return float("inf")
        return float(np.median(np.linalg.norm(self.velocity_px_s, axis=1)))

    def at(self, late_s: float) -> BoardView:
        """Return the sight at the common time.

        Args:
            late_s: How much later than its timestamp the picture was taken.
        """
        corners_px = self.corners_px
        if self.velocity_px_s is not None:
            ahead_s = self.ahead_s - late_s
            corners_px = corners_px + ahead_s * self.velocity_px_s + ahead_s**2 * self.bend_px_s2
        return BoardView(self.camera_id, self.instant, self.corner_ids, corners_px)

    def as_taken(self) -> BoardView:
        """Return the sight as the picture has it."""
        return BoardView(self.camera_id, self.instant, self.corner_ids, self.corners_px)


@dataclass(frozen=True, eq=False, slots=True)
class Timing:
    """When cameras take their pictures.

    Args:
        late_s: How much later than its timestamps each camera takes its pictures, by its id; the first camera of the
            rig is 0.
        jitter_s: Standard deviation of single pictures about that.
    """

    late_s: Mapping[str, float]
    jitter_s: float

    def doubts_px(self, views: Sequence[MovingView]) -> list[NDArray[np.float64]]:
        """Return how far each view's corners may be off `(N, 2)` because nobody knows exactly when it was taken."""
        return [
            np.zeros_like(v.corners_px) if v.velocity_px_s is None else self.jitter_s * v.velocity_px_s for v in views
        ]


def refine_timing(
    cameras: Sequence[Camera], views: Sequence[MovingView], points_board: NDArray[np.float64], timing: Timing
) -> Timing:
    """Improve on when cameras take their pictures, with cameras and lenses held.

    The board's pose at each instant is eliminated: what is left of a view along its own motion says how late it is.

    Args:
        cameras: Where they are.
        views: What they saw.
        points_board: The board.
        timing: What is known.
    """
    taken = [view.at(timing.late_s[view.camera_id]) for view in views]
    beliefs = {camera.id: held_belief(camera) for camera in cameras}
    start = Bundle(tuple(cameras), board_poses(cameras, taken, points_board))
    solved = adjust(start, taken, points_board, beliefs, places_free=False, max_iterations=20)
    place = {camera.id: number for number, camera in enumerate(cameras)}
    by_instant: dict[int, list[int]] = defaultdict(list)
    for number, view in enumerate(views):
        by_instant[view.instant].append(number)
    H, g = np.zeros((len(cameras), len(cameras))), np.zeros(len(cameras))
    lates: list[tuple[float, float]] = []
    for instant, numbers in by_instant.items():
        if len(numbers) < 2:
            continue
        blocks, motions, left = [], [], []
        for number in numbers:
            view, residual = views[number], solved.residuals_px[number]
            camera = cameras[place[view.camera_id]]
            T_world_board = solved.bundle.T_world_board[instant]
            blocks.append(derivatives_by_board(camera, T_world_board, points_board[view.corner_ids]))
            # Later by s than known means that the corners at the common time are behind by s velocities.
            motion = np.zeros((residual.size, len(cameras)))
            if view.velocity_px_s is not None:
                motion[:, place[view.camera_id]] = view.velocity_px_s.ravel()
            motions.append(motion)
            left.append(residual.ravel())
        J, V, r = np.vstack(blocks), np.vstack(motions), np.concatenate(left)
        # Gross outliers must not tell the time.
        root = np.sqrt(_NOISE_PX / np.maximum(np.abs(r), _NOISE_PX))
        Q = np.linalg.qr(J * root[:, None])[0]
        V, r = V * root[:, None], r * root
        V, r = V - Q @ (Q.T @ V), r - Q @ (Q.T @ r)
        H += V.T @ V
        g += V.T @ r
        for number in numbers:
            column = V[:, place[views[number].camera_id]]
            strength = float(column @ column)
            if strength > 0:
                lates.append((float(column @ r) / strength, strength))
    # All later by the same is the same: the first camera keeps the time.
    H = H[1:, 1:] + np.eye(len(cameras) - 1) * (_NOISE_PX / _OFFSET_SIGMA_S) ** 2
    known = np.array([timing.late_s[camera.id] for camera in cameras])[1:]
    steps = np.linalg.solve(H, g[1:] - (_NOISE_PX / _OFFSET_SIGMA_S) ** 2 * known)
    late_s = {camera.id: float(late) for camera, late in zip(cameras, [0.0, *(known + steps)], strict=True)}
    return Timing(late_s, _jitter_s(lates))


def _jitter_s(lates: Sequence[tuple[float, float]]) -> float:
    """Return the typical lateness of single pictures, of those whose board moved enough to tell."""
    strong = [late for late, strength in lates if strength > (_NOISE_PX / 0.02) ** 2]
    if len(strong) < 10:
        return 0.0
    return 1.4826 * float(np.median(np.abs(np.array(strong) - np.median(strong))))


def settled(before: Timing, after: Timing) -> bool:
    """Say whether refining has come to an end."""
    return all(abs(after.late_s[i] - before.late_s[i]) < _SETTLED_S for i in after.late_s)


MAX_ROUNDS: Final = _ROUNDS
"""Alternations of placing and timing at most."""
