"""What every source of pictures is: opened, started at an instant, read frame by frame, closed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

CaptureMode = Literal["live", "lossless"]


@dataclass(frozen=True, slots=True)
class GrabberInfo:
    """What a source really is, read back after opening it.

    Args:
        width: Image width in pixels.
        height: Image height in pixels.
        fps: Frames a second that it says it has; 0 where it does not say.
        description: A few words for people.
        warnings: What was asked for and is otherwise, each with the actual value.
    """

    width: int
    height: int
    fps: float
    description: str
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Grab:
    """One frame that was written.

    Args:
        timestamp_ns: Exposure, on the monotonic clock.
        received_ns: Right after the grab and before the decode, on the same clock.
        index: The source's count, from 0.
        behind: Frames skipped before this one to keep up with time.
    """

    timestamp_ns: int
    received_ns: int
    index: int
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """Frames that were lost, and no picture: they were broken, or the last of the source.

    Args:
        behind: Frames skipped to keep up with time.
        undecodable: Frames whose data was broken.
    """

    behind: int = 0
    undecodable: int = 0


class Clock(Protocol):
    """The time, and waiting for it."""

    def now_ns(self) -> int:
        """Return the monotonic time."""

    def wait_until(self, time_ns: int) -> bool:
        """Wait until then; False if the grabber should end instead."""


class MonotonicClock:
    """The machine's monotonic clock, for a grabber in the caller's own process: nobody asks it to end."""

    def now_ns(self) -> int:
        """Return the monotonic time."""
        return time.monotonic_ns()

    def wait_until(self, time_ns: int) -> bool:
        """Sleep until then."""
        time.sleep(max(0, time_ns - time.monotonic_ns()) / 1e9)
        return True


class Grabber(Protocol):
    """A source of one camera's pictures. One thread calls it; it may block, for nobody else waits on it."""

    @property
    def ending(self) -> str:
        """How the source ended, if otherwise than it declared; else empty."""

    def open(self) -> GrabberInfo:
        """Open the source and read back what it is.

        Raises:
            CaptureError: If it cannot be used.
        """

    def start(self, epoch_ns: int) -> None:
        """Say which instant of the monotonic clock is the beginning, the same one for all cameras of the rig."""

    def grab(self, into: NDArray[np.uint8]) -> Grab | Lost | None:
        """Wait for the next frame and write it.

        Args:
            into: Where to `(H, W, 3)`, BGR, of the size that `open` returned.

        Returns:
            Its stamps, or what was lost in its place, or None at the end of the source (or when the clock said to end).

        Raises:
            CaptureError: If the source fails, which is not its end.
        """

    def close(self) -> None:
        """Give the source back; again is fine."""
