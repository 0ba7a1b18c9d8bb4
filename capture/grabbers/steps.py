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
        words = segment.writable(0, self.bytes_for(cameras)).view("i8")[: 3 * cameras].reshape(3, cameras)
        self._coming, self._begun, self._begun_at_ns = words

    def __reduce__(self) -> tuple[Any, ...]:
        return Steps, (self._segment, self._cameras, self._place, self._max_skew_ns)

    @staticmethod
    def bytes_for(cameras: int) -> int:
        """Return how much memory that many cameras need, whole pages."""
        page = mmap.ALLOCATIONGRANULARITY
        return -(-3 * cameras * _WORD // page) * page

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

    def others_are_done(self, given_up_ns: int) -> bool:
        """Say whether every other camera has shown its frame of the newest instant, or comes to a later one.

        Args:
            given_up_ns: An instant that was begun before this, on the monotonic clock, is not waited for any more.
        """
        newest = self._newest
        is_of_newest = newest - self._begun <= self._max_skew_ns
        if self._begun_at_ns[is_of_newest].min() <= given_up_ns:
            return True
        is_past = (self._coming > newest + self._max_skew_ns) | (is_of_newest & (self._coming > self._begun))
        is_waited_for = self._coming > 0
        is_waited_for[self._place] = False
        return not bool((is_waited_for & ~is_past).any())

    def reached_ns(self, now_ns: int) -> int:
        """Return up to where frames may be left out, now that it is `now_ns`, without missing a begun instant."""
        newest = self._newest
        own_is_begun = newest - self._begun[self._place] <= self._max_skew_ns
        return now_ns if own_is_begun else min(now_ns, newest - 1 - self._max_skew_ns)

    def begin(self, time_ns: int, now_ns: int) -> None:
        """Have the instant of this camera's frame shown by all; under the lock, where none may have begun it.

        Args:
            time_ns: The frame's.
            now_ns: On the monotonic clock.
        """
        self._begun_at_ns[self._place] = now_ns
        self._begun[self._place] = max(0, time_ns) + 1

    def lock(self) -> bool:
        """Keep the others from beginning an instant; False if one that hangs keeps us from it."""
        return self._segment.lock(_LOCK_TIMEOUT_S)

    def unlock(self) -> None:
        """Let the others begin instants again."""
        self._segment.unlock()
