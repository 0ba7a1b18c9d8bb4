from __future__ import annotations

import errno
import json
import os
import threading
from dataclasses import replace

import pytest

from calibration import Rig
from capture.recording import FILE_NAME, Pictures, Recording
from server.recording.disk import DiskFile
from server.recording.recorder import Recorder
from server.solved import Solved

SET_BYTES = 2 * 64 * 48 * 3


@pytest.fixture
def solved_of(rig, frame_set_of):
    def make(number, calibrated=None):
        return Solved(frame_set_of(number), calibrated or rig, (), 2_000_000_000 + number, number, "fake-1")

    return make


def test_everything_is_written_in_order_and_the_end_says_what_there_is(
    make_recorder, frame_set_of, solved_of, numbers_of, disk, tmp_path
):
    recorder = make_recorder()
    for number in range(3, 13):
        assert recorder.take(frame_set_of(number))
        recorder.answer(solved_of(number))
    status = recorder.stop()
    assert (status.state, status.frame_sets, status.frames, status.hands) == ("finished", 10, 20, 10)
    assert (status.seconds, status.drops, status.hands_dropped, status.calibrations) == (0.18, {}, 0, 1)
    assert disk.closed
    assert disk.synced
    recording = Recording(tmp_path)
    assert recording.complete
    assert [numbers_of(frame_set) for frame_set in recording.frame_sets()] == [{number} for number in range(3, 13)]
    messages = list(recording.hands())
    assert [message["frame_set"]["id"] for message in messages] == list(range(3, 13))
    assert messages[0]["model_id"] == "fake-1"
    assert (recording.end["state"], recording.end["frame_sets"]) == ("finished", "10")
    assert status.size_bytes <= (tmp_path / FILE_NAME).stat().st_size
    assert "10 frame sets with 20 frames in 0.2 s, 10 hands messages" in str(status)
    assert recorder.stop() == status
    assert not recorder.take(frame_set_of(14))
    assert not recorder.put(frame_set_of(14))


def test_a_disk_that_hangs_holds_up_nobody_and_what_is_lost_is_counted(
    make_recorder, frame_set_of, solved_of, numbers_of, disk, tmp_path, eventually
):
    recorder = make_recorder(queue_bytes=5 * SET_BYTES)
    disk.gate.clear()
    for number in range(20):
        assert recorder.take(frame_set_of(number))
        # Encoded means waiting for the disk; nothing here waits for the disk itself.
        eventually(lambda: recorder._backlog._raw_bytes == 0)
    assert dict(recorder.status().drops) == {"disk_slow": 15}
    for number in range(20):
        recorder.answer(solved_of(number))
    assert recorder.status().hands_dropped > 0
    disk.gate.set()
    status = recorder.stop()
    assert status.frame_sets + sum(status.drops.values()) == 20
    assert status.hands + status.hands_dropped == 20
    read = [numbers_of(frame_set) for frame_set in Recording(tmp_path).frame_sets()]
    assert read == [{number} for number in range(len(read))]
    assert json.loads(Recording(tmp_path).end["drops"]) == dict(status.drops)


def test_encoding_that_is_too_slow_is_another_cause(make_recorder, frame_set_of, monkeypatch):
    gate = threading.Event()
    message = Pictures.message

    def slowly(self, *frame):
        gate.wait(20)
        return message(self, *frame)

    monkeypatch.setattr(Pictures, "message", slowly)
    recorder = make_recorder(queue_bytes=3 * SET_BYTES)
    for number in range(10):
        recorder.take(frame_set_of(number))
    assert dict(recorder.status().drops) == {"encoding_slow": 7}
    gate.set()
    assert recorder.stop().frame_sets == 3


def test_sets_that_never_came_are_counted_as_missed(make_recorder, frame_set_of):
    recorder = make_recorder()
    for number in (5, 6, 9, 10):
        recorder.take(frame_set_of(number))
    assert dict(recorder.stop().drops) == {"missed": 2}


def test_waiting_for_room_loses_nothing(make_recorder, frame_set_of, solved_of, tmp_path):
    recorder = make_recorder(queue_bytes=2 * SET_BYTES)
    for number in range(50):
        assert recorder.put(frame_set_of(number))
        recorder.answer(solved_of(number), wait=True)
    status = recorder.stop()
    assert (status.frame_sets, status.hands, dict(status.drops), status.hands_dropped) == (50, 50, {}, 0)
    assert Recording(tmp_path).hands_count() == 50


def test_a_set_that_is_larger_than_the_queue_is_recorded_all_the_same(make_recorder, frame_set_of):
    recorder = make_recorder(queue_bytes=10)
    assert recorder.put(frame_set_of(0))
    assert recorder.put(frame_set_of(1))
    assert recorder.stop().frame_sets == 2


def test_answers_to_sets_from_before_are_none_of_it(make_recorder, frame_set_of, solved_of):
    recorder = make_recorder()
    recorder.answer(solved_of(6))
    recorder.take(frame_set_of(7))
    recorder.answer(solved_of(6))
    recorder.answer(solved_of(7))
    assert recorder.stop().hands == 1


