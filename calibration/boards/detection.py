"""Finding a board in a picture: corners to a fraction of a pixel, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.board import Board
from calibration.boards.finders import make_finder
from calibration.boards.homography import depths, fit_homography, transfer
from calibration.boards.sharpness import edge_width_px

RefusalReason = Literal[
    "no-board", "too-few-corners", "in-a-line", "mirrored", "not-this-board", "too-small", "blurred"
]

UNMIRROR: Final = "switch the camera's mirroring off, or print the board again if the print itself is mirrored"

_FINEST_PX = 0.01
_MAX_WINDOW_PX = 12
_BORDER_PX = 4


@dataclass(frozen=True, slots=True)
class Gates:
    """What a sight of a board must be for its corners to be worth using.

    Args:
        min_corners: Fewest corners. Six leave a pose from one view over-determined (twelve numbers for six).
        min_square_px: Shortest side of a square or tag, on average. Below it the window of the refinement holds more
            than the corner's own edges.
        max_edge_px: Widest rise from black to white. With the boards and cameras of docs/calibration.md, corners are
            off by 0.1 px rms at this width; a sharp picture has 2 px.
        max_misfit: Largest rms distance from the board seen in perspective, in sides of a square. Strong lens
            distortion bends a board that fills the picture by a tenth of a square; a board of other counts is off by
            more.
    """

    min_corners: int = 6
    min_square_px: float = 10.0
    max_edge_px: float = 7.0
    max_misfit: float = 0.2


DEFAULT_GATES: Final = Gates()


@dataclass(frozen=True, eq=False, slots=True)
class BoardDetection:
    """A board that was found.

    Args:
        corner_ids: Which corners `(N,)`, rows of the board's `points_board`, ascending.
        corners_px: Where they are `(N, 2)`, distorted pixels; integer values are pixel centres.
        edge_px: How wide the rise from black to white is across its blurred direction, pixels.
    """

    corner_ids: NDArray[np.int64]
    corners_px: NDArray[np.float64]
    edge_px: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a picture gives no sight of the board.

    Args:
        reason: In one word, for counting.
        text: For people, with the value and what to do.
    """

    reason: RefusalReason
    text: str


class BoardDetector:
    """Finds one board in pictures. Use one a thread.

    Args:
        board: The board.
        gates: What a sight must be.
    """

    def __init__(self, board: Board, gates: Gates = DEFAULT_GATES) -> None:
        self._board = board
        self._gates = gates
        self._finder = make_finder(board)

    def detect(self, image: NDArray[np.uint8]) -> BoardDetection | Refusal:
        """Find the board.

        Args:
            image: Grey `(H, W)` or BGR `(H, W, 3)`.
        """
        grey = np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        if self._board.inverted:
            grey = 255 - grey
        side, ids, corners_px = self._finder.find(grey)
        if not len(ids):
            return Refusal("no-board", "no board is to be seen")
        order = np.argsort(ids)
        ids, corners_px = ids[order], corners_px[order]
        inside = _inside(corners_px, grey.shape)
        ids, corners_px = ids[inside], corners_px[inside]
        if (refusal := self._degenerate(ids)) is not None:
            return refusal
        points_m = self._board.pattern.corners_m[ids]
        square_px = self._square_px(points_m, corners_px)
        if isinstance(square_px, Refusal):
            return square_px
        clear_px = square_px * self._board.pattern.clear_m / self._board.pattern.unit_m
        refined_px = _refined(grey, corners_px, clear_px)
        edge_px = edge_width_px(grey, self._board.pattern.edges, ids, refined_px, clear_px)
        if edge_px > self._gates.max_edge_px:
            return Refusal(
                "blurred",
                f"edges are {edge_px:.1f} px wide, more than {self._gates.max_edge_px:g}: hold the board still, "
                "shorten the exposure, or focus",
            )
        return BoardDetection(ids + self._board.first_corner(side), refined_px, edge_px)

    def _degenerate(self, ids: NDArray[np.int64]) -> Refusal | None:
        gates = self._gates
        if len(ids) < gates.min_corners:
            return Refusal(
                "too-few-corners",
                f"{len(ids)} corners are to be seen, fewer than {gates.min_corners}: hold the board into the picture, "
                "uncovered",
            )
        points_m = self._board.pattern.corners_m[ids]
        narrowest = np.linalg.svd(points_m - points_m.mean(axis=0), compute_uv=False)[1] / np.sqrt(len(ids))
        # Two rows that are half a square apart would have a quarter: less than that is one row.
        if narrowest < 0.2 * min(self._board.pattern.unit_m, self._board.pattern.size_m[1]):
            return Refusal(
                "in-a-line", f"the {len(ids)} corners that are to be seen lie in one line: show more of the board"
            )
        return None

    def _square_px(self, points_m: NDArray[np.float64], corners_px: NDArray[np.float64]) -> float | Refusal:
        """Return the mean side of a square, or why these corners are not the board's."""
        gates, unit_m = self._gates, self._board.pattern.unit_m
        H = fit_homography(points_m, corners_px)
        refusal = Refusal(
            "not-this-board",
            "the corners do not lie as this board's do: check columns x rows, and that the board is flat",
        )
        if H is None:
            return refusal
        depth = depths(H, points_m)
        if np.ptp(np.sign(depth)):
            return refusal
        area = float(np.linalg.det(H)) / float(np.mean(depth)) ** 3
        if area < 0:
            return Refusal("mirrored", f"the board is mirrored: {UNMIRROR}")
        square_px = float(np.sqrt(area)) * unit_m
        misfit_px = float(np.sqrt(np.mean(np.sum((transfer(H, points_m) - corners_px) ** 2, axis=1))))
        if misfit_px > gates.max_misfit * square_px:
            return refusal
        if square_px < gates.min_square_px:
            return Refusal(
                "too-small",
                f"squares are {square_px:.1f} px, less than {gates.min_square_px:g}: bring the board closer",
            )
        return square_px


def detect(board: Board, image: NDArray[np.uint8], gates: Gates = DEFAULT_GATES) -> BoardDetection | Refusal:
    """Find a board in one picture; for many, a `BoardDetector` is set up once.

    Args:
        board: The board.
        image: Grey `(H, W)` or BGR `(H, W, 3)`.
        gates: What a sight must be.
    """
    return BoardDetector(board, gates).detect(image)


def _inside(corners_px: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Say which corners are far enough from the picture's border for what is around them to be seen."""
    height, width = shape[:2]
    inside: NDArray[np.bool_] = np.all(
        (corners_px >= _BORDER_PX) & (corners_px <= (width - 1 - _BORDER_PX, height - 1 - _BORDER_PX)), axis=1
    )
    return inside


def _refined(grey: NDArray[np.uint8], corners_px: NDArray[np.float64], clear_px: float) -> NDArray[np.float64]:
    """Move each corner to the saddle of its two edges, in a window that holds nothing but them."""
    half = int(np.clip(0.8 * clear_px, 2, _MAX_WINDOW_PX))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, _FINEST_PX / 10)
    moved = cv2.cornerSubPix(
        grey, np.ascontiguousarray(corners_px[:, None], dtype=np.float32), (half, half), (-1, -1), criteria
    )
    refined = np.asarray(moved, dtype=np.float64).reshape(-1, 2)
    # One that ran away found something else: what it started from is better.
    lost = np.linalg.norm(refined - corners_px, axis=1) > half
    refined[lost] = corners_px[lost]
    return refined
