from __future__ import annotations

import threading

import pytest

from capture.errors import CaptureError
from capture.recording import Recording
from server.recording.sessions import record_live


@pytest.fixture
def watched():
    statuses = []
    return statuses


@pytest.mark.parametrize("with_poses", [True, False])
def test_everything_until_the_sources_end(make_session, engine, rig, make_recorder, watched, tmp_path, with_poses):
    session, recorder = make_session(sets=30, rate_hz=200.0), make_recorder()
    chosen = engine if with_poses else None
    record_live(session, recorder, threading.Event(), rig=rig, engine=chosen, watch=watched.append)
    status = recorder.stop()
    assert (status.state, status.frame_sets, dict(status.drops)) == ("finished", 30, {})
    assert session.stopped
    assert sorted(session.released) == list(range(30))
    assert [frame_set.id for frame_set in Recording(tmp_path).frame_sets()] == list(range(30))
    answered = [message["frame_set"]["id"] for message in Recording(tmp_path).hands()]
    assert answered == sorted(answered)
    assert bool(answered) == engine.closed == with_poses
    assert watched


def test_it_stops_when_told_or_when_there_is_enough(make_session, engine, rig, make_recorder, watched):
    stopping = threading.Event()
    stopping.set()
    session = make_session()
    record_live(session, make_recorder(), stopping, rig=rig, engine=engine, watch=watched.append)
    assert session.stopped
    assert engine.closed


def test_it_stops_when_there_is_enough(make_session, rig, make_recorder, watched):
    recorder = make_recorder()
    record_live(make_session(), recorder, threading.Event(), rig=rig, engine=None, seconds=0.2, watch=watched.append)
    assert 0.2 <= recorder.stop().seconds < 4


def test_it_stops_when_the_disk_does(make_session, rig, make_recorder, disk, watched):
    disk.free = 0
    recorder = make_recorder()
    record_live(make_session(), recorder, threading.Event(), rig=rig, engine=None, watch=watched.append)
    assert recorder.stop().state == "disk_full"


def test_silence_is_a_failure_that_names_the_cameras(make_session, engine, rig, make_recorder, watched):
    session = make_session()
    session.paused.set()
    session.cameras[1].state, session.cameras[1].message = "failed", "not plugged in"
    with pytest.raises(
        CaptureError, match=r"no frame set came for 0\.05 s, after 0\.0 s recorded; .*cam1 is failed \(not plugged in\)"
    ):
        record_live(
            session,
            make_recorder(),
            threading.Event(),
            rig=rig,
            engine=engine,
            watch=watched.append,
            silence_s=0.05,
        )
    assert session.stopped
    assert engine.closed


def test_cameras_that_die_end_a_recording_of_so_many_seconds(make_session, rig, make_recorder, watched):
    session, recorder = make_session(), make_recorder()

    def watch(status):
        if status.frame_sets:
            session.paused.set()
            session.cameras[0].state = "lost"
        watched.append(status)
        assert len(watched) < 200, "it waits for ever"

    with pytest.raises(
        CaptureError, match=r"no frame set came for 0\.3 s, after \d\.\d s recorded; camera cam0 is lost"
    ):
        record_live(
            session,
            recorder,
            threading.Event(),
            rig=rig,
            engine=None,
            seconds=60,
            watch=watch,
            silence_s=0.3,
        )
    assert session.stopped
    status = recorder.stop()
    assert status.state == "finished"
    assert status.frame_sets


def test_cameras_that_are_gone_are_waited_for_until_ctrl_c(make_session, rig, make_recorder, watched):
    session, recorder, stopping = make_session(), make_recorder(), threading.Event()
    silent_looks = 0

    def watch(status):
        nonlocal silent_looks
        if status.frame_sets:
            session.paused.set()
            silent_looks += 1
        if silent_looks > 5:
            stopping.set()

    record_live(session, recorder, stopping, rig=rig, engine=None, watch=watch, silence_s=0.1)
    assert recorder.stop().frame_sets
