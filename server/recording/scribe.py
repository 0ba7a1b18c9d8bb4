"""The thread that writes a recording to the disk."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
import time
from pathlib import Path
from typing import Final, Protocol

from capture.recording import RecordingWriter
from server.dialects import DIALECTS
from server.encoding import encode_json
from server.messages import DEFAULT_FIELDS, hands_message
from server.recording.backlog import Backlog
from server.recording.disk import judge, too_little
from server.recording.encoders import PendingSet
from server.recording.status import DropCause, RecordingState
from server.recording.tally import Tally
from server.solved import Solved

_log = logging.getLogger("usthand.recording")

ANSWER_BYTES: Final = 64 << 10
"""About what an answer holds in memory until its message is made."""

_POLL_S: Final = 0.2


class DiskPlace(Protocol):
    """The file of a recording."""

    def free_bytes(self) -> int:
        """Return what is free on its disk; OSError if the file is gone."""

    def close(self, *, sync: bool) -> None:
        """Close it; `sync` waits until it is on the disk itself."""


class Scribe:
    """Writes what is in the queue, until the queue says that this is all, or the disk does.

    Args:
        writer: What writes; from here on only the scribe uses it.
        place: The file that it writes to.
        folder: Where that lies, for messages.
        backlog: Where what waits is counted.
        tally: Where what becomes of it is counted.
        reserve_bytes: What is left free on the disk.
    """

    def __init__(
        self,
        writer: RecordingWriter,
        place: DiskPlace,
        folder: Path,
        *,
        backlog: Backlog,
        tally: Tally,
        reserve_bytes: int,
    ) -> None:
        self._queue: queue.SimpleQueue[PendingSet | Solved | None] = queue.SimpleQueue()
        self._writer = writer
        self._place = place
        self._folder = folder
        self._backlog = backlog
        self._tally = tally
        self._reserve_bytes = reserve_bytes
        self._cut_off = threading.Event()
        self._taking = True
        self._thread = threading.Thread(target=self._run, name="usthand-recorder", daemon=True)

    @property
    def size_bytes(self) -> int:
        """What was written, and what waits for its chunk to be closed."""
        return self._writer.size_bytes

    @property
    def calibrations(self) -> int:
        """Calibrations written."""
        return self._writer.calibrations

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, item: PendingSet | Solved) -> None:
        """Have something written; any thread."""
        self._queue.put(item)
        if not self._taking:
            # It may have come after the last look into the queue: then nobody else would count it.
            self._drop_waiting()

    def end(self, timeout_s: float) -> bool:
        """Write what waits, for so long; drop the rest, and end the file.

        Returns:
            Whether it is ended; if not, the disk does not answer.
        """
        self._queue.put(None)
        self._thread.join(timeout_s)
        self._cut_off.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            state, message = self._write_all()
            self._stop_taking()
            self._finish(state)
        except OSError as error:
            state, message = judge(error, self._folder)
            self._tally.lost()
        except Exception as error:  # noqa: BLE001 - a recording is lost, not the service
            _log.exception("the recording %s failed", self._folder)
            state, message = "failed", f"{type(error).__name__}: {error}; the service's log has more"
            self._tally.lost()
        self._stop_taking()
        with contextlib.suppress(OSError):
            self._place.close(sync=False)
        self._tally.ended(state, message)

    def _write_all(self) -> tuple[RecordingState, str]:
        """Write until told that this is all, or the disk is nearly full; return the state that it ends in."""
        while True:
            try:
                item = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                pass
            else:
                if item is None:
                    return "finished", ""
                self._write(item)
            if self._writer.flush_if_due():
                self._tally.kept()
                if (free := self._place.free_bytes()) < self._reserve_bytes:
                    return "disk_full", too_little(self._folder, free, self._reserve_bytes)

    def _write(self, item: PendingSet | Solved) -> None:
        if self._cut_off.is_set():
            self._drop(item, "cut_off")
            return
        try:
            if isinstance(item, Solved):
                self._write_answer(item)
            else:
                self._write_set(item)
        except BaseException:
            self._drop(item, "ended")
            raise

    def _write_set(self, pending: PendingSet) -> None:
        pictures = [None if picture is None else picture.result() for picture in pending.pictures]
        self._writer.add_set(pending.entry, pictures)
        self._tally.wrote_set(pending.entry)
        self._backlog.written(sum(len(picture) for picture in pictures if picture is not None))

    def _write_answer(self, solved: Solved) -> None:
        message = hands_message(solved, DEFAULT_FIELDS, DIALECTS["mano"], sent_ns=time.monotonic_ns())
        timestamp_ns = solved.frame_set.timestamp_ns
        self._writer.add_calibration(solved.rig, timestamp_ns)
        self._writer.add_hands(encode_json(message), timestamp_ns, solved.solved_ns, solved.sequence)
        self._tally.wrote_hands()
        self._backlog.written(ANSWER_BYTES)

    def _drop(self, item: PendingSet | Solved, cause: DropCause) -> None:
        if isinstance(item, Solved):
            self._tally.dropped_hands()
        else:
            self._tally.dropped(cause)

    def _stop_taking(self) -> None:
        """Let nothing in any more, and drop what waits."""
        self._backlog.close()
        self._taking = False
        self._drop_waiting()

    def _drop_waiting(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                if (item := self._queue.get_nowait()) is not None:
                    self._drop(item, "ended")

    def _finish(self, state: RecordingState) -> None:
        status = self._tally.status(self.size_bytes, self.calibrations)
        end = {**status.to_map(), "state": state}
        self._writer.finish({key: value if isinstance(value, str) else json.dumps(value) for key, value in end.items()})
        self._place.close(sync=True)
