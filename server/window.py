"""Rate and latency of the last few seconds."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

_MOST_SAMPLES = 600


@dataclass(frozen=True, slots=True)
class WindowStats:
    """What a window holds.

    Args:
        rate_hz: Answers a second; 0 when none came within the window.
        latency_p50_ms: Median time from exposure to the answer; None without answers.
        latency_p95_ms: 95th percentile of the same.
    """

    rate_hz: float
    latency_p50_ms: float | None
    latency_p95_ms: float | None


class SlidingWindow:
    """Latencies with their times, the old ones forgotten.

    Args:
        span_s: How far back the window reaches.
    """

    def __init__(self, span_s: float = 5.0) -> None:
        self._span_ns = int(span_s * 1e9)
        self._samples: deque[tuple[int, int]] = deque(maxlen=_MOST_SAMPLES)
        self._lock = threading.Lock()

    def add(self, exposure_ns: int, solved_ns: int) -> None:
        """Note one answer."""
        with self._lock:
            self._samples.append((solved_ns, solved_ns - exposure_ns))

    def stats(self, now_ns: int | None = None) -> WindowStats:
        """Summarise the answers that are not older than the window."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        with self._lock:
            recent = [sample for sample in self._samples if now_ns - sample[0] <= self._span_ns]
        if not recent:
            return WindowStats(0.0, None, None)
        latencies_ms = np.array([latency for _, latency in recent]) / 1e6
        p50, p95 = np.percentile(latencies_ms, (50, 95))
        elapsed_ns = recent[-1][0] - recent[0][0]
        rate_hz = (len(recent) - 1) * 1e9 / elapsed_ns if elapsed_ns > 0 else 0.0
        return WindowStats(rate_hz, float(p50), float(p95))
