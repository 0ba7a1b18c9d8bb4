"""Whole sessions over real grabber processes."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import pytest

from capture import CaptureError, CaptureSession, FrameSet, camera_process
from capture.camera_process import CameraProcess
from capture.grabbers import CaptureMode
from capture.rig_config import FileSource, OpenCVSource
from capture.ring import RingWriter
from capture.shared_memory import SHARED_MEMORY_FOLDER
from tests.capture.support import (
    HEIGHT,
    WIDTH,
    CountingScene,
    FailingScene,
    HangingScene,
    alive,
    camera,
    config_of,
    drain,
    index_of,
    rig_of,
    stamped,
    synthetic,
    wait_for,
    write_timestamps,
    write_video,
)


def pids(session: CaptureSession) -> list[int]:
    return [pid for camera in session._cameras if (pid := camera.pid) is not None]


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No process, thread or shared memory may outlive its session."""

    def own_memory() -> set[Path]:
        folder = SHARED_MEMORY_FOLDER
        if not folder.is_dir():
            return set()
        return {p for p in folder.iterdir() if p.name.startswith(("psm_", "tmp", "usthand"))}

    threads, memory = set(threading.enumerate()), own_memory()
    yield
    assert {t for t in threading.enumerate() if t.name == "usthand-capture"} <= threads
    assert own_memory() <= memory


def two_videos(folder: Path, frames: int = 20, fps: float = 30.0, *, loop: bool = False) -> list[FileSource]:
    return [FileSource(path=write_video(folder / f"{i}.avi", frames, fps), loop=loop) for i in range(2)]


def test_lossless_gives_every_frame_in_order(tmp_path: Path) -> None:
    config = config_of(*two_videos(tmp_path, 30), ring_slots=4)
    seen: list[tuple[int, ...]] = []
    ids: list[int] = []

    def look(frame_set: FrameSet) -> None:
        ids.append(frame_set.id)
        seen.append(tuple(-1 if f is None else index_of(f.image_bgr) for f in frame_set.frames))
        assert frame_set.view_ids == ("a", "b")
        assert all(f is None or not f.image_bgr.flags.writeable for f in frame_set.frames)

    with CaptureSession(config, rig_of(config), mode="lossless") as session:
        assert drain(session, look) == 30
        states = session.states()
        processes = pids(session)
        assert session.frame_sets == 30
        assert session.drops == {}
        assert session.next(0) is None
    assert seen == [(i, i) for i in range(30)]
    assert ids == list(range(30))
    assert [(s.id, s.state, s.frames, dict(s.drops), s.message) for s in states] == [
        (i, "ended", 30, {}, "") for i in "ab"
    ]
    wait_for(lambda: not any(map(alive, processes)), "grabbers are gone")


def test_live_is_paced_and_keeps_the_recorded_skew(tmp_path: Path) -> None:
    times = {"0": [5 + 0.05 * i for i in range(20)], "1": [5.003 + 0.05 * i for i in range(20)]}
    csv = write_timestamps(tmp_path / "t.csv", times)
    config = config_of(*(stamped(s.path, csv, str(i)) for i, s in enumerate(two_videos(tmp_path))))
    stamps: list[int] = []
    skews: list[float] = []

    def look(frame_set: FrameSet) -> None:
        now_ns = time.monotonic_ns()
        assert all(f is None or f.timestamp_ns <= f.received_ns <= now_ns for f in frame_set.frames)
        stamps.append(frame_set.timestamp_ns)
        if len(frame_set.view_ids) == 2:
            skews.append(frame_set.skew_ms)

    with CaptureSession(config, rig_of(config), mode="live") as session:
        taken = drain(session, look)
        states = session.states()
        superseded = session.drops.get("superseded", 0)
        assert taken + superseded == session.frame_sets
    assert skews
    assert np.allclose(skews, 3.0, atol=0.01)
    assert stamps == sorted(stamps)
    assert (stamps[-1] - stamps[0]) / 1e9 == pytest.approx(0.95, abs=0.3)
    assert [(s.state, s.frames) for s in states] == [("ended", 20)] * 2


def test_live_gives_the_newest_set_and_counts_the_older_ones() -> None:
    config = config_of(synthetic(), synthetic())
    with CaptureSession(config, rig_of(config), mode="live", scene=CountingScene()) as session:
        wait_for(lambda: session.frame_sets >= 10, "ten sets")
        with session.next(1) as newest:  # type: ignore[union-attr]
            assert newest.id >= 9
            assert session.drops["superseded"] >= newest.id
            greys = {int(f.image_bgr[0, 0, 0]) for f in newest.frames if f is not None}
            assert len(greys) == 1
            memories = [f.memory for f in newest.frames if f is not None]
            assert all(f is None or f.image_bgr.base is f.memory for f in newest.frames)
        assert session.drops["superseded"] >= 9
        with session.next(5) as later:  # type: ignore[union-attr]
            # Known again by whoever has locked it.
            assert all(f is None or f.memory is memory for f, memory in zip(later.frames, memories, strict=True))


