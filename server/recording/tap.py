"""A frame source that shows every set to a recorder too, those included that the engine is too slow for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from capture.frames import FrameSet
from server.pipeline import CameraStatus, FrameSource

_POLL_S = 0.1


class _Shared:
    """A frame set's memory, held by two: it goes back when both are done."""

    def __init__(self, frame_set: FrameSet) -> None:
        self._release = frame_set.release
        self._lock = threading.Lock()
        self._holders = 2

    def share_of(self, frame_set: FrameSet) -> FrameSet:
        """Return the set for one of the two, who releases it once or more often."""
        given_back = threading.Event()

        def release() -> None:
            with self._lock:
                if given_back.is_set():
                    return
                given_back.set()
                self._holders -= 1
                last = self._holders == 0
            if last:
                self._release()

        return replace(frame_set, release=release)


class FrameTap:
    """Hands on the frame sets of a source; while somebody taps it, every one of them goes to that one as well.

    Untapped, it is its source and nothing else. Tapped, a thread takes the sets: each goes first to whoever waits in
    `next`, newest wins, and then to the tapper.

    Args:
        source: Where frame sets come from.
    """

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._changed = threading.Condition()
        # Held while the source is asked on behalf of `next`, so that a thread that begins to pump misses no set.
        self._direct = threading.Lock()
        self._newest: FrameSet | None = None
        self._error: Exception | None = None
        self._superseded = 0
        self._pump: threading.Thread | None = None
        self._ending = threading.Event()

    @property
    def finished(self) -> bool:
        """Whether no further frame set will come."""
        with self._changed:
            return self._newest is None and self._source.finished

    @property
    def drops(self) -> Mapping[str, int]:
        """Whole frame sets that the engine did not get, by cause."""
        drops = dict(self._source.drops)
        if self._superseded:
            drops["superseded"] = drops.get("superseded", 0) + self._superseded
        return drops

    def start(self) -> None:
        """Open the cameras."""
        self._source.start()

    def states(self) -> Sequence[CameraStatus]:
        """Tell how each camera is, in the rig's order."""
        return self._source.states()

    def next(self, timeout_s: float) -> FrameSet | None:
        """Return the newest frame set, or None if none came in time; whoever takes it releases it."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._direct:
                with self._changed:
                    untapped = self._pump is None and self._newest is None and self._error is None
                if untapped:
                    return self._source.next(max(0.0, deadline - time.monotonic()))
            with self._changed:
                self._changed.wait_for(
                    lambda: self._newest is not None or self._error is not None or self._pump is None,
                    max(0.0, deadline - time.monotonic()),
                )
                error, self._error = self._error, None
                if error is not None:
                    raise error
                newest, self._newest = self._newest, None
                if newest is not None or self._pump is not None:
                    return newest

    def attach(self, taker: Callable[[FrameSet], bool]) -> Callable[[], None]:
        """Show every set to somebody as well, from now on, in a thread of its own.

        Args:
            taker: Called with each set, which it may keep until it returns; False ends it.

        Returns:
            A function that ends it, and returns when the taker is called no more.

        Raises:
            RuntimeError: If it is tapped already.
        """
        with self._changed:
            if self._pump is not None:
                raise RuntimeError("the frame sets are tapped already; detach first")
            self._ending = ending = threading.Event()
            self._pump = pump = threading.Thread(
                target=self._run, args=(taker, ending), name="usthand-tap", daemon=True
            )
        pump.start()

        def detach() -> None:
            ending.set()
            pump.join()

        return detach

    def _run(self, taker: Callable[[FrameSet], bool], ending: threading.Event) -> None:
        # Whoever asks the source now is let finish; whoever asks next finds the pump.
        with self._direct:
            pass
        try:
            while not ending.is_set():
                try:
                    frame_set = self._source.next(_POLL_S)
                except Exception as error:  # noqa: BLE001 - it is raised where it would have been
                    self._offer_error(error)
                    ending.wait(_POLL_S)
                    continue
                if frame_set is None:
                    if self._source.finished:
                        ending.wait(_POLL_S)
                    continue
                shared = _Shared(frame_set)
                self._offer(shared.share_of(frame_set))
                with shared.share_of(frame_set) as own:
                    if not taker(own):
                        return
        finally:
            with self._changed:
                self._pump = None
                self._changed.notify_all()

    def _offer(self, frame_set: FrameSet) -> None:
        with self._changed:
            older, self._newest = self._newest, frame_set
            self._superseded += older is not None
            self._changed.notify_all()
        if older is not None:
            older.release()

    def _offer_error(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the tapping and close the cameras, within that time."""
        deadline = time.monotonic() + timeout_s
        self._ending.set()
        with self._changed:
            pump = self._pump
        if pump is not None:
            pump.join(timeout_s / 2)
        self._source.stop(max(0.0, deadline - time.monotonic()))
        with self._changed:
            newest, self._newest = self._newest, None
        if newest is not None:
            newest.release()
