"""The recordings of a running service: one at a time, each in a folder of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from capture.recording import Pictures
from capture.rig_config import RigConfig
from server.pipeline import Pipeline
from server.recording.disk import judge
from server.recording.listing import list_recordings
from server.recording.names import folder_name, make_folder
from server.recording.opening import NoSpaceError, RecordingOptions, discard, open_recorder
from server.recording.recorder import STOP_S, Recorder
from server.recording.status import RecordingStatus
from server.recording.tap import FrameTap


class AlreadyRecordingError(RuntimeError):
    """A recording runs; there is one at a time."""


class NotRecordingError(RuntimeError):
    """There is no recording to stop."""


@dataclass(frozen=True, slots=True)
class RecordingPlace:
    """Where a service records, and what.

    Args:
        folder: Where recordings go, each into a folder of its own; made when the first one begins.
        config: What the rig file says.
        options: How to record where nobody says otherwise.
    """

    folder: Path
    config: RigConfig
    options: RecordingOptions = field(default_factory=RecordingOptions)


@dataclass(frozen=True, eq=False, slots=True)
class _Running:
    """A recording and what ends its supply."""

    recorder: Recorder
    ends: tuple[Callable[[], None], ...]


class Recordings:
    """Starts and stops recordings; any thread may call it.

    A recording that ended by itself stays the current one until it is stopped or another one is started, so that nobody
    misses why it ended.

    Args:
        place: Where to.
        tap: Where frame sets come from.
        pipeline: Where answers come from.
    """

    def __init__(self, place: RecordingPlace, tap: FrameTap, pipeline: Pipeline) -> None:
        self._place = place
        self._tap = tap
        self._pipeline = pipeline
        self._changing = threading.Lock()
        self._running: _Running | None = None

    @property
    def folder(self) -> Path:
        """Where recordings go."""
        return self._place.folder

    @property
    def default_pictures(self) -> Pictures:
        """How pictures are stored where nobody says otherwise."""
        return self._place.options.pictures

    @property
    def current(self) -> RecordingStatus | None:
        """The recording that runs, or that ended by itself and was not stopped yet."""
        running = self._running
        return None if running is None else running.recorder.status()

    def start(self, name: str | None = None, pictures: Pictures | None = None) -> RecordingStatus:
        """Begin a recording.

        Args:
            name: For its folder; the time by default.
            pictures: How to store them.

        Raises:
            AlreadyRecordingError: If one runs.
            NoSpaceError: If the disk is too full, or cannot be written.
            RecordingError: If the name is none.
        """
        place, pipeline = self._place, self._pipeline
        wanted = folder_name(name, datetime.now())
        with self._changing:
            current = self.current
            if current is not None and current.active:
                raise AlreadyRecordingError(f"recording {current.name!r} is {current.state}; stop it first")
            self._end()
            try:
                folder = make_folder(place.folder, wanted)
            except OSError as error:
                raise NoSpaceError(judge(error, place.folder)[1]) from error
            options = replace(place.options, pictures=pictures or place.options.pictures)
            try:
                recorder = open_recorder(folder, place.config, pipeline.rig, pipeline.engine.card, options)
            except NoSpaceError:
                with contextlib.suppress(OSError):
                    discard(folder)
                    folder.rmdir()
                raise
            self._running = _Running(recorder, (pipeline.subscribe(recorder.answer), self._tap.attach(recorder.take)))
            return recorder.status()

    def stop(self, timeout_s: float = STOP_S) -> RecordingStatus:
        """End the current recording, writing what waits for so long at most.

        Raises:
            NotRecordingError: If there is none.
        """
        with self._changing:
            status = self._end(timeout_s)
        if status is None:
            raise NotRecordingError("no recording runs; start one first")
        return status

    def _end(self, timeout_s: float = STOP_S) -> RecordingStatus | None:
        running = self._running
        if running is None:
            return None
        # The answers first: those that come later are to sets that are not recorded any more.
        for end in running.ends:
            end()
        status = running.recorder.stop(timeout_s)
        self._running = None
        return status

    def describe(self) -> dict[str, Any]:
        """List the current recording and those there are."""
        current = self.current
        return {
            "folder": str(self.folder),
            "current": None if current is None else current.to_map(),
            "recordings": list_recordings(self.folder, None if current is None else current.name),
        }

    def close(self, timeout_s: float = STOP_S) -> None:
        """End the current recording if there is one."""
        with self._changing:
            self._end(timeout_s)
