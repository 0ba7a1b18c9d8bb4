"""ChArUco: a checkerboard with a marker in each white square, so that a part of it is enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.boards.dictionaries import marker_cells
from calibration.boards.pattern import cell_rectangles, grid, grid_edges


@dataclass(frozen=True, slots=True)
class Charuco:
    """OpenCV's ChArUco board (the layout since OpenCV 4.6: the top left square is black).

    Its corners are the inner ones of the squares, counted row by row; markers count row by row through the white
    squares.

    Args:
        columns: Squares along x.
        rows: Squares along y.
        square_m: Side of a square, metres.
        dictionary: Where the markers are from.
        marker_ratio: Side of a marker in sides of a square.
    """

    columns: int
    rows: int
    square_m: float
    dictionary: str
    marker_ratio: float = 0.75

    @property
    def spec(self) -> str:
        """The pattern's part of a board spec."""
        ratio = "" if self.marker_ratio == 0.75 else f":marker={self.marker_ratio:g}"
        return f"charuco:{self.columns}x{self.rows}:{self.square_m:g}:{self.dictionary}{ratio}"

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
        """Width of the plain border around the squares: it sets the outer edge of the white ones apart."""
        return 0.15 * self.square_m

    @property
    def clear_m(self) -> float:
        """How far a corner is from the nearest marker, along an axis."""
        return 0.5 * (1.0 - self.marker_ratio) * self.square_m

    @property
    def distinct(self) -> int:
        """Markers that one side uses up."""
        return self.columns * self.rows // 2

    @property
    def corners_m(self) -> NDArray[np.float64]:
        """The inner corners `(P, 2)`."""
        return np.asarray((grid(self.columns - 1, self.rows - 1) + 1) * self.square_m, dtype=np.float64)

    @property
    def edges(self) -> NDArray[np.int64]:
        """Pairs of neighbouring corners `(E, 2)`."""
        return grid_edges(self.columns - 1, self.rows - 1)

    def black_m(self, first_marker: int = 0) -> NDArray[np.float64]:
        """Return the black rectangles `(R, 4)`: left, top, right, bottom."""
        cells = grid(self.columns, self.rows)
        is_black = cells.sum(axis=1) % 2 == 0
        squares = np.hstack([cells[is_black], cells[is_black] + 1]) * self.square_m
        marker_m = self.marker_ratio * self.square_m
        markers = []
        for number, (column, row) in enumerate(cells[~is_black]):
            black = marker_cells(self.dictionary, first_marker + number, 1)
            left, top = np.array([column, row]) * self.square_m + self.clear_m
            markers.append(cell_rectangles(black, float(left), float(top), marker_m / len(black)))
        return np.vstack([squares, *markers])