def test_a_new_calibration_is_written_once(make_recorder, frame_set_of, solved_of, rig, tmp_path):
    camera = rig.cameras[0]
    other = Rig((replace(camera, K=camera.K * [[1.01], [1], [1]]), rig.cameras[1]))
    recorder = make_recorder()
    for number, used in enumerate([rig, rig, other, other]):
        recorder.take(frame_set_of(number))
        recorder.answer(solved_of(number, used))
    assert recorder.stop().calibrations == 2
    recording = Recording(tmp_path)
    assert [calibrated.id for _, calibrated in recording.calibrations()] == [rig.id, other.id]
    assert [message["calibration_id"] for message in recording.hands()] == [rig.id, rig.id, other.id, other.id]


def test_a_disk_that_is_nearly_full_ends_the_recording_properly(
    make_recorder, frame_set_of, disk, tmp_path, eventually
):
    recorder = make_recorder(reserve_bytes=1 << 20)
    recorder.take(frame_set_of(0))
    eventually(lambda: recorder.status().frame_sets == 1)
    disk.free = (1 << 20) - 1
    recorder.take(frame_set_of(1))
    eventually(lambda: recorder.status().state == "disk_full")
    status = recorder.status()
    assert "0 MiB free and 1 MiB are kept free; delete" in status.message
    assert not recorder.take(frame_set_of(2))
    assert recorder.stop().state == "disk_full"
    recording = Recording(tmp_path)
    assert recording.complete
    assert recording.end["state"] == "disk_full"
    assert recording.frame_set_count() == status.frame_sets


@pytest.mark.parametrize(
    ("code", "state", "says"),
    [
        (errno.ENOSPC, "disk_full", "No space left on device; delete"),
        (errno.EDQUOT, "disk_full", "uota exceeded; delete"),
        (errno.EIO, "unwritable", "cannot be written: Input/output error; check"),
    ],
)
def test_a_disk_that_fails_leaves_a_readable_file(
    make_recorder, frame_set_of, solved_of, numbers_of, disk, tmp_path, eventually, code, state, says
):
    recorder = make_recorder()
    for number in range(2):
        recorder.take(frame_set_of(number))
    eventually(lambda: recorder.status().frame_sets == 2)
    eventually(lambda: disk.tell() > 2 * SET_BYTES)
    disk.fails_after = disk.tell() + SET_BYTES // 2
    disk.error = OSError(code, os.strerror(code))
    taken = 2
    for number in range(2, 5):
        taken += recorder.take(frame_set_of(number))
        recorder.answer(solved_of(number))
    eventually(lambda: recorder.status().state == state)
    status = recorder.stop()
    assert status.state == state
    assert says in status.message
    assert disk.closed
    recording = Recording(tmp_path)
    assert not recording.complete
    assert [numbers_of(frame_set) for frame_set in recording.frame_sets()] == [{0}, {1}]
    assert (status.frame_sets, status.frames, status.hands) == (2, 4, recording.hands_count())
    assert status.frame_sets + sum(status.drops.values()) == taken, status


def test_a_file_that_is_gone_is_noticed(make_recorder, frame_set_of, disk, eventually):
    recorder = make_recorder()
    disk.free = FileNotFoundError(errno.ENOENT, "No such file or directory")
    recorder.take(frame_set_of(0))
    eventually(lambda: recorder.status().state == "unwritable")
    assert "No such file" in recorder.status().message


def test_a_fault_of_its_own_ends_the_recording_and_nothing_else(make_recorder, frame_set_of, monkeypatch, eventually):
    def fail(self, *frame):
        raise ZeroDivisionError("no such picture")

    recorder = make_recorder()
    monkeypatch.setattr(Pictures, "message", fail)
    recorder.take(frame_set_of(0))
    eventually(lambda: recorder.status().state == "failed")
    assert "ZeroDivisionError: no such picture" in recorder.status().message
    assert dict(recorder.status().drops) == {"ended": 1}


def test_stopping_is_bounded_in_time_even_if_the_disk_hangs(make_recorder, frame_set_of, disk, eventually):
    recorder = make_recorder()
    disk.gate.clear()
    for number in range(6):
        recorder.take(frame_set_of(number))
    eventually(disk.waiting.is_set)
    # The disk hangs until the gate opens: what returns before that did not wait for it.
    assert recorder.stop(0.1).state == "stopping"
    disk.gate.set()
    eventually(lambda: recorder.status().state == "finished")
    status = recorder.status()
    assert status.frame_sets + status.drops["cut_off"] == 6


def test_a_file_knows_when_it_is_no_longer_where_it_was_made(tmp_path):
    path = tmp_path / "folder" / FILE_NAME
    path.parent.mkdir()
    file = DiskFile(path)
    assert file.write(b"12345") == file.tell() == 5
    assert file.free_bytes() > 0
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        file.free_bytes()
    path.write_bytes(b"another")
    with pytest.raises(FileNotFoundError, match="another file took its place"):
        file.free_bytes()
    file.close(sync=True)
    with pytest.raises(FileExistsError):
        DiskFile(path)


def test_a_recorder_may_be_dropped_without_being_stopped(make_recorder, frame_set_of, tmp_path, eventually):
    recorder: Recorder = make_recorder()
    recorder.take(frame_set_of(0))
    eventually(lambda: Recording(tmp_path).frame_set_count() == 1)
    assert not Recording(tmp_path).complete
