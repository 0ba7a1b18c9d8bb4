"""Which frames belong to one instant: the skew rule, without threads and without a clock of its own.

The rule. Frames are taken in order of their exposure times. The oldest waiting frame opens a window of `max_skew_ms`;
the oldest waiting frame of every camera that falls into it makes the set. So no set spans more than `max_skew_ms`.

Live: a set goes out when every present camera has shown a frame (in the window, or a newer one), or when its first
frame has waited `wait_ms`, or when one camera has `max_pending` frames waiting. A view that is missing then is masked;
a frame that comes after its set went out is dropped as `late`.

One instant gives one set. A frame that is further than `max_skew_ms` from the others, yet nearer to them than half its
own camera's frame interval, is of the same instant and too far off to be used: it is dropped as `unmatched`. Of the
windows that start within one instant the one with most views goes out. So cameras that run out of phase show as a
masked view and a named count, not as twice as many sets of half the views.

Live, a frame that is alone while none of the last set's other cameras is due yet is `unmatched` too. So a camera of 60
frames a second among others of 30 makes 30 sets a second with all views, and not 60 of which every other one has a
single view, in which no hand can be placed. Two views are a set, and so is one when others are due and do not come.

Lossless: a set goes out only when every camera that has not ended has a frame waiting. Nothing is ever late, and no
frame is dropped that has a partner still waiting: only one that alone is left of an instant whose set it did not fit.

Matching is unambiguous while `max_skew_ms` is below half the frame interval.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

from capture.state import DropCause

T = TypeVar("T")

_NS_PER_MS = 1_000_000
_INTERVALS = 8
DEFAULT_EXTRA_WAIT_MS = 30.0


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """Frames of one instant.

    Args:
        items: One entry a camera; None where the view is missing.
        skew_ns: Latest minus earliest exposure.
    """

    items: tuple[T | None, ...]
    skew_ns: int


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    timestamp_ns: int
    arrived_ns: int
    item: T


class _Lane(Generic[T]):
    """What waits of one camera."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting[T]] = deque()
        self.present = True
        self.newest_ns: int | None = None
        self.taken_ns: int | None = None
        self.intervals_ns: deque[int] = deque(maxlen=_INTERVALS)
        self.drops: Counter[str] = Counter()

    def take(self) -> _Waiting[T]:
        head = self.waiting.popleft()
        if self.taken_ns is not None:
            self.intervals_ns.append(head.timestamp_ns - self.taken_ns)
        self.taken_ns = head.timestamp_ns
        return head

    @property
    def interval_ns(self) -> float:
        """The usual one of the last frames; 0 while there are none."""
        return median(self.intervals_ns) if self.intervals_ns else 0

    @property
    def half_interval_ns(self) -> float:
        # Up to the head and no further: what comes after must not change how it is matched. And the shortest of the
        # last ones: a dropped frame doubles an interval and must not widen an instant.
        intervals = list(self.intervals_ns)
        if self.waiting and self.taken_ns is not None:
            intervals.append(self.waiting[0].timestamp_ns - self.taken_ns)
        return min(intervals, default=0) / 2


