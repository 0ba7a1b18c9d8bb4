from __future__ import annotations

import logging
import threading

import pytest

from server.pipeline import FINISHED, RUNNING, STOPPED, WAITING, Pipeline
from server.window import SlidingWindow


@pytest.fixture
def pipeline(session, engine, rig):
    pipeline = Pipeline(session, engine, rig)
    pipeline.start()
    yield pipeline
    pipeline.stop()


def test_answers_are_published_in_order_and_their_memory_goes_back(pipeline, session, eventually):
    seen = []
    pipeline.subscribe(lambda solved: seen.append(solved.sequence))
    eventually(lambda: len(seen) > 5)
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert pipeline.state == RUNNING
    pipeline.stop()
    assert session.released == list(range(session.given))
    assert pipeline.state == STOPPED


def test_a_borrowed_frame_set_keeps_its_pixels(pipeline, session, eventually):
    eventually(lambda: pipeline.latest is not None)
    with pipeline.borrow() as solved:
        number = solved.frame_set.id
        eventually(lambda: session.given > number + 3)
        assert number not in session.released
        assert number + 1 in session.released
    assert number in session.released


def test_an_exception_costs_one_frame_set_and_is_logged_once_a_kind(pipeline, session, engine, eventually, caplog):
    eventually(lambda: pipeline.latest is not None)
    with caplog.at_level(logging.ERROR, "usthand.pipeline"):
        engine.error = ZeroDivisionError("no depth")
        eventually(lambda: pipeline.errors.get("ZeroDivisionError", 0) > 3)
        assert pipeline.state == "failed: ZeroDivisionError: no depth"
    assert len([record for record in caplog.records if "no depth" in record.message]) == 1
    assert engine.resets >= 3
    engine.error = None
    count = pipeline.solved_count
    eventually(lambda: pipeline.solved_count > count)
    assert pipeline.state == RUNNING
    pipeline.stop()
    assert sorted(session.released) == list(range(session.given))


def test_a_listener_that_fails_costs_the_others_nothing(pipeline, eventually):
    seen = []
    pipeline.subscribe(lambda _: 1 / 0)
    end = pipeline.subscribe(lambda solved: seen.append(solved.sequence))
    eventually(lambda: len(seen) > 3)
    assert pipeline.errors["ZeroDivisionError"] >= 3
    end()
    count = len(seen)
    published = pipeline.solved_count
    eventually(lambda: pipeline.solved_count > published + 2)
    assert len(seen) <= count + 1


def test_an_error_of_capture_is_survived(pipeline, session, eventually):
    session.error = OSError("the bus is gone")
    eventually(lambda: pipeline.state == "failed: OSError: the bus is gone")
    session.error = None
    eventually(lambda: pipeline.state == RUNNING)


def test_silence_and_the_end_are_states(pipeline, session, eventually):
    eventually(lambda: pipeline.state == RUNNING)
    session.paused.set()
    eventually(lambda: pipeline.state == WAITING)
    session.left = 0
    eventually(lambda: pipeline.state == FINISHED)


def test_the_end_takes_the_hands_back_and_is_told_to_those_who_asked(pipeline, session, eventually):
    eventually(lambda: pipeline.state == RUNNING)
    session.pause()
    seen, told = [], []
    pipeline.subscribe(seen.append)
    end = pipeline.subscribe(told.append, end=True)
    session.left = 0
    eventually(lambda: told)
    assert seen == []
    (last,) = told
    assert (last.ended, last.hands, last.sequence) == (True, (), pipeline.solved_count)
    assert pipeline.latest is last
    assert pipeline.state == FINISHED
    end()


def test_a_calibration_is_swapped_between_two_frame_sets(pipeline, engine, rig, eventually):
    other = type(rig)(tuple(camera.with_transform(camera.T_camera_world) for camera in rig))
    moved = other.cameras[0].T_camera_world.copy()
    moved[0, 3] += 0.01
    other = type(rig)((other.cameras[0].with_transform(moved), *other.cameras[1:]))
    seen = []
    pipeline.subscribe(lambda solved: seen.append(solved.rig.id))
    eventually(lambda: len(seen) > 2)
    assert pipeline.request_rig(other).result(5) is other
    eventually(lambda: seen[-1] == other.id)
    # Each answer names the calibration that the engine was given for it, and there is one change only.
    assert seen == engine.rig_ids[-len(seen) :]
    assert seen == sorted(seen, key=[rig.id, other.id].index)


def test_a_calibration_is_taken_up_without_frames(pipeline, session, rig):
    session.paused.set()
    same = type(rig)(rig.cameras, "other name")
    assert pipeline.request_rig(same).result(5) is same


def test_a_later_request_replaces_an_earlier_one(pipeline, engine, rig, eventually):
    engine.gate.clear()
    eventually(lambda: pipeline.latest is not None or pipeline.state != "starting")
    first = pipeline.request_rig(type(rig)(rig.cameras, "first"))
    second = pipeline.request_rig(type(rig)(rig.cameras, "second"))
    engine.gate.set()
    assert second.result(5).name == "second"
    assert first.cancelled() or first.result(5).name == "first"


def test_a_calibration_of_other_cameras_is_refused(pipeline, rig):
    with pytest.raises(ValueError, match="cam0, cam1, cam2, in this order"):
        pipeline.request_rig(rig.subset(("cam1", "cam0", "cam2")))


def test_stopping_is_bounded_when_the_engine_hangs(session, rig, engine, eventually):
    pipeline = Pipeline(session, engine, rig)
    engine.gate.clear()
    pipeline.start()
    eventually(lambda: session.given > 0)
    assert pipeline.stop(timeout_s=0.05) is False
    assert not engine.closed
    engine.gate.set()
    assert pipeline.stop() is True
    assert engine.closed
    assert threading.active_count() < 10


def test_the_window_forgets():
    window = SlidingWindow(span_s=1.0)
    for i in range(11):
        window.add(i * 10**8, i * 10**8 + (i + 1) * 10**6)
    stats = window.stats(now_ns=10**9)
    assert stats.rate_hz == pytest.approx(10 / (1.0 + 0.010), rel=1e-6)
    assert stats.latency_p50_ms == pytest.approx(6.0)
    assert stats.latency_p95_ms == pytest.approx(10.5)
    assert window.stats(now_ns=10**11) == type(stats)(0.0, None, None)
