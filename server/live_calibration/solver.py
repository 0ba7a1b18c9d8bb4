"""Solving in a process of its own, at low priority, so that neither the stream nor the engine waits for it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np

from calibration import CalibrationError, Rig
from calibration.boards import parse_board
from calibration.files import calibration_to_dict, parse_calibration
from calibration.solving.lenses import LensChoice
from capture.parent_watch import end_with_parent
from server.calibrating.footage import Footage, Sight

SOLVE_TIMEOUT_S: Final = 600.0
_POLL_S: Final = 0.1
_MOST_ARROWS: Final = 120


@dataclass(frozen=True, eq=False, slots=True)
class SolveJob:
    """What is sent to the solver.

    Args:
        board: The board's spec.
        sizes: Picture sizes, in the rig's order.
        frame_sets: How many were looked at.
        sights: What was seen.
        refused: Pictures without a sight, by camera and reason.
        instants_ns: Times of the frame sets.
        model: The lens model.
        world: As `server.calibrating.calibrate` takes it.
        name: The rig's name.
    """

    board: str
    sizes: dict[str, tuple[int, int]]
    frame_sets: int
    sights: tuple[Sight, ...]
    refused: dict[str, dict[str, int]]
    instants_ns: dict[int, int]
    model: LensChoice
    world: str
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """What a solver found.

    Args:
        rig: The calibration.
        report: As a calibration report's `report.json` has it.
        residuals_px: Of each camera, held-out corners and how far they are off: rows of x, y, dx, dy.
    """

    rig: Rig
    report: dict[str, Any]
    residuals_px: Mapping[str, list[list[float]]]


def job_of(footage: Footage, board: str, model: LensChoice, world: str, name: str) -> SolveJob:
    """Put together what can be sent to another process."""
    return SolveJob(
        board,
        dict(footage.sizes),
        footage.frame_sets,
        footage.sights,
        {i: dict(counts) for i, counts in footage.refused.items()},
        dict(footage.instants_ns),
        model,
        world,
        name,
    )


class SolverRun:
    """One run of the solver.

    Args:
        job: What to solve.
        timeout_s: It is ended after so long.
    """

    def __init__(self, job: SolveJob, timeout_s: float = SOLVE_TIMEOUT_S) -> None:
        self.progress = "starting"
        self.outcome: Outcome | None = None
        self.reasons: dict[str, list[str]] = {}
        self._timeout_s = timeout_s
        self._cancelled = threading.Event()
        context = multiprocessing.get_context("spawn")
        self._results, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=run_solver, args=(job, theirs), name="usthand-solver", daemon=True)
        # Ctrl-C goes to the whole process group; it is the service that ends its solver.
        resource_tracker.ensure_running()
        self._process.start()
        theirs.close()
        self._thread = threading.Thread(target=self._listen, name="usthand-solver", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether there is no outcome yet."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """End the process; bounded in time."""
        self._cancelled.set()
        self._thread.join(2.0)

    def _listen(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        try:
            while not self._cancelled.is_set() and time.monotonic() < deadline:
                if self._results.poll(_POLL_S) and self._take(self._results.recv()):
                    return
            if not self._cancelled.is_set():
                self.reasons = {"": [f"the solver took longer than {self._timeout_s:g} s; collect fewer sights"]}
        except (EOFError, OSError):
            self._process.join(1.0)
            self.reasons = {"": [f"the solver ended with code {self._process.exitcode}; see the log, and free memory"]}
        finally:
            self._process.kill()
            self._process.join(1.0)
            self._results.close()

    def _take(self, message: tuple[str, Any]) -> bool:
        kind, value = message
        if kind == "progress":
            self.progress = value
            return False
        if kind == "failed":
            self.reasons = value
        else:
            calibration, report, residuals = value
            self.outcome = Outcome(parse_calibration(calibration), report, residuals)
        return True


def run_solver(job: SolveJob, results: Connection) -> None:
    """Solve, in the other process, and send what comes of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    os.nice(10)
    cv2.setNumThreads(1)
    try:
        results.send(("done", _solved(job, results)))
    except CalibrationError as error:
        results.send(("failed", error.reasons))
    except Exception as error:  # noqa: BLE001 - whatever it is, the session goes on and says it
        results.send(("failed", {"": [f"the solver failed: {type(error).__name__}: {error}; collect more sights"]}))


def _solved(job: SolveJob, results: Connection) -> tuple[bytes, dict[str, Any], dict[str, list[list[float]]]]:
    # Heavy, and of no use to the service itself.
    import json

    from calibration.solving.solve import Wishes
    from server.calibrating.calibrate import calibrate
    from server.calibrating.report import report_content

    footage = Footage(
        MappingProxyType(job.sizes),
        job.frame_sets,
        job.sights,
        MappingProxyType({i: MappingProxyType(counts) for i, counts in job.refused.items()}),
        MappingProxyType(job.instants_ns),
    )
    wishes = Wishes(job.model, advance=lambda what: results.send(("progress", what)))
    findings = calibrate(parse_board(job.board), footage, wishes, job.world, name=job.name)
    held_out = findings.solved.held_out
    residuals: dict[str, list[list[float]]] = {}
    for camera in findings.rig:
        rows = [
            np.column_stack([view.corners_px, residual])
            for view, residual in zip(held_out.views, held_out.residuals_px, strict=True)
            if view.camera_id == camera.id
        ]
        if rows:
            every = np.vstack(rows)
            chosen = every[:: max(1, -(-len(every) // _MOST_ARROWS))]
            residuals[camera.id] = np.round(chosen, 3).tolist()
    calibration = json.dumps(calibration_to_dict(findings.rig), allow_nan=False).encode()
    return calibration, report_content(findings), residuals
