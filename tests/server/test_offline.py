from __future__ import annotations

import json

import pytest

from capture.errors import CaptureError
from server.offline import solve_all


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_frame_set_becomes_a_line(make_session, engine, rig, tmp_path):
    session, out, notes = make_session(sets=7), tmp_path / "poses.jsonl", []
    summary = solve_all(session, engine, rig, out, advance=notes.append)
    lines = lines_of(out)
    assert [line["frame_set"]["id"] for line in lines] == list(range(7))
    assert [line["seq"] for line in lines] == list(range(7))
    assert all(len(line["hands"]) == 2 and line["calibration_id"] == rig.id for line in lines)
    assert (summary.frame_sets, summary.hands, summary.reprojection_px) == (7, 14, pytest.approx(1.2))
    assert "7 frame sets, 14 hands, median reprojection 1.20 px" in str(summary)
    assert len(notes) == 7
    assert session.stopped
    assert session.released == list(range(7))
    assert not out.with_name("poses.jsonl.part").exists()


def test_a_limit_ends_it(make_session, engine, rig, tmp_path):
    session = make_session()
    assert solve_all(session, engine, rig, tmp_path / "out", limit=3).frame_sets == 3
    assert session.stopped


def test_no_hands_is_a_good_answer(make_session, engine, rig, tmp_path):
    engine.hands = ()
    summary = solve_all(make_session(sets=2), engine, rig, tmp_path / "out")
    assert (summary.hands, summary.reprojection_px) == (0, None)
    assert [line["hands"] for line in lines_of(tmp_path / "out")] == [[], []]


def test_a_failure_keeps_what_there_was_apart(make_session, engine, rig, tmp_path):
    out = tmp_path / "poses.jsonl"
    out.write_text("from before", encoding="utf-8")
    session = make_session()

    def fail(note):
        if session.given == 3:
            engine.error = RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        solve_all(session, engine, rig, out, advance=fail)
    assert out.read_text(encoding="utf-8") == "from before"
    assert len(lines_of(tmp_path / "poses.jsonl.part")) == 3
    assert session.stopped
    assert session.released == list(range(session.given))


def test_a_failed_camera_is_a_failure(make_session, engine, rig, tmp_path):
    session = make_session(sets=2)
    session.cameras[1].state, session.cameras[1].message = "failed", "cannot be decoded"
    with pytest.raises(CaptureError, match=r"camera cam1 is failed \(cannot be decoded\)"):
        solve_all(session, engine, rig, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_silence_and_emptiness_are_failures(make_session, engine, rig, tmp_path):
    silent = make_session()
    silent.paused.set()
    with pytest.raises(CaptureError, match=r"no frame set came for 0\.05 s"):
        solve_all(silent, engine, rig, tmp_path / "out", silence_s=0.05)
    with pytest.raises(CaptureError, match="max_skew_ms"):
        solve_all(make_session(sets=0), engine, rig, tmp_path / "out")


def test_a_path_that_cannot_be_written_fails_before_the_cameras_start(make_session, engine, rig, tmp_path):
    session = make_session()
    with pytest.raises(FileNotFoundError):
        solve_all(session, engine, rig, tmp_path / "nowhere" / "out")
    assert not session.started
