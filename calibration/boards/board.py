"""A calibration board: a pattern on one side or on both, printed black on white or white on black."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calibration.boards.pattern import Pattern


@dataclass(frozen=True, eq=False)
class Board:
    """A board and the frame in which its corners lie.

    The frame's origin is the top left of the front's pattern, x runs along its columns, y down its rows, z into the
    board. The back of a two-sided board is the same pattern with markers of its own, which count on from the front's;
    its corners count on from the front's too. It is turned about the upright axis, as a sheet is that is printed on
    both sides: the back's top left lies behind the front's top right.

    Args:
        pattern: What is printed.
        inverted: Whether it is printed white on black.
        thickness_m: Distance from the front to the back of a two-sided board, metres; None for one side.
    """

    pattern: Pattern
    inverted: bool = False
    thickness_m: float | None = None

    @property
    def spec(self) -> str:
        """The text that `parse_board` reads this board from."""
        text = self.pattern.spec + (":inverted" if self.inverted else "")
        if self.thickness_m is None:
            return text
        return f"{text}:two-sided" + (f":{self.thickness_m:g}" if self.thickness_m else "")

    @property
    def sides(self) -> int:
        """How many sides are printed, 1 or 2."""
        return 1 if self.thickness_m is None else 2

    @property
    def corners_a_side(self) -> int:
        """Corners on each side."""
        return len(self.pattern.corners_m)

    @cached_property
    def points_board(self) -> NDArray[np.float64]:
        """Every corner `(P, 3)`, metres; its id is its row."""
        corners = self.pattern.corners_m
        sides = [np.column_stack([corners, np.zeros(len(corners))])]
        if self.thickness_m is not None:
            width = self.pattern.size_m[0]
            behind = np.full(len(corners), self.thickness_m)
            sides.append(np.column_stack([width - corners[:, 0], corners[:, 1], behind]))
        points = np.vstack(sides)
        points.setflags(write=False)
        return points

    def first_marker(self, side: int) -> int:
        """Return the number of the first marker of side 0, the front, or 1, the back."""
        return side * self.pattern.distinct

    def first_corner(self, side: int) -> int:
        """Return the id of the first corner of side 0, the front, or 1, the back."""
        return side * self.corners_a_side
