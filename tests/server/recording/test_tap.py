from __future__ import annotations

import threading

import pytest

from server.recording.tap import FrameTap


@pytest.fixture
def tap(session):
    session.rate_hz = 500.0
    tap = FrameTap(session)
    yield tap
    tap.stop()
    assert session.stopped
    assert sorted(session.released) == list(range(session.given))


def test_untapped_it_is_its_source(tap, session):
    tap.start()
    assert session.started
    with tap.next(1) as frame_set:
        assert frame_set.id == 0
    assert tap.states() == session.states()
    assert dict(tap.drops) == {"unread": 1}
    assert not tap.finished
    session.left = 0
    assert tap.finished
    assert tap.next(0.01) is None


def test_tapped_every_set_goes_to_the_tapper_and_the_newest_to_the_engine(tap, session, eventually):
    seen, got = [], []
    detach = tap.attach(lambda frame_set: seen.append(frame_set.id) or True)
    eventually(lambda: len(seen) > 20)
    while len(got) < 5:
        with tap.next(1) as frame_set:
            got.append(frame_set.id)
    detach()
    last = len(seen)
    assert seen == list(range(last))
    assert got == sorted(set(got))
    assert got[0] >= 20
    assert tap.drops["superseded"] >= 20
    with tap.next(1) as left:
        assert left.id == last - 1
    with tap.next(1) as straight:
        assert straight.id == last
    assert len(seen) == last


def test_no_set_is_lost_between_the_engine_and_the_tapper(tap, session, eventually):
    ending, got, seen = threading.Event(), [], []

    def run():
        while not ending.is_set():
            frame_set = tap.next(0.05)
            if frame_set is not None:
                got.append(frame_set.id)
                frame_set.release()

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(5):
        before = len(seen)
        detach = tap.attach(lambda frame_set: seen.append(frame_set.id) or True)
        eventually(lambda: len(seen) > before + 5)  # noqa: B023 - called before the next round
        detach()
        counts = seen[before:]
        assert counts == list(range(counts[0], counts[0] + len(counts)))
    ending.set()
    thread.join()
    assert got == sorted(set(got))
    assert set(range(session.given)) == set(got) | set(seen)


def test_memory_goes_back_when_both_are_done(tap, session, eventually):
    gate, taking = threading.Event(), threading.Event()

    def take(frame_set):
        taking.set()
        gate.wait(5)
        return False

    tap.attach(take)
    assert taking.wait(5)
    frame_set = tap.next(1)
    assert session.released == []
    frame_set.release()
    frame_set.release()
    assert session.released == []
    gate.set()
    eventually(lambda: session.released == [0])


def test_a_tapper_that_wants_no_more_ends_it(tap, eventually):
    detach = tap.attach(lambda frame_set: frame_set.id < 3)
    eventually(lambda: tap._pump is None)
    detach()
    seen = []
    detach = tap.attach(lambda frame_set: seen.append(frame_set.id) or True)
    with pytest.raises(RuntimeError, match="tapped already"):
        tap.attach(bool)
    eventually(lambda: seen)
    detach()
    assert seen[0] == 4


def test_an_error_of_the_source_is_raised_where_it_would_have_been(tap, session, eventually):
    tap.attach(bool)
    session.error = OSError("unplugged")
    eventually(lambda: tap._error is not None)
    while (frame_set := tap._newest) is not None and tap._error is None:
        frame_set.release()
    with pytest.raises(OSError, match="unplugged"):
        tap.next(1)
    session.error = None
    with tap.next(1):
        pass
