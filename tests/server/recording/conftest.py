"""A recorder over a disk that does what it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import Rig
from capture.frames import Frame, FrameSet
from capture.recording import FILE_NAME, Pictures, RecordingInfo, RecordingWriter
from engine.synthetic.rigs import make_rig
from server.recording.backlog import Backlog
from server.recording.recorder import Recorder

PLENTY = 1 << 40


class FakeDisk:
    """A file on a disk that can be slow, full, broken or gone."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._size = 0
        self.gate = threading.Event()
        self.gate.set()
        self.error: OSError | None = None
        self.fails_after: int | None = None
        self.free: int | OSError = PLENTY
        self.waiting = threading.Event()
        self.closed = self.synced = False

    def write(self, data: bytes) -> int:
        self.waiting.set()
        self.gate.wait(20)
        self.waiting.clear()
        if self.error is not None and self._size + len(data) > (self.fails_after or 0):
            # As a full disk does: a part of it fits.
            self._size += self._file.write(bytes(data)[: (self.fails_after or 0) - self._size])
            raise self.error
        self._size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def free_bytes(self) -> int:
        if isinstance(self.free, OSError):
            raise self.free
        return self.free

    def close(self, *, sync: bool) -> None:
        self.closed, self.synced = True, self.synced or sync
        self._file.close()


@pytest.fixture
def rig() -> Rig:
    return make_rig(2, seed=5, width=64, height=48)


@pytest.fixture
def disk(tmp_path: Path) -> FakeDisk:
    return FakeDisk(tmp_path / FILE_NAME)


@pytest.fixture
def make_recorder(tmp_path: Path, disk: FakeDisk, rig: Rig) -> Iterator[Callable[..., Recorder]]:
    made: list[Recorder] = []

    def make(
        *, pictures: Pictures | None = None, flush_bytes: int = 1, queue_bytes: int = 1 << 24, **more: Any
    ) -> Recorder:
        info = RecordingInfo("take", "now", rig.camera_ids, 8.0, pictures or Pictures("raw"), 0, "test")
        writer = RecordingWriter(disk, info, rig, engine={}, flush_bytes=flush_bytes)
        options = {"reserve_bytes": 1000, **more}
        made.append(Recorder(writer, disk, info, tmp_path, backlog=Backlog(queue_bytes), **options))
        return made[-1]

    yield make
    disk.gate.set()
    for recorder in made:
        recorder.stop(5)


@pytest.fixture
def frame_set_of(rig: Rig) -> Callable[[int], FrameSet]:
    """Make the set of a number: every pixel is the number."""

    def make(number: int) -> FrameSet:
        frames = tuple(
            Frame(
                camera.id,
                number,
                1_000_000_000 + number * 20_000_000,
                1_005_000_000 + number * 20_000_000,
                np.full((camera.height, camera.width, 3), number % 256, np.uint8),
            )
            for camera in rig
        )
        return FrameSet(number, frames, 0.0)

    return make


@pytest.fixture
def numbers_of() -> Callable[[FrameSet], set[int]]:
    """Read the numbers back from the pixels of a set."""

    def numbers(frame_set: FrameSet) -> set[int]:
        return {int(value) for frame in frame_set.frames if frame is not None for value in np.unique(frame.image_bgr)}

    return numbers
