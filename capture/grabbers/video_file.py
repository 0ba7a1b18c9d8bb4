"""A video file, replayed at its own pace or read frame by frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.errors import CaptureError
from capture.grabbers.containers import counts_frames
from capture.grabbers.decoding import settle
from capture.grabbers.pacing import Pacer
from capture.grabbers.protocol import CaptureMode, Clock, Grab, GrabberInfo, Lost
from capture.grabbers.steps import Steps
from capture.grabbers.timestamps import RecordedTimes, load_timestamps
from capture.rig_config import FileSource

_DEFAULT_FPS = 30.0
# Far more than slow motion, and far less than milliseconds in place of seconds.
_UNLIKELY = 20
# A duration is not exact to the frame, and sound may go on for a moment longer.
_DURATION_SLACK_NS = 500_000_000


class VideoFileGrabber:
    """Reads a video file.

    Its timestamps are the recording's own, laid from the epoch on: two files with one clock keep their skew.

    Args:
        source: What to read.
        mode: `live` is paced and skips frames whose time is over, the same ones as the rig's other replayed cameras;
            `lossless` is neither, and a file that ends before the length that it states is an error.
        clock: The time.
        steps: What it shares with the other replayed cameras of the rig; None if it is alone.
    """

    def __init__(self, source: FileSource, mode: CaptureMode, clock: Clock, steps: Steps | None = None) -> None:
        self._source = source
        self._lossless = mode == "lossless"
        self._pacer = Pacer(clock, not self._lossless, steps)
        self._clock = clock
        self._video: cv2.VideoCapture | None = None
        self._times: RecordedTimes | None = None
        self._interval_ns = 0
        self._declared = 0
        self._counted = False
        self._period_ns = 0
        self._start_ns = 0
        self._start_index = 0
        self._read = 0
        self._previous_ns = -1
        self._began_ns = 0
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
        self._counted = counts_frames(path)
        own_fps = float(video.get(cv2.CAP_PROP_FPS))
        fps = self._source.fps or (own_fps if 0 < own_fps <= 1000 else 0.0)
        if (reference := self._source.timestamps) is not None:
            self._times = times = load_timestamps(reference.path, reference.camera)
            if self._counted and self._declared and len(times.offsets_ns) != self._declared:
                raise CaptureError(
                    f"{self._name} declares {self._declared} frames, but timestamps {reference.path} have "
                    f"{len(times.offsets_ns)} rows of camera {reference.camera!r}; they are not of one recording"
                )
            self._declared, self._counted = len(times.offsets_ns), True
            if len(times.offsets_ns) > 1:
                fps = (len(times.offsets_ns) - 1) * 1e9 / (times.offsets_ns[-1] - times.offsets_ns[0])
        warnings = [] if fps else [f"the file does not state its rate; {_DEFAULT_FPS:g} frames a second are taken"]
        if reference is not None and own_fps > 0 and not own_fps / _UNLIKELY < fps < own_fps * _UNLIKELY:
            warnings.append(
                f"timestamps {reference.path.name} make {fps:.3g} frames a second of a file that states {own_fps:.3g}; "
                "frame_time is in seconds"
            )
        fps = fps or _DEFAULT_FPS
        self._interval_ns = round(1e9 / fps)
        self._period_ns = self._declared_ns if self._times is None else self._times.period_ns
        width, height = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        return GrabberInfo(width, height, fps, f"file {path.name}", tuple(warnings))

    @property
    def _declared_ns(self) -> int:
        """How long the file says it is; 0 where it does not, or says so of another rate than the one that is taken."""
        return self._declared * self._interval_ns if self._counted or self._source.fps is None else 0

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
        if self._source.loop and not self._lossless and self._period_ns:
            loops = max(0, (self._clock.now_ns() - epoch_ns) // self._period_ns)
            self._start_ns = loops * self._period_ns
            self._start_index = loops * self._declared

    def grab(self, into: NDArray[np.uint8]) -> Grab | Lost | None:
        """Write the next frame whose time is not over."""
        if self._video is None:
            raise CaptureError(f"{self._name} is not open; call open() first")
        behind = 0
        while True:
            if not self._video.grab():
                if (skipped := self._rewind()) is None:
                    return Lost(behind) if behind else None
                behind += skipped if self._caught_up else 0
                continue
            index, offset_ns, next_ns = self._place()
            turn = self._pacer.turn(offset_ns, next_ns)
            if turn == "end":
                return None
            if turn == "over":
                behind += self._caught_up
                continue
            received_ns = self._clock.now_ns()
            there, image = self._video.retrieve(into)
            if not there:
                if self._lossless:
                    raise CaptureError(f"{self._name}: frame {index} cannot be decoded; re-encode or re-record it")
                return Lost(behind, undecodable=1)
            settle(image, into, self._name)
            self._caught_up = True
            return Grab(self._pacer.timestamp_ns(offset_ns), received_ns, index, behind)

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
        return self._start_index + position, self._start_ns + own_ns, self._start_ns + next_ns

    def _own_time_ns(self, position: int) -> int:
        if self._source.fps is None and self._video is not None:
            own_ns = round(self._video.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
            if not position:
                self._began_ns = max(0, self._container_ns(self._video) - own_ns)
            # Some containers carry no usable times: fall back on the rate rather than stand still.
            return own_ns if own_ns > self._previous_ns else self._previous_ns + self._interval_ns
        return position * self._interval_ns

    def _container_ns(self, video: cv2.VideoCapture) -> int:
        """Return the grabbed frame's time in the file; its pictures may begin later than its sound."""
        return round(video.get(cv2.CAP_PROP_PTS) * self._interval_ns)

    def _rewind(self) -> int | None:
        """Begin the next loop, and return how many frames of whole loops that skips; None if there is no next one."""
        if short := self._shortness():
            remedy = "it is truncated, corrupt or trimmed without being encoded anew: copy it again, or re-encode it"
            if self._lossless:
                raise CaptureError(f"{self._name} ended {short}; {remedy}")
            self._ending = f"{self._name} ended {short}; {remedy}"
        if not self._read:
            raise CaptureError(f"{self._name} holds no frame that can be decoded; re-encode or re-record it")
        if self._lossless or not self._source.loop:
            return None
        if self._times is None:
            self._period_ns = max(self._period_ns, self._previous_ns + self._interval_ns)
        # Loops begin at multiples of the period, as those of the rig's other cameras do.
        following = (self._start_ns + self._previous_ns) // self._period_ns + 1
        due = (self._clock.now_ns() - self._pacer.epoch_ns) // self._period_ns
        skipped = max(0, due - following) * self._read
        self._start_ns = max(following, due) * self._period_ns
        self._start_index += self._read + skipped
        self.close()
        self._video = self._opened()
        self._read, self._previous_ns = 0, -1
        return skipped

    def _shortness(self) -> str:
        """Say by how much the file ended early; empty where it did not."""
        if self._counted:
            is_short = self._read < self._declared
            return f"after {self._read} of its {self._declared} declared frames" if is_short else ""
        end_ns = self._began_ns + self._previous_ns + self._interval_ns
        is_short = end_ns + _DURATION_SLACK_NS < self._declared_ns
        return f"after {end_ns / 1e9:.1f} of its {self._declared_ns / 1e9:.1f} declared seconds" if is_short else ""

    def close(self) -> None:
        """Close the file."""
        if self._video is not None:
            self._video.release()
            self._video = None
