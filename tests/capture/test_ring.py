from __future__ import annotations

import errno
import mmap
import multiprocessing
import os
import shutil
import tempfile
import time
from multiprocessing.synchronize import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import CaptureError, CaptureSession, shared_memory
from capture.ring import _NEXT_SEQUENCE, LOCK_TIMEOUT_S, RingLayout, RingReader, RingWriter
from capture.shared_memory import Segment, check_shared_memory
from tests.capture.support import config_of, rig_of, synthetic, wait_for

LAYOUT = RingLayout(width=40, height=30, slots=4)


def ring(layout: RingLayout = LAYOUT) -> tuple[RingWriter, RingReader]:
    segment = Segment(layout.size, "")
    return RingWriter(layout, segment), RingReader(layout, segment)


def write(writer: RingWriter, index: int) -> None:
    slot = writer.begin()
    if slot is None:
        writer.put(np.full((30, 40, 3), index % 256, dtype=np.uint8), index, 1000 + index, 2000 + index)
    else:
        slot[:] = index % 256
        writer.commit(index, 1000 + index, 2000 + index)


def test_frames_come_out_in_order_with_their_stamps_and_without_a_copy() -> None:
    writer, reader = ring()
    for i in range(3):
        write(writer, i)
    leases = reader.take()
    assert [(f.index, f.timestamp_ns, f.received_ns) for f in leases] == [(i, 1000 + i, 2000 + i) for i in range(3)]
    assert reader.take() == []
    begin, end = np.lib.array_utils.byte_bounds(reader._images[0].base)
    for lease in leases:
        image = lease.image_bgr
        assert (image == lease.index).all()
        assert image.shape == (30, 40, 3)
        assert begin <= np.lib.array_utils.byte_bounds(image)[0] < np.lib.array_utils.byte_bounds(image)[1] <= end
        assert not image.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            image[0, 0, 0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            image.flags.writeable = True
        # A GPU's driver is given all of them at once, and knows a picture by the array that it is a view of.
        assert image.base is reader.pixels
    assert reader.pixels.ctypes.data % mmap.PAGESIZE == 0
    assert reader.pixels.nbytes % mmap.PAGESIZE == 0


def test_what_the_writer_writes_is_what_the_reader_sees_in_place() -> None:
    writer, reader = ring()
    slot = writer.begin()
    assert slot is not None
    slot[:] = 7
    writer.commit(0, 0, 0)
    (lease,) = reader.take()
    slot[:] = 9
    assert (lease.image_bgr == 9).all(), "the reader looks at a copy"


def test_a_full_ring_loses_its_oldest_unread_frame() -> None:
    writer, reader = ring()
    for i in range(10):
        write(writer, i)
    assert [lease.index for lease in reader.take()] == [6, 7, 8, 9]
    assert reader.drops == {"overwritten": 6}
    assert reader.frames == 10


def test_a_held_frame_is_never_written_to() -> None:
    writer, reader = ring()
    write(writer, 1)
    (held,) = reader.take()
    for i in range(2, 20):
        write(writer, i)
    assert (held.image_bgr == 1).all()
    rest = reader.take()
    assert [lease.index for lease in rest] == [17, 18, 19]
    write(writer, 20)
    assert reader.drops["ring_full"] == 1
    reader.give_back(held.slot)
    write(writer, 21)
    assert [lease.index for lease in reader.take()] == [21]


def test_only_a_free_slot_is_begun() -> None:
    writer, reader = ring()
    for i in range(4):
        write(writer, i)
    assert writer.begin() is None
    leases = reader.take()
    assert writer.begin() is None
    reader.give_back(leases[0].slot)
    assert writer.begin() is not None
    assert [lease.index for lease in leases] == [0, 1, 2, 3]


def test_a_slot_left_half_written_by_a_dead_writer_is_freed() -> None:
    writer, reader = ring()
    write(writer, 0)
    assert writer.begin() is not None
    again = RingWriter(LAYOUT, reader.segment)
    reader.repair()
    for i in range(1, 4):
        write(again, i)
    assert reader.drops == {}
    assert [lease.index for lease in reader.take()] == [0, 1, 2, 3]
    assert again.next_index == 4


@given(steps=st.lists(st.sampled_from(["write", "take", "give"]), max_size=60))
def test_frames_add_up_whatever_the_order_of_events(steps: list[str]) -> None:
    writer, reader = ring()
    held: list[tuple[int, int]] = []
    taken = written = 0
    for step in steps:
        match step:
            case "write":
                write(writer, written)
                written += 1
            case "take":
                for lease in reader.take():
                    held.append((lease.slot, lease.index))
                    taken += 1
            case "give" if held:
                reader.give_back(held.pop(0)[0])
        assert all((reader._images[slot] == index).all() for slot, index in held)
        assert reader.held == len(held)
    taken += len(reader.take())
    assert reader.frames == written == taken + sum(reader.drops.values())


def _write_many(layout: RingLayout, segment: Segment, frames: int) -> None:
    writer = RingWriter(layout, segment)
    aside = np.empty((layout.height, layout.width, 3), dtype=np.uint8)
    for i in range(frames):
        slot = writer.begin()
        (aside if slot is None else slot)[:] = i % 256
        if slot is None:
            writer.put(aside, i, i, i)
        else:
            writer.commit(i, i, i)


def test_no_frame_is_torn_while_another_process_writes() -> None:
    layout = RingLayout(width=320, height=240, slots=6)
    reader = RingReader(layout, Segment(layout.size, ""))
    frames = 4000
    process = multiprocessing.get_context("spawn").Process(
        target=_write_many, args=(layout, reader.segment, frames), daemon=True
    )
    process.start()
    taken = 0
    last = -1
    kept = None

    def look() -> bool:
        nonlocal taken, last, kept
        ended = not process.is_alive()
        for lease in reader.take():
            assert lease.index > last
            last = lease.index
            taken += 1
            image = lease.image_bgr
            assert image.min() == image.max() == lease.index % 256, "torn"
            if kept is None:
                kept = lease
            else:
                reader.give_back(lease.slot)
        return ended

    wait_for(look, "the writer ends")
    assert process.exitcode == 0
    process.close()
    assert kept is not None
    assert (kept.image_bgr == kept.index % 256).all()
    assert last == frames - 1
    assert reader.frames == frames == taken + sum(reader.drops.values())


def _hold_lock(segment: Segment, held: Event, seconds: float) -> None:
    assert segment.lock(5)
    held.set()
    time.sleep(seconds)


def test_a_frame_waits_for_a_reader_that_is_slow_to_give_the_lock_back() -> None:
    writer, reader = ring()
    slot = writer.begin()
    assert slot is not None
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold_lock, args=(reader.segment, held, 2.5 * LOCK_TIMEOUT_S), daemon=True)
    process.start()
    assert held.wait(20)
    writer.commit(7, 0, 0)
    assert [lease.index for lease in reader.take()] == [7]
    assert reader.drops == {}
    process.join(20)
    assert process.exitcode == 0
    process.close()


