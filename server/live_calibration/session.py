"""One live calibration at a time: collect, solve, look at the verdict, take it over or not."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from calibration import CalibrationError, Rig
from calibration.boards import Board, parse_board
from calibration.plausibility import board_size_remark
from calibration.solving.lenses import LensChoice
from server.calibration_judge import judge
from server.calibration_service import CalibrationService, Upload
from server.live_calibration.guidance import guide
from server.live_calibration.sightings import CameraView, Sightings
from server.live_calibration.solver import Outcome, SolverRun, job_of
from server.live_calibration.watcher import Watcher
from server.pipeline import Pipeline

COLLECTING = "collecting"
SOLVING = "solving"
SOLVED = "solved"

KEEP = "keep"
"""The world stays where it is: the first camera's place in it is the one that it has now."""


class SessionError(RuntimeError):
    """What was asked for cannot be done now; why, and what to do."""


class NoSessionError(SessionError):
    """There is no session."""


@dataclass(eq=False)
class _Session:
    board: Board
    world: str
    model: LensChoice
    started: str
    sightings: Sightings
    watcher: Watcher
    run: SolverRun | None = None


class LiveCalibration:
    """Calibrates the running cameras; any thread may call it.

    Args:
        pipeline: Where pictures come from.
        service: What takes a calibration over.
    """

    def __init__(self, pipeline: Pipeline, service: CalibrationService) -> None:
        self._pipeline = pipeline
        self._service = service
        self._lock = threading.Lock()
        self._session: _Session | None = None

    def start(self, board: str, world: str = KEEP, model: LensChoice = "auto") -> dict[str, Any]:
        """Begin to collect.

        Args:
            board: The board's spec.
            world: `keep`, `first-camera`, a camera's id, `board` or `floor`.
            model: The lens model; `auto` takes the one that explains held-out sights best.

        Raises:
            BoardError: If the spec is none.
            SessionError: If a session runs, or the world is not known.
        """
        parsed = parse_board(board)
        ids = self._pipeline.rig.camera_ids
        worlds = (KEEP, "first-camera", "board", "floor", *ids)
        if world not in worlds:
            raise SessionError(f"world {world!r} is not known; use one of {', '.join(worlds)}")
        with self._lock:
            if self._session is not None:
                raise SessionError("a live calibration runs already; accept or cancel it first")
            sightings = Sightings(ids)
            watcher = Watcher(self._pipeline.borrow, parsed, sightings)
            started = datetime.now(UTC).isoformat(timespec="seconds")
            self._session = _Session(parsed, world, model, started, sightings, watcher)
        return self.describe()

    def solve(self) -> dict[str, Any]:
        """Solve from what was collected, in the background; nothing is collected meanwhile.

        Raises:
            SessionError: If there is no session, it solves already, or too little was collected.
        """
        with self._lock:
            session = self._running()
            if session.run is not None and session.run.running:
                raise SessionError("it is being solved already; wait for it, or cancel")
            guidance = guide(session.sightings.seen())
            if not guidance.can_solve:
                raise SessionError(f"too little was collected: {'; '.join(guidance.missing)}")
            session.watcher.pause(True)
            world = "first-camera" if session.world == KEEP else session.world
            footage = session.sightings.footage()
            job = job_of(footage, session.board.spec, session.model, world, self._pipeline.rig.name)
            try:
                session.run = SolverRun(job)
            except OSError as error:
                session.watcher.pause(False)
                raise SessionError(f"no solver can be started: {error.strerror}; free memory or processes") from None
        return self.describe()

    def _solved(self, *, force: bool) -> tuple[_Session, Rig]:
        """Return the session, and the calibration to take over."""
        with self._lock:
            session = self._running()
            outcome = session.run.outcome if session.run is not None else None
            if outcome is None:
                raise SessionError("nothing is solved yet; solve first")
            if outcome.report["verdict"] == "bad" and not force:
                raise SessionError(
                    f"the verdict is bad: {'; '.join(outcome.report['reasons'][:3])}. Collect more and solve again, or "
                    "send force=1"
                )
            return session, self._placed(outcome.rig, session.world)

    async def accept(self, *, force: bool) -> Upload:
        """Take the solved calibration over, between two frame sets, and end the session.

        Args:
            force: Also if its verdict is `bad`.

        Raises:
            SessionError: If there is none, or it is bad and not forced.
            CalibrationError: If it does not fit the running cameras any more.
            SwapTimeoutError: If the engine did not take it up; the session stays.
        """
        session, rig = self._solved(force=force)
        upload = await self._service.take(rig, "board")
        await asyncio.to_thread(self._end, session)
        return upload

    def cancel(self) -> None:
        """End the session and forget what was collected.

        Raises:
            NoSessionError: If there is none.
        """
        with self._lock:
            session = self._running()
        self._end(session)

    def close(self) -> None:
        """End the session, if there is one; bounded in time."""
        with self._lock:
            session = self._session
        if session is not None:
            self._end(session)

    def _end(self, session: _Session) -> None:
        """End this session; one that was started meanwhile goes on."""
        with self._lock:
            if self._session is not session:
                return
            self._session = None
        if session.run is not None:
            session.run.cancel()
        session.watcher.stop()

    def describe(self) -> dict[str, Any]:
        """Say how the session is.

        Raises:
            NoSessionError: If there is none.
        """
        with self._lock:
            session = self._running()
            run = session.run
            if run is not None and not run.running:
                session.watcher.pause(False)
        seen = session.sightings.seen()
        guidance = guide(seen)
        solving = run is not None and run.running
        outcome = None if run is None or solving else run.outcome
        return {
            "state": SOLVING if solving else SOLVED if outcome is not None else COLLECTING,
            "board": session.board.spec,
            "world": session.world,
            "model": session.model,
            "started": session.started,
            "frame_sets": seen.frame_sets,
            "cameras": {i: _camera_map(view, looking=not solving) for i, view in seen.cameras.items()},
            "pairs": [{"cameras": list(pair), "shared": count} for pair, count in seen.shared.items()],
            "guidance": [{"text": hint.text, "cameras": list(hint.camera_ids)} for hint in guidance.hints],
            "can_solve": guidance.can_solve and not solving,
            "missing": list(guidance.missing),
            "progress": run.progress if run is not None and solving else None,
            "problems": {} if run is None or solving else run.reasons,
            "error": session.watcher.error,
            "result": None if outcome is None else self._result_map(outcome, session.world),
        }

    def picture(self, camera_id: str) -> bytes:
        """Return the picture that was looked at last, with the corners that were found in it, as a JPEG.

        Raises:
            NoSessionError: If there is no session.
            KeyError: If there is no such camera, or it gave no picture yet.
        """
        with self._lock:
            looked_at = self._running().sightings.looked_at(camera_id)
        if looked_at is None:
            raise KeyError(camera_id)
        return looked_at.jpeg()

    def _result_map(self, outcome: Outcome, world: str) -> dict[str, Any]:
        rig = self._placed(outcome.rig, world)
        remarks: list[str] = []
        try:
            judgement = judge(rig, self._pipeline.rig, {}, force=True)
            changes = {camera_id: asdict(change) for camera_id, change in judgement.changes.items()}
            remarks = [*judgement.suspicions]
            if (size := board_size_remark(rig, self._pipeline.rig)) is not None:
                remarks.append(size)
        except CalibrationError:
            changes = {}
        return {
            "calibration_id": rig.id,
            "verdict": outcome.report["verdict"],
            "reasons": outcome.report["reasons"],
            "remarks": remarks,
            "report": outcome.report,
            "changes": changes,
            "residuals_px": outcome.residuals_px,
        }

    def _placed(self, rig: Rig, world: str) -> Rig:
        if world != KEEP:
            return rig
        first, now = rig.cameras[0], self._pipeline.rig.camera(rig.cameras[0].id)
        T_old_new = np.linalg.inv(first.T_camera_world) @ now.T_camera_world
        return Rig(tuple(camera.with_transform(camera.T_camera_world @ T_old_new) for camera in rig), rig.name)

    def _running(self) -> _Session:
        if self._session is None:
            raise NoSessionError("no live calibration runs; start one with the board's spec")
        return self._session


def _camera_map(view: CameraView, *, looking: bool) -> dict[str, Any]:
    # While it solves nobody looks: what was seen last is not where the board is.
    corners_px = view.corners_px if looking else None
    return {
        "size": None if view.size is None else list(view.size),
        "sights": view.sights,
        "covered": round(view.covered, 3),
        "coverage": view.coverage.tolist(),
        "refused": dict(view.refused),
        "corners_px": None if corners_px is None else np.round(corners_px, 1).tolist(),
        "refusal": view.refusal if looking else "",
    }
