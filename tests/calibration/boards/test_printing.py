from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from base64 import a85decode
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards import BoardDetection, BoardError, detect, parse_board
from calibration.boards.printing import PAPERS_MM, RULER_MM, Layout, Paper, lay_out, write_pdf

DPI = 150
PX_PER_MM = DPI / 25.4
SHEETS: tuple[tuple[str, Paper], ...] = (
    ("charuco:4x5:0.04:DICT_4X4_1000", "a4"),
    ("charuco:4x5:0.04:DICT_4X4_1000:inverted", "letter"),
    ("charuco:5x3:0.045:DICT_5X5_100:two-sided:0.004", "a4"),
    ("aprilgrid:3x4:0.042:0.3:two-sided", "a4"),
    ("checkerboard:5x8:0.028", "a4"),
    ("checkerboard:8x5:0.026:inverted", "a4"),
)


def page_streams(pdf: bytes) -> list[str]:
    """What each page draws, as PDF operators."""
    streams = re.findall(rb"/ASCII85Decode /FlateDecode.*?stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    return [zlib.decompress(a85decode(s.strip().removesuffix(b"~>"))).decode("latin-1") for s in streams]


def painted(stream: str, page_mm: tuple[float, float]) -> NDArray[np.uint8]:
    """Paint a page's filled rectangles, as a printer would."""
    scale = 4
    px_per_pt = scale * DPI / 72
    width, height = (round(length * PX_PER_MM) * scale for length in page_mm)
    page = np.full((height, width), 255, np.uint8)
    grey, pending = 0, []
    for line in stream.splitlines():
        words = line.split() or [""]
        if words[-1] == "g":
            grey = round(255 * float(words[0]))
        for x, y, w, h in re.findall(r"(-?[\d.]+) (-?[\d.]+) (-?[\d.]+) (-?[\d.]+) re", line):
            pending.append([float(v) * px_per_pt for v in (x, y, w, h)])
        if words[-1] in ("f", "f*"):
            for x, y, w, h in pending:
                rows = slice(round(height - y - h), round(height - y))
                page[rows, round(x) : round(x + w)] = grey
            pending = []
    return np.asarray(cv2.resize(page, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA), np.uint8)


def check_true_to_size(spec: str, layout: Layout, pages: list[NDArray[np.uint8]]) -> None:
    board = parse_board(spec)
    assert len(pages) == board.sides
    for side, page in enumerate(pages):
        found = detect(board, page)
        assert isinstance(found, BoardDetection), found
        ids = found.corner_ids - board.first_corner(side)
        assert len(ids) == board.corners_a_side
        expected = (np.array(layout.origin_mm) + 1000 * board.pattern.corners_m[ids]) * PX_PER_MM - 0.5
        assert np.linalg.norm(found.corners_px - expected, axis=1).max() < 0.5
        # The picture is of the whole page, so a corner's place is also where the back's lies over the front's.
        assert page.shape[1] == pytest.approx(layout.page_mm[0] * PX_PER_MM, abs=1.0)


@pytest.mark.parametrize(("spec", "paper"), SHEETS)
def test_a_print_is_true_to_size_and_found_again(spec: str, paper: Paper, tmp_path: Path) -> None:
    layout = write_pdf(parse_board(spec), tmp_path / "board.pdf", paper)
    streams = page_streams((tmp_path / "board.pdf").read_bytes())
    check_true_to_size(spec, layout, [painted(stream, layout.page_mm) for stream in streams])


@pytest.mark.parametrize(("spec", "paper"), SHEETS[1:4])
def test_poppler_shows_the_same(spec: str, paper: Paper, tmp_path: Path) -> None:
    poppler = shutil.which("pdftoppm")
    if poppler is None:
        pytest.skip("pdftoppm is not installed (package poppler-utils)")
    layout = write_pdf(parse_board(spec), tmp_path / "board.pdf", paper)
    subprocess.run([poppler, "-r", str(DPI), "-gray", tmp_path / "board.pdf", tmp_path / "page"], check=True)
    pages = [np.asarray(cv2.imread(str(p), cv2.IMREAD_GRAYSCALE), np.uint8) for p in sorted(tmp_path.glob("page*"))]
    check_true_to_size(spec, layout, pages)


def test_each_page_says_its_spec_and_has_a_ruler(tmp_path: Path) -> None:
    spec = "charuco:4x5:0.04:DICT_4X4_1000:two-sided"
    write_pdf(parse_board(spec), tmp_path / "board.pdf")
    front, back = page_streams((tmp_path / "board.pdf").read_bytes())
    assert f"front: {spec}" in front
    assert f"back: {spec}" in back
    for page in (front, back):
        assert "flip on the long edge" in page
        (ruler,) = [
            float(x1) - float(x0)
            for x0, y0, x1, y1 in re.findall(r"n ([\d.]+) ([\d.]+) m ([\d.]+) ([\d.]+) l S", page)
            if y0 == y1
        ]
        assert ruler * 25.4 / 72 == pytest.approx(RULER_MM, abs=0.01)


def test_front_and_back_lie_on_each_other_when_the_paper_is_turned() -> None:
    for spec in ("charuco:4x5:0.04:DICT_4X4_1000:two-sided", "charuco:5x3:0.045:DICT_5X5_100:two-sided"):
        board = parse_board(spec)
        layout = lay_out(board, "a4")
        assert layout.landscape == spec.startswith("charuco:5x3")
        middle = np.array(layout.origin_mm) + 500 * np.array(board.pattern.size_m)
        np.testing.assert_allclose(middle, np.array(layout.page_mm) / 2, atol=1e-9)


def test_a_board_that_does_not_fit_is_refused_with_what_would() -> None:
    board = parse_board("charuco:4x5:0.054:DICT_4X4_1000:inverted")
    with pytest.raises(BoardError, match=r"232 x 286 mm.*--paper a3.*at most 0\.046 m"):
        lay_out(board, "a4")
    lay_out(parse_board("charuco:4x5:0.046:DICT_4X4_1000:inverted"), "a4")
    assert lay_out(board, "a3").page_mm == PAPERS_MM["a3"]