def _commit_one(layout: RingLayout, segment: Segment, begun: Event, locked: Event) -> None:
    writer = RingWriter(layout, segment)
    assert writer.begin() is not None
    begun.set()
    assert locked.wait(20)
    writer.commit(7, 0, 0)


def test_a_frame_that_a_killed_writer_did_not_hand_over_is_in_no_count() -> None:
    _, reader = ring()
    context = multiprocessing.get_context("spawn")
    begun, locked = context.Event(), context.Event()
    process = context.Process(target=_commit_one, args=(LAYOUT, reader.segment, begun, locked), daemon=True)
    process.start()
    assert begun.wait(20)
    assert reader.segment.lock(5)
    locked.set()
    wait_for(lambda: reader._ring[_NEXT_SEQUENCE] == 1, "the writer waits for the lock")
    process.kill()
    process.join(20)
    process.close()
    reader.segment.unlock()
    reader.repair()
    assert (reader.take(), reader.frames, reader.drops) == ([], 0, {})


def test_images_outlive_their_segment() -> None:
    writer, reader = ring()
    write(writer, 5)
    (lease,) = reader.take()
    reader.segment.close()
    del writer, reader
    assert (lease.image_bgr == 5).all()


def test_too_little_shared_memory_says_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "free_shared_memory_bytes", lambda: 1 << 20)
    check_shared_memory(1 << 20, "")
    with pytest.raises(CaptureError, match=r"2 MiB .* has 1 MiB free; do this, .*--shm-size=18m"):
        check_shared_memory(2 << 20, "do this")
    config = config_of(synthetic(), synthetic(), ring_slots=8)
    session = CaptureSession(config, rig_of(config, 1280, 720), mode="live", scene=_AnyScene())
    with pytest.raises(CaptureError, match=r"smaller ring_slots in the rig file \(now 8, for 2 cameras\).*--shm-size"):
        session.start()


class _AnyScene:
    rate_hz = 30.0

    def render(self, camera: object, index: int) -> np.ndarray:
        raise NotImplementedError


def test_memory_that_runs_out_while_it_is_taken_is_an_error_and_not_a_bus_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CaptureError, match="ring_slots"):
        Segment(1 << 20, "use fewer ring_slots")


def test_shared_memory_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(CaptureError, match=r"cannot be written: Read-only file system; mount it writable"):
        Segment(1 << 20, "use fewer ring_slots")


def test_the_real_machine_is_asked() -> None:
    folder = shared_memory.SHARED_MEMORY_FOLDER
    if not folder.is_dir():
        assert shared_memory.free_shared_memory_bytes() is None
        return
    with Segment(1 << 20, "") as segment:
        free = shared_memory.free_shared_memory_bytes()
        assert free is not None
        assert 0 < free <= shutil.disk_usage(folder).total - segment.size


def test_a_segment_has_no_name() -> None:
    folder = shared_memory.SHARED_MEMORY_FOLDER
    if not folder.is_dir():
        pytest.skip("this system has no /dev/shm")
    before = set(folder.iterdir())
    with Segment(1 << 16, ""):
        assert set(folder.iterdir()) <= before | {p for p in folder.iterdir() if p.stat().st_uid != os.getuid()}
