"""A board as a PDF to print at true size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from reportlab.lib.units import mm  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from calibration.boards.board import Board
from calibration.boards.drawing import ink_m, panel_m
from calibration.boards.errors import BoardError

Paper = Literal["a4", "a3", "a2", "a1", "a0", "letter", "tabloid"]

PAPERS_MM: Final = MappingProxyType(
    {
        "a4": (210.0, 297.0),
        "a3": (297.0, 420.0),
        "a2": (420.0, 594.0),
        "a1": (594.0, 841.0),
        "a0": (841.0, 1189.0),
        "letter": (215.9, 279.4),
        "tabloid": (279.4, 431.8),
    }
)
"""Width and height of the papers, upright."""

RULER_MM: Final = 100.0
_EDGE_MM = 5.0
"""What printers leave blank at the border."""
_FOOT_MM = 16.0
"""Height of the caption with the ruler, below the board."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a board lies on its paper.

    Args:
        page_mm: Width and height of the page.
        origin_mm: Left and top of the pattern, from the page's top left.
        landscape: Whether the paper lies on its side.
    """

    page_mm: tuple[float, float]
    origin_mm: tuple[float, float]
    landscape: bool


def lay_out(board: Board, paper: Paper) -> Layout:
    """Put a board in the middle of a paper, upright if it fits so, else on its side.

    Raises:
        BoardError: If it does not fit, with what would.
    """
    if paper not in PAPERS_MM:
        raise BoardError(f"paper {paper!r} is not known; use one of {', '.join(get_args(Paper))}")
    left, top, right, bottom = panel_m(board) * 1000.0
    width, height = right - left, bottom - top
    for landscape in (False, True):
        page = PAPERS_MM[paper][::-1] if landscape else PAPERS_MM[paper]
        if _fits(width, height, page):
            # The caption is the same height of nothing at the top: the two pages of a two-sided board then lie on
            # each other whichever way the paper is turned over.
            origin = ((page[0] - width) / 2 - left, (page[1] - height) / 2 - top)
            return Layout(page, origin, landscape)
    raise BoardError(
        f"board {board.spec} takes {width:.0f} x {height:.0f} mm with its border, which does not fit {paper} "
        f"({PAPERS_MM[paper][0]:g} x {PAPERS_MM[paper][1]:g} mm, less {_EDGE_MM:g} mm that printers leave blank and "
        f"{_FOOT_MM:g} mm for the caption); {_remedy(board, paper, width, height)}"
    )


def _fits(width: float, height: float, page: tuple[float, float]) -> bool:
    return width <= page[0] - 2 * _EDGE_MM and height <= page[1] - 2 * (_EDGE_MM + _FOOT_MM)


def _remedy(board: Board, paper: str, width: float, height: float) -> str:
    larger = [p for p, page in PAPERS_MM.items() if _fits(width, height, page) or _fits(width, height, page[::-1])]
    shrink = max(
        min((page[0] - 2 * _EDGE_MM) / width, (page[1] - 2 * (_EDGE_MM + _FOOT_MM)) / height)
        for page in (PAPERS_MM[paper], PAPERS_MM[paper][::-1])
    )
    side_mm = np.floor(shrink * board.pattern.unit_m * 1000.0)
    what = "tags" if board.pattern.spec.startswith("aprilgrid") else "squares"
    choices = [f"use --paper {larger[0]}"] if larger else []
    if side_mm >= 1:
        choices.append(f"make the {what} at most {side_mm / 1000:g} m")
    return ", or ".join(choices) or "take fewer columns and rows"


def write_pdf(board: Board, path: Path, paper: Paper = "a4") -> Layout:
    """Write a board as vectors, one page a side, with a caption and a ruler to check the print by.

    Args:
        board: The board.
        path: The PDF to write.
        paper: What to print on.

    Raises:
        BoardError: If it does not fit the paper.
    """
    layout = lay_out(board, paper)
    canvas = Canvas(str(path), pagesize=(layout.page_mm[0] * mm, layout.page_mm[1] * mm), invariant=1)
    canvas.setTitle(board.spec)
    canvas.setCreator("usthand")
    for side in range(board.sides):
        _draw_side(canvas, board, side, layout)
        _draw_foot(canvas, board, side, layout)
        canvas.showPage()
    canvas.save()
    return layout


def _draw_side(canvas: Canvas, board: Board, side: int, layout: Layout) -> None:
    if board.inverted:
        canvas.setFillGray(0.0)
        _fill(canvas, panel_m(board)[None], layout)
        canvas.setFillGray(1.0)
    else:
        canvas.setFillGray(0.0)
    _fill(canvas, ink_m(board, side), layout)


def _fill(canvas: Canvas, rectangles_m: NDArray[np.float64], layout: Layout) -> None:
    # One path for all: neighbours that are filled one by one show a hairline between them.
    path = canvas.beginPath()
    left, top = layout.origin_mm
    for x0, y0, x1, y1 in (rectangles_m * 1000.0).tolist():
        path.rect((left + x0) * mm, (layout.page_mm[1] - top - y1) * mm, (x1 - x0) * mm, (y1 - y0) * mm)
    canvas.drawPath(path, stroke=0, fill=1)


def _draw_foot(canvas: Canvas, board: Board, side: int, layout: Layout) -> None:
    left, base = (layout.page_mm[0] - RULER_MM) / 2, _EDGE_MM
    canvas.setFillGray(0.0)
    canvas.setStrokeGray(0.0)
    canvas.setLineWidth(0.25 * mm)
    canvas.line(left * mm, base * mm, (left + RULER_MM) * mm, base * mm)
    for tenth in range(11):
        x, tall = left + 10.0 * tenth, 4.0 if tenth % 5 == 0 else 2.5
        canvas.line(x * mm, base * mm, x * mm, (base + tall) * mm)
    canvas.setFont("Helvetica", 7)
    canvas.drawCentredString(layout.page_mm[0] / 2 * mm, (base + 5.0) * mm, _advice(board, layout))
    canvas.setFont("Helvetica", 8)
    names = ("front: ", "back: ") if board.sides == 2 else ("",)
    canvas.drawCentredString(layout.page_mm[0] / 2 * mm, (base + 8.5) * mm, names[side] + board.spec)


def _advice(board: Board, layout: Layout) -> str:
    advice = "print at 100 %; the ruler must measure 100 mm, else put the side of a square that you measure in the spec"
    if board.sides == 2:
        advice += f"; on both sides, flip on the {'short' if layout.landscape else 'long'} edge"
    return advice


__all__ = ["PAPERS_MM", "RULER_MM", "Layout", "Paper", "lay_out", "write_pdf"]
