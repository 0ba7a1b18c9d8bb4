"""The thread that takes the newest frame set, asks the engine, and publishes the answer."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from calibration import Rig
from capture.frames import FrameSet
from engine.types import HandEngine, HandPose
from server.camera_log import CameraLog
from server.leaving import ENGINE_THREAD
from server.solved import Shelf, Solved
from server.window import SlidingWindow, WindowStats

_log = logging.getLogger("usthand.pipeline")

_POLL_S = 0.1
_RETRY_S = 0.5
_CAMERAS_S = 0.5
_QUIET_NS = 1_000_000_000
_STUCK_NS = 10_000_000_000

STARTING = "starting"
WAITING = "waiting for frames"
RUNNING = "running"
FINISHED = "finished"
STOPPED = "stopped"
_FAILED = "failed"
_STUCK = "stuck"


class CameraStatus(Protocol):
    """One camera, as the capture session tells it."""

    @property
    def id(self) -> str:
        """The camera's name in the rig."""

    @property
    def state(self) -> str:
        """A named state."""

    @property
    def message(self) -> str:
        """The state in words, with what to do where something is wrong."""

    @property
    def fps(self) -> float:
        """Frames a second, measured."""

    @property
    def frames(self) -> int:
        """Frames so far."""

    @property
    def drops(self) -> Mapping[str, int]:
        """Frames that went missing, by cause."""

    @property
    def width(self) -> int:
        """Image width in pixels; 0 while unknown."""

    @property
    def height(self) -> int:
        """Image height in pixels; 0 while unknown."""

    @property
    def warnings(self) -> Sequence[str]:
        """Settings that the camera did not take."""


class FrameSource(Protocol):
    """Where frame sets come from: a capture session, live or replayed."""

    @property
    def finished(self) -> bool:
        """Whether no further frame set will come."""

    @property
    def drops(self) -> Mapping[str, int]:
        """Whole frame sets that nobody got, by cause."""

    def start(self) -> None:
        """Open the cameras."""

    def next(self, timeout_s: float) -> FrameSet | None:
        """Return the next frame set, or None if none came in time."""

    def states(self) -> Sequence[CameraStatus]:
        """Tell how each camera is, in the rig's order."""

    def stop(self, timeout_s: float = 5.0) -> None:
        """Close the cameras, within that time."""


