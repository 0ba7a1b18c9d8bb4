"""Rigs that exist in numbers only, and what their cameras see of a board that is carried through their midst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration import Camera
from calibration.observations import BoardView
from calibration.solving.lenses import belief_of
from calibration.solving.numbers import CameraNumbers
from calibration.solving.solve import Sights, Solved
from calibration.solving.timing import MovingView

_MAX_INCIDENCE_DEG = 65.0
_FEWEST_CORNERS = 8
_THICK_M = 0.004
_LENSES = {
    "brown-conrady-5": ("brown-conrady", (-0.12, 0.06, 4e-4, -3e-4, 0.01)),
    "brown-conrady-8": ("brown-conrady", (0.8, 0.35, 4e-4, -3e-4, 0.05, 1.1, 0.45, 0.1)),
    "fisheye": ("fisheye", (-0.03, 0.012, -0.008, 0.002)),
}


@dataclass(frozen=True, slots=True)
class Corners:
    """A board's inner corners.

    Args:
        columns: How many in a row.
        rows: How many rows.
        square_m: How far apart.
        sides: 2 has as many on its back, which count on.
    """

    columns: int
    rows: int
    square_m: float
    sides: int = 1

    @property
    def points(self) -> NDArray[np.float64]:
        """Where they are `(P, 3)`, metres."""
        x, y = np.meshgrid(np.arange(self.columns) * self.square_m, np.arange(self.rows) * self.square_m)
        return np.vstack(
            [np.column_stack([x.ravel(), y.ravel(), np.full(x.size, side * _THICK_M)]) for side in range(self.sides)]
        )

    @property
    def edges(self) -> NDArray[np.int64]:
        """Pairs of neighbours `(E, 2)`."""
        number = np.arange(self.columns * self.rows).reshape(self.rows, self.columns)
        across = np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()])
        down = np.column_stack([number[:-1].ravel(), number[1:].ravel()])
        return np.vstack([side * number.size + np.vstack([across, down]) for side in range(self.sides)])


BOARDS: Final = {"a3": Corners(8, 6, 0.04), "a2": Corners(12, 8, 0.04), "a2-two-sided": Corners(12, 8, 0.04, sides=2)}
"""What fits on paper of that size, in squares of 40 mm."""


@dataclass(frozen=True, eq=False, slots=True)
class Filmed:
    """A rig and a board that it filmed.

    Args:
        cameras: The truth.
        T_world_board: Where the board was at each instant.
        sights: What was seen, with noise.
    """

    cameras: tuple[Camera, ...]
    T_world_board: dict[int, NDArray[np.float64]]
    sights: Sights


def ring_rig(count: int, lens: str = "brown-conrady-5", radius_m: float = 1.0, focal_px: float = 900.0) -> list[Camera]:
    """Place cameras on a ring, or a part of one where they are few, that look at its middle.

    Args:
        count: How many.
        lens: Their model.
        radius_m: How far they are from the middle.
        focal_px: Focal length of the first; the others differ a little.
    """
    rng = np.random.default_rng(count)
    cameras = []
    arc = min(2 * np.pi * (count - 1) / count, 0.9 * (count - 1))
    model, distortion = _LENSES[lens]
    for number in range(count):
        angle = arc * (number / max(count - 1, 1) - 0.5)
        height = 0.35 * (-1) ** number
        center = radius_m * np.array([np.sin(angle), height, -np.cos(angle)])
        forward = rng.normal(0, 0.02, 3) - center / radius_m
        forward /= np.linalg.norm(forward)
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R, -R @ center
        focal = focal_px * (1 + 0.03 * rng.normal())
        K = [
            [focal, 0, 640 + 8 * rng.normal()],
            [0, focal * (1 + 5e-4 * rng.normal()), 400 + 8 * rng.normal()],
            [0, 0, 1],
        ]
        cameras.append(Camera(f"cam{number}", 1280, 800, np.array(K), np.array(distortion), T, model))  # type: ignore[arg-type]
    return cameras


def film(
    cameras: Sequence[Camera],
    frames: int,
    board: Corners,
    *,
    noise_px: float = 0.3,
    outliers: float = 0.0,
    outlier_px: float = 60.0,
    reach_m: float = 0.45,
    seed: int = 0,
) -> Filmed:
    """Carry the board through the midst of a rig.

    Args:
        cameras: The rig.
        frames: How many instants.
        board: Its corners.
        noise_px: Standard deviation of a corner along one axis.
        outliers: Share of the corners that are anywhere within `outlier_px`.
        outlier_px: How far those are off at most, along one axis.
        reach_m: How far from the middle the board goes.
        seed: Equal seeds film the same, with the same noise; outliers are drawn apart.
    """
    rng, wild = np.random.default_rng(seed), np.random.default_rng(seed + 1_000_003)
    points = board.points
    centre = points.mean(axis=0)
    poses, views = {}, []
    for instant in range(frames):
        # Facing one camera after the other, more or less.
        to = cameras[instant % len(cameras)].center_world
        place = rng.uniform(-reach_m, reach_m, 3)
        z = place - to
        z /= np.linalg.norm(z)
        x = np.cross([0.0, 1.0, 0.0], z)
        x /= np.linalg.norm(x)
        facing = Rotation.from_matrix(np.column_stack([x, np.cross(z, x), z]))
        turn = Rotation.from_rotvec(rng.normal(0, 0.6, 3)) * facing * Rotation.from_euler("z", rng.uniform(-3, 3))
        T = np.eye(4)
        T[:3, :3] = turn.as_matrix()
        T[:3, 3] = place - T[:3, :3] @ centre
        poses[instant] = T
        world = points @ T[:3, :3].T + T[:3, 3]
        for camera in cameras:
            view = _view(camera, instant, board, world, T[:3, 2], rng, noise_px)
            if view is None:
                continue
            pixels = view.corners_px.copy()
            off = wild.random(len(pixels)) < outliers
            pixels[off] += wild.uniform(-outlier_px, outlier_px, (int(off.sum()), 2))
            still = np.zeros_like(pixels)
            views.append(MovingView(camera.id, instant, view.corner_ids, pixels, 0.0, still, still))
    sizes = {camera.id: (camera.width, camera.height) for camera in cameras}
    return Filmed(tuple(cameras), poses, Sights(points, board.edges, sizes, tuple(views)))


def _view(
    camera: Camera,
    instant: int,
    board: Corners,
    world: NDArray[np.float64],
    into_board: NDArray[np.float64],
    rng: np.random.Generator,
    noise_px: float,
) -> BoardView | None:
    pixels = camera.project(world)
    # Drawn for all cameras and corners, so that what one camera misses changes no other's noise.
    pixels = pixels + rng.normal(0, noise_px, pixels.shape)
    ray = world.mean(axis=0) - camera.center_world
    along = float(ray @ into_board) / float(np.linalg.norm(ray))
    side = 0 if along > 0 else 1
    if abs(along) < np.cos(np.radians(_MAX_INCIDENCE_DEG)) or side >= board.sides:
        return None
    shown = np.arange(len(world)) // (board.columns * board.rows) == side
    inside = camera.contains(pixels) & shown
    if inside.sum() < _FEWEST_CORNERS:
        return None
    ids = np.flatnonzero(inside)
    if min(len(np.unique(ids // board.columns)), len(np.unique(ids % board.columns))) < 2:
        # One row of corners is refused by detection, too.
        return None
    return BoardView(camera.id, instant, ids.astype(np.int64), pixels[inside])


def place_errors(found: Sequence[Camera], truth: Sequence[Camera]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far cameras are off, once the rig as a whole lies where the true one does.

    Args:
        found: The calibration.
        truth: The true rig.

    Returns:
        Each camera's error of place in millimetres, and of turn in degrees, `(V,)` both.
    """
    R_true = Rotation.from_matrix([c.T_camera_world[:3, :3] for c in truth])
    R_found = Rotation.from_matrix([c.T_camera_world[:3, :3] for c in found])
    turn = (R_true.inv() * R_found).mean()
    centres_true = np.array([c.center_world for c in truth])
    centres = turn.apply(np.array([c.center_world for c in found]))
    centres += (centres_true - centres).mean(axis=0)
    off_m = np.linalg.norm(centres - centres_true, axis=1)
    return 1000.0 * off_m, np.degrees((R_true * (R_found * turn.inv()).inv()).magnitude())


def expected_place_errors(solved: Solved, draws: int = 200) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what `place_errors` should be, rms, by what the solve itself says that it does not know.

    Args:
        solved: The calibration; its lenses were solved, too.
        draws: How many rigs are drawn that are as likely as the one that was found.

    Returns:
        As `place_errors` does.
    """
    cameras = solved.cameras
    numbers = CameraNumbers(cameras, {c.id: belief_of(c) for c in cameras}, {c.id for c in cameras[1:]})
    rng = np.random.default_rng(0)
    steps = rng.multivariate_normal(np.zeros(numbers.size), solved.covariance, draws, method="svd")
    errors = np.array([place_errors(numbers.moved(cameras, step), cameras) for step in steps])
    mm, deg = np.sqrt((errors**2).mean(axis=0))
    return mm, deg
