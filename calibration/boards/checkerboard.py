"""A plain checkerboard: all of it must be seen, and it must not look the same upside down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.boards.pattern import grid, grid_edges


@dataclass(frozen=True, slots=True)
class Checkerboard:
    """A checkerboard whose top left square is black.

    Its corners are the inner ones, counted row by row.

    Args:
        columns: Squares along x; the inner corners are one fewer.
        rows: Squares along y.
        square_m: Side of a square, metres.
    """

    columns: int
    rows: int
    square_m: float

    @property
    def spec(self) -> str:
        """The pattern's part of a board spec."""
        return f"checkerboard:{self.columns}x{self.rows}:{self.square_m:g}"

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of what is printed."""
        return self.columns * self.square_m, self.rows * self.square_m

    @property
    def unit_m(self) -> float:
        """Side of a square."""
        return self.square_m

    @property
    def margin_m(self) -> float:
        """Width of the plain border around the squares, which the search for them needs."""
        return 0.5 * self.square_m

    @property
    def clear_m(self) -> float:
        """How far around a corner nothing but its own edges is to be seen."""
        return 0.5 * self.square_m

    @property
    def distinct(self) -> int:
        """None: corners carry no ids."""
        return 0

    @property
    def corners_m(self) -> NDArray[np.float64]:
        """The inner corners `(P, 2)`."""
        return np.asarray((grid(self.columns - 1, self.rows - 1) + 1) * self.square_m, dtype=np.float64)

    @property
    def edges(self) -> NDArray[np.int64]:
        """Pairs of neighbouring corners `(E, 2)`."""
        return grid_edges(self.columns - 1, self.rows - 1)

    def black_m(self, first_marker: int = 0) -> NDArray[np.float64]:  # noqa: ARG002 - it has no markers
        """Return the black rectangles `(R, 4)`: left, top, right, bottom."""
        cells = grid(self.columns, self.rows)
        black = cells[cells.sum(axis=1) % 2 == 0]
        return np.asarray(np.hstack([black, black + 1]) * self.square_m, dtype=np.float64)
