"""Replay: which recorded frame is due when, the same for a video and for a folder of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from capture.grabbers.protocol import Clock
from capture.grabbers.steps import Steps

# As long as a set waits for a view at most: to wait longer would hold the others up for nothing.
PATIENCE_NS = 300_000_000
_LOOK_NS = 5_000_000

Turn = Literal["due", "over", "end"]


@dataclass(slots=True)
class Pacer:
    """Places recorded frames on the monotonic clock.

    Where the machine is too slow, the cameras of a rig leave out the same instants: a camera begins a new instant when
    the others have done with the one before, and what one has begun, the others show too, however late. A camera that
    hangs, or has far to catch up, holds nobody up for longer than a set waits for a view.

    Args:
        clock: The time.
        paced: Whether to wait for a frame's time and to skip frames whose time is over (live), or neither (lossless).
        steps: What it shares with the other replayed cameras of the rig; None if it is alone.
    """

    clock: Clock
    paced: bool
    steps: Steps | None = None
    epoch_ns: int = 0

    def timestamp_ns(self, offset_ns: int) -> int:
        """Return when the frame that was taken `offset_ns` after the recording's beginning is exposed in the replay."""
        return self.epoch_ns + offset_ns

    def elapsed_ns(self) -> int:
        """Return up to which offset frames are over, but for those of an instant that another camera has begun."""
        elapsed_ns = self.clock.now_ns() - self.epoch_ns
        return elapsed_ns if self.steps is None else self.steps.reached_ns(elapsed_ns)

    def turn(self, offset_ns: int, next_offset_ns: int) -> Turn:
        """Wait for a frame's turn.

        Args:
            offset_ns: When it was taken, from the recording's beginning.
            next_offset_ns: When the next one was, which is when the time of this one is over.

        Returns:
            `due` if it is to be shown now, `over` if it is to be left out, `end` if the grabber should end instead.
        """
        if not self.paced:
            return "due"
        steps = self.steps
        if steps is None:
            if self._is_over(next_offset_ns):
                return "over"
            return "due" if self._wait(offset_ns) else "end"
        # Nobody begins an instant that is long over, and nobody waits for a camera that has to catch up so far. It
        # asks its clock all the same, or it would seem to hang.
        if self._is_over(next_offset_ns + PATIENCE_NS) and not steps.is_begun(offset_ns):
            steps.leave()
            return "over" if self._wait(offset_ns) else "end"
        steps.announce(offset_ns)
        if not self._wait(offset_ns):
            return "end"
        while not (steps.is_begun(offset_ns) or steps.others_are_done(self.clock.now_ns() - PATIENCE_NS)):
            if self._is_over(next_offset_ns):
                break
            if not self.clock.wait_until(self.clock.now_ns() + _LOOK_NS):
                return "end"
        return self._decide(steps, offset_ns, next_offset_ns)

    def _decide(self, steps: Steps, offset_ns: int, next_offset_ns: int) -> Turn:
        """Begin an instant or leave it out, which no two cameras may decide at once."""
        locked = steps.lock()
        try:
            if not steps.is_begun(offset_ns) and self._is_over(next_offset_ns):
                return "over"
            steps.begin(offset_ns, self.clock.now_ns())
            return "due"
        finally:
            if locked:
                steps.unlock()

    def _is_over(self, next_offset_ns: int) -> bool:
        return self.clock.now_ns() >= self.timestamp_ns(next_offset_ns)

    def _wait(self, offset_ns: int) -> bool:
        return self.clock.wait_until(self.timestamp_ns(offset_ns))
