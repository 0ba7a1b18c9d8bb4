"""The search for each kind of pattern: which side of the board, which corners, roughly where."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.aprilgrid import BORDER_CELLS, AprilGrid
from calibration.boards.board import Board
from calibration.boards.charuco import Charuco
from calibration.boards.checkerboard import Checkerboard
from calibration.boards.dictionaries import dictionary
from calibration.boards.errors import BoardError
from calibration.boards.homography import fit_homography, transfer

Found: TypeAlias = tuple[int, NDArray[np.int64], NDArray[np.float64]]
"""Side, ids of its corners `(N,)` counted on that side, and where they are `(N, 2)`, pixels."""

_NOTHING: Found = (0, np.empty(0, dtype=np.int64), np.empty((0, 2)))


class Finder(Protocol):
    """Searches a picture for a board."""

    def find(self, grey: NDArray[np.uint8]) -> Found:
        """Find a side of the board in a picture, printed black on white."""


def make_finder(board: Board) -> Finder:
    """Return what finds this board."""
    match board.pattern:
        case Charuco():
            return _CharucoFinder(board, board.pattern)
        case AprilGrid():
            return _AprilGridFinder(board, board.pattern)
        case Checkerboard():
            return _CheckerboardFinder(board.pattern)
        case other:
            raise BoardError(f"pattern {other.spec} cannot be searched for; use charuco, aprilgrid or checkerboard")


class _CharucoFinder:
    def __init__(self, board: Board, pattern: Charuco) -> None:
        self._markers = cv2.aruco.ArucoDetector(dictionary(pattern.dictionary))
        self._sides = []
        parameters = cv2.aruco.CharucoParameters()
        for side in range(board.sides):
            first = board.first_marker(side)
            charuco = cv2.aruco.CharucoBoard(
                (pattern.columns, pattern.rows),
                pattern.square_m,
                pattern.marker_ratio * pattern.square_m,
                dictionary(pattern.dictionary),
                np.arange(first, first + pattern.distinct, dtype=np.int32),
            )
            self._sides.append((first, pattern.distinct, cv2.aruco.CharucoDetector(charuco, parameters)))

    def find(self, grey: NDArray[np.uint8]) -> Found:
        """Find the side of which more corners are seen."""
        markers, marker_ids = _markers(self._markers, grey)
        best = _NOTHING
        for side, (first, count, detector) in enumerate(self._sides):
            own = _own(marker_ids, first, count)
            if not own:
                continue
            corners, ids, _, _ = detector.detectBoard(
                grey, None, None, [markers[i] for i in own], marker_ids[own, None]
            )
            if ids is not None and len(ids) > len(best[1]):
                best = (side, np.asarray(ids, dtype=np.int64).ravel(), np.asarray(corners, np.float64).reshape(-1, 2))
        return best


class _AprilGridFinder:
    def __init__(self, board: Board, pattern: AprilGrid) -> None:
        self._board = board
        self._corners_m = pattern.corners_m.reshape(-1, 4, 2)
        self._detectors = []
        for cells in (BORDER_CELLS, 1):
            parameters = cv2.aruco.DetectorParameters()
            parameters.markerBorderBits = cells
            # The small squares touch the tags' corners: only the sides say where a corner is.
            parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_CONTOUR
            self._detectors.append(cv2.aruco.ArucoDetector(dictionary(pattern.dictionary), parameters))

    def find(self, grey: NDArray[np.uint8]) -> Found:
        """Find the side of which more tags are seen, with borders of Kalibr's width or else of one cell."""
        best = _NOTHING
        for detector in self._detectors:
            tags, tag_ids = _markers(detector, grey)
            for side in range(self._board.sides):
                first = self._board.first_marker(side)
                own = _own(tag_ids, first, len(self._corners_m))
                if 4 * len(own) > len(best[1]):
                    numbers = tag_ids[own].astype(np.int64) - first
                    corners = np.array([tags[i].reshape(4, 2) for i in own], dtype=np.float64)
                    best = (side, *self._in_order(numbers, corners))
            if len(best[1]):
                break
        return best

    def _in_order(
        self, numbers: NDArray[np.int64], corners_px: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Number the corners of tags `(T, 4, 2)` that come clockwise from a corner which depends on the print.

        Tools disagree about which way up a tag is; how the tags lie to each other does not leave a choice.
        """
        ids = (4 * numbers[:, None] + np.arange(4)).ravel()
        points = self._corners_m[numbers].reshape(-1, 2)
        best, best_misfit = corners_px, np.inf
        for turn in range(4):
            candidate = np.roll(corners_px[:, ::-1], turn, axis=1)
            H = fit_homography(points, candidate.reshape(-1, 2))
            if H is None:
                continue
            misfit = float(np.abs(transfer(H, points) - candidate.reshape(-1, 2)).max())
            if misfit < best_misfit:
                best, best_misfit = candidate, misfit
        return ids, best.reshape(-1, 2)


class _CheckerboardFinder:
    def __init__(self, pattern: Checkerboard) -> None:
        self._inner = (pattern.columns - 1, pattern.rows - 1)

    def find(self, grey: NDArray[np.uint8]) -> Found:
        """Find all corners or none; the first is the one beside the black corner square, wherever that is."""
        flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_ACCURACY
        there, corners = cv2.findChessboardCornersSB(grey, self._inner, flags=flags)
        if not there:
            return _NOTHING
        columns, rows = self._inner
        lattice = np.asarray(corners, dtype=np.float64).reshape(rows, columns, 2)
        for candidate in (lattice, lattice[::-1, ::-1], lattice[:, ::-1], lattice[::-1]):
            if _clockwise(candidate) and _first_is_black(grey, candidate):
                return 0, np.arange(rows * columns), candidate.reshape(-1, 2)
        return _NOTHING


def _markers(
    detector: cv2.aruco.ArucoDetector, grey: NDArray[np.uint8]
) -> tuple[list[NDArray[np.float32]], NDArray[np.int32]]:
    """Return the corners `(1, 4, 2)` of each marker in a picture, and their numbers `(M,)`."""
    corners, ids, _ = detector.detectMarkers(grey)
    # OpenCV gives None where there is none, which its own types do not say.
    if not len(corners):
        return [], np.empty(0, dtype=np.int32)
    return [np.asarray(c, dtype=np.float32) for c in corners], np.asarray(ids, dtype=np.int32).ravel()


def _own(marker_ids: NDArray[np.int32], first: int, count: int) -> list[int]:
    """Return the places of those markers that belong to a side, each marker once."""
    places: list[int] = np.unique(marker_ids, return_index=True)[1].tolist()
    return [i for i in places if first <= marker_ids[i] < first + count]


def _clockwise(lattice: NDArray[np.float64]) -> bool:
    along = lattice[0, -1] - lattice[0, 0]
    down = lattice[-1, 0] - lattice[0, 0]
    return bool(along[0] * down[1] - along[1] * down[0] > 0)


def _first_is_black(grey: NDArray[np.uint8], lattice: NDArray[np.float64]) -> bool:
    """Say whether the square between the first four inner corners is one of the black ones."""
    middles = (lattice[:-1, :-1] + lattice[1:, :-1] + lattice[:-1, 1:] + lattice[1:, 1:]) / 4
    x, y = np.rint(middles).astype(int).transpose(2, 0, 1)
    values = grey[np.clip(y, 0, grey.shape[0] - 1), np.clip(x, 0, grey.shape[1] - 1)].astype(np.float64)
    even = np.add.outer(np.arange(values.shape[0]), np.arange(values.shape[1])) % 2 == 0
    return bool(values[even].mean() < values[~even].mean())
