"""What cameras saw of a calibration board: what detection hands to solving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class BoardView:
    """One camera's sight of the board at one instant.

    Args:
        camera_id: Which camera.
        instant: Number of the synchronised frame set; equal numbers are one instant.
        corner_ids: Which corners were found `(N,)`, each once, rows of `BoardObservations.points_board`.
        corners_px: Where they are `(N, 2)`, distorted pixels of the camera's image, to a fraction of a pixel.
    """

    camera_id: str
    instant: int
    corner_ids: NDArray[np.int64]
    corners_px: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class BoardObservations:
    """All sights of one board.

    Args:
        points_board: Every corner of the board `(P, 3)`, metres, in the board's own frame: x along its columns, y down
            its rows, z into the board; z is 0 unless the board has two sides.
        sizes: Width and height of each camera's image in pixels, by camera id, in the rig's order.
        views: The sights, in any order; none is empty.
    """

    points_board: NDArray[np.float64]
    sizes: Mapping[str, tuple[int, int]]
    views: tuple[BoardView, ...]
