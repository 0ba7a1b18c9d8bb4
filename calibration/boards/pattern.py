"""What every pattern of a calibration board has in common: its corners, its edges, and what is printed black."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Pattern(Protocol):
    """The picture on one side of a board.

    Coordinates are metres in the side's own frame: origin at the pattern's top left, x along the columns, y down.
    """

    @property
    def spec(self) -> str:
        """The pattern's part of a board spec."""

    @property
    def columns(self) -> int:
        """What the spec counts along x."""

    @property
    def rows(self) -> int:
        """What the spec counts along y."""

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of what is printed."""

    @property
    def unit_m(self) -> float:
        """Side of a square or tag."""

    @property
    def margin_m(self) -> float:
        """Width of the plain border that the print keeps around the pattern."""

    @property
    def clear_m(self) -> float:
        """How far around a corner nothing but its own two edges is to be seen."""

    @property
    def distinct(self) -> int:
        """Markers that one side uses up; 0 where corners carry no ids, so that two sides would look alike."""

    @property
    def corners_m(self) -> NDArray[np.float64]:
        """The corners `(P, 2)`; a corner's id is its row."""

    @property
    def edges(self) -> NDArray[np.int64]:
        """Pairs of corners `(E, 2)` with an edge between black and white from one to the other."""

    def black_m(self, first_marker: int = 0) -> NDArray[np.float64]:
        """Return the black rectangles `(R, 4)`: left, top, right, bottom.

        Args:
            first_marker: Number of the side's first marker in its dictionary.
        """


def grid(columns: int, rows: int) -> NDArray[np.int64]:
    """Return column and row `(columns * rows, 2)` of a grid's cells, row by row."""
    row, column = np.divmod(np.arange(columns * rows), columns)
    return np.column_stack([column, row])


def grid_edges(columns: int, rows: int) -> NDArray[np.int64]:
    """Return the pairs of neighbours `(E, 2)` of a grid whose points count row by row."""
    index = np.arange(columns * rows).reshape(rows, columns)
    along = np.column_stack([index[:, :-1].ravel(), index[:, 1:].ravel()])
    down = np.column_stack([index[:-1].ravel(), index[1:].ravel()])
    return np.vstack([along, down])


def cell_rectangles(black: NDArray[np.bool_], left: float, top: float, cell_m: float) -> NDArray[np.float64]:
    """Cover the black cells `(N, N)` of a marker with one rectangle `(R, 4)` a run of cells in a row."""
    rectangles = []
    for number, row in enumerate(black):
        steps = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        for start, end in zip(steps[::2], steps[1::2], strict=True):
            rectangles.append((start, number, end, number + 1))
    return np.array(rectangles, dtype=np.float64).reshape(-1, 4) * cell_m + (left, top, left, top)
