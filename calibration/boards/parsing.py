"""Board specs: the text by which command lines and files name a board."""

from __future__ import annotations

import math
import re
from typing import Final

from calibration.boards.aprilgrid import AprilGrid
from calibration.boards.board import Board
from calibration.boards.charuco import Charuco
from calibration.boards.checkerboard import Checkerboard
from calibration.boards.dictionaries import DICTIONARIES, marker_count
from calibration.boards.errors import BoardError
from calibration.boards.pattern import Pattern

FORMS: Final = (
    "charuco:COLUMNSxROWS:SQUARE_M:DICTIONARY[:marker=RATIO]",
    "aprilgrid:COLUMNSxROWS:TAG_M:SPACING_RATIO[:DICTIONARY]",
    "checkerboard:COLUMNSxROWS:SQUARE_M",
)
"""The forms of a spec; each may go on with `:inverted` and `:two-sided[:THICKNESS_M]`."""

_COUNTS = re.compile(r"(\d{1,3})x(\d{1,3})")
_LONGEST_M = 5.0
_FEWEST_CORNERS = 6
_SHORTEST_M = 1e-3
_THICKEST_M = 0.2
_NAMES = {name.upper(): name for name in DICTIONARIES}


def parse_board(text: str) -> Board:
    """Read a board spec.

    - `charuco:4x5:0.054:DICT_4X4_1000`: 4 columns and 5 rows of squares of 54 mm; `:marker=0.8` where a marker's side
      is not 0.75 of a square's.
    - `aprilgrid:6x6:0.088:0.3`: Kalibr's `tagCols`, `tagRows`, `tagSize` and `tagSpacing`; tags of
      `DICT_APRILTAG_36h11` unless another dictionary follows.
    - `checkerboard:8x5:0.03`: columns and rows count squares, not inner corners; one of the two must be odd and the
      other even.

    Then `:inverted` for a print in white on black, and `:two-sided`, with the board's thickness in metres if it is not
    a sheet, for a pattern on both sides.

    Raises:
        BoardError: If the text is not a board: the part, its value and the remedy.
    """
    kind, *parts = text.strip().split(":")
    parts, inverted, thickness_m = _without_options(text, parts)
    match kind:
        case "charuco":
            pattern: Pattern = _charuco(text, parts)
        case "aprilgrid":
            pattern = _aprilgrid(text, parts)
        case "checkerboard":
            pattern = _checkerboard(text, parts)
        case _:
            raise BoardError(f"board {text!r}: kind {kind!r} is not known; use one of the forms {', '.join(FORMS)}")
    board = Board(pattern, inverted, thickness_m)
    if thickness_m is not None and not pattern.distinct:
        raise BoardError(
            f"board {text!r}: a checkerboard with two sides looks the same from both; use charuco or aprilgrid, whose "
            "sides have markers of their own"
        )
    if isinstance(pattern, Charuco | AprilGrid):
        needed, has = board.sides * pattern.distinct, marker_count(pattern.dictionary)
        if needed > has:
            raise BoardError(
                f"board {text!r}: it needs {needed} markers and {pattern.dictionary} has {has}; use a larger "
                "dictionary or fewer columns and rows"
            )
    return board


def _without_options(text: str, parts: list[str]) -> tuple[list[str], bool, float | None]:
    inverted, thickness_m = False, None
    kept = list(parts)
    while kept:
        two_sided = [i for i in (len(kept) - 1, len(kept) - 2) if i >= 0 and kept[i] == "two-sided"]
        if kept[-1] == "inverted" and not inverted:
            inverted = True
            kept.pop()
        elif two_sided and thickness_m is None:
            (place, *_) = two_sided
            thickness = kept[place + 1 :]
            thickness_m = _number(text, "thickness", thickness[0], 0.0, _THICKEST_M) if thickness else 0.0
            kept = kept[:place]
        else:
            break
    return kept, inverted, thickness_m