def test_a_caller_that_holds_sets_back_only_makes_frames_drop() -> None:
    config = config_of(synthetic(), ring_slots=4)
    with CaptureSession(config, rig_of(config), mode="live", scene=CountingScene()) as session:
        held = []
        while len(held) < 4:
            frame_set = session.next(5)
            assert frame_set is not None
            held.append((frame_set, int(frame_set.frames[0].image_bgr[0, 0, 0])))  # type: ignore[union-attr]
        wait_for(lambda: session.states()[0].drops.get("ring_full", 0) > 3, "frames drop")
        for frame_set, grey in held:
            image = frame_set.frames[0].image_bgr  # type: ignore[union-attr]
            assert image.min() == image.max() == grey, "a held frame was written over"
            frame_set.release()
            frame_set.release()
        assert session.next(5) is not None
        (state,) = session.states()
        assert state.frames >= session.frame_sets + sum(state.drops.values())


def test_lossless_waits_for_a_slow_caller() -> None:
    config = config_of(synthetic(25), synthetic(25), ring_slots=4)
    indices: list[int] = []

    def look(frame_set: FrameSet) -> None:
        threading.Event().wait(0.005)
        indices.extend(f.index for f in frame_set.frames if f is not None)

    with CaptureSession(config, rig_of(config), mode="lossless", scene=CountingScene()) as session:
        assert drain(session, look) == 25
    assert indices == [i for i in range(25) for _ in range(2)]


