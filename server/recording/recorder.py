"""One recording in the making, as those see it who give it frame sets and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from capture.frames import FrameSet
from capture.recording import RecordingInfo, RecordingWriter
from server.recording.backlog import Backlog
from server.recording.disk import RESERVE_BYTES
from server.recording.encoders import Encoders, encoder_threads
from server.recording.scribe import ANSWER_BYTES, DiskPlace, Scribe
from server.recording.status import RecordingStatus
from server.recording.tally import Tally
from server.solved import Solved

STOP_S: Final = 10.0


class Recorder:
    """Copies what it is given and has it written; nothing that the disk does holds up the giver.

    Args:
        writer: What writes; from here on the recorder's.
        place: The file that it writes to; likewise.
        info: What the recording says of itself.
        folder: The recording's folder.
        backlog: What may wait.
        reserve_bytes: What is left free on the disk.
    """

    def __init__(
        self,
        writer: RecordingWriter,
        place: DiskPlace,
        info: RecordingInfo,
        folder: Path,
        *,
        backlog: Backlog | None = None,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self.folder = folder
        self._backlog = backlog or Backlog()
        self._tally = Tally(folder.name, info)
        self._encoders = Encoders(info.pictures, self._backlog, encoder_threads())
        self._scribe = Scribe(
            writer,
            place,
            folder,
            backlog=self._backlog,
            tally=self._tally,
            reserve_bytes=reserve_bytes,
        )
        self._first_id: int | None = None
        self._last_id: int | None = None
        self._scribe.start()

    def take(self, frame_set: FrameSet) -> bool:
        """Record a frame set or count it as dropped; never waits. One thread calls it.

        Args:
            frame_set: Its pixels are not needed any more when this returns.

        Returns:
            Whether further sets are wanted.
        """
        if self._tally.state != "recording":
            return False
        if self._last_id is not None:
            self._tally.dropped("missed", frame_set.id - self._last_id - 1)
        self._last_id = frame_set.id
        if not self._submit(frame_set, wait=False):
            self._tally.dropped(self._backlog.cause())
        return True

    def put(self, frame_set: FrameSet) -> bool:
        """Record a frame set, waiting for room. One thread calls it.

        Args:
            frame_set: Its pixels are not needed any more when this returns.

        Returns:
            Whether it is recorded and further sets are wanted.
        """
        return self._tally.state == "recording" and self._submit(frame_set, wait=True)

    def _submit(self, frame_set: FrameSet, *, wait: bool) -> bool:
        pending = self._encoders.submit(frame_set, wait=wait)
        if pending is None:
            return False
        if self._first_id is None:
            self._first_id = frame_set.id
        self._scribe.put(pending)
        return True

    def answer(self, solved: Solved, *, wait: bool = False) -> None:
        """Record an answer; one of a set from before the recording is none of its.

        Args:
            solved: The answer.
            wait: Whether to wait for room; otherwise it is dropped where there is none.
        """
        first_id = self._first_id
        if self._tally.state != "recording" or first_id is None or solved.frame_set.id < first_id:
            return
        if self._backlog.admit(ANSWER_BYTES, wait=wait):
            self._backlog.encoded(ANSWER_BYTES, ANSWER_BYTES)
            self._scribe.put(solved)
        else:
            self._tally.dropped_hands()

    def status(self) -> RecordingStatus:
        """Return how it is now."""
        return self._tally.status(self._scribe.size_bytes, self._scribe.calibrations)

    def stop(self, timeout_s: float = STOP_S) -> RecordingStatus:
        """Take nothing more, write what waits, and end the file; again does nothing.

        Args:
            timeout_s: What waits longer is dropped. Returns within twice that time; with the state `stopping` where
                the disk does not answer.
        """
        if self._tally.stopping():
            self._scribe.end(timeout_s)
        self._encoders.close()
        return self.status()
