"""What became of a recording so far: written by its threads, read by anybody."""

from __future__ import annotations

import threading
from collections import Counter

from capture.recording import RecordingInfo, SetEntry
from server.recording.status import DropCause, RecordingState, RecordingStatus


class Tally:
    """Counts, and the state that a recording is in.

    Args:
        name: Of the recording's folder.
        info: What the recording says of itself.
    """

    def __init__(self, name: str, info: RecordingInfo) -> None:
        self._name = name
        self._info = info
        self._lock = threading.Lock()
        self._state: RecordingState = "recording"
        self._message = ""
        self._drops: Counter[DropCause] = Counter()
        self._frame_sets = self._frames = self._hands = self._hands_dropped = 0
        self._first_ns: int | None = None
        self._last_ns = 0
        self._kept = (0, 0, 0, 0)

    @property
    def state(self) -> RecordingState:
        """The state now."""
        return self._state

    def stopping(self) -> bool:
        """Note that it shall stop; say whether it was recording."""
        with self._lock:
            was_recording = self._state == "recording"
            if was_recording:
                self._state = "stopping"
            return was_recording

    def ended(self, state: RecordingState, message: str) -> None:
        """Note how it ended."""
        with self._lock:
            self._state, self._message = state, message

    def dropped(self, cause: DropCause, count: int = 1) -> None:
        """Count what is not written."""
        with self._lock:
            self._drops[cause] += count

    def dropped_hands(self) -> None:
        """Count a `hands` message that is not written."""
        with self._lock:
            self._hands_dropped += 1

    def wrote_set(self, entry: SetEntry) -> None:
        """Count a frame set."""
        exposures_ns = [stamp.timestamp_ns for stamp in entry.stamps]
        with self._lock:
            self._frame_sets += 1
            self._frames += len(exposures_ns)
            self._first_ns = min(exposures_ns) if self._first_ns is None else self._first_ns
            self._last_ns = max(exposures_ns)

    def wrote_hands(self) -> None:
        """Count a `hands` message."""
        with self._lock:
            self._hands += 1

    def kept(self) -> None:
        """Note that all that was written until now is in the file."""
        with self._lock:
            self._kept = (self._frame_sets, self._frames, self._hands, self._last_ns)

    def lost(self) -> None:
        """Note that what was written since then did not get there."""
        with self._lock:
            frame_sets, hands = self._frame_sets, self._hands
            self._frame_sets, self._frames, self._hands, self._last_ns = self._kept
            self._drops["ended"] += frame_sets - self._frame_sets
            self._hands_dropped += hands - self._hands
            self._first_ns = self._first_ns if self._frame_sets else None

    def status(self, size_bytes: int, calibrations: int) -> RecordingStatus:
        """Return how it is now.

        Args:
            size_bytes: Of its file.
            calibrations: How many are in it.
        """
        with self._lock:
            return RecordingStatus(
                self._name,
                self._state,
                self._message,
                self._info.created,
                self._info.pictures.format,
                self._frame_sets,
                self._frames,
                self._hands,
                0.0 if self._first_ns is None else (self._last_ns - self._first_ns) / 1e9,
                size_bytes,
                {cause: count for cause, count in self._drops.items() if count},
                self._hands_dropped,
                calibrations,
            )
