"""A side of a board as rectangles in one colour on another, and as a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board


def ink_m(board: Board, side: int) -> NDArray[np.float64]:
    """Return the rectangles `(R, 4)` of the second colour: left, top, right, bottom, metres in the side's own frame.

    On a normal board they are black on paper; on an inverted one they are paper within the black of `panel_m`.
    """
    return board.pattern.black_m(board.first_marker(side))


def panel_m(board: Board) -> NDArray[np.float64]:
    """Return the rectangle `(4,)` that the board takes up, its border included; black on an inverted board."""
    (width, height), margin = board.pattern.size_m, board.pattern.margin_m
    return np.array([-margin, -margin, width + margin, height + margin])


def draw(board: Board, side: int, px_per_m: float) -> NDArray[np.uint8]:
    """Draw a side's panel as grey pixels, each as dark as the ink covers it.

    Args:
        board: The board.
        side: 0 for the front, 1 for the back.
        px_per_m: Resolution.

    Returns:
        Picture `(H, W)`, whose outer edge is the panel's; its last row and column may reach beyond by part of a pixel.
    """
    left, top, right, bottom = panel_m(board) * px_per_m
    height, width = int(np.ceil(bottom - top)), int(np.ceil(right - left))
    covered = np.zeros((height, width))
    for x0, y0, x1, y1 in ink_m(board, side) * px_per_m - (left, top, left, top):
        rows, columns = slice(int(y0), int(np.ceil(y1))), slice(int(x0), int(np.ceil(x1)))
        across = _overlap(x0, x1, columns)
        covered[rows, columns] += _overlap(y0, y1, rows)[:, None] * across
    white = covered if board.inverted else 1.0 - covered
    return np.asarray(np.rint(255 * np.clip(white, 0.0, 1.0)), dtype=np.uint8)


def _overlap(start: float, end: float, pixels: slice) -> NDArray[np.float64]:
    """Return which part of each pixel lies between start and end."""
    edges = np.arange(pixels.start, pixels.stop)
    overlap: NDArray[np.float64] = np.minimum(end, edges + 1.0) - np.maximum(start, edges)
    return np.clip(overlap, 0.0, 1.0)
