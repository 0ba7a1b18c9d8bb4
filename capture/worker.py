"""The body of a grabber's process: opens one source and fills one ring, and hears nothing of the other cameras."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

from calibration import Camera
from capture.errors import CaptureError
from capture.grabbers import CaptureMode, Grabber, GrabberInfo, Lost, make_grabber
from capture.grabbers.steps import Steps
from capture.grabbers.synthetic import Strides
from capture.parent_watch import end_with_parent
from capture.rig_config import Source
from capture.ring import RingLayout, RingWriter
from capture.scene_share import SceneShare
from capture.shared_memory import Segment

_BEAT_NS = 200_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """What a grabber's process is to do.

    Args:
        source: Where the pictures come from.
        camera: The calibrated camera that takes them.
        mode: Live or lossless.
        layout: Of the ring to fill.
        place: Of the camera in the rig.
    """

    source: Source
    camera: Camera
    mode: CaptureMode
    layout: RingLayout
    place: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The source is open and waits for the epoch."""

    info: GrabberInfo


@dataclass(frozen=True, slots=True)
class Ended:
    """The source came to its end; `message` says so if it was not the declared one."""

    message: str = field(default="")


@dataclass(frozen=True, slots=True)
class Failed:
    """The source failed; `message` says why and what to do."""

    message: str


class WorkerClock:
    """The monotonic clock of a process that is asked to end through its ring, and woken through a socket.

    Args:
        writer: Its ring.
        wake: The socket.
    """

    def __init__(self, writer: RingWriter, wake: socket.socket) -> None:
        self._writer = writer
        self._wake = wake

    def now_ns(self) -> int:
        """Return the monotonic time."""
        return time.monotonic_ns()

    def wait_until(self, time_ns: int) -> bool:
        """Wait until then; False as soon as the process should end instead."""
        while not self._writer.stopping:
            self._writer.beat(now_ns := time.monotonic_ns())
            if now_ns >= time_ns:
                return True
            self.doze(min(time_ns - now_ns, _BEAT_NS))
        return False

    def doze(self, at_most_ns: int) -> None:
        """Wait until somebody wakes this process, for some time at most."""
        if select.select([self._wake], [], [], at_most_ns / 1e9)[0]:
            with contextlib.suppress(BlockingIOError):
                self._wake.recv(4096)


def run_grabber(
    job: Job,
    segment: Segment,
    share: SceneShare | None,
    steps: Steps | None,
    control: Connection,
    wake: socket.socket,
) -> None:  # pragma: no cover - runs in a process of its own
    """Grab until the source ends, the session says so, or the session's process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(f"usthand-{job.camera.id}"[:15])
    end_with_parent()
    cv2.setNumThreads(1)
    # What goes wrong is reported to the session in words; the libraries' own lines on stderr would only repeat it.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    wake.setblocking(False)
    writer = RingWriter(job.layout, segment)
    try:
        message = _grab_all(job, writer, share, steps, control, wake)
    except (CaptureError, cv2.error, OSError, MemoryError) as error:
        message = Failed(" ".join(str(error).split()) or type(error).__name__)
    except Exception as error:
        _send(control, Failed(f"its grabber failed: {type(error).__name__}: {error}"))
        raise
    _send(control, message)


def _send(control: Connection, message: Opened | Ended | Failed) -> None:
    # A session that is gone hears nothing, and this process ends anyway.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        control.send(message)


def _grab_all(
    job: Job,
    writer: RingWriter,
    share: SceneShare | None,
    steps: Steps | None,
    control: Connection,
    wake: socket.socket,
) -> Ended | Failed:
    clock = WorkerClock(writer, wake)
    # Up: from here on it is the source that takes its time.
    writer.beat(clock.now_ns())
    grabber = make_grabber(
        job.source,
        job.camera,
        job.mode,
        clock,
        scene=None if share is None else share.load(),
        strides=None if share is None else Strides(share.strides(), job.place),
        steps=steps,
        first_index=writer.next_index,
    )
    try:
        info = grabber.open()
        check_size(info, job.camera)
        _send(control, Opened(info))
        while not control.poll(_BEAT_NS / 1e9):
            if not clock.wait_until(0):
                return Ended()
        grabber.start(control.recv())
        return fill_ring(grabber, writer, clock, wake, job)
    except EOFError:
        return Ended()
    finally:
        if steps is not None:
            steps.leave()
        grabber.close()


def check_size(info: GrabberInfo, camera: Camera) -> None:
    """Refuse a source whose pictures are not of the calibrated size.

    Raises:
        CaptureError: If they differ.
    """
    if (info.width, info.height) != (camera.width, camera.height):
        raise CaptureError(
            f"{info.description} gives {info.width}x{info.height}, but camera {camera.id!r} is calibrated at "
            f"{camera.width}x{camera.height}; set the source to that size, or calibrate at this one"
        )


def fill_ring(
    grabber: Grabber, writer: RingWriter, clock: WorkerClock, wake: socket.socket, job: Job
) -> Ended | Failed:
    """Grab until the end, and count what does not get into the ring."""
    scratch = np.empty((job.layout.height, job.layout.width, 3), dtype=np.uint8)
    while not writer.stopping:
        writer.beat(clock.now_ns())
        slot = writer.begin()
        if slot is None and job.mode == "lossless":
            clock.doze(_BEAT_NS)
            continue
        # A source must be read even when there is no room, or its next frame would be an old one.
        grab = grabber.grab(scratch if slot is None else slot)
        if grab is None:
            return Ended(grabber.ending)
        writer.skip("behind", grab.behind)
        if isinstance(grab, Lost):
            writer.skip("undecodable", grab.undecodable)
        elif slot is None:
            writer.put(scratch, grab.index, grab.timestamp_ns, grab.received_ns)
        else:
            writer.commit(grab.index, grab.timestamp_ns, grab.received_ns)
        # A full socket wakes the session just as well; a closed one has nobody to wake.
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            wake.send(b"\0")
    return Ended()
