"""A rendered camera: films the scene that the session was given."""

from __future__ import annotations

import math
import sys

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera
from capture.errors import CaptureError
from capture.grabbers.protocol import CaptureMode, Clock, Grab, GrabberInfo, Lost
from capture.pictures import decoded_bgr
from capture.rig_config import SyntheticSource
from capture.scene import Scene

_SMOOTHING = 0.3
_HEADROOM = 1.1
_HEADROOM_FASTER = 1.5
_MAX_STRIDE = 1000
# Some 70 kB a picture of 640 x 480, and hardly to be told from it.
_JPEG_QUALITY = 95
_MOST_BYTES = 256 << 20
_MOST = 0.9
_ENDLESS = sys.maxsize


class Strides:
    """Every how many scene instants the rendered cameras of a rig can keep up, in memory that they share.

    Args:
        words: One a camera; 0 for one that does not render.
        place: Which is this camera's.
    """

    def __init__(self, words: NDArray[np.int64], place: int) -> None:
        self._words = words
        self._place = place

    def post(self, stride: int) -> None:
        """Say what this camera can keep up with."""
        self._words[self._place] = stride

    def common(self) -> int:
        """Return what all can keep up with."""
        return max(1, int(self._words.max()))


class SyntheticGrabber:
    """Renders the scene, each camera at the same scene instants.

    Where rendering is slower than the scene's rate, all cameras take every second instant, or every third, and so on,
    as the slowest of them needs. What they leave out counts as behind.

    Args:
        source: How long the sequence is, and whether it begins again.
        camera: The camera to film with.
        scene: What to film.
        mode: `live` renders the instant that is due; `lossless` renders them all, one after the other.
        clock: The time.
        strides: What it shares with the other rendered cameras; None if it is alone.
    """

    def __init__(
        self,
        source: SyntheticSource,
        camera: Camera,
        scene: Scene,
        mode: CaptureMode,
        clock: Clock,
        strides: Strides | None = None,
    ) -> None:
        self._strides = strides or Strides(np.zeros(1, dtype=np.int64), 0)
        self._stride = 1
        self._camera = camera
        self._scene = scene
        self._lossless = mode == "lossless"
        self._clock = clock
        self._loop = source.loop and not self._lossless
        self._frames = source.frames
        # A sequence that does not begin again is one round without an end.
        self._round = source.frames if self._loop and source.frames is not None else _ENDLESS
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._kept_bytes = 0
        self._interval_ns = 0
        self._epoch_ns = 0
        self._next = 0
        self._render_ns = 0.0
        self._caught_up = False

    @property
    def ending(self) -> str:
        """A sequence ends as it is."""
        return ""

    def open(self) -> GrabberInfo:
        """Check the scene's rate."""
        rate_hz = float(self._scene.rate_hz)
        if not 0 < rate_hz <= 1000:
            raise CaptureError(f"the scene's rate of {rate_hz:g} Hz is not one; give more than 0 and at most 1000")
        self._interval_ns = round(1e9 / rate_hz)
        return GrabberInfo(self._camera.width, self._camera.height, rate_hz, "rendered camera")

    def start(self, epoch_ns: int) -> None:
        """Take the epoch as the scene's frame 0."""
        self._epoch_ns = epoch_ns

    def _measure(self, took_ns: int) -> None:
        """Choose the stride by the time that rendering took lately; slower at once, faster only with room to spare."""
        self._render_ns = took_ns if not self._caught_up else self._render_ns + _SMOOTHING * (took_ns - self._render_ns)
        load = self._render_ns / self._interval_ns
        self._stride = max(_stride(load * _HEADROOM), min(self._stride, _stride(load * _HEADROOM_FASTER)))
        self._strides.post(self._stride)

    def grab(self, into: NDArray[np.uint8]) -> Grab | Lost | None:
        """Render the next instant."""
        index, behind = self._next, 0
        if not self._lossless:
            stride = self._strides.common()
            elapsed_ns = self._clock.now_ns() - self._epoch_ns
            # The instant whose time has not passed by more than half an interval, on the stride's lattice.
            earliest = max(index, round(elapsed_ns / self._interval_ns))
            rounds = earliest // self._round
            # Each round takes other instants than the one before, so that in the end all are kept.
            first = rounds * self._round + rounds % stride
            index = first - (first - earliest) // stride * stride
            behind = index - self._next if self._caught_up else 0
        if self._frames is not None and index >= self._frames and not self._loop:
            behind = self._frames - self._next if self._caught_up else 0
            self._next = self._frames
            return Lost(behind) if behind else None
        timestamp_ns = self._epoch_ns + index * self._interval_ns
        if not self._lossless and not self._clock.wait_until(timestamp_ns):
            return None
        started_ns = self._clock.now_ns()
        rendered = index % self._round not in self._kept
        image = self._picture(index)
        received_ns = self._clock.now_ns()
        if image.shape != into.shape or image.dtype != np.uint8:
            raise CaptureError(
                f"the scene rendered {image.dtype} of shape {image.shape} for camera {self._camera.id!r}; its "
                f"calibration asks for uint8 of shape {into.shape}"
            )
        np.copyto(into, image)
        # What was kept costs next to nothing: it says how fast this camera is once little is left to render.
        if rendered or len(self._kept) >= _MOST * self._round:
            self._measure(received_ns - started_ns)
        self._next, self._caught_up = index + 1, True
        return Grab(timestamp_ns, received_ns, index, behind)

    def _picture(self, index: int) -> NDArray[np.uint8]:
        """What the camera sees at an instant: rendered, or what was rendered for it a round before."""
        place = index % self._round
        kept = decoded_bgr(self._kept[place]) if place in self._kept else None
        if kept is not None:
            return kept
        image = self._scene.render(self._camera, place)
        if self._loop and self._kept_bytes < _MOST_BYTES:
            _, self._kept[place] = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
            self._kept_bytes += self._kept[place].nbytes
        return image

    def close(self) -> None:
        """Nothing stays open."""


def _stride(load: float) -> int:
    return max(1, min(_MAX_STRIDE, math.ceil(load)))
