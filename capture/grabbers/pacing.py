"""Replay: which recorded frame is due when, the same for a video and for a folder of pictures."""

from __future__ import annotations

from dataclasses import dataclass

from capture.grabbers.protocol import Clock


@dataclass(slots=True)
class Pacer:
    """Places recorded frames on the monotonic clock.

    Args:
        clock: The time.
        paced: Whether to wait for a frame's time and to skip frames whose time is over (live), or neither (lossless).
    """

    clock: Clock
    paced: bool
    epoch_ns: int = 0

    def timestamp_ns(self, offset_ns: int) -> int:
        """Return when the frame that was taken `offset_ns` after the recording's beginning is exposed in the replay."""
        return self.epoch_ns + offset_ns

    def is_over(self, next_offset_ns: int) -> bool:
        """Say whether a frame's time is over, which it is when the next one is due."""
        return self.paced and self.clock.now_ns() >= self.timestamp_ns(next_offset_ns)

    def wait(self, offset_ns: int) -> bool:
        """Wait until the frame is due; False if the grabber should end instead."""
        return not self.paced or self.clock.wait_until(self.timestamp_ns(offset_ns))
