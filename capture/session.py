"""A running rig: grabber processes in, frame sets out."""

from __future__ import annotations

import atexit
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from multiprocessing import connection
from types import MappingProxyType, TracebackType
from typing import Any, Self

from calibration import Rig
from capture.camera_process import START_TIMEOUT_NS, CameraProcess
from capture.errors import CaptureError
from capture.frames import Frame, FrameSet
from capture.grabbers import CaptureMode
from capture.grabbers.pacing import PATIENCE_NS
from capture.grabbers.steps import Steps
from capture.rig_config import OpenCVSource, RigConfig, SyntheticSource
from capture.ring import Lease, RingLayout
from capture.scene import Scene
from capture.scene_share import SceneShare
from capture.shared_memory import Segment, check_shared_memory
from capture.state import CameraState, CameraStateName, DropCause
from capture.synchronizer import DEFAULT_EXTRA_WAIT_MS, Match, Synchronizer

_IDLE_S = 0.1
_LEAD_NS = 50_000_000
# Rendering and replay share the processors with everything else: a busy machine must not tear their instants apart.
_WORK_WAIT_MS = PATIENCE_NS / 1e6
_GRACE_S = 1.0
_START_SLACK_S = 5.0
_NS_PER_MS = 1_000_000


class _Held:
    """The leases of one frame set: given back once, by whichever thread is first."""

    def __init__(self, leases: list[tuple[CameraProcess, int]]) -> None:
        self._leases = leases
        self._lock = threading.Lock()

    def release(self) -> None:
        """Give the frames' memory back; calling it again does nothing."""
        with self._lock:
            leases, self._leases = self._leases, []
        for camera, slot in leases:
            camera.give_back(slot)


