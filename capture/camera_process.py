"""One camera as its session sees it: a grabber's process, its ring, and a state with a name."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from calibration import Camera
from capture.grabbers import CaptureMode, GrabberInfo
from capture.grabbers.steps import Steps
from capture.grabbers.synthetic import Strides
from capture.rig_config import CameraConfig, OpenCVSource, RigConfig
from capture.ring import Lease, RingLayout, RingReader
from capture.scene_share import SceneShare
from capture.shared_memory import Segment
from capture.state import CameraState, CameraStateName
from capture.worker import Ended, Failed, Job, Opened, run_grabber

_SECOND_NS = 1_000_000_000
# Of a driver, which may never answer. Files have none: opening them is work, which takes long on a busy machine.
OPEN_TIMEOUT_NS = 15 * _SECOND_NS
_WORK_TIMEOUT_NS = 120 * _SECOND_NS
START_TIMEOUT_NS = 2 * _WORK_TIMEOUT_NS
_STALL_NS = _SECOND_NS
_STALL_FRAMES = 5
_HANG_NS: dict[CaptureMode, int] = {"live": 10 * _SECOND_NS, "lossless": 60 * _SECOND_NS}
_FIRST_BACKOFF_NS = _SECOND_NS // 2
_MAX_BACKOFF_NS = 10 * _SECOND_NS
_STEADY_NS = 10 * _SECOND_NS
_FPS_WINDOW = 32
_FPS_PATIENCE = 3
_ARRIVAL_MS = 10.0


class CameraProcess:
    """Starts a grabber's process, follows it, and starts it again when it was lost. Nothing here blocks.

    One thread drives it; `give_back` and `state` may be called from others.

    Args:
        place: Its place in the rig.
        config: The camera's source.
        camera: Its calibration.
        mode: Live (a lost camera is started again) or lossless (it stays down).
        slots: Frames of its ring.
        share: The scene, for synthetic sources.
        steps: What replayed sources of the rig leave out together.

    Raises:
        CaptureError: If the ring's memory cannot be had.
    """

    def __init__(
        self,
        place: int,
        config: CameraConfig,
        camera: Camera,
        mode: CaptureMode,
        slots: int,
        share: SceneShare | None,
        steps: Steps | None = None,
    ) -> None:
        self.id = config.id
        self._offset_ns = round(config.time_offset_ms * 1e6)
        self._mode: CaptureMode = mode
        layout = RingLayout(camera.width, camera.height, slots)
        self.ring = RingReader(layout, Segment(layout.size, "set a smaller ring_slots in the rig file"))
        self._share = share
        self._strides = None if share is None else Strides(share.strides(), place)
        self._steps = steps
        self._job = Job(config.source, camera, mode, layout, place)
        self._process: SpawnProcess | None = None
        self._control: Connection | None = None
        self._wake: socket.socket | None = None
        self._info = GrabberInfo(camera.width, camera.height, 0.0, "")
        self._name: CameraStateName = "starting"
        self._message = ""
        self._opened = False
        self._epoch_ns: int | None = None
        self._running_since_ns = 0
        self._frame_ns = 0
        self._retry_ns: int | None = None
        self._backoff_ns = _FIRST_BACKOFF_NS
        self._recent_ns: deque[int] = deque(maxlen=_FPS_WINDOW)

    @property
    def name(self) -> CameraStateName:
        """The state's name."""
        return self._name

    @property
    def message(self) -> str:
        """What is the matter; empty when all is well."""
        return self._message

    @property
    def settled(self) -> bool:
        """Whether it is open, or known not to open."""
        return self._opened or self._name in ("failed", "ended", "lost")

    @property
    def over(self) -> bool:
        """Whether no frame will come any more."""
        return self._name == "ended" or (self._mode == "lossless" and self._name in ("failed", "lost"))

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return None if self._process is None else self._process.pid

    def launch(self, now_ns: int) -> None:
        """Start the grabber's process."""
        context = multiprocessing.get_context("spawn")
        self._control, theirs = context.Pipe(duplex=True)
        self._wake, their_wake = socket.socketpair()
        self._wake.setblocking(False)
        self.ring.ask_to_stop(stop=False)
        process = context.Process(
            target=run_grabber,
            args=(self._job, self.ring.segment, self._share, self._steps, theirs, their_wake),
            name=f"usthand-{self.id}",
            daemon=True,
        )
        self._opened = False
        self._retry_ns = None
        self._running_since_ns = now_ns
        self._recent_ns.clear()
        # Ctrl-C goes to the whole process group: it is the session that ends its grabbers, at their start-up too.
        # The tracker that `spawn` starts with the first process would let the signal through again: start it before.
        resource_tracker.ensure_running()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        except OSError as error:
            self._hang_up()
            self._fail(now_ns, f"its grabber process cannot be started: {error.strerror}; free memory or processes")
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
            their_wake.close()
        self._process = process
        self._name = "starting" if not self._message else self._name

    def waitables(self) -> list[Any]:
        """Return what becomes readable when there is something to do."""
        sentinel = None if self._process is None else self._process.sentinel
        return [item for item in (self._control, self._wake, sentinel) if item is not None]

    def go(self, epoch_ns: int) -> None:
        """Set the instant from which on the rig's sources are laid; an open source starts, now or when it is open."""
        self._epoch_ns = epoch_ns
        if self._opened:
            self._send_epoch()

    def _send_epoch(self) -> None:
        if self._control is not None and self._epoch_ns is not None:
            # A process that died meanwhile is noticed by the next poll.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._control.send(self._epoch_ns)
            self._name, self._message = "streaming", ""

    def poll(self, now_ns: int) -> None:
        """Hear what the process says, and judge by the clock whether it lives."""
        self._drain_wake()
        self._hear(now_ns)
        if self._process is not None and not self._process.is_alive():
            self._bury(now_ns)
        elif self._process is not None and self._name not in ("ended", "failed", "lost"):
            self._watch(now_ns)
        elif self._process is not None and self._retry_ns is None and not self.over and not self._opened:
            self._watch_opening(now_ns)
        if self._process is None and self._retry_ns is not None and now_ns >= self._retry_ns:
            self.ring.repair()
            self.launch(now_ns)

    def _drain_wake(self) -> None:
        if self._wake is not None:
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                self._wake.recv(4096)

    def _hear(self, now_ns: int) -> None:
        try:
            while self._control is not None and self._control.poll():
                match self._control.recv():
                    case Opened(info):
                        self._info, self._opened, self._frame_ns = info, True, now_ns
                        self._send_epoch()
                    case Ended(message):
                        self._name, self._message = "ended", message
                    case Failed(message):
                        self._fail(now_ns, message)
        except (EOFError, ConnectionResetError):
            self._hang_up()

    def _hang_up(self) -> None:
        """Close our ends; the process is gone, or is not listened to any more."""
        if self._control is not None:
            self._control.close()
            self._control = None
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.close()

    def _watch(self, now_ns: int) -> None:
        if not self._opened:
            self._watch_opening(now_ns)
            return
        if self._epoch_ns is None:
            return
        quiet_ns = now_ns - max(self._frame_ns, self._epoch_ns)
        silent_ns = now_ns - max(self.ring.beat_ns, self._frame_ns, self._epoch_ns)
        if silent_ns > _HANG_NS[self._mode]:
            who, remedy = (
                ("driver", "unplug it and plug it in again")
                if self._is_device
                else ("grabber", "check that its disk answers, and that the machine is not too busy")
            )
            self._fail(now_ns, f"its {who} has not answered for {silent_ns / 1e9:.0f} s; {remedy}")
        elif self._mode == "live" and quiet_ns > max(_STALL_NS, self._interval_ns * _STALL_FRAMES):
            self._name = "stalled"
            if self._steps is not None:
                self._steps.leave()
            suspect = "the camera's cable and its load" if self._is_device else "whether the machine is too busy"
            self._message = f"no frame for {quiet_ns / 1e9:.1f} s; check {suspect}"

    def _watch_opening(self, now_ns: int) -> None:
        opening_since_ns = self.ring.beat_ns
        if opening_since_ns < self._running_since_ns:
            if now_ns - self._running_since_ns > _WORK_TIMEOUT_NS:
                self._fail(
                    now_ns,
                    f"its grabber process did not start within {_WORK_TIMEOUT_NS / _SECOND_NS:g} s; the machine is too "
                    "busy, end other programs",
                )
            return
        limit_ns = OPEN_TIMEOUT_NS if self._is_device else _WORK_TIMEOUT_NS
        if now_ns - opening_since_ns > limit_ns:
            remedy = (
                "its device answers" if self._is_device else "its disk answers, and that the machine is not too busy"
            )
            self._fail(now_ns, f"it did not open within {limit_ns / _SECOND_NS:g} s; check that {remedy}")

    @property
    def _is_device(self) -> bool:
        return isinstance(self._job.source, OpenCVSource)

    @property
    def _interval_ns(self) -> int:
        return round(_SECOND_NS / self._info.fps) if self._info.fps > 0 else 0

    def _fail(self, now_ns: int, message: str) -> None:
        was_streaming = self._opened and self._epoch_ns is not None
        if self._name not in ("lost", "failed") or was_streaming:
            self._name = "lost" if was_streaming else "failed"
        self._message = message
        if self._process is not None:
            self._process.kill()
        if self._mode == "live" and self._retry_ns is None:
            if was_streaming and now_ns - self._running_since_ns > _STEADY_NS:
                self._backoff_ns = _FIRST_BACKOFF_NS
            self._retry_ns = now_ns + self._backoff_ns
            self._backoff_ns = min(2 * self._backoff_ns, _MAX_BACKOFF_NS)

    def _bury(self, now_ns: int) -> None:
        """Take note of a process that is dead, said so or not."""
        self._hear(now_ns)
        process, self._process = self._process, None
        if process is None:
            return
        if self._strides is not None:
            # The others need not go slowly for one that is gone.
            self._strides.post(0)
        if self._steps is not None:
            self._steps.leave()
        code = process.exitcode
        process.close()
        self._hang_up()
        if self._name != "ended" and (self._retry_ns is None and not self.over):
            how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
            self._fail(now_ns, f"its grabber process {how}; if that repeats, look at its driver")
        self._opened = False

    def take(self, now_ns: int) -> list[Lease]:
        """Take the frames that are ready, stamped with when they were taken."""
        leases = self.ring.take()
        if self._offset_ns:
            leases = [replace(lease, timestamp_ns=lease.timestamp_ns + self._offset_ns) for lease in leases]
        if leases:
            if self._is_idle(leases[0].received_ns):
                # The rate is of what comes after the outage.
                self._recent_ns.clear()
            self._frame_ns = now_ns
            self._recent_ns.extend(lease.received_ns for lease in leases)
            if self._name == "stalled":
                self._name, self._message = "streaming", ""
        return leases

    def give_back(self, slot: int) -> None:
        """Let the grabber have a slot again, and wake it if it may be waiting for one."""
        self.ring.give_back(slot)
        wake = self._wake
        if self._mode == "lossless" and wake is not None:
            # A full socket wakes it just as well; a closed one is a process that is gone.
            with contextlib.suppress(OSError):
                wake.send(b"\0")

    def ask_to_stop(self) -> None:
        """Ask the process to end after its present frame."""
        self.ring.ask_to_stop(stop=True)
        self._retry_ns = None
        if self._wake is not None:
            with contextlib.suppress(OSError):
                self._wake.send(b"\0")

    def sentinel(self) -> int | None:
        """Return what becomes readable when the process is dead; None if there is no process."""
        return None if self._process is None else self._process.sentinel

    def kill(self) -> None:
        """End the process without asking."""
        if self._process is not None:
            self._process.kill()

    def reap(self, timeout_s: float) -> bool:
        """Wait for the process to be gone; False if it is not within that time."""
        if self._process is not None:
            self._process.join(timeout_s)
            if self._process.is_alive():
                return False
            self._process.close()
            self._process = None
        self._hang_up()
        return True

    def state(self, now_ns: int, matching_drops: Mapping[str, int], config: RigConfig) -> CameraState:
        """Return the state for people and monitoring; what the rig file asks for is judged by the source's rate."""
        info, warnings = self._info, self._info.warnings
        if info.fps * config.max_skew_ms > 500:
            warnings += (
                f"max_skew_ms {config.max_skew_ms:g} is more than half of the frame interval at {info.fps:g} frames a "
                f"second: frames of neighbouring instants may be matched; set it below {500 / info.fps:.3g}",
            )
        # Frames of one instant are up to the skew apart besides, and take their time to arrive.
        ahead = int(info.fps * (config.offsets_apart_ms + config.max_skew_ms + _ARRIVAL_MS) / 1e3)
        if config.offsets_apart_ms > 0 and ahead + 1 >= config.most_waiting:
            warnings += (
                f"ring_slots {config.ring_slots} is too few for time offsets that are {config.offsets_apart_ms:g} ms "
                f"apart at {info.fps:g} frames a second: sets go out without the camera whose pictures come last; set "
                f"it to {2 * (ahead + 2)}",
            )
        drops: dict[str, int] = {**self.ring.drops, **matching_drops}
        return CameraState(
            self.id,
            self._name,
            self._message,
            self._fps(now_ns),
            self.ring.frames,
            drops,
            info.width,
            info.height,
            info.description,
            warnings,
        )

    def _fps(self, now_ns: int) -> float:
        recent_ns = tuple(self._recent_ns)
        if len(recent_ns) < 2 or self._name != "streaming":
            return 0.0
        span_ns = recent_ns[-1] - recent_ns[0]
        return 0.0 if span_ns <= 0 or self._is_idle(now_ns) else (len(recent_ns) - 1) * 1e9 / span_ns

    def _is_idle(self, now_ns: int) -> bool:
        """Say whether no frame has come for far longer than the last ones took."""
        recent_ns = tuple(self._recent_ns)
        if len(recent_ns) < 2:
            return False
        patience_ns = _FPS_PATIENCE * (recent_ns[-1] - recent_ns[0]) / (len(recent_ns) - 1) + _STALL_NS
        return now_ns - recent_ns[-1] > patience_ns
