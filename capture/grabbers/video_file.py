"""A video file, replayed at its own pace or read frame by frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.errors import CaptureError
from capture.grabbers.decoding import settle
from capture.grabbers.pacing import Pacer
from capture.grabbers.protocol import CaptureMode, Clock, Grab, GrabberInfo
from capture.grabbers.timestamps import RecordedTimes, load_timestamps
from capture.rig_config import FileSource

_DEFAULT_FPS = 30.0


class VideoFileGrabber:
    """Reads a video file.

    Its timestamps are the recording's own, laid from the epoch on: two files with one clock keep their skew.

    Args:
        source: What to read.
        mode: `live` is paced and skips frames whose time is over; `lossless` is neither, and a file that ends before
            its declared length is an error.
        clock: The time.
    """

    def __init__(self, source: FileSource, mode: CaptureMode, clock: Clock) -> None:
        self._source = source
        self._lossless = mode == "lossless"
        self._pacer = Pacer(clock, paced=not self._lossless)
        self._clock = clock
        self._video: cv2.VideoCapture | None = None
        self._times: RecordedTimes | None = None
        self._interval_ns = 0
        self._declared = 0
        self._read = 0
        self._loop = 0
        self._previous_ns = -1
        self._caught_up = False
        self._ending = ""

    @property
    def _name(self) -> str:
        return f"video {self._source.path}"

    @property
    def ending(self) -> str:
        """How the file ended; empty when it ended as it declares."""
        return self._ending

    def open(self) -> GrabberInfo:
        """Open the file and check that its timestamps, if it has some, are for it."""
        path = self._source.path
        if not path.is_file():
            raise CaptureError(f"{self._name} does not exist; correct source.path")
        video = self._video = self._opened()
        self._declared = max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
        own_fps = float(video.get(cv2.CAP_PROP_FPS))
        fps = self._source.fps or (own_fps if 0 < own_fps <= 1000 else 0.0)
        if (reference := self._source.timestamps) is not None:
            self._times = times = load_timestamps(reference.path, reference.camera)
            if self._declared and len(times.offsets_ns) != self._declared:
                raise CaptureError(
                    f"{self._name} declares {self._declared} frames, but timestamps {reference.path} have "
                    f"{len(times.offsets_ns)} rows of camera {reference.camera!r}; they are not of one recording"
                )
            if len(times.offsets_ns) > 1:
                fps = (len(times.offsets_ns) - 1) * 1e9 / (times.offsets_ns[-1] - times.offsets_ns[0])
        warnings = [] if fps else [f"the file does not state its rate; {_DEFAULT_FPS:g} frames a second are taken"]
        fps = fps or _DEFAULT_FPS
        self._interval_ns = round(1e9 / fps)
        width, height = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        return GrabberInfo(width, height, fps, f"file {path.name}", tuple(warnings))

    def _opened(self) -> cv2.VideoCapture:
        # One decoding thread: the cameras of a rig decode side by side, and frame threads only add delay.
        video = cv2.VideoCapture(str(self._source.path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not video.isOpened():
            raise CaptureError(
                f"{self._name} is not a video that can be read; it may be truncated: copy it again or re-encode it"
            )
        return video

    def start(self, epoch_ns: int) -> None:
        """Lay the recording from the epoch on; a replay that starts late begins where the others are."""
        self._pacer.epoch_ns = epoch_ns
        if self._source.loop and not self._lossless and (period := self._period_ns()):
            self._loop = max(0, (self._clock.now_ns() - epoch_ns) // period)

    def _period_ns(self) -> int:
        if self._times is not None:
            return self._times.period_ns
        return max(self._declared * self._interval_ns, self._previous_ns + self._interval_ns)

    def grab(self, into: NDArray[np.uint8]) -> Grab | None:
        """Write the next frame whose time is not over."""
        if self._video is None:
            raise CaptureError(f"{self._name} is not open; call open() first")
        behind = undecodable = 0
        while True:
            if not self._video.grab():
                if not self._rewind():
                    return None
                continue
            index, offset_ns, next_ns = self._place()
            if self._pacer.is_over(next_ns):
                behind += self._caught_up
                continue
            if not self._pacer.wait(offset_ns):
                return None
            received_ns = self._clock.now_ns()
            there, image = self._video.retrieve(into)
            if not there:
                if self._lossless:
                    raise CaptureError(f"{self._name}: frame {index} cannot be decoded; re-encode or re-record it")
                undecodable += 1
                continue
            settle(image, into, self._name)
            self._caught_up = True
            return Grab(self._pacer.timestamp_ns(offset_ns), received_ns, index, behind, undecodable)

    def _place(self) -> tuple[int, int, int]:
        """Return the grabbed frame's index, its offset, and the next frame's offset, nanoseconds."""
        position = self._read
        self._read += 1
        if self._times is not None:
            offsets = self._times.offsets_ns
            if position >= len(offsets):
                raise CaptureError(f"{self._name} has more frames than its timestamps ({len(offsets)})")
            own_ns = offsets[position]
            next_ns = offsets[position + 1] if position + 1 < len(offsets) else own_ns + self._interval_ns
        else:
            own_ns = self._own_time_ns(position)
            next_ns = own_ns + self._interval_ns
        self._previous_ns = own_ns
        start_ns = self._loop * self._period_ns() if self._loop else 0
        index = self._loop * max(self._declared, 1) + position
        return index, start_ns + own_ns, start_ns + next_ns

    def _own_time_ns(self, position: int) -> int:
        if self._source.fps is None and self._video is not None:
            own_ns = round(self._video.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
            # Some containers carry no usable times: fall back on the rate rather than stand still.
            return own_ns if own_ns > self._previous_ns else self._previous_ns + self._interval_ns
        return position * self._interval_ns

    def _rewind(self) -> bool:
        """Begin the next loop if there is one; else say how the file ended."""
        if self._read < self._declared:
            short = f"{self._name} ended after {self._read} of its {self._declared} declared frames"
            remedy = "it is truncated or corrupt: copy it again, or re-encode what is left of it"
            if self._lossless:
                raise CaptureError(f"{short}; {remedy}")
            self._ending = f"{short}; {remedy}"
        if not self._read:
            raise CaptureError(f"{self._name} holds no frame that can be decoded; re-encode or re-record it")
        if self._lossless or not self._source.loop:
            return False
        period_ns = self._period_ns()
        self._declared = self._declared or self._read
        self.close()
        self._video = self._opened()
        self._loop = max(self._loop + 1, (self._clock.now_ns() - self._pacer.epoch_ns) // period_ns)
        self._read, self._previous_ns = 0, -1
        return True

    def close(self) -> None:
        """Close the file."""
        if self._video is not None:
            self._video.release()
            self._video = None
