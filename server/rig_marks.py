"""How well the running calibration explains the hands: residuals of the newest ones, and where hands were seen."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from calibration.solving.judging import COVERAGE_GRID
from server.solved import Solved

_PERIOD_S: Final = 0.2
"""Coverage needs no more, and the engine's thread has better to do."""


def residuals_px(solved: Solved) -> dict[str, list[list[float]]]:
    """Return how far each view's own joints are from the projected ones.

    Args:
        solved: An answer; its pixels are not needed.

    Returns:
        By camera id, rows of x, y of the projected joint and dx, dy from it to the view's own, pixels.
    """
    rows: dict[str, list[list[float]]] = {}
    for view, camera in enumerate(solved.rig):
        found: list[list[float]] = []
        for hand in solved.hands:
            if hand.view_weight[view] <= 0:
                continue
            projected = hand.as_seen_by(camera).project(hand.joints_world)
            both = np.column_stack([projected, hand.keypoints_px[view] - projected])
            found += np.round(both[np.isfinite(both).all(axis=1)], 2).tolist()
        rows[camera.id] = found
    return rows


class HandCoverage:
    """Counts in which parts of each camera's picture hands were seen, since the calibration runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rig_id = ""
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._next_s = 0.0

    def observe(self, solved: Solved) -> None:
        """Take an answer; in the engine's thread, now and then."""
        now_s = time.monotonic()
        if now_s < self._next_s or not solved.hands:
            return
        self._next_s = now_s + _PERIOD_S
        columns, rows = COVERAGE_GRID
        with self._lock:
            if solved.rig.id != self._rig_id:
                self._rig_id = solved.rig.id
                self._counts = {c.id: np.zeros((rows, columns), dtype=np.int64) for c in solved.rig}
            for view, camera in enumerate(solved.rig):
                for hand in solved.hands:
                    points = hand.keypoints_px[view]
                    points = points[np.isfinite(points).all(axis=1) & camera.contains(points)]
                    cells = ((points + 0.5) * (columns / camera.width, rows / camera.height)).astype(np.int64)
                    where = (cells[:, 1].clip(0, rows - 1), cells[:, 0].clip(0, columns - 1))
                    np.add.at(self._counts[camera.id], where, 1)

    def of(self, rig: Rig) -> dict[str, list[list[int]]]:
        """Return the counts `(rows, columns)` of each camera; empty before a hand was seen with that calibration."""
        with self._lock:
            return {i: counts.tolist() for i, counts in self._counts.items()} if rig.id == self._rig_id else {}


def marks_map(solved: Solved | None, coverage: HandCoverage, rig: Rig) -> dict[str, Any]:
    """Say residuals and coverage in JSON's terms."""
    residuals = residuals_px(solved) if solved is not None and solved.rig.id == rig.id else {}
    covered = coverage.of(rig)
    return {
        "calibration_id": rig.id,
        "cameras": {
            camera.id: {"coverage": covered.get(camera.id), "residuals_px": residuals.get(camera.id, [])}
            for camera in rig
        },
    }