class CaptureSession:
    """Grabs from all cameras of a rig and hands out synchronised frame sets.

    Live, `next` gives the newest set, a lost camera comes back by itself, and everything that is dropped is counted.
    Lossless, it gives every set in order, and any failure is an error. A session runs once.

    In lossless mode grabbers wait for memory: a caller that holds on to as many sets as the rig has `ring_slots` stops
    them until it releases one.

    Args:
        config: The sources.
        rig: Their calibration, in the same order.
        mode: `live` or `lossless`.
        scene: What synthetic cameras film.

    Raises:
        CaptureError: If config and rig name different cameras, or there is no scene for a synthetic camera.
    """

    def __init__(self, config: RigConfig, rig: Rig, *, mode: CaptureMode, scene: Scene | None = None) -> None:
        if config.camera_ids != rig.camera_ids:
            raise CaptureError(
                f"the rig file names cameras {', '.join(config.camera_ids)}, the calibration has "
                f"{', '.join(rig.camera_ids)}; they must be the same, in the same order (use load_rig)"
            )
        synthetic = [camera.id for camera in config.cameras if isinstance(camera.source, SyntheticSource)]
        if synthetic and scene is None:
            raise CaptureError(
                f"camera {', '.join(synthetic)} is synthetic, but there is no scene to film; give one, or a source "
                "of another type"
            )
        self._config = config
        self._rig = rig
        self._mode: CaptureMode = mode
        self._scene = scene if synthetic else None
        self._cameras: tuple[CameraProcess, ...] = ()
        self._matcher: Synchronizer[Lease] = Synchronizer(
            len(rig),
            config.max_skew_ms,
            lossless=mode == "lossless",
            wait_ms=config.offsets_apart_ms
            + (
                config.max_skew_ms + DEFAULT_EXTRA_WAIT_MS
                if any(isinstance(camera.source, OpenCVSource) for camera in config.cameras)
                else _WORK_WAIT_MS
            ),
            max_pending=config.most_waiting,
            on_drop=self._on_drop,
        )
        self._ready: deque[FrameSet] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._running = False
        self._stopping = False
        self._stop_within_s = 5.0
        self._over = False
        self._error: str | None = None
        self._frame_sets = 0
        self._drops: Counter[str] = Counter()

    def start(self) -> None:
        """Open all sources; returns when each is open or failed, within a bounded time.

        Raises:
            CaptureError: If shared memory does not suffice; in lossless mode, if any source fails.
        """
        if self._thread is not None:
            raise CaptureError("this capture session was started before; make a new one")
        slots = self._config.ring_slots
        needed = sum(RingLayout(camera.width, camera.height, slots).size for camera in self._rig)
        check_shared_memory(
            needed, f"set a smaller ring_slots in the rig file (now {slots}, for {len(self._rig)} cameras)"
        )
        share = None if self._scene is None else SceneShare(self._scene, len(self._rig))
        shared = Segment(Steps.bytes_for(len(self._rig)), "use fewer cameras")
        self._cameras = tuple(
            CameraProcess(i, config, camera, self._mode, slots, share, self._steps(shared, i))
            for i, (config, camera) in enumerate(zip(self._config.cameras, self._rig, strict=True))
        )
        self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="usthand-capture", daemon=True)
        self._thread.start()
        # A program that ends without stop() ends its grabbers all the same, and before multiprocessing looks for them.
        atexit.register(self.stop)
        with self._changed:
            self._changed.wait_for(
                lambda: self._running or self._over or self._error is not None,
                timeout=START_TIMEOUT_NS / 1e9 + _START_SLACK_S,
            )
            error = self._error
        if error is not None:
            self.stop()
            raise CaptureError(error)

    def _steps(self, shared: Segment, place: int) -> Steps | None:
        """Return what a replayed camera shares with the others; those that film do not leave out what they choose."""
        if not self._is_live or isinstance(self._config.cameras[place].source, OpenCVSource | SyntheticSource):
            return None
        return Steps(shared, len(self._rig), place, round(self._config.max_skew_ms * _NS_PER_MS))

    def next(self, timeout_s: float) -> FrameSet | None:
        """Return the next frame set; whoever takes it releases it.

        Args:
            timeout_s: How long to wait for one, seconds.

        Returns:
            Live: the newest set. Lossless: the next in order. None if there is none in time, or ever.

        Raises:
            CaptureError: In lossless mode, when a source failed and the sets before that are out.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._ready or self._over or self._stopping or self._error is not None, timeout=timeout_s
            )
            if self._ready:
                return self._ready.popleft()
            if self._error is not None:
                raise CaptureError(self._error)
            return None

    @property
    def finished(self) -> bool:
        """Whether every source has ended and every set was taken."""
        with self._changed:
            return self._over and not self._ready

    @property
    def frame_sets(self) -> int:
        """Sets put out since the start, superseded ones included."""
        return self._frame_sets

    @property
    def drops(self) -> Mapping[str, int]:
        """Sets dropped, by cause: `superseded` by a newer one, or `stopped` with the session."""
        with self._changed:
            return MappingProxyType(dict(self._drops))

    def states(self) -> tuple[CameraState, ...]:
        """Return the state of every camera, in the rig's order."""
        now_ns = time.monotonic_ns()
        with self._changed:
            if not self._cameras:
                return tuple(
                    CameraState(c.id, "starting", "", 0.0, 0, {}, c.width, c.height, "", ()) for c in self._rig
                )
            return tuple(
                camera.state(now_ns, self._matcher.drops(i), self._config) for i, camera in enumerate(self._cameras)
            )

    def stop(self, timeout_s: float = 5.0) -> None:
        """End all grabbers, those that hang too, and give back what was not taken; again does nothing.

        Args:
            timeout_s: After which it returns at the latest, seconds.
        """
        with self._changed:
            self._stopping = True
            self._stop_within_s = timeout_s
            self._changed.notify_all()
        atexit.unregister(self.stop)
        if self._thread is not None:
            with self._changed:
                if self._wake is not None:
                    self._wake[1].send(b"\0")
            self._thread.join(timeout_s)
        with self._changed:
            self._drop_ready("stopped")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        """Drive all cameras until the session ends; the only thread that does."""
        try:
            self._open_all()
            while not self._stopping and not self._over and self._error is None:
                self._step()
        except Exception as error:
            self._set_error(f"the capture thread failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._shut_down()

    def _open_all(self) -> None:
        now_ns = time.monotonic_ns()
        for camera in self._cameras:
            camera.launch(now_ns)
        while not self._stopping and not all(camera.settled for camera in self._cameras):
            self._wait()
            for camera in self._cameras:
                camera.poll(time.monotonic_ns())
        if self._stopping:
            return
        failed = [f"camera {c.id!r}: {c.message}" for c in self._cameras if c.name == "failed"]
        if failed and self._mode == "lossless":
            self._set_error("; ".join(failed))
            return
        epoch_ns = time.monotonic_ns() + (_LEAD_NS if self._mode == "live" else 0)
        for camera in self._cameras:
            camera.go(epoch_ns)
        with self._changed:
            self._running = True
            self._changed.notify_all()

    def _wait(self) -> None:
        waitables: list[Any] = [] if self._wake is None else [self._wake[0]]
        for camera in self._cameras:
            waitables += camera.waitables()
        timeout_s = _IDLE_S
        if (deadline_ns := self._matcher.deadline_ns()) is not None:
            timeout_s = min(timeout_s, max(0, deadline_ns - time.monotonic_ns()) / 1e9)
        connection.wait(waitables, timeout_s)

    def _step(self) -> None:
        """Take what the rings have, match it, and put out the sets that are decided."""
        self._wait()
        now_ns = time.monotonic_ns()
        for camera in self._cameras:
            camera.poll(now_ns)
        # Judged before the rings are read: what a source wrote before its end must be in, or it would be lost.
        names = [camera.name for camera in self._cameras]
        leases = [camera.take(now_ns) for camera in self._cameras]
        with self._changed:
            for i, (camera, name) in enumerate(zip(self._cameras, names, strict=True)):
                # Live sets do not wait for a camera that is not there; a lossless one that broke off is waited for, so
                # that no set goes out as if it had ended.
                self._matcher.set_present(i, camera.name == "streaming" if self._is_live else name != "ended")
                for lease in leases[i]:
                    self._matcher.push(i, lease.timestamp_ns, lease, now_ns)
            while (match := self._matcher.pop(time.monotonic_ns())) is not None:
                self._publish(match)
            self._over = all(name == "ended" for name in names) and not self._matcher.pending
            if self._over:
                self._changed.notify_all()
        if not self._is_live:
            self._judge_broken(names)

    def _judge_broken(self, names: list[CameraStateName]) -> None:
        """End a lossless session whose source broke off, once all that it had given is out."""
        broken = [i for i, name in enumerate(names) if name in ("failed", "lost")]
        going = any(name in ("starting", "streaming") for name in names)
        if broken and not (going and any(self._matcher.waiting(i) for i in broken)):
            self._set_error("; ".join(f"camera {self._cameras[i].id!r}: {self._cameras[i].message}" for i in broken))

    @property
    def _is_live(self) -> bool:
        return self._mode == "live"

    def _on_drop(self, camera: int, lease: Lease, cause: DropCause) -> None:  # noqa: ARG002 - counted by the matcher
        self._cameras[camera].give_back(lease.slot)

    def _publish(self, match: Match[Lease]) -> None:
        frames = tuple(
            None
            if lease is None
            else Frame(
                camera.id, lease.index, lease.timestamp_ns, lease.received_ns, lease.image_bgr, camera.ring.pixels
            )
            for camera, lease in zip(self._cameras, match.items, strict=True)
        )
        taken = [(c, lease.slot) for c, lease in zip(self._cameras, match.items, strict=True) if lease is not None]
        if self._is_live:
            self._drop_ready("superseded")
        self._ready.append(FrameSet(self._frame_sets, frames, match.skew_ns / _NS_PER_MS, _Held(taken).release))
        self._frame_sets += 1
        self._changed.notify_all()

    def _drop_ready(self, cause: str) -> None:
        while self._ready:
            self._ready.popleft().release()
            self._drops[cause] += 1

    def _set_error(self, message: str) -> None:
        with self._changed:
            self._error = self._error or message
            self._changed.notify_all()

    def _shut_down(self) -> None:
        """Ask the grabbers to end, then make them; all of it within the time that `stop` was given."""
        deadline = time.monotonic() + self._stop_within_s
        for camera in self._cameras:
            camera.ask_to_stop()
        patience = time.monotonic() + min(_GRACE_S, self._stop_within_s / 2)
        while (left := patience - time.monotonic()) > 0:
            alive = [s for camera in self._cameras if (s := camera.sentinel()) is not None]
            if not alive:
                break
            connection.wait(alive, left)
            for camera in self._cameras:
                camera.reap(0)
        for camera in self._cameras:
            camera.kill()
        for camera in self._cameras:
            camera.reap(max(0.0, deadline - time.monotonic()))
        with self._changed:
            for camera, lane in zip(self._cameras, self._matcher.clear(), strict=True):
                for lease in lane:
                    camera.give_back(lease.slot)
            for end in self._wake or ():
                end.close()
            self._wake = None
            self._over = self._over or self._error is None
            self._changed.notify_all()
