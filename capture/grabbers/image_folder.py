"""A folder of pictures, replayed at a fixed rate or read one by one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capture.errors import CaptureError
from capture.grabbers.decoding import settle
from capture.grabbers.pacing import Pacer
from capture.grabbers.protocol import CaptureMode, Clock, Grab, GrabberInfo, Lost
from capture.grabbers.steps import Steps
from capture.pictures import decoded_bgr
from capture.rig_config import ImagesSource

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return what sorts `2.png` before `10.png`."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


class ImageFolderGrabber:
    """Reads the pictures of a folder in the natural order of their names.

    Args:
        source: What to read.
        mode: `live` is paced and skips pictures whose time is over; `lossless` is neither.
        clock: The time.
        steps: What it shares with the other replayed cameras of the rig; None if it is alone.
    """

    def __init__(self, source: ImagesSource, mode: CaptureMode, clock: Clock, steps: Steps | None = None) -> None:
        self._source = source
        self._lossless = mode == "lossless"
        self._pacer = Pacer(clock, not self._lossless, steps)
        self._clock = clock
        self._paths: list[Path] = []
        self._next = 0
        self._caught_up = False

    @property
    def ending(self) -> str:
        """A folder ends as it is."""
        return ""

    @property
    def _interval_ns(self) -> int:
        return round(1e9 / self._source.fps)

    def open(self) -> GrabberInfo:
        """List the folder and read its first picture's size."""
        folder = self._source.path
        try:
            self._paths = sorted((p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES), key=natural_key)
        except OSError as error:
            raise CaptureError(
                f"image folder {folder} cannot be read: {error.strerror}; correct source.path"
            ) from error
        if not self._paths:
            raise CaptureError(f"image folder {folder} holds no picture ({', '.join(SUFFIXES)}); correct source.path")
        first = self._decoded(self._paths[0])
        if first is None:
            raise CaptureError(f"picture {self._paths[0]} cannot be decoded; write it again or remove it")
        height, width = first.shape[:2]
        return GrabberInfo(width, height, self._source.fps, f"{len(self._paths)} images in {folder.name}")

    def start(self, epoch_ns: int) -> None:
        """Lay the pictures from the epoch on."""
        self._pacer.epoch_ns = epoch_ns

    def grab(self, into: NDArray[np.uint8]) -> Grab | Lost | None:
        """Write the next picture whose time is not over."""
        loop = self._source.loop and not self._lossless
        behind = 0
        while loop or self._next < len(self._paths):
            index = self._next
            self._next += 1
            turn = self._pacer.turn(index * self._interval_ns, (index + 1) * self._interval_ns)
            if turn == "end":
                return None
            if turn == "over":
                due = self._pacer.elapsed_ns() // self._interval_ns
                over = max(due, index + 1) - index
                over = over if loop else min(over, len(self._paths) - index)
                self._next = index + over
                behind += over if self._caught_up else 0
                continue
            received_ns = self._clock.now_ns()
            path = self._paths[index % len(self._paths)]
            image = self._decoded(path)
            if image is None:
                if self._lossless:
                    raise CaptureError(f"picture {path} cannot be decoded; write it again or remove it")
                return Lost(behind, undecodable=1)
            settle(image, into, f"picture {path}")
            self._caught_up = True
            timestamp_ns = self._pacer.timestamp_ns(index * self._interval_ns)
            return Grab(timestamp_ns, received_ns, index, behind)
        return Lost(behind) if behind else None

    def _decoded(self, path: Path) -> NDArray[np.uint8] | None:
        """Decode a picture; None if it is not one."""
        try:
            data = np.fromfile(path, dtype=np.uint8)
        except OSError as error:
            raise CaptureError(f"picture {path} cannot be read: {error.strerror}; is its disk still there?") from error
        return decoded_bgr(data)

    def close(self) -> None:
        """Nothing stays open."""
