"""Copies of pictures, made quickly, and encoded by threads of their own."""

from __future__ import annotations

import os
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capture.frames import Frame, FrameSet
from capture.recording import Pictures, SetEntry
from server.recording.backlog import Backlog

_MOST_THREADS: Final = 4


def encoder_threads() -> int:
    """Return how many threads encode: half of the processors, the other half is for the hands."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_THREADS, usable // 2))


@dataclass(frozen=True, eq=False, slots=True)
class PendingSet:
    """A frame set on its way to the disk.

    Args:
        entry: The set.
        pictures: Its pictures' messages, being made; None where the view is missing.
    """

    entry: SetEntry
    pictures: tuple[Future[bytes] | None, ...]


class Encoders:
    """Encodes copies of pictures; OpenCV works outside of the interpreter's lock.

    Args:
        pictures: How.
        backlog: Where what waits is counted.
        threads: How many.
    """

    def __init__(self, pictures: Pictures, backlog: Backlog, threads: int) -> None:
        self._pictures = pictures
        self._backlog = backlog
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="usthand-encode")
        # Used again and again: fresh memory of this size costs as much as the copy itself.
        self._spare: defaultdict[tuple[int, ...], list[NDArray[np.uint8]]] = defaultdict(list)

    def submit(self, frame_set: FrameSet, *, wait: bool = False) -> PendingSet | None:
        """Copy a frame set and have it encoded.

        Args:
            frame_set: Its pixels are not needed any more when this returns.
            wait: Whether to wait for room.

        Returns:
            What will be; None if there is no room.
        """
        size_bytes = sum(frame.image_bgr.nbytes for frame in frame_set.frames if frame is not None)
        if not self._backlog.admit(size_bytes, wait=wait):
            return None
        pictures = tuple(None if frame is None else self._submit(frame) for frame in frame_set.frames)
        return PendingSet(SetEntry.of(frame_set), pictures)

    def _submit(self, frame: Frame) -> Future[bytes]:
        spare = self._spare[frame.image_bgr.shape]
        copy = spare.pop() if spare else np.empty(frame.image_bgr.shape, dtype=np.uint8)
        np.copyto(copy, frame.image_bgr)
        return self._pool.submit(self._encode, copy, frame.timestamp_ns, frame.camera_id)

    def _encode(self, copy: NDArray[np.uint8], timestamp_ns: int, camera_id: str) -> bytes:
        message = b""
        try:
            message = self._pictures.message(copy, timestamp_ns, camera_id)
        finally:
            self._spare[copy.shape].append(copy)
            self._backlog.encoded(copy.nbytes, len(message))
        return message

    def close(self) -> None:
        """Encode nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
