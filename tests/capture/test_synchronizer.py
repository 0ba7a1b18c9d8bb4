"""Laws of matching, over streams that hypothesis makes up."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.synchronizer import Match, Synchronizer

MS = 1_000_000
Item = tuple[int, int]  # camera, exposure in ns


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, int, list[tuple[int, int, int]]]:
    """Return cameras, skew in ms, and (arrival, camera, exposure), in order of arrival and, a camera, of exposure."""
    cameras = draw(st.integers(1, 4))
    skew_ms = draw(st.integers(1, 40))
    events = []
    for camera in range(cameras):
        steps = draw(st.lists(st.integers(1, 60), max_size=12))
        exposure, arrival = draw(st.integers(0, 30)), 0
        for step in steps:
            exposure += step
            arrival = max(arrival, exposure + draw(st.integers(0, 80)))
            events.append((arrival, camera, exposure))
    return cameras, skew_ms, sorted(events)


class Run:
    """All that a synchronizer did with a stream."""

    def __init__(self, cameras: int, skew_ms: int, events: list[tuple[int, int, int]], *, lossless: bool) -> None:
        self.pushed: list[Item] = []
        self.dropped: list[tuple[Item, str]] = []
        self.matches: list[Match[Item]] = []
        self.sync: Synchronizer[Item] = Synchronizer(
            cameras,
            skew_ms,
            lossless=lossless,
            on_drop=lambda _, item, cause: self.dropped.append((item, cause)),
        )
        now = 0
        for arrival, camera, exposure in events:
            now = arrival * MS
            item = (camera, exposure * MS)
            self.pushed.append(item)
            self.sync.push(camera, exposure * MS, item, now)
            self._pop(now)
        for camera in range(cameras):
            self.sync.set_present(camera, False)
        self._pop(now)

    def _pop(self, now: int) -> None:
        while (match := self.sync.pop(now)) is not None:
            self.matches.append(match)

    @property
    def delivered(self) -> list[Item]:
        return [item for match in self.matches for item in match.items if item is not None]


def stamps(match: Match[Item]) -> list[int]:
    return [item[1] for item in match.items if item is not None]


@pytest.mark.parametrize("lossless", [False, True])
@given(stream=streams())
def test_sets_keep_the_skew_and_frames_add_up(
    stream: tuple[int, int, list[tuple[int, int, int]]], lossless: bool
) -> None:
    cameras, skew_ms, events = stream
    run = Run(cameras, skew_ms, events, lossless=lossless)
    for match in run.matches:
        assert len(match.items) == cameras
        assert match.skew_ns == max(stamps(match)) - min(stamps(match)) <= skew_ms * MS
        assert all(item is None or item[0] == camera for camera, item in enumerate(match.items))
    assert len(set(run.delivered)) == len(run.delivered), "a frame is in two sets"
    assert Counter(run.pushed) == Counter(run.delivered) + Counter(item for item, _ in run.dropped)
    counted = sum(sum(run.sync.drops(camera).values()) for camera in range(cameras))
    assert counted == len(run.dropped)
    assert run.sync.pending == 0
    starts = [min(stamps(match)) for match in run.matches]
    assert starts == sorted(starts)
    for camera in range(cameras):
        own = [item for item in run.delivered if item[0] == camera]
        assert own == sorted(own)


@given(stream=streams())
def test_lossless_drops_only_what_no_set_could_hold(stream: tuple[int, int, list[tuple[int, int, int]]]) -> None:
    cameras, skew_ms, events = stream
    run = Run(cameras, skew_ms, events, lossless=True)
    home = {item: match for match in run.matches for item in match.items if item is not None}
    for item, cause in run.dropped:
        assert cause == "unmatched"
        for other in run.pushed:
            if other[0] != item[0] and abs(other[1] - item[1]) <= skew_ms * MS and other in home:
                match = home[other]
                span = [*stamps(match), item[1]]
                assert match.items[item[0]] is not None or max(span) - min(span) > skew_ms * MS


@given(stream=streams())
def test_lossless_does_not_depend_on_who_is_first(stream: tuple[int, int, list[tuple[int, int, int]]]) -> None:
    cameras, skew_ms, events = stream
    by_camera = sorted(events, key=lambda event: event[1])
    first = Run(cameras, skew_ms, events, lossless=True)
    second = Run(cameras, skew_ms, by_camera, lossless=True)
    assert [match.items for match in first.matches] == [match.items for match in second.matches]


def feed(sync: Synchronizer[str], *frames: tuple[int, float, str], now_ms: float) -> list[tuple[str | None, ...]]:
    for camera, exposure_ms, item in frames:
        sync.push(camera, round(exposure_ms * MS), item, round(now_ms * MS))
    return popped(sync, now_ms)


def popped(sync: Synchronizer[str], now_ms: float) -> list[tuple[str | None, ...]]:
    sets = []
    while (match := sync.pop(round(now_ms * MS))) is not None:
        sets.append(match.items)
    return sets


def test_a_complete_set_goes_out_at_once() -> None:
    sync: Synchronizer[str] = Synchronizer(2, 8)
    assert feed(sync, (0, 0, "a0"), now_ms=5) == []
    assert feed(sync, (1, 3, "b0"), now_ms=6) == [("a0", "b0")]


def test_a_set_that_waits_too_long_goes_out_masked_and_the_late_view_is_counted() -> None:
    sync: Synchronizer[str] = Synchronizer(2, 8, wait_ms=20)
    assert feed(sync, (0, 0, "a0"), now_ms=5) == []
    assert sync.deadline_ns() == 25 * MS
    assert popped(sync, 24.9) == []
    assert popped(sync, 25) == [("a0", None)]
    assert feed(sync, (1, 2, "b0"), now_ms=30) == []
    assert sync.drops(1) == {"late": 1}
    assert feed(sync, (0, 33, "a1"), (1, 35, "b1"), now_ms=40) == [("a1", "b1")]


def test_a_newer_frame_of_the_missing_camera_ends_the_wait() -> None:
    sync: Synchronizer[str] = Synchronizer(2, 8, wait_ms=1000)
    assert feed(sync, (0, 0, "a0"), (1, 34, "b1"), now_ms=36) == [("a0", None)]


def test_an_absent_camera_is_not_waited_for() -> None:
    sync: Synchronizer[str] = Synchronizer(2, 8, wait_ms=1000)
    sync.set_present(1, False)
    assert feed(sync, (0, 0, "a0"), now_ms=1) == [("a0", None)]


def test_a_camera_far_out_of_phase_is_masked_and_does_not_double_the_rate() -> None:
    sync: Synchronizer[str] = Synchronizer(3, 8)
    out = []
    for i in range(20):
        t = 33.3 * i
        out += feed(sync, (0, t, "a"), (1, t + 1, "b"), (2, t + 12, "c"), now_ms=t + 15)
    assert set(out[2:]) == {("a", "b", None)}
    assert len(out) <= 22
    assert sync.drops(2)["unmatched"] >= 18


def test_the_window_with_more_views_wins() -> None:
    sync: Synchronizer[str] = Synchronizer(3, 8)
    out = []
    for i in range(20):
        t = 33.3 * i
        out += feed(sync, (0, t, "a"), (1, t + 12, "b"), (2, t + 13, "c"), now_ms=t + 15)
    assert set(out[3:]) == {(None, "b", "c")}


def test_waiting_frames_are_bounded() -> None:
    sync: Synchronizer[str] = Synchronizer(2, 8, wait_ms=1e6, max_pending=3)
    out = []
    for i in range(10):
        out += feed(sync, (0, 20 * i, f"a{i}"), now_ms=20 * i)
    assert sync.waiting(0) == 2
    assert out[0] == ("a0", None)


def test_a_frame_stamped_before_its_predecessor_is_dropped() -> None:
    sync: Synchronizer[str] = Synchronizer(1, 8)
    assert feed(sync, (0, 50, "x"), (0, 50, "y"), (0, 40, "z"), now_ms=60) == [("x",)]
    assert sync.drops(0) == {"disordered": 2}


@pytest.mark.parametrize("fast", [45, 60, 90])
def test_a_faster_camera_makes_no_sets_of_its_own_between_those_of_the_others(fast: int) -> None:
    sync: Synchronizer[str] = Synchronizer(3, 8)
    frames = sorted((1000 * i / rate, camera) for camera, rate in enumerate((30, 30, fast)) for i in range(2 * rate))
    out = []
    for t, camera in frames:
        out += feed(sync, (camera, t, "abc"[camera]), now_ms=t + 5)
    assert ("a", "b", "c") in out
    # How far apart a camera's frames are is known from its second one on.
    assert all(views[:2] == ("a", "b") for views in out[3:])
    pending = sum(sync.waiting(camera) for camera in range(3))
    assert sum(view is not None for views in out for view in views) + sync.drops(2)["unmatched"] + pending == len(
        frames
    )


def test_a_camera_alone_is_shown_once_the_others_are_due_and_do_not_come() -> None:
    sync: Synchronizer[str] = Synchronizer(2, 8, wait_ms=20)
    out = []
    for i in range(30):
        frames = [(0, 33.3 * i, "a"), (1, 33.3 * i + 1, "b")]
        out += feed(sync, *frames[: 2 if i < 10 else 1], now_ms=33.3 * i + 5)
    assert out == [("a", "b")] * 10 + [("a", None)] * 19
    assert sync.drops(0) == {}


def test_lossless_keeps_what_lies_between_instants() -> None:
    sync: Synchronizer[int] = Synchronizer(2, 8, lossless=True)
    for i in range(20):
        sync.push(0, 2 * i * 16 * MS, i, 0)
    for i in range(40):
        sync.push(1, i * 16 * MS, i, 0)
    sets = []
    while (match := sync.pop(0)) is not None:
        sets.append(match.items)
    assert sets[:39] == [(i // 2 if i % 2 == 0 else None, i) for i in range(39)]
