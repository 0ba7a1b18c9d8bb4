"""Pictures for a calibration report: where corners were seen, and what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera
from calibration.observations import BoardView
from calibration.solving.judging import COVERAGE_GRID, coverage

_WIDTH: Final = 640
_PAPER: Final = (250, 250, 248)
_INK: Final = (60, 60, 60)
_FAINT: Final = (215, 215, 212)
_DOT: Final = (170, 90, 20)
_BAD: Final = (60, 60, 210)
_ARROW_PX: Final = 60.0
"""How long an arrow of one pixel of error is drawn, in a picture of `_WIDTH`."""


def coverage_picture(camera: Camera, views: Sequence[BoardView]) -> NDArray[np.uint8]:
    """Draw where in a camera's picture corners were seen: each as a dot, empty cells hatched in red.

    Args:
        camera: The camera.
        views: Sights, of this camera and others.
    """
    canvas, scale = _sheet(camera)
    counts = coverage(camera, views)
    columns, rows = COVERAGE_GRID
    height, width = canvas.shape[:2]
    for row in range(rows):
        for column in range(columns):
            corner = (width * column // columns, height * row // rows)
            opposite = (width * (column + 1) // columns, height * (row + 1) // rows)
            if counts[row, column]:
                depth = min(1.0, counts[row, column] / 40)
                shade = np.array(_PAPER) * (1 - depth) + np.array((225, 240, 205)) * depth
                cv2.rectangle(canvas, corner, opposite, tuple(map(float, shade)), -1)
            else:
                cv2.line(canvas, corner, opposite, (190, 190, 245), 1, cv2.LINE_AA)
            cv2.rectangle(canvas, corner, opposite, _FAINT, 1)
    for view in views:
        if view.camera_id == camera.id:
            for x, y in view.corners_px * scale:
                cv2.circle(canvas, (round(x), round(y)), 2, _DOT, -1, cv2.LINE_AA)
    share = 100 * float((counts > 0).mean())
    return _titled(canvas, f"{camera.id}: {counts.sum()} corners, {share:.0f} % of the picture")


def residual_picture(
    camera: Camera, views: Sequence[BoardView], residuals_px: Sequence[NDArray[np.float64]]
) -> NDArray[np.uint8]:
    """Draw how far held-out corners of a camera are off, as arrows, with a scale.

    Args:
        camera: The camera.
        views: Held-out sights, of this camera and others.
        residuals_px: Measured minus projected, for each sight.
    """
    canvas, scale = _sheet(camera)
    lengths: list[float] = []
    for view, residual in zip(views, residuals_px, strict=True):
        if view.camera_id != camera.id:
            continue
        for start, arrow in zip(view.corners_px * scale, residual * _ARROW_PX, strict=True):
            length = float(np.linalg.norm(arrow)) / _ARROW_PX
            lengths.append(length)
            end = start + arrow
            colour = _BAD if length > 1.0 else _DOT
            cv2.arrowedLine(
                canvas, _point(start), _point(end), colour, 1, cv2.LINE_AA, tipLength=min(0.3, 4 / (60 * length + 1))
            )
    height = canvas.shape[0]
    cv2.line(canvas, (12, height - 14), (12 + round(_ARROW_PX), height - 14), _INK, 2)
    cv2.putText(canvas, "1 px", (80, height - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    rms = float(np.sqrt(np.mean(np.square(lengths)))) if lengths else float("nan")
    return _titled(canvas, f"{camera.id}: {len(lengths)} held-out corners, rms {rms:.2f} px")


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture.

    Raises:
        OSError: If it cannot be written.
    """
    there, data = cv2.imencode(".png", picture)
    if not there:
        raise OSError(f"{path}: the picture cannot be encoded")
    path.write_bytes(data.tobytes())


def _sheet(camera: Camera) -> tuple[NDArray[np.uint8], float]:
    scale = _WIDTH / camera.width
    return np.full((round(camera.height * scale), _WIDTH, 3), _PAPER, np.uint8), scale


def _titled(canvas: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    cv2.rectangle(canvas, (0, 0), (canvas.shape[1] - 1, canvas.shape[0] - 1), _INK, 1)
    head = np.full((26, canvas.shape[1], 3), 255, np.uint8)
    cv2.putText(head, title, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    return np.vstack([head, canvas])


def _point(xy: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))
