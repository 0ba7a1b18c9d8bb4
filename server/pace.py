"""At most so many messages a second."""

from __future__ import annotations

import math
from typing import Final

_TIMER_EARLY_NS: Final = 1000
"""By less than this an event loop's timer may wake before its time."""

_LONGEST_NS: Final = 10**18
"""Thirty years: there are rates above 0 whose period is not finite."""


class Pace:
    """Keeps messages apart by the period of `max_hz` at least, measured between their stamps of sending.

    A source of that very rate whose answers jitter loses none of them: messages fall into step with its latest ones.

    Args:
        max_hz: Messages a second at most; None does not hold them.
    """

    def __init__(self, max_hz: float | None) -> None:
        self._period_ns = 0 if max_hz is None else math.ceil(min(1e9 / max_hz, _LONGEST_NS))
        self._due_ns = 0

    def delay_s(self, now_ns: int) -> float:
        """Say how long to wait before the next message; 0 if it may go."""
        left_ns = self._due_ns - now_ns
        return (left_ns + _TIMER_EARLY_NS) * 1e-9 if left_ns > 0 else 0.0

    def sent(self, sent_ns: int) -> None:
        """Note when a message was sent."""
        self._due_ns = sent_ns + self._period_ns