def test_a_missing_file_fails_lossless_at_start_and_shows_as_a_state_live(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.avi", 10, fps=20)
    config = config_of(FileSource(path=good, loop=True), FileSource(path=tmp_path / "late.avi", loop=True))
    session = CaptureSession(config, rig_of(config), mode="lossless")
    with pytest.raises(CaptureError, match=r"camera 'b': .*late\.avi does not exist"):
        session.start()
    with CaptureSession(config, rig_of(config), mode="live") as live:
        failed = live.states()[1]
        assert (failed.state, "does not exist" in failed.message) == ("failed", True)
        with live.next(5) as masked:  # type: ignore[union-attr]
            assert masked.view_ids == ("a",)
        write_video(tmp_path / "new.avi", 10, fps=20).rename(tmp_path / "late.avi")
        wait_for(lambda: views(live) == ("a", "b"), "the camera is taken in")
        assert live.states()[1].state == "streaming"
        assert live.states()[1].message == ""


def views(session: CaptureSession) -> tuple[str, ...]:
    frame_set = session.next(0.5)
    if frame_set is None:
        return ()
    with frame_set:
        return frame_set.view_ids


def test_a_source_of_another_size_is_refused(tmp_path: Path) -> None:
    config = config_of(FileSource(path=write_video(tmp_path / "v.avi", 3, width=64, height=48)))
    session = CaptureSession(config, rig_of(config), mode="lossless")
    with pytest.raises(CaptureError, match=rf"gives 64x48, but camera 'a' is calibrated at {WIDTH}x{HEIGHT}"):
        session.start()


def test_a_truncated_video_ends_lossless_with_an_error_after_its_good_sets(tmp_path: Path) -> None:
    sources = two_videos(tmp_path, 40)
    data = sources[1].path.read_bytes()
    sources[1].path.write_bytes(data[: len(data) // 2])
    config = config_of(*sources)
    taken: list[FrameSet] = []
    with CaptureSession(config, rig_of(config), mode="lossless") as session:
        with pytest.raises(CaptureError, match=r"camera 'b': .*1\.avi ended after (\d+) of its 40 declared frames"):
            drain(session, taken.append)
        assert not session.finished
    assert 0 < len(taken) < 40
    assert all(len(frame_set.view_ids) == 2 for frame_set in taken)


def test_a_killed_grabber_comes_back_live(tmp_path: Path) -> None:
    config = config_of(*two_videos(tmp_path, 10, 20, loop=True))
    with CaptureSession(config, rig_of(config), mode="live") as session:
        wait_for(lambda: views(session) == ("a", "b"), "both stream")
        old = session._cameras[1].pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: session.states()[1].state == "lost", "the loss shows")
        assert "signal 9" in session.states()[1].message
        wait_for(lambda: views(session) == ("a",), "sets go on with the other view")
        wait_for(lambda: views(session) == ("a", "b"), "the camera is back")
        assert session.states()[1].state == "streaming"
        assert session.states()[1].message == ""
        assert session.states()[0].state == "streaming"


def test_a_killed_grabber_is_an_error_lossless() -> None:
    config = config_of(synthetic(), synthetic(), ring_slots=4)
    with CaptureSession(config, rig_of(config), mode="lossless", scene=CountingScene()) as session:
        assert session.next(5) is not None
        os.kill(pids(session)[0], signal.SIGKILL)
        with pytest.raises(CaptureError, match="camera 'a': its grabber process was ended by signal 9"):
            drain(session)


def test_a_hanging_grabber_stalls_alone_and_cannot_hold_up_the_end() -> None:
    config = config_of(synthetic(), synthetic())
    scene = HangingScene(camera_id="b", from_index=5)
    with CaptureSession(config, rig_of(config), mode="live", scene=scene) as session:
        wait_for(lambda: session.states()[1].state == "stalled", "the stall shows")
        assert "no frame for" in session.states()[1].message
        before = session.frame_sets
        wait_for(lambda: session.frame_sets > before + 10, "the other camera goes on")
        assert views(session) == ("a",)
        processes = pids(session)
        started = time.monotonic()
        session.stop(timeout_s=4)
        assert time.monotonic() - started < 4
    assert not any(map(alive, processes))


def test_a_grabber_that_hangs_for_long_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(camera_process._HANG_NS, "live", 1_500_000_000)
    config = config_of(synthetic(), synthetic())
    scene = HangingScene(camera_id="b", from_index=5)
    with CaptureSession(config, rig_of(config), mode="live", scene=scene) as session:
        old = session._cameras[1].pid
        wait_for(lambda: session.states()[1].state == "lost", "the loss shows")
        assert "its grabber has not answered for" in session.states()[1].message
        wait_for(lambda: session._cameras[1].pid not in (None, old), "a new process")
        assert session.states()[0].state == "streaming"


def test_a_device_that_does_not_open_in_time_has_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(camera_process, "OPEN_TIMEOUT_NS", 1_000_000)
    os.mkfifo(tmp_path / "silent.avi")
    config = config_of(OpenCVSource(device=str(tmp_path / "silent.avi")))
    session = CaptureSession(config, rig_of(config), mode="lossless")
    with pytest.raises(CaptureError, match=r"camera 'a': it did not open within 0\.001 s; check that its device"):
        session.start()


def test_a_file_has_longer_to_open_than_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(camera_process, "OPEN_TIMEOUT_NS", 1_000_000)
    config = config_of(*two_videos(tmp_path, 3))
    with CaptureSession(config, rig_of(config), mode="lossless") as session:
        assert drain(session) == 3


def test_a_grabber_process_that_does_not_come_up_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_process, "_WORK_TIMEOUT_NS", 1_000_000)
    config = config_of(synthetic())
    session = CaptureSession(config, rig_of(config), mode="lossless", scene=CountingScene())
    with pytest.raises(
        CaptureError, match=r"camera 'a': its grabber process did not start within 0\.001 s; the machine"
    ):
        session.start()


def test_the_rate_is_of_what_comes_after_an_outage() -> None:
    config = config_of(synthetic())
    process = CameraProcess(0, config.cameras[0], camera(), "live", 8, None)
    process._name = "streaming"
    writer = RingWriter(process.ring.layout, process.ring.segment)

    def frame(index: int, at_ns: int) -> None:
        assert writer.begin() is not None
        writer.commit(index, at_ns, at_ns)
        for lease in process.take(at_ns):
            process.give_back(lease.slot)

    for i in range(40):
        frame(i, i * 20_000_000)
    after_ns = 60 * 1_000_000_000
    for i in range(4):
        frame(40 + i, after_ns + i * 20_000_000)
    assert process.state(after_ns + 80_000_000, {}, config).fps == pytest.approx(50)


def test_a_stopped_process_is_killed_within_the_bound() -> None:
    config = config_of(synthetic())
    session = CaptureSession(config, rig_of(config), mode="live", scene=CountingScene())
    session.start()
    (pid,) = pids(session)
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    session.stop(timeout_s=3)
    assert time.monotonic() - started < 3
    assert not alive(pid)


def test_a_scene_that_fails_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    config = config_of(synthetic(3))
    said = "camera 'a': its grabber failed: ZeroDivisionError: cannot render a 0"
    session = CaptureSession(config, rig_of(config), mode="lossless", scene=FailingScene())
    with pytest.raises(CaptureError, match=said), session:
        drain(session)
    capfd.readouterr()


@pytest.mark.parametrize("mode", ["lossless", "live"])
def test_a_cameras_time_offset_puts_its_frames_where_they_belong(tmp_path: Path, mode: CaptureMode) -> None:
    # Stamps of b are 130 ms late, which is 2.6 intervals: left so, no two frames of one instant would meet.
    times = {"0": [5 + 0.05 * i for i in range(20)], "1": [5.13 + 0.05 * i for i in range(20)]}
    csv = write_timestamps(tmp_path / "t.csv", times)
    config = config_of(*(stamped(s.path, csv, str(i)) for i, s in enumerate(two_videos(tmp_path))), ring_slots=16)
    late = config.cameras[1].model_copy(update={"time_offset_ms": -130})
    config = config.model_copy(update={"cameras": (config.cameras[0], late)})
    pairs: list[list[int]] = []

    def look(frame_set: FrameSet) -> None:
        if len(frame_set.view_ids) == 2:
            pairs.append([index_of(frame.image_bgr) for frame in frame_set.frames if frame is not None])
            assert frame_set.skew_ms < 0.1

    with CaptureSession(config, rig_of(config), mode=mode) as session:
        drain(session, look)
        assert all(state.warnings == () for state in session.states())
    assert all(one == other for one, other in pairs)
    assert len(pairs) == 20 if mode == "lossless" else len(pairs) > 10


def test_live_sets_wait_for_the_camera_whose_pictures_come_last() -> None:
    config = config_of(OpenCVSource(device=90), OpenCVSource(device=91))
    early = config.cameras[0].model_copy(update={"time_offset_ms": 20})
    late = config.cameras[1].model_copy(update={"time_offset_ms": -60})
    shifted = config.model_copy(update={"cameras": (early, late)})
    waits_ms = []
    for one in (config, shifted):
        matcher = CaptureSession(one, rig_of(one), mode="live")._matcher
        matcher.push(0, 0, None, now_ns=0)  # type: ignore[arg-type] # what waits does not matter
        waits_ms.append((matcher.deadline_ns() or 0) / 1e6)
    assert waits_ms[1] == pytest.approx(waits_ms[0] + 80)


def test_a_ring_that_is_too_small_for_the_time_offsets_is_said(tmp_path: Path) -> None:
    config = config_of(*two_videos(tmp_path, 10, 20, loop=True))
    late = config.cameras[1].model_copy(update={"time_offset_ms": -200})
    config = config.model_copy(update={"cameras": (config.cameras[0], late)})
    with CaptureSession(config, rig_of(config), mode="live") as session:
        wait_for(lambda: session.states()[0].frames > 2, "two frames")
        for state in session.states():
            (warning,) = state.warnings
            assert "time offsets that are 200 ms apart at 20 frames a second" in warning
            assert "set it to 12" in warning


def test_states_measure(tmp_path: Path) -> None:
    config = config_of(*two_videos(tmp_path, 10, 20, loop=True), max_skew_ms=30)
    session = CaptureSession(config, rig_of(config), mode="live")
    assert [state.state for state in session.states()] == ["starting"] * 2
    with session:
        wait_for(lambda: session.states()[0].frames > 20, "twenty frames")
        for state in session.states():
            assert state.state == "streaming"
            assert state.fps == pytest.approx(20, rel=0.2)
            assert (state.width, state.height) == (WIDTH, HEIGHT)
            assert any("max_skew_ms 30 is more than half" in warning for warning in state.warnings)
    session.stop()
    assert session.next(1) is None
    assert session.finished
    with pytest.raises(CaptureError, match="started before"):
        session.start()


def test_a_session_says_what_does_not_fit() -> None:
    config = config_of(synthetic(), synthetic())
    with pytest.raises(CaptureError, match="no scene to film"):
        CaptureSession(config, rig_of(config), mode="live")
    with pytest.raises(CaptureError, match="names cameras a, b, the calibration has a"):
        CaptureSession(config, rig_of(config_of(synthetic())), mode="live", scene=CountingScene())


def test_a_scene_that_cannot_travel_is_named() -> None:
    class Local(CountingScene):
        pass

    config = config_of(synthetic())
    with pytest.raises(CaptureError, match="scene Local cannot be pickled"):
        CaptureSession(config, rig_of(config), mode="live", scene=Local()).start()


def test_a_grabber_that_cannot_be_started_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(SpawnProcess, "start", refused)
    config = config_of(synthetic())
    session = CaptureSession(config, rig_of(config), mode="lossless", scene=CountingScene())
    with pytest.raises(CaptureError, match="camera 'a': its grabber process cannot be started"):
        session.start()


def test_frames_outlive_the_session_that_took_them() -> None:
    config = config_of(synthetic(3))
    session = CaptureSession(config, rig_of(config), mode="lossless", scene=CountingScene())
    session.start()
    frame_set = session.next(5)
    session.stop()
    assert frame_set is not None
    del session
    assert (frame_set.frames[0].image_bgr == 0).all()  # type: ignore[union-attr]
    frame_set.release()
