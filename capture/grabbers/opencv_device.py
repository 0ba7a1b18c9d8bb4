"""A camera through OpenCV: V4L2 on Linux."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.errors import CaptureError
from capture.grabbers.decoding import settle
from capture.grabbers.protocol import Clock, Grab, GrabberInfo, Lost
from capture.rig_config import OpenCVSource

_FPS_TOLERANCE = 0.05
_OLDEST_STAMP_NS = 1_000_000_000
_MOST_BROKEN = 60
_HIGHEST_FPS = 1000


def open_device(device: int | str) -> cv2.VideoCapture:
    """Open the real device, through V4L2 where the system has it."""
    # By the names that stay with a camera too, /dev/v4l/by-id/...: OpenCV, left to choose, reads them as files first.
    is_v4l2 = sys.platform == "linux" and (isinstance(device, int) or device.startswith("/dev/"))
    return cv2.VideoCapture(device, cv2.CAP_V4L2 if is_v4l2 else cv2.CAP_ANY)


class OpenCVGrabber:
    """Reads a camera that OpenCV opens.

    A frame is stamped by the driver where it stamps frames on this machine's monotonic clock (V4L2 does), else right
    after the grab and before the decode.

    Args:
        source: The device, and what is asked of it.
        width: Image width to ask for where the source names none, pixels.
        height: Image height to ask for where the source names none, pixels.
        clock: The time.
        first_index: Count to go on with, for a camera that came back.
        opener: Opens the device.
    """

    def __init__(
        self,
        source: OpenCVSource,
        width: int,
        height: int,
        clock: Clock,
        *,
        first_index: int = 0,
        opener: Callable[[int | str], cv2.VideoCapture] = open_device,
    ) -> None:
        self._source = source
        self._width = source.width or width
        self._height = source.height or height
        self._clock = clock
        self._next = first_index
        self._broken = 0
        self._opener = opener
        self._device: cv2.VideoCapture | None = None

    @property
    def _name(self) -> str:
        return f"camera device {self._source.shown!r}"

    @property
    def ending(self) -> str:
        """A camera has no end."""
        return ""

    def open(self) -> GrabberInfo:
        """Open the device, ask for the settings, and read back what it took."""
        source = self._source
        device = self._opener(source.device)
        if not device.isOpened():
            device.release()
            raise CaptureError(
                f"{self._name} cannot be opened; check that it is plugged in, that no other program uses it and that "
                "this user may read it (group video; in docker: --device=/dev/video0)"
            )
        self._device = device
        # The pixel format first: it bounds which sizes and rates there are.
        if source.fourcc is not None:
            device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*source.fourcc))
        device.set(cv2.CAP_PROP_FRAME_WIDTH, self._width)
        device.set(cv2.CAP_PROP_FRAME_HEIGHT, self._height)
        if source.fps is not None:
            device.set(cv2.CAP_PROP_FPS, source.fps)
        # OpenCV keeps a picture's buffer from the driver until it is decoded: with no second one to fill meanwhile, the
        # driver loses every other frame. More would only grow old where decoding is slower than the camera.
        device.set(cv2.CAP_PROP_BUFFERSIZE, 2)
        width, height = int(device.get(cv2.CAP_PROP_FRAME_WIDTH)), int(device.get(cv2.CAP_PROP_FRAME_HEIGHT))
        stated_fps = float(device.get(cv2.CAP_PROP_FPS))
        # Network streams state the ticks of their clock, 90000, and some drivers a division by zero.
        fps = stated_fps if 0 < stated_fps <= _HIGHEST_FPS else 0.0
        fourcc = int(device.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        format_name = fourcc.to_bytes(4, "little").decode("ascii", "replace") if fourcc else "unknown"
        warnings = []
        if (width, height) != (self._width, self._height):
            warnings.append(f"asked for {self._width}x{self._height}, the camera gives {width}x{height}")
        if source.fps is not None and abs(fps - source.fps) > _FPS_TOLERANCE * source.fps:
            given = f"{fps:g}" if fps else "no rate"
            warnings.append(f"asked for {source.fps:g} frames a second, the camera gives {given}")
        if source.fourcc is not None and format_name != source.fourcc:
            warnings.append(f"asked for pixel format {source.fourcc}, the camera gives {format_name}")
        return GrabberInfo(width, height, fps, f"{self._name}, {format_name}", tuple(warnings))

    def start(self, epoch_ns: int) -> None:
        """Begin: a camera needs no epoch."""

    def grab(self, into: NDArray[np.uint8]) -> Grab | Lost | None:
        """Wait for the next frame."""
        if self._device is None:
            raise CaptureError(f"{self._name} is not open; call open() first")
        if self._broken >= _MOST_BROKEN:
            raise CaptureError(
                f"{self._name} gave {self._broken} pictures one after the other that cannot be decoded; check its "
                "cable and its bus's bandwidth, or ask for another fourcc"
            )
        if not self._device.grab():
            raise CaptureError(f"{self._name} stopped giving frames; check its cable and its bus's bandwidth")
        received_ns = self._clock.now_ns()
        index = self._next
        self._next += 1
        image = self._decoded(self._device, into)
        if image is None:
            self._broken += 1
            return Lost(undecodable=1)
        self._broken = 0
        settle(image, into, self._name)
        return Grab(self._exposure_ns(received_ns), received_ns, index)

    def _decoded(self, device: cv2.VideoCapture, into: NDArray[np.uint8]) -> NDArray[Any] | None:
        """Decode the grabbed picture; None if it is none."""
        try:
            there, image = device.retrieve(into)
        except cv2.error:
            # An empty buffer, as cameras give after their start or on a bus that is too full, is one picture lost.
            return None
        return image if there else None

    def _exposure_ns(self, received_ns: int) -> int:
        """Return the driver's stamp if it is on our clock, which shows by being recent and past."""
        stamp_ns = round(self._device.get(cv2.CAP_PROP_POS_MSEC) * 1e6) if self._device is not None else 0
        return stamp_ns if received_ns - _OLDEST_STAMP_NS < stamp_ns <= received_ns else received_ns

    def close(self) -> None:
        """Give the device back."""
        if self._device is not None:
            self._device.release()
            self._device = None