class Synchronizer(Generic[T]):
    """Makes sets of stamped items. Not thread-safe: one thread owns it.

    Args:
        cameras: How many there are; each starts out as present.
        max_skew_ms: Longest span of a set, milliseconds.
        lossless: Wait for every camera that has not ended, in place of a bounded time.
        wait_ms: How long a frame waits for its partners at most, milliseconds (live). None: `max_skew_ms` and 30 ms
            for differing decoding times.
        max_pending: Frames of one camera that wait at most before a set goes out (live).
        on_drop: Called with camera, item and cause for each item that goes into no set.
    """

    def __init__(
        self,
        cameras: int,
        max_skew_ms: float,
        *,
        lossless: bool = False,
        wait_ms: float | None = None,
        max_pending: int = 4,
        on_drop: Callable[[int, T, DropCause], None] | None = None,
    ) -> None:
        self._lanes: tuple[_Lane[T], ...] = tuple(_Lane() for _ in range(cameras))
        self._skew_ns = round(max_skew_ms * _NS_PER_MS)
        self._wait_ns = round((max_skew_ms + DEFAULT_EXTRA_WAIT_MS if wait_ms is None else wait_ms) * _NS_PER_MS)
        self._lossless = lossless
        self._max_pending = max_pending
        self._on_drop = on_drop
        self._last_start_ns: int | None = None
        self._last_end_ns = 0
        self._last_stamps_ns: dict[int, int] = {}

    @property
    def pending(self) -> int:
        """Items that wait."""
        return sum(len(lane.waiting) for lane in self._lanes)

    def waiting(self, camera: int) -> int:
        """Items of that camera that wait."""
        return len(self._lanes[camera].waiting)

    def drops(self, camera: int) -> dict[str, int]:
        """Items of that camera that went into no set, by cause."""
        return dict(self._lanes[camera].drops)

    def set_present(self, camera: int, present: bool) -> None:
        """Say whether sets wait for that camera; one that stalled, ended or was lost is not waited for."""
        self._lanes[camera].present = present

    def push(self, camera: int, timestamp_ns: int, item: T, now_ns: int) -> None:
        """Add a frame.

        Args:
            camera: Its place in the rig.
            timestamp_ns: Its exposure.
            item: Whatever stands for it.
            now_ns: The time now, on the clock that `pop` is given; exposures may be on another.
        """
        lane = self._lanes[camera]
        if lane.newest_ns is not None and timestamp_ns <= lane.newest_ns:
            self._drop(camera, item, "disordered")
            return
        lane.newest_ns = timestamp_ns
        if not self._lossless and self._is_late(camera, timestamp_ns):
            self._drop(camera, item, "late")
            return
        lane.waiting.append(_Waiting(timestamp_ns, now_ns, item))

    def pop(self, now_ns: int) -> Match[T] | None:
        """Return the next set if it is decided, else None; call again until it is None."""
        while (heads := self._heads()) and self._decided(heads, now_ns):
            anchor = min(heads, key=lambda camera: (heads[camera], camera))
            start_ns = self._best_start(heads, anchor)
            window = self._window(heads, start_ns)
            if (
                start_ns != heads[anchor]
                or self._instant_is_out(heads[anchor], anchor, window)
                or self._is_between_instants(heads[anchor], anchor, window)
            ):
                self._drop(anchor, self._lanes[anchor].take().item, "unmatched")
                continue
            taken = {camera: self._lanes[camera].take() for camera in window}
            stamps_ns = {camera: waiting.timestamp_ns for camera, waiting in taken.items()}
            self._last_start_ns, self._last_end_ns = start_ns, max(stamps_ns.values())
            self._last_stamps_ns = stamps_ns
            items = tuple(taken[c].item if c in taken else None for c in range(len(self._lanes)))
            return Match(items, max(stamps_ns.values()) - min(stamps_ns.values()))
        return None

    def deadline_ns(self) -> int | None:
        """When `pop` may have a set without another push; None if never."""
        if self._lossless:
            return None
        arrivals = [lane.waiting[0].arrived_ns for lane in self._lanes if lane.waiting]
        return min(arrivals) + self._wait_ns if arrivals else None

    def clear(self) -> list[list[T]]:
        """Forget what waits, and return it, camera by camera."""
        items = [[waiting.item for waiting in lane.waiting] for lane in self._lanes]
        for lane in self._lanes:
            lane.waiting.clear()
        return items

    def _heads(self) -> dict[int, int]:
        return {c: lane.waiting[0].timestamp_ns for c, lane in enumerate(self._lanes) if lane.waiting}

    def _drop(self, camera: int, item: T, cause: DropCause) -> None:
        self._lanes[camera].drops[cause] += 1
        if self._on_drop is not None:
            self._on_drop(camera, item, cause)

    def _is_late(self, camera: int, timestamp_ns: int) -> bool:
        if self._last_start_ns is None:
            return False
        if camera in self._last_stamps_ns:
            return timestamp_ns < self._last_start_ns
        return timestamp_ns <= self._last_start_ns + self._skew_ns

    def _decided(self, heads: dict[int, int], now_ns: int) -> bool:
        if all(camera in heads for camera, lane in enumerate(self._lanes) if lane.present):
            return True
        if self._lossless:
            return False
        if any(len(lane.waiting) >= self._max_pending for lane in self._lanes):
            return True
        deadline_ns = self.deadline_ns()
        return deadline_ns is not None and now_ns >= deadline_ns

    def _best_start(self, heads: dict[int, int], anchor: int) -> int:
        """Return the start of the window with most views among those of the anchor's instant; ties go to the first."""
        first_ns = heads[anchor]
        half_ns = self._lanes[anchor].half_interval_ns
        if self._lossless and len(self._window(heads, first_ns)) > 1:
            return first_ns
        starts = sorted(t for t in heads.values() if t == first_ns or t - first_ns < half_ns)
        return max(starts, key=lambda start_ns: len(self._window(heads, start_ns)))

    def _window(self, heads: dict[int, int], start_ns: int) -> list[int]:
        return [camera for camera, t in heads.items() if start_ns <= t <= start_ns + self._skew_ns]

    def _instant_is_out(self, timestamp_ns: int, camera: int, window: list[int]) -> bool:
        """Say whether the set of this frame's instant went out without it, and it leads no better one."""
        if self._last_start_ns is None or camera in self._last_stamps_ns:
            return False
        if timestamp_ns - self._last_end_ns >= self._lanes[camera].half_interval_ns:
            return False
        return len(window) <= (1 if self._lossless else len(self._last_stamps_ns))

    def _is_between_instants(self, timestamp_ns: int, camera: int, window: list[int]) -> bool:
        """Say whether a frame is alone because its camera is faster than those that the last set shows beside it."""
        others = self._last_stamps_ns.keys() - {camera}
        if self._lossless or len(window) > 1 or not others:
            return False
        dues_ns = (self._last_stamps_ns[other] + self._lanes[other].interval_ns for other in others)
        return all(timestamp_ns + self._skew_ns < due_ns for due_ns in dues_ns)
