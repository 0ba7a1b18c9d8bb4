"""What the pipeline publishes, and the shelf that keeps its pixels alive while somebody looks at them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from calibration import Rig
from capture.frames import FrameSet
from engine.types import HandPose


@dataclass(frozen=True, eq=False, slots=True)
class Solved:
    """A frame set with its answer.

    Args:
        frame_set: What was seen. Its ids and stamps are always readable, its pixels only while borrowed from the shelf.
        rig: The calibration that the answer was made with.
        hands: The hands in this set; empty when there is none.
        solved_ns: When the answer was there, monotonic clock.
        sequence: Counts up by one for each answer.
        model_id: What made the answer; the service may change its model between two answers.
        masked: Cameras that gave a frame but were left out, because their calibration does not fit.
        suspect: Cameras that were used although one of them does not fit its calibration.
        ended: Whether this is no answer but the word that none will follow: the last frame set without its hands,
            `solved_ns` being when the end was noticed.
    """

    frame_set: FrameSet
    rig: Rig
    hands: tuple[HandPose, ...]
    solved_ns: int
    sequence: int
    model_id: str
    masked: frozenset[str] = frozenset()
    suspect: frozenset[str] = frozenset()
    ended: bool = False

    @property
    def view_ids(self) -> tuple[str, ...]:
        """Ids of the cameras that the answer was made with; none when it is the end."""
        if self.ended:
            return ()
        return tuple(camera_id for camera_id in self.frame_set.view_ids if camera_id not in self.masked)


class _Lease:
    """A frame set's memory, held by the shelf and by whoever borrowed it."""

    def __init__(self, solved: Solved) -> None:
        self.solved = solved
        self.holders = 1


class Shelf:
    """Holds the newest answer; its frame set is released when it was replaced and nobody borrows it any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lease: _Lease | None = None

    def put(self, solved: Solved | None) -> None:
        """Replace what is on the shelf; None clears it."""
        with self._lock:
            previous, self._lease = self._lease, None if solved is None else _Lease(solved)
        if previous is not None:
            self._give_back(previous)

    @contextmanager
    def borrow(self) -> Iterator[Solved | None]:
        """Lend the newest answer, pixels included, until the block ends; None while there is none."""
        with self._lock:
            lease = self._lease
            if lease is not None:
                lease.holders += 1
        try:
            yield None if lease is None else lease.solved
        finally:
            if lease is not None:
                self._give_back(lease)

    def _give_back(self, lease: _Lease) -> None:
        with self._lock:
            lease.holders -= 1
            last = lease.holders == 0
        if last:
            lease.solved.frame_set.release()
