"""One camera of a recording, replayed at its own pace or read frame by frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from capture.errors import CaptureError
from capture.grabbers.decoding import settle
from capture.grabbers.pacing import Pacer
from capture.grabbers.protocol import CaptureMode, Clock, Grab, GrabberInfo, Lost
from capture.grabbers.steps import Steps
from capture.recording import RecordedFrame, Recording, RecordingError
from capture.rig_config import RecordingSource

_LEAD_NS = 1_000_000_000


class RecordingGrabber:
    """Reads the frames of one camera of a recording.

    Live, the recording is laid from the epoch on, the same instant for all of its cameras, which so keep their skew.
    Lossless, frames have the stamps that they were recorded with, those of arrival too.

    A recording that was cut short, by a full disk or the end of the program that wrote it, ends where it was cut, which
    is said and is no failure.

    Args:
        source: What to read.
        camera_id: The camera of the rig that it stands for.
        mode: `live` is paced and skips frames whose time is over; `lossless` is neither.
        clock: The time.
        steps: What it shares with the other replayed cameras of the rig; None if it is alone.
    """

    def __init__(
        self, source: RecordingSource, camera_id: str, mode: CaptureMode, clock: Clock, steps: Steps | None = None
    ) -> None:
        self._source = source
        self._camera_id = source.camera or camera_id
        self._lossless = mode == "lossless"
        self._clock = clock
        self._pacer = Pacer(clock, not self._lossless, steps)
        self._recording: Recording | None = None
        self._frames: Iterator[RecordedFrame] = iter(())
        self._ahead: RecordedFrame | None = None
        self._loop = 0
        self._index_shift = 0
        self._next_index = 0
        self._caught_up = False

    @property
    def ending(self) -> str:
        """How the recording ended; empty when it was closed properly."""
        if self._recording is None or self._recording.complete:
            return ""
        return f"recording {self._recording.path} was cut short when it was made; what there is of it was read"

    def open(self) -> GrabberInfo:
        """Look through the file, and decode the first picture for its size."""
        recording = self._recording = Recording(self._source.path)
        first = next(recording.frames(self._camera_id), None)
        if first is None:
            raise CaptureError(f"recording {recording.path} has no picture of camera {self._camera_id!r}; record again")
        height, width = first.image_bgr().shape[:2]
        gaps = recording.frame_count(self._camera_id) - 1
        fps = gaps * 1e9 * self._speed / recording.span_ns if gaps > 0 and recording.span_ns > 0 else 0.0
        return GrabberInfo(width, height, fps, f"recording {recording.info.name}, {recording.info.pictures.format}")

    @property
    def _speed(self) -> float:
        return 1.0 if self._lossless else self._source.speed

    def start(self, epoch_ns: int) -> None:
        """Lay the recording from the epoch on; a replay that starts late begins where the others are."""
        self._pacer.epoch_ns = epoch_ns
        recording = self._opened()
        from_ns = 0
        if not self._lossless:
            elapsed_ns = round((self._clock.now_ns() - epoch_ns) * self._speed)
            if self._source.loop:
                self._loop = max(0, elapsed_ns // recording.period_ns)
                elapsed_ns -= self._loop * recording.period_ns
                self._index_shift = self._loop * recording.frame_count(self._camera_id)
            from_ns = max(0, recording.first_ns + elapsed_ns - _LEAD_NS)
        self._read_from(from_ns)

    def _opened(self) -> Recording:
        if self._recording is None:
            raise CaptureError(f"recording {self._source.path} is not open; call open() first")
        return self._recording

    def _read_from(self, from_ns: int) -> None:
        self._frames = self._opened().frames(self._camera_id, from_ns=from_ns)
        self._ahead = next(self._frames, None)

    def grab(self, into: NDArray[np.uint8]) -> Grab | Lost | None:
        """Write the next frame whose time is not over."""
        behind = 0
        while (frame := self._next()) is not None:
            offset_ns = self._offset_ns(frame)
            next_ns = self._end_ns() if self._ahead is None else self._offset_ns(self._ahead)
            turn = self._pacer.turn(offset_ns, next_ns)
            if turn == "end":
                return None
            if turn == "over":
                behind += self._caught_up
                continue
            received_ns = frame.stamp.received_ns if self._lossless else self._clock.now_ns()
            try:
                image_bgr = frame.image_bgr()
            except RecordingError:
                if self._lossless:
                    raise
                return Lost(behind, undecodable=1)
            settle(image_bgr, into, f"recording {self._source.path}, camera {self._camera_id!r}")
            self._caught_up = True
            timestamp_ns = frame.stamp.timestamp_ns if self._lossless else self._pacer.timestamp_ns(offset_ns)
            return Grab(timestamp_ns, received_ns, self._next_index - 1, behind)
        return Lost(behind) if behind else None

    def _next(self) -> RecordedFrame | None:
        """Return the next frame and look one further, in the next loop if there is one."""
        if self._ahead is None and not self._rewind():
            return None
        frame, self._ahead = self._ahead, next(self._frames, None)
        if frame is not None:
            self._next_index = frame.stamp.index + self._index_shift + 1
        return frame

    def _rewind(self) -> bool:
        if self._lossless or not self._source.loop:
            return False
        elapsed_ns = round((self._clock.now_ns() - self._pacer.epoch_ns) * self._speed)
        self._loop = max(self._loop + 1, elapsed_ns // self._opened().period_ns)
        self._read_from(0)
        if self._ahead is None:
            return False
        self._index_shift = self._next_index - self._ahead.stamp.index
        return True

    def _offset_ns(self, frame: RecordedFrame) -> int:
        """Return when a frame is exposed in the replay, nanoseconds from the epoch."""
        recording = self._opened()
        since_ns = frame.stamp.timestamp_ns - recording.first_ns
        return round((self._loop * recording.period_ns + since_ns) / self._speed)

    def _end_ns(self) -> int:
        """Return when this loop is over, nanoseconds from the epoch."""
        return round((self._loop + 1) * self._opened().period_ns / self._speed)

    def close(self) -> None:
        """Nothing stays open but what the iteration holds."""
        self._frames, self._ahead = iter(()), None
