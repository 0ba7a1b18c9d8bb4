"""AprilGrid, as Kalibr prints and counts it: a grid of tags with small black squares between their corners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.boards.dictionaries import marker_cells
from calibration.boards.pattern import cell_rectangles, grid

BORDER_CELLS: Final = 2
"""Width of a tag's black border in its cells. Kalibr prints two; detection takes one too."""


@dataclass(frozen=True, slots=True)
class AprilGrid:
    """Kalibr's AprilGrid.

    Tag 0 is at the bottom left, tags count along the row and then up. Corners are the tags', four each: id 4 t is the
    bottom left one of tag t, and then counter-clockwise as seen from the front.

    Args:
        columns: Tags along x.
        rows: Tags along y.
        tag_m: Side of a tag from the outer edge of its black border to the other, metres.
        spacing_ratio: Gap between two tags in sides of a tag.
        dictionary: Where the tags are from.
    """

    columns: int
    rows: int
    tag_m: float
    spacing_ratio: float
    dictionary: str = "DICT_APRILTAG_36h11"

    @property
    def spec(self) -> str:
        """The pattern's part of a board spec."""
        return f"aprilgrid:{self.columns}x{self.rows}:{self.tag_m:g}:{self.spacing_ratio:g}:{self.dictionary}"

    @property
    def gap_m(self) -> float:
        """Gap between two tags, which is the side of the small squares."""
        return self.spacing_ratio * self.tag_m

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of what is printed, the small squares at the border included."""
        pitch = self.tag_m + self.gap_m
        return self.columns * pitch + self.gap_m, self.rows * pitch + self.gap_m

    @property
    def unit_m(self) -> float:
        """Side of a tag."""
        return self.tag_m

    @property
    def margin_m(self) -> float:
        """Width of the plain border around the small squares."""
        return 0.5 * self.gap_m

    @property
    def clear_m(self) -> float:
        """How far around a corner nothing but its own edges is to be seen."""
        return 0.9 * min(self.gap_m, self.tag_m / 8)

    @property
    def distinct(self) -> int:
        """Tags that one side uses up."""
        return self.columns * self.rows

    @property
    def _top_left_m(self) -> NDArray[np.float64]:
        """Top left of each tag `(T, 2)`, in the order of their numbers."""
        cells = grid(self.columns, self.rows)
        cells[:, 1] = self.rows - 1 - cells[:, 1]
        top_left: NDArray[np.float64] = cells.astype(np.float64) * (self.tag_m + self.gap_m) + self.gap_m
        return top_left

    @property
    def corners_m(self) -> NDArray[np.float64]:
        """The tags' corners `(P, 2)`."""
        corners = np.array([(0, 1), (1, 1), (1, 0), (0, 0)]) * self.tag_m
        all_corners: NDArray[np.float64] = (self._top_left_m[:, None] + corners).reshape(-1, 2)
        return all_corners

    @property
    def edges(self) -> NDArray[np.int64]:
        """The sides of the tags `(E, 2)`."""
        first = 4 * np.arange(self.distinct)[:, None]
        sides = np.array([(0, 1), (1, 2), (2, 3), (3, 0)])
        edges: NDArray[np.int64] = (first[:, :, None] + sides).reshape(-1, 2)
        return edges

    def black_m(self, first_marker: int = 0) -> NDArray[np.float64]:
        """Return the black rectangles `(R, 4)`: left, top, right, bottom."""
        pitch = self.tag_m + self.gap_m
        squares = grid(self.columns + 1, self.rows + 1) * pitch
        tags = []
        for number, (left, top) in enumerate(self._top_left_m):
            black = marker_cells(self.dictionary, first_marker + number, BORDER_CELLS)
            tags.append(cell_rectangles(black, float(left), float(top), self.tag_m / len(black)))
        return np.vstack([np.hstack([squares, squares + self.gap_m]), *tags])
