"""How much waits to be written, and whether there is room for more."""

from __future__ import annotations

import threading
from typing import Final

from server.recording.status import DropCause

QUEUE_BYTES: Final = 256 << 20


class Backlog:
    """Counts the bytes that wait, against a limit.

    What is larger than the limit is let in alone, or it would never be.

    Args:
        limit_bytes: What may wait at most.
    """

    def __init__(self, limit_bytes: int = QUEUE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._changed = threading.Condition()
        self._raw_bytes = 0
        self._ready_bytes = 0
        self._closed = False

    @property
    def waiting_bytes(self) -> int:
        """What waits."""
        return self._raw_bytes + self._ready_bytes

    def admit(self, size_bytes: int, *, wait: bool = False) -> bool:
        """Let something in that is to be encoded.

        Args:
            size_bytes: Its size.
            wait: Whether to wait for room.

        Returns:
            Whether it is in; never once it is closed.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._closed or self._has_room(size_bytes))
            if self._closed or not self._has_room(size_bytes):
                return False
            self._raw_bytes += size_bytes
            return True

    def _has_room(self, size_bytes: int) -> bool:
        return not self.waiting_bytes or self.waiting_bytes + size_bytes <= self._limit_bytes

    def encoded(self, raw_bytes: int, ready_bytes: int) -> None:
        """Note that something was encoded and waits for the disk now."""
        with self._changed:
            self._raw_bytes -= raw_bytes
            self._ready_bytes += ready_bytes
            self._changed.notify_all()

    def written(self, ready_bytes: int) -> None:
        """Note that something is gone."""
        with self._changed:
            self._ready_bytes -= ready_bytes
            self._changed.notify_all()

    def cause(self) -> DropCause:
        """Say what holds things up now."""
        return "encoding_slow" if self._raw_bytes > self._ready_bytes else "disk_slow"

    def close(self) -> None:
        """Let nothing in any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
