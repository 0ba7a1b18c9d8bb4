"""What capture hands on: a frame of one camera, and the synchronised set of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One picture of one camera.

    Args:
        camera_id: The camera that took it.
        index: The grabber's own count, from 0; a gap is a dropped frame.
        timestamp_ns: Time of exposure on this machine's monotonic clock.
        received_ns: Time at which the picture arrived, right after the grab, on the same clock.
        image_bgr: Pixels `(H, W, 3)` uint8 in OpenCV's BGR order, read in place from shared memory: read-only, and
            valid until its frame set is released.
        memory: All bytes of the mapping in which the camera's pictures lie, for whoever locks it for a GPU: the same
            array for each frame of a camera, and `image_bgr` a view of it unless it was copied. None where there is no
            such mapping.
    """

    camera_id: str
    index: int
    timestamp_ns: int
    received_ns: int
    image_bgr: NDArray[np.uint8]
    memory: NDArray[np.uint8] | None = field(default=None, repr=False)


def _nothing_to_release() -> None:
    """Stand in where the frames own their memory."""


@dataclass(frozen=True, eq=False, slots=True)
class FrameSet:
    """Frames of all cameras that belong to one instant.

    Use it as a context manager, or call `release`, so that the ring can reuse its memory.

    Args:
        id: Counts up by one for each set that the synchronizer puts out.
        frames: One entry a camera, in the rig's order; None where the view is missing.
        skew_ms: Latest minus earliest exposure in the set.
        release: Gives the frames' memory back to the ring; calling it again does nothing.
        instant_ns: Its time, where it is not that of the frames that are left.
    """

    id: int
    frames: tuple[Frame | None, ...]
    skew_ms: float
    release: Callable[[], None] = field(default=_nothing_to_release, repr=False)
    instant_ns: int | None = None

    @property
    def timestamp_ns(self) -> int:
        """Median exposure time of the views that are there."""
        if self.instant_ns is not None:
            return self.instant_ns
        return int(np.median([frame.timestamp_ns for frame in self.frames if frame is not None]))

    @property
    def received_ns(self) -> int:
        """When the last view arrived."""
        return max(frame.received_ns for frame in self.frames if frame is not None)

    @property
    def view_ids(self) -> tuple[str, ...]:
        """Ids of the cameras that are in the set."""
        return tuple(frame.camera_id for frame in self.frames if frame is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
