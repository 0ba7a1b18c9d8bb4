"""Why a board is found in no picture: another dictionary, another size, the other print, a mirrored picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.aprilgrid import BORDER_CELLS, AprilGrid
from calibration.boards.board import Board
from calibration.boards.charuco import Charuco
from calibration.boards.checkerboard import Checkerboard
from calibration.boards.detection import DEFAULT_GATES, UNMIRROR
from calibration.boards.dictionaries import dictionary

# The largest of each family: the smaller ones are its first markers. The 16h5 family is left out: its sixteen bits are
# found in any texture.
_FAMILIES: Final = {
    "DICT_4X4_1000": "DICT_4X4",
    "DICT_5X5_1000": "DICT_5X5",
    "DICT_6X6_1000": "DICT_6X6",
    "DICT_7X7_1000": "DICT_7X7",
    "DICT_ARUCO_ORIGINAL": "DICT_ARUCO_ORIGINAL",
    "DICT_ARUCO_MIP_36h12": "DICT_ARUCO_MIP_36h12",
    "DICT_APRILTAG_25h9": "DICT_APRILTAG_25h9",
    "DICT_APRILTAG_36h10": "DICT_APRILTAG_36h10",
    "DICT_APRILTAG_36h11": "DICT_APRILTAG_36h11",
}
_FEWEST_MARKERS = 3
_EDGE_REACH_PX: Final = 31
_LEAST_RISE: Final = 40.0
_LEAST_EDGE_PIXELS: Final = 200
_SHARPEST: Final = 0.02
_SURELY = 6
"""So many different markers of one family are no accident: the search ends."""


@dataclass(frozen=True, slots=True)
class _Sight:
    family: str
    ids: tuple[int, ...]
    inverted: bool
    mirrored: bool


def explain_absence(board: Board, images: Iterable[NDArray[np.uint8]]) -> str:
    """Look for what could have been meant, in pictures where a board was not found.

    Args:
        board: The board that was asked for.
        images: A few pictures, grey or BGR; every dictionary is tried on each.

    Returns:
        What was seen and which spec to use; empty if nothing was.
    """
    greys = [np.asarray(i if i.ndim == 2 else cv2.cvtColor(i, cv2.COLOR_BGR2GRAY), dtype=np.uint8) for i in images]
    best: _Sight | None = None
    for sight in (s for grey in greys for s in _sights(grey)):
        if best is None or len(sight.ids) > len(best.ids):
            best = sight
        if len(best.ids) >= _SURELY:
            break
    if best is not None and len(best.ids) >= _FEWEST_MARKERS:
        return _said(board, best)
    if blurred := _blur_hint(greys):
        return blurred
    if isinstance(board.pattern, Checkerboard):
        return _checkerboard_hint(board.pattern, greys)
    return ""


def _sights(grey: NDArray[np.uint8]) -> Iterable[_Sight]:
    for inverted in (False, True):
        picture = 255 - grey if inverted else grey
        for mirrored in (False, True):
            shown = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
            for name, family in _FAMILIES.items():
                for cells in (1, BORDER_CELLS) if "APRILTAG" in name else (1,):
                    parameters = cv2.aruco.DetectorParameters()
                    parameters.markerBorderBits = cells
                    _, ids, _ = cv2.aruco.ArucoDetector(dictionary(name), parameters).detectMarkers(shown)
                    if ids is not None:
                        yield _Sight(family, tuple(np.unique(ids).tolist()), inverted, mirrored)


def _said(board: Board, sight: _Sight) -> str:
    pattern = board.pattern
    seen = f"markers of {sight.family} were seen (ids {sight.ids[0]} to {sight.ids[-1]})"
    if sight.mirrored:
        return f"{seen} in the mirrored picture: {UNMIRROR}"
    if not isinstance(pattern, Charuco | AprilGrid):
        return f"{seen}: the board is a charuco or an aprilgrid, not a checkerboard"
    if not pattern.dictionary.startswith(sight.family):
        return f"{seen}, the spec says {pattern.dictionary}: name the board's own dictionary"
    if sight.inverted != board.inverted:
        return f"{seen} in {'an inverted' if sight.inverted else 'a normal'} print: " + (
            "add :inverted to the spec" if sight.inverted else "leave :inverted out of the spec"
        )
    last = board.sides * pattern.distinct - 1
    if sight.ids[-1] > last:
        return f"{seen}, the spec's board has ids 0 to {last}: check columns x rows, and :two-sided"
    return f"{seen}, but no corners between them: check columns x rows, or show more of the board"


def _blur_hint(greys: Iterable[NDArray[np.uint8]]) -> str:
    """Say how wide the sharpest edges of all pictures are, where none is sharp; empty where one is, or has no edges."""
    widths = [width for grey in greys if (width := _sharpest_edges_px(grey)) is not None]
    if not widths or min(widths) <= DEFAULT_GATES.max_edge_px:
        return ""
    return (
        f"the sharpest edges in its pictures are {min(widths):.0f} px wide, more than {DEFAULT_GATES.max_edge_px:g}: "
        "focus the camera, hold the board still, or shorten the exposure"
    )


def _sharpest_edges_px(grey: NDArray[np.uint8]) -> float | None:
    """Return how many pixels the steepest edges of a picture take from dark to light; None where there is no edge."""
    # Noise is steep, too, and small.
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0).astype(np.float32)
    slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(smooth, cv2.CV_32F, 0, 1) / 8)
    near = np.ones((_EDGE_REACH_PX, _EDGE_REACH_PX), dtype=np.uint8)
    rise = cv2.dilate(smooth, near) - cv2.erode(smooth, near)
    edges = (rise >= _LEAST_RISE) & (slope > 0)
    if np.count_nonzero(edges) < _LEAST_EDGE_PIXELS:
        return None
    return float(np.quantile(rise[edges] / slope[edges], _SHARPEST))


def _checkerboard_hint(pattern: Checkerboard, greys: Iterable[NDArray[np.uint8]]) -> str:
    columns, rows = pattern.columns, pattern.rows
    for grey in greys:
        for squares in ((columns + 1, rows + 1), (columns - 1, rows - 1)):
            inner = (squares[0] - 1, squares[1] - 1)
            if min(inner) >= 3 and cv2.findChessboardCornersSB(grey, inner, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)[0]:
                return (
                    f"a checkerboard of {squares[0]}x{squares[1]} squares was seen, the spec says {columns}x{rows}: "
                    "the spec counts squares, which are one more than the inner corners"
                )
    return ""
