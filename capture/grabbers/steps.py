"""The pace that replayed cameras of a rig keep together where the machine is too slow for every frame."""

from __future__ import annotations

import mmap
from typing import Any

from capture.shared_memory import Segment

_WORD = 8
_LOCK_TIMEOUT_S = 0.2


class Steps:
    """Which instants of a recording the cameras of a rig show: one that any of them begins is shown by all.

    Times are nanoseconds from the epoch. Frames no further apart than a set may span are of one instant.

    Args:
        segment: Memory that the cameras share, of `Steps.bytes_for(cameras)`.
        cameras: How many the rig has.
        place: Which is this one.
        max_skew_ns: Longest span of a set.
    """

    def __init__(self, segment: Segment, cameras: int, place: int, max_skew_ns: int) -> None:
        self._segment = segment
        self._cameras = cameras
        self._place = place
        self._max_skew_ns = max_skew_ns
        # A time of 0 is one, so words hold one more than it.
        words = segment.writable(0, self.bytes_for(cameras)).view("i8")[: 2 * cameras].reshape(2, cameras)
        self._coming, self._begun = words

    def __reduce__(self) -> tuple[Any, ...]:
        return Steps, (self._segment, self._cameras, self._place, self._max_skew_ns)

    @staticmethod
    def bytes_for(cameras: int) -> int:
        """Return how much memory that many cameras need, whole pages."""
        page = mmap.ALLOCATIONGRANULARITY
        return -(-2 * cameras * _WORD // page) * page

    def announce(self, time_ns: int) -> None:
        """Say which frame this camera comes to next, those before it shown or left out."""
        self._coming[self._place] = max(0, time_ns) + 1

    def leave(self) -> None:
        """Let the others not wait for this camera until it announces a frame again."""
        self._coming[self._place] = 0

    @property
    def _newest(self) -> int:
        return int(self._begun.max())

    def is_begun(self, time_ns: int) -> bool:
        """Say whether another camera has begun the instant of this camera's frame, which then is part of its set."""
        newest = self._newest
        own_is_begun = newest - self._begun[self._place] <= self._max_skew_ns
        return newest > 0 and not own_is_begun and abs(time_ns + 1 - newest) <= self._max_skew_ns

    def others_are_done(self) -> bool:
        """Say whether every other camera has shown its frame of the newest instant, or comes to a later one."""
        newest = self._newest
        for place, (coming, begun) in enumerate(zip(self._coming.tolist(), self._begun.tolist(), strict=True)):
            is_past = coming > newest + self._max_skew_ns or (newest - begun <= self._max_skew_ns and coming > begun)
            if place != self._place and coming and not is_past:
                return False
        return True

    def reached_ns(self, now_ns: int) -> int:
        """Return up to where frames may be left out, now that it is `now_ns`, without missing a begun instant."""
        newest = self._newest
        own_is_begun = newest - self._begun[self._place] <= self._max_skew_ns
        return now_ns if own_is_begun else min(now_ns, newest - 1 - self._max_skew_ns)

    def begin(self, time_ns: int) -> None:
        """Have the instant of this camera's frame shown by all; under the lock, where none may have begun it."""
        self._begun[self._place] = max(0, time_ns) + 1

    def lock(self) -> bool:
        """Keep the others from beginning an instant; False if one that hangs keeps us from it."""
        return self._segment.lock(_LOCK_TIMEOUT_S)

    def unlock(self) -> None:
        """Let the others begin instants again."""
        self._segment.unlock()