def _charuco(text: str, parts: list[str]) -> Charuco:
    ratio = 0.75
    if parts and parts[-1].startswith("marker="):
        ratio = _number(text, "marker ratio", parts.pop().removeprefix("marker="), 0.3, 0.95)
    counts, square, name = _exactly(text, parts, FORMS[0])
    columns, rows = _counts(text, counts, 3)
    if (columns - 1) * (rows - 1) < _FEWEST_CORNERS:
        raise BoardError(
            f"board {text!r}: {counts} squares have {(columns - 1) * (rows - 1)} inner corners, fewer than the "
            f"{_FEWEST_CORNERS} that a sight needs; use at least 4x3"
        )
    square_m = _number(text, "square side", square, _SHORTEST_M, _LONGEST_M)
    return Charuco(columns, rows, square_m, _dictionary(text, name), ratio)


def _aprilgrid(text: str, parts: list[str]) -> AprilGrid:
    name = "DICT_APRILTAG_36h11"
    if len(parts) == 4:
        name = _dictionary(text, parts.pop())
    counts, tag, spacing = _exactly(text, parts, FORMS[1])
    columns, rows = _counts(text, counts, 1)
    if columns * rows < 2:
        raise BoardError(f"board {text!r}: one tag is no grid; use at least 2x1")
    tag_m = _number(text, "tag side", tag, _SHORTEST_M, _LONGEST_M)
    return AprilGrid(columns, rows, tag_m, _number(text, "spacing ratio", spacing, 0.05, 1.0), name)


def _checkerboard(text: str, parts: list[str]) -> Checkerboard:
    counts, square = _exactly(text, parts, FORMS[2])
    columns, rows = _counts(text, counts, 4)
    if (columns + rows) % 2 == 0:
        raise BoardError(
            f"board {text!r}: {columns}x{rows} squares look the same upside down, so that cameras would disagree; use "
            f"one odd and one even number, such as {columns}x{rows - 1 if rows > 4 else rows + 1}, or a charuco board"
        )
    return Checkerboard(columns, rows, _number(text, "square side", square, _SHORTEST_M, _LONGEST_M))


def _exactly(text: str, parts: list[str], form: str) -> list[str]:
    needed = form.split("[")[0].count(":")
    if len(parts) == needed:
        return parts
    extra = f"; {parts[needed]!r} is too much" if len(parts) > needed else ""
    raise BoardError(
        f"board {text!r} has {len(parts)} parts after its kind, not {needed}{extra}; write {form}, then :inverted or "
        ":two-sided[:THICKNESS_M] if it is"
    )


def _counts(text: str, part: str, least: int) -> tuple[int, int]:
    match = _COUNTS.fullmatch(part)
    if match is None:
        raise BoardError(f"board {text!r}: {part!r} is not COLUMNSxROWS, such as 4x5")
    columns, rows = int(match[1]), int(match[2])
    if min(columns, rows) < least or max(columns, rows) > 50:
        raise BoardError(f"board {text!r}: {part} is out of range; use {least} to 50 columns and rows")
    return columns, rows


def _number(text: str, what: str, part: str, least: float, most: float) -> float:
    try:
        value = float(part)
    except ValueError:
        raise BoardError(f"board {text!r}: {what} {part!r} is not a number; write metres, such as 0.054") from None
    if not math.isfinite(value) or not least <= value <= most:
        hint = "; lengths are metres, 54 mm is 0.054" if value > most and not what.endswith("ratio") else ""
        raise BoardError(f"board {text!r}: {what} {part} is not within {least:g} and {most:g}{hint}")
    return value


def _dictionary(text: str, part: str) -> str:
    # Kalibr, OpenCV's Python and its C++ do not agree on the letter's case: 36H11, 36h11.
    if (name := _NAMES.get(part.upper())) is None:
        raise BoardError(f"board {text!r}: dictionary {part!r} is not known; use one of {', '.join(DICTIONARIES)}")
    return name
