"""Small recordings, scenes and rigs. Scenes live here, for grabber processes import them by name."""

from __future__ import annotations

import csv
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calibration import Camera, Rig
from capture import CaptureSession, FrameSet
from capture.rig_config import CameraConfig, FileSource, RigConfig, Source, SyntheticSource, TimestampsRef

WIDTH, HEIGHT = 96, 64
DEADLINE_S = 20.0


def camera(camera_id: str = "a", width: int = WIDTH, height: int = HEIGHT) -> Camera:
    f = float(max(width, height))
    return Camera(camera_id, width, height, np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]]))


def rig_of(config: RigConfig, width: int = WIDTH, height: int = HEIGHT) -> Rig:
    return Rig(tuple(camera(i, width, height) for i in config.camera_ids), config.name)


def config_of(*sources: Source, max_skew_ms: float = 8, ring_slots: int = 8) -> RigConfig:
    cameras = tuple(CameraConfig(id="abcdefgh"[i], source=source) for i, source in enumerate(sources))
    return RigConfig(name="test", max_skew_ms=max_skew_ms, ring_slots=ring_slots, cameras=cameras)


def grey_of(index: int) -> int:
    return 10 + 7 * (index % 30)


def index_of(image: np.ndarray) -> int:
    """Read a frame's number back from its grey, through lossy compression."""
    return round((float(image.mean()) - 10) / 7)


def write_video(path: Path, frames: int, fps: float = 30.0, width: int = WIDTH, height: int = HEIGHT) -> Path:
    code = "mp4v" if path.suffix == ".mp4" else "MJPG"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, (width, height))
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((height, width, 3), grey_of(i), dtype=np.uint8))
    writer.release()
    return path


def write_uneven_video(path: Path, ticks: Sequence[int], rate: float = 30.0) -> Path:
    """Write a video whose frame `i` is taken at `ticks[i] / rate` seconds, as phones and screen recorders do."""
    code = cv2.VideoWriter.fourcc(*("jpeg" if path.suffix == ".mov" else "MJPG"))
    raw = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, (WIDTH, HEIGHT), raw)
    assert writer.isOpened()
    for i, tick in enumerate(ticks):
        writer.set(cv2.VIDEOWRITER_PROP_PTS, tick)
        _, data = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), grey_of(i), dtype=np.uint8))
        writer.write(data.reshape(1, -1))
    writer.release()
    return path


def write_timestamps(path: Path, times_s: dict[str, list[float]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sync_index", "cam_id", "frame_index", "frame_time"])
        for cam, times in times_s.items():
            writer.writerows([i, cam, i, t] for i, t in enumerate(times))
    return path


def stamped(video: Path, times: Path, cam: str) -> FileSource:
    return FileSource(path=video, timestamps=TimestampsRef(path=times, camera=cam))


def wait_for(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Poll until the condition holds; the deadline only bounds a failure."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}"
        threading.Event().wait(0.01)


def drain(session: CaptureSession, look: Callable[[FrameSet], None] | None = None) -> int:
    """Take sets until the session is finished; returns how many there were."""
    taken = 0
    deadline = time.monotonic() + DEADLINE_S
    while not session.finished:
        assert time.monotonic() < deadline
        frame_set = session.next(0.2)
        if frame_set is not None:
            with frame_set:
                taken += 1
                if look is not None:
                    look(frame_set)
    return taken


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True)
class CountingScene:
    """Every pixel is the frame's number; two numbers in one picture would be a torn frame."""

    rate_hz: float = 50.0

    def render(self, camera: Camera, index: int) -> np.ndarray:
        return np.full((camera.height, camera.width, 3), index % 256, dtype=np.uint8)


@dataclass(frozen=True)
class HangingScene:
    """Renders until a frame number, then never returns, for the camera named."""

    camera_id: str
    from_index: int
    rate_hz: float = 50.0

    def render(self, camera: Camera, index: int) -> np.ndarray:
        if camera.id == self.camera_id and index >= self.from_index:
            threading.Event().wait()
        return np.full((camera.height, camera.width, 3), index % 256, dtype=np.uint8)


@dataclass(frozen=True)
class FailingScene:
    """Cannot be rendered."""

    rate_hz: float = 50.0

    def render(self, camera: Camera, index: int) -> np.ndarray:
        raise ZeroDivisionError(f"cannot render {camera.id} {index}")


def synthetic(frames: int | None = None) -> SyntheticSource:
    return SyntheticSource(frames=frames)