class Pipeline:
    """Owns the engine thread and what it last published.

    Args:
        session: A started capture session; whoever started it stops it.
        engine: The engine to begin with. Whichever runs at the end, the pipeline closes.
        rig: The calibration to begin with.
    """

    def __init__(self, session: FrameSource, engine: HandEngine, rig: Rig) -> None:
        self.session = session
        self.engine = engine
        self._rig = rig
        self._shelf = Shelf()
        self._latest: Solved | None = None
        self._window = SlidingWindow()
        self._listeners: list[Callable[[Solved], None]] = []
        self._end_listeners: list[Callable[[Solved], None]] = []
        self._lock = threading.Lock()
        self._pending: tuple[Rig, Future[Rig]] | None = None
        self._pending_engine: tuple[HandEngine, Future[HandEngine]] | None = None
        self._highest_id = 0
        self._ids_before = 0
        self._masked: frozenset[str] = frozenset()
        self._suspect: frozenset[str] = frozenset()
        self._state = STARTING
        self._errors: dict[str, int] = {}
        self._logged: set[str] = set()
        self._solved_count = 0
        self._last_set_ns = 0
        self._solving_since_ns: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=ENGINE_THREAD, daemon=True)

    @property
    def rig(self) -> Rig:
        """The calibration that the next frame set will be solved with."""
        return self._rig

    @property
    def masked(self) -> frozenset[str]:
        """Cameras that the engine does not look through."""
        return self._masked

    @property
    def state(self) -> str:
        """The engine's state: starting, waiting for frames, running, finished, stopped, `failed: why`, `stuck: why`."""
        since_ns = self._solving_since_ns
        if since_ns is not None and (taken_ns := time.monotonic_ns() - since_ns) > _STUCK_NS:
            # Its thread cannot say so itself.
            return f"{_STUCK}: at one frame set for {taken_ns / 1e9:.0f} s; if that goes on, start the service again"
        return self._state

    @property
    def latest(self) -> Solved | None:
        """The newest answer, without a claim on its pixels."""
        return self._latest

    @property
    def solved_count(self) -> int:
        """Frame sets answered so far."""
        return self._solved_count

    @property
    def errors(self) -> Mapping[str, int]:
        """Exceptions so far, by their type; each cost one frame set."""
        with self._lock:
            return dict(self._errors)

    def stats(self) -> WindowStats:
        """Rate and latency of the last seconds."""
        return self._window.stats()

    def borrow(self) -> AbstractContextManager[Solved | None]:
        """Lend the newest answer with its pixels; hold it briefly, it keeps ring memory from being reused."""
        return self._shelf.borrow()

    def subscribe(self, listener: Callable[[Solved], None], *, end: bool = False) -> Callable[[], None]:
        """Call a function with each answer, in the engine thread; it must not block.

        Args:
            listener: The function.
            end: Whether to call it, too, with the word that no answer will follow.

        Returns:
            A function that ends the subscription.
        """
        lists = (self._listeners, self._end_listeners) if end else (self._listeners,)
        with self._lock:
            for listeners in lists:
                listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                for listeners in lists:
                    listeners.remove(listener)

        return unsubscribe

    def mask(self, rig: Rig, masked: frozenset[str], suspect: frozenset[str]) -> None:
        """Leave cameras out of the engine's sight from the next frame set on, as if they had given no frame.

        Args:
            rig: The calibration that they do not fit; what is said of another one than the running one is ignored.
            masked: Whose frames the engine does not get.
            suspect: Whose frames it gets, though one of them does not fit its calibration.
        """
        with self._lock:
            if rig is self._rig:
                self._masked, self._suspect = masked, suspect

    def request_rig(self, rig: Rig) -> Future[Rig]:
        """Ask for another calibration, to be taken up between two frame sets.

        Args:
            rig: The new calibration, its cameras in the order of the running one.

        Returns:
            Done once the rig is in use; cancelled if a later request came first.

        Raises:
            ValueError: If its cameras are not the running ones in their order.
        """
        if rig.camera_ids != self._rig.camera_ids:
            raise ValueError(
                f"the new calibration is of {', '.join(rig.camera_ids)}; the service runs "
                f"{', '.join(self._rig.camera_ids)}, in this order"
            )
        done: Future[Rig] = Future()
        with self._lock:
            replaced, self._pending = self._pending, (rig, done)
        if replaced is not None:
            replaced[1].cancel()
        return done

    def request_engine(self, engine: HandEngine) -> Future[HandEngine]:
        """Ask for another engine, to be taken up between two frame sets. Its hands get ids that were not given yet.

        Args:
            engine: Ready to run.

        Returns:
            Done once it is in use, with the engine that it replaced: that is the caller's to close. Cancelled if a
            later request came first or the pipeline ended: then `engine` is.
        """
        done: Future[HandEngine] = Future()
        with self._lock:
            replaced, self._pending_engine = self._pending_engine, (engine, done)
        if replaced is not None:
            replaced[1].cancel()
        return done

    def start(self) -> None:
        """Start the engine thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> bool:
        """End the engine thread and let go of the last frame set.

        Returns:
            Whether the thread ended in time; if not, it is left to die with the process.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.warning("the engine did not end its frame set within %.1f s; leaving without it", timeout_s)
            return False
        self._state = STOPPED
        self._shelf.put(None)
        with self._lock:
            pending, self._pending_engine = self._pending_engine, None
        if pending is not None:
            pending[1].cancel()
        self.engine.close()
        return True

    def _run(self) -> None:
        self._state = WAITING
        cameras, noted_s = CameraLog(), 0.0
        while not self._stopping.is_set():
            if time.monotonic() - noted_s >= _CAMERAS_S:
                noted_s = time.monotonic()
                cameras.note(self.session.states())
            try:
                frame_set = self.session.next(_POLL_S)
            except Exception as error:  # noqa: BLE001 - whatever capture does, the service stays up and says so
                self._note_error(error)
                self._stopping.wait(_RETRY_S)
                frame_set = None
            self._apply_pending_rig()
            self._apply_pending_engine()
            if frame_set is None:
                self._rest()
            else:
                self._solve(frame_set)

    def _rest(self) -> None:
        if self.session.finished:
            if self._state != FINISHED:
                self._state = FINISHED
                _log.warning("the footage is over; `loop: true` in the rig file, or `replay --loop`, begins it again")
                self._say_ended()
            self._stopping.wait(_POLL_S)
        elif self._state == RUNNING and time.monotonic_ns() - self._last_set_ns > _QUIET_NS:
            self._state = WAITING

    def _say_ended(self) -> None:
        """Take the last hands back: what is over is not there any more."""
        last = self._latest
        if last is not None:
            self._latest = replace(
                last,
                hands=(),
                solved_ns=time.monotonic_ns(),
                sequence=self._solved_count,
                masked=frozenset(),
                suspect=frozenset(),
                ended=True,
            )
            self._tell(self._end_listeners, self._latest)

    def _apply_pending_rig(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, None
            if pending is None or not pending[1].set_running_or_notify_cancel():
                return
            rig, done = pending
            self._rig = rig
            # They did not fit the old one; nobody knows yet of the new one.
            self._masked = self._suspect = frozenset()
        done.set_result(rig)

    def _apply_pending_engine(self) -> None:
        with self._lock:
            pending, self._pending_engine = self._pending_engine, None
        if pending is None or not pending[1].set_running_or_notify_cancel():
            return
        engine, done = pending
        replaced, self.engine = self.engine, engine
        self._ids_before = self._highest_id
        done.set_result(replaced)

    def _solve(self, frame_set: FrameSet) -> None:
        with self._lock:
            rig, masked, suspect = self._rig, self._masked, self._suspect
        self._last_set_ns = self._solving_since_ns = time.monotonic_ns()
        try:
            exposure_ns = frame_set.timestamp_ns
            hands = self._renumbered(self.engine.process(_without(frame_set, masked), rig))
        except Exception as error:  # noqa: BLE001 - one frame set is lost, not the service
            frame_set.release()
            self._note_error(error)
            self._reset_engine()
            return
        finally:
            self._solving_since_ns = None
        model_id = self.engine.card.model_id
        solved = Solved(frame_set, rig, hands, time.monotonic_ns(), self._solved_count, model_id, masked, suspect)
        self._solved_count += 1
        self._window.add(exposure_ns, solved.solved_ns)
        self._latest = solved
        self._shelf.put(solved)
        self._state = RUNNING
        self._tell(self._listeners, solved)

    def _tell(self, listeners: Sequence[Callable[[Solved], None]], solved: Solved) -> None:
        with self._lock:
            listeners = tuple(listeners)
        for listener in listeners:
            try:
                listener(solved)
            except Exception as error:  # noqa: BLE001 - one listener's fault is not the others'
                self._note_error(error)

    def _renumbered(self, hands: tuple[HandPose, ...]) -> tuple[HandPose, ...]:
        """The hands of an engine that was taken up later: it counts from the start, but these are others."""
        if self._ids_before:
            hands = tuple(replace(hand, id=hand.id + self._ids_before) for hand in hands)
        self._highest_id = max([self._highest_id, *(hand.id for hand in hands)])
        return hands

    def _reset_engine(self) -> None:
        try:
            self.engine.reset()
        except Exception as error:  # noqa: BLE001 - the next frame set shows whether the engine still works
            self._note_error(error)

    def _note_error(self, error: Exception) -> None:
        kind = type(error).__name__
        self._state = f"{_FAILED}: {kind}: {error}"
        with self._lock:
            self._errors[kind] = self._errors.get(kind, 0) + 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        signature = f"{kind} {where.filename}:{where.lineno}"
        if signature not in self._logged:
            self._logged.add(signature)
            _log.error("%s: %s (logged once; further ones are counted)", kind, error, exc_info=error)


def _without(frame_set: FrameSet, masked: frozenset[str]) -> FrameSet:
    """The set as the engine gets it: without the frames of masked cameras, and of the same instant as with them."""
    if not masked or not frame_set.view_ids:
        return frame_set
    kept = tuple(None if frame is None or frame.camera_id in masked else frame for frame in frame_set.frames)
    return replace(frame_set, frames=kept, instant_ns=frame_set.timestamp_ns)
