"""Recordings as they are read: by programs, and as a rig's source."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from calibration import Rig
from capture import CaptureError, CaptureSession, FrameSet
from capture.frames import Frame
from capture.grabbers import make_grabber
from capture.grabbers.protocol import Grab, Lost
from capture.recording import (
    FILE_NAME,
    Pictures,
    Recording,
    RecordingError,
    RecordingInfo,
    RecordingWriter,
    SetEntry,
    write_rig_files,
)
from capture.recording.chunks import scan
from capture.recording.image_messages import read_image_message
from capture.recording.topics import picture_topic
from capture.rig_config import RecordingSource, load_rig, load_rig_config
from capture.synchronizer import Synchronizer
from tests.capture.support import HEIGHT, WIDTH, camera, drain

SECOND = 1_000_000_000
MS = 1_000_000
EPOCH_NS = 100 * SECOND
SIDES = st.integers(1, 9)
RIG = Rig((camera("a"), camera("b")), "pair")


class FileSink:
    """The simplest file that keeps nothing back."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._size = 0

    def write(self, data: bytes) -> int:
        self._size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._file.close()


class StepClock:
    """A clock that moves when it is waited on, and by a given cost whenever it is read."""

    def __init__(self, cost_ns: int = 0, time_ns: int = EPOCH_NS) -> None:
        self.time_ns = time_ns
        self.cost_ns = cost_ns

    def now_ns(self) -> int:
        self.time_ns += self.cost_ns
        return self.time_ns

    def wait_until(self, time_ns: int) -> bool:
        self.time_ns = max(self.time_ns, time_ns)
        return True


@dataclass
class Made:
    """A recording, and what went into it."""

    path: Path
    sets: list[FrameSet]
    size_after_set: list[int]


def pictures_of(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 2, HEIGHT, WIDTH, 3), dtype=np.uint8)


def sets_of(count: int, *, interval_ms: float = 50.0, missing: Sequence[tuple[int, int]] = ()) -> list[FrameSet]:
    """Sets of two cameras, the second 3 ms behind the first; set ids begin at 40, indices at 7."""
    images = pictures_of(count)
    sets = []
    for i in range(count):
        exposure_ns = 5 * SECOND + round(i * interval_ms * MS)
        frames = tuple(
            None
            if (i, place) in missing
            else Frame(camera_id, 7 + i, exposure_ns + 3 * place * MS, exposure_ns + 20 * MS, images[i, place])
            for place, camera_id in enumerate(RIG.camera_ids)
        )
        sets.append(FrameSet(40 + i, frames, 3.0 if all(frames) else 0.0))
    return sets


def make(folder: Path, sets: list[FrameSet], pictures: Pictures | None = None, *, chunk_bytes: int = 1) -> Made:
    """Record sets, each with a `hands` message; a chunk a set by default."""
    pictures = pictures or Pictures("raw")
    info = RecordingInfo("take", "2026-01-01T00:00:00+00:00", RIG.camera_ids, 8.0, pictures, 11, "usthand test")
    path = folder / FILE_NAME
    sink = FileSink(path)
    writer = RecordingWriter(sink, info, RIG, engine={"model_id": "none-1"}, flush_bytes=chunk_bytes)
    sizes = []
    for number, frame_set in enumerate(sets):
        writer.add_hands(b'{"number":%d}' % number, frame_set.timestamp_ns, frame_set.received_ns, number)
        messages = [f and pictures.message(f.image_bgr, f.timestamp_ns, f.camera_id) for f in frame_set.frames]
        writer.add_set(SetEntry.of(frame_set), messages)
        writer.flush_if_due()
        sizes.append(sink.tell())
    writer.finish({"state": "finished"})
    sink.close()
    write_rig_files(folder, RIG, name=RIG.name, max_skew_ms=8.0)
    return Made(path, sets, sizes)


def assert_same_set(read: FrameSet, made: FrameSet) -> None:
    assert (read.id, read.skew_ms, read.view_ids) == (made.id, made.skew_ms, made.view_ids)
    for one, other in zip(read.frames, made.frames, strict=True):
        if one is not None and other is not None:
            assert (one.index, one.timestamp_ns, one.received_ns) == (
                other.index,
                other.timestamp_ns,
                other.received_ns,
            )
            np.testing.assert_array_equal(one.image_bgr, other.image_bgr)
            assert not one.image_bgr.flags.writeable


@pytest.mark.parametrize("name", ["raw", "png"])
def test_what_was_recorded_losslessly_is_read_as_it_was(tmp_path: Path, name: str) -> None:
    made = make(tmp_path, sets_of(5, missing=[(2, 1), (3, 0)]), Pictures(name))  # type: ignore[arg-type]
    recording = Recording(tmp_path)
    assert recording.complete
    assert recording.info.camera_ids == ("a", "b")
    assert recording.info.max_skew_ms == 8.0
    assert (recording.engine["model_id"], recording.end["state"]) == ("none-1", "finished")
    assert (recording.frame_set_count(), recording.hands_count(), recording.frame_count("b")) == (5, 5, 4)
    assert (recording.first_ns, recording.last_ns) == (5 * SECOND, 5 * SECOND + 203 * MS)
    for read, written in zip(recording.frame_sets(), made.sets, strict=True):
        assert_same_set(read, written)
    assert [message["number"] for message in recording.hands()] == list(range(5))


def test_jpeg_is_close_to_what_it_was(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, WIDTH, dtype=np.uint8)[None, :, None].repeat(HEIGHT, 0).repeat(3, 2)
    frames = (Frame("a", 0, SECOND, SECOND, smooth), Frame("b", 0, SECOND, SECOND, smooth))
    make(tmp_path, [FrameSet(0, frames, 0.0)], Pictures("jpeg", 95))
    (read,) = Recording(tmp_path).frame_sets()
    for frame in read.frames:
        assert frame is not None
        assert np.abs(frame.image_bgr.astype(int) - smooth).max() <= 4


def test_calibrations_are_kept_with_the_time_of_their_use(tmp_path: Path) -> None:
    other = Rig((camera("a"), camera("b", WIDTH, HEIGHT).__class__("b", WIDTH, HEIGHT, np.diag([200.0, 200.0, 1.0]))))
    sink = FileSink(tmp_path / FILE_NAME)
    info = RecordingInfo("take", "", RIG.camera_ids, 8.0, Pictures("raw"), 0, "")
    writer = RecordingWriter(sink, info, RIG, engine={})
    for i, frame_set in enumerate(sets_of(3)):
        writer.add_calibration(RIG if i < 2 else other, frame_set.timestamp_ns)
        writer.add_set(SetEntry.of(frame_set), [None, None])
    writer.finish({})
    sink.close()
    assert writer.calibrations == 2
    read = list(Recording(tmp_path).calibrations())
    assert [rig.id for _, rig in read] == [RIG.id, other.id]
    assert read[1][0] == sets_of(3)[2].timestamp_ns


def repacked(source: Path, target: Path, compression: CompressionType) -> None:
    """Write a recording again as another program does: sorted by time, in chunks of its own, packed."""
    with source.open("rb") as file, target.open("wb") as packed:
        reader = make_reader(file)
        summary = reader.get_summary()
        assert summary is not None
        writer = Writer(packed, chunk_size=20_000, compression=compression)
        writer.start()
        for record in reader.iter_metadata():
            writer.add_metadata(record.name, record.metadata)
        channels = {}
        for channel in summary.channels.values():
            schema = summary.schemas.get(channel.schema_id)
            number = 0 if schema is None else writer.register_schema(schema.name, schema.encoding, schema.data)
            channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, number)
        for _, channel, message in reader.iter_messages(log_time_order=True):
            writer.add_message(
                channels[channel.id], message.log_time, message.data, message.publish_time, message.sequence
            )
        writer.finish()


@pytest.mark.parametrize("compression", list(CompressionType))
def test_a_file_that_another_program_sorted_and_packed_reads_the_same(
    tmp_path: Path, compression: CompressionType
) -> None:
    made = make(tmp_path, sets_of(6, interval_ms=2.0), Pictures("raw"))
    packed = tmp_path / "packed.mcap"
    repacked(made.path, packed, compression)
    for read, written in zip(Recording(packed).frame_sets(), made.sets, strict=True):
        assert_same_set(read, written)


def test_a_recording_that_was_cut_anywhere_is_whole_sets_up_to_there(tmp_path: Path) -> None:
    made = make(tmp_path, sets_of(4))
    data = made.path.read_bytes()
    cut = tmp_path / "cut.mcap"
    rng = random.Random(1)  # noqa: S311 - no secret
    lengths = {*made.size_after_set, *(size - 1 for size in made.size_after_set)}
    for length in sorted(lengths | {rng.randrange(1000, len(data)) for _ in range(60)}):
        cut.write_bytes(data[:length])
        recording = Recording(cut)
        assert not recording.complete
        read = list(recording.frame_sets())
        assert recording.frame_set_count() == len(read)
        # A chunk is there even where its own index is cut off behind it.
        assert len(read) >= sum(length >= size for size in made.size_after_set)
        for one, other in zip(read, made.sets, strict=False):
            assert_same_set(one, other)


def test_a_cut_in_a_chunk_of_many_sets_loses_that_chunk_only(tmp_path: Path) -> None:
    made = make(tmp_path, sets_of(9), chunk_bytes=3 * 2 * WIDTH * HEIGHT * 3)
    made.path.write_bytes(made.path.read_bytes()[: made.size_after_set[-1] - 100_000])
    assert [frame_set.id for frame_set in Recording(tmp_path).frame_sets()] == [40, 41, 42, 43, 44, 45]


def test_a_last_chunk_of_zeros_is_left_out(tmp_path: Path) -> None:
    made = make(tmp_path, sets_of(3))
    data = bytearray(made.path.read_bytes()[: made.size_after_set[2]])
    data[made.size_after_set[1] + 60 :] = bytes(len(data) - made.size_after_set[1] - 60)
    made.path.write_bytes(data)
    assert Recording(tmp_path).frame_set_count() == len(list(Recording(tmp_path).frame_sets())) == 2


def test_damage_in_the_middle_is_an_error_that_says_where(tmp_path: Path) -> None:
    made = make(tmp_path, sets_of(4))
    data = bytearray(made.path.read_bytes())
    data[made.size_after_set[1] + 5000] ^= 0xFF
    made.path.write_bytes(data)
    with pytest.raises(RecordingError, match=r"recording\.mcap is damaged at byte \d+ .*take another copy"):
        list(Recording(tmp_path).frame_sets())


@pytest.mark.parametrize("compression", list(CompressionType))
def test_damage_anywhere_in_a_chunk_is_a_named_error(tmp_path: Path, compression: CompressionType) -> None:
    made = make(tmp_path, sets_of(4), Pictures("jpeg"))
    packed = tmp_path / "packed.mcap"
    repacked(made.path, packed, compression)
    data = packed.read_bytes()
    places = scan(packed).chunks
    assert len(places) > 1
    rng = random.Random(1)  # noqa: S311 - no secret
    starts = [place.offset + at for place in places for at in range(0, 60, 4)]
    starts += [place.offset + rng.randrange(place.length - 8) for place in places for _ in range(10)]
    named = 0
    for start in starts:
        packed.write_bytes(data[:start] + b"\xff" * 8 + data[start + 8 :])
        with contextlib.suppress(RecordingError):
            list(Recording(packed).frame_sets())
            continue
        named += 1
    # Damaged stamps and checksums of nought pass; what holds pictures does not.
    assert named > len(starts) // 2


def test_what_is_no_recording_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"recording\.mcap cannot be read.*check the path"):
        Recording(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(RecordingError, match="is no MCAP file"):
        Recording(tmp_path)
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        writer.finish()
    with pytest.raises(RecordingError, match="not a recording of usthand's"):
        Recording(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("schema", "usthand.recording/9", "reads usthand.recording/1"),
        ("cameras", "3", "cameras"),
        ("max_skew_ms", "nan", "max_skew_ms"),
        ("pictures", "tiff", "tiff"),
        ("quality", "200", "quality 200"),
    ],
)
def test_a_recording_that_says_what_cannot_be_is_refused(key: str, value: str, says: str) -> None:
    info = RecordingInfo("take", "", RIG.camera_ids, 8.0, Pictures(), 0, "")
    assert RecordingInfo.from_map(info.to_map()) == info
    with pytest.raises(RecordingError, match=says):
        RecordingInfo.from_map(info.to_map() | {key: value})
    if key != "schema":
        with pytest.raises(RecordingError, match=key):
            RecordingInfo.from_map({name: text for name, text in info.to_map().items() if name != key})


@given(
    st.integers(1, 9), st.integers(1, 9), st.text(max_size=9), st.integers(0, 2**52), st.sampled_from(["raw", "png"])
)
def test_a_picture_is_the_same_after_its_message(height: int, width: int, name: str, stamp: int, kind: str) -> None:
    image = np.random.default_rng(height * 10 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    message = Pictures(kind).message(image, stamp, name)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_image_message(message, compressed=kind == "png"), image)


@given(st.binary(max_size=80), st.booleans())
def test_a_broken_picture_is_a_named_error(data: bytes, compressed: bool) -> None:
    for message in (data, b"\0\1\0\0" + data):
        with pytest.raises(RecordingError, match=r"picture"):
            read_image_message(message, compressed=compressed)


def grabs_of(
    path: Path,
    mode: str,
    clock: StepClock,
    *,
    camera_id: str = "a",
    most: int = 1000,
    lost: list[Lost] | None = None,
    **keys: object,
) -> list[tuple[Grab, np.ndarray]]:
    source = RecordingSource(path=path, **keys)  # type: ignore[arg-type]
    grabber = make_grabber(source, camera(camera_id), mode, clock, scene=None)  # type: ignore[arg-type]
    info = grabber.open()
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    grabber.start(EPOCH_NS)
    into = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    grabs = []
    while len(grabs) < most and (grab := grabber.grab(into)) is not None:
        if isinstance(grab, Grab):
            grabs.append((grab, into.copy()))
        elif lost is not None:
            lost.append(grab)
    grabber.close()
    return grabs


def test_lossless_frames_have_the_stamps_and_counts_they_were_recorded_with(tmp_path: Path) -> None:
    made = make(tmp_path, sets_of(4))
    grabs = grabs_of(tmp_path, "lossless", StepClock(cost_ns=SECOND), camera_id="b")
    frames = [frame for frame_set in made.sets if (frame := frame_set.frames[1]) is not None]
    assert [(g.index, g.timestamp_ns, g.received_ns) for g, _ in grabs] == [
        (f.index, f.timestamp_ns, f.received_ns) for f in frames
    ]
    for (_, image), frame in zip(grabs, frames, strict=True):
        np.testing.assert_array_equal(image, frame.image_bgr)


@pytest.mark.parametrize("speed", [1.0, 0.5, 4.0])
def test_a_replay_is_laid_from_the_epoch_on_at_its_own_pace(tmp_path: Path, speed: float) -> None:
    make(tmp_path, sets_of(4))
    for place, camera_id in enumerate("ab"):
        grabs = [grab for grab, _ in grabs_of(tmp_path, "live", StepClock(), camera_id=camera_id, speed=speed)]
        since_ms = [(grab.timestamp_ns - EPOCH_NS) / MS for grab in grabs]
        assert since_ms == [(50 * i + 3 * place) / speed for i in range(4)]
        assert all(0 <= grab.received_ns - grab.timestamp_ns < MS for grab in grabs)
        assert [grab.index for grab in grabs] == [7, 8, 9, 10]


def test_the_rate_is_that_of_the_replay(tmp_path: Path) -> None:
    make(tmp_path, sets_of(21))
    for mode, fps in (("live", 40.0), ("lossless", 20.0)):
        source = RecordingSource(path=tmp_path, speed=2.0)
        grabber = make_grabber(source, camera("a"), mode, StepClock(), scene=None)  # type: ignore[arg-type]
        assert grabber.open().fps == pytest.approx(fps, rel=0.01)
        grabber.close()


def test_a_slow_reader_skips_frames_and_counts_them(tmp_path: Path) -> None:
    make(tmp_path, sets_of(20))
    lost: list[Lost] = []
    grabs = [grab for grab, _ in grabs_of(tmp_path, "live", StepClock(cost_ns=40 * MS), lost=lost)]
    assert 3 < len(grabs) < 20
    # From its first picture on: what was over before that was never its to give.
    assert sum(taken.behind for taken in [*grabs, *lost]) + len(grabs) == 20 - (grabs[0].index - 7)


def test_a_loop_begins_again_for_all_cameras_at_once_and_goes_on_counting(tmp_path: Path) -> None:
    # The second camera misses the first and the last set: its loops must be no shorter for that.
    make(tmp_path, sets_of(4, missing=[(0, 1), (3, 1)]))
    first = [grab for grab, _ in grabs_of(tmp_path, "live", StepClock(), camera_id="a", loop=True, most=10)]
    second = [grab for grab, _ in grabs_of(tmp_path, "live", StepClock(), camera_id="b", loop=True, most=5)]
    assert [grab.index for grab in first] == list(range(7, 17))
    assert [grab.index for grab in second] == [8, 9, 10, 11, 12]
    period_ns = Recording(tmp_path).period_ns
    assert first[4].timestamp_ns - first[0].timestamp_ns == period_ns
    assert second[2].timestamp_ns - second[0].timestamp_ns == period_ns
    assert second[0].timestamp_ns - first[1].timestamp_ns == 3 * MS


def test_a_replay_that_comes_back_goes_on_where_the_others_are(tmp_path: Path) -> None:
    make(tmp_path, sets_of(40))
    clock = StepClock(time_ns=EPOCH_NS + 1520 * MS)
    (once, _), *_ = grabs_of(tmp_path, "live", clock, most=1)
    assert (once.index, once.timestamp_ns) == (7 + 30, EPOCH_NS + 1500 * MS)
    period_ns = Recording(tmp_path).period_ns
    clock = StepClock(time_ns=EPOCH_NS + 2 * period_ns + 120 * MS)
    (looped, image), *_ = grabs_of(tmp_path, "live", clock, most=1, loop=True)
    assert looped.timestamp_ns == EPOCH_NS + 2 * period_ns + 100 * MS
    np.testing.assert_array_equal(image, pictures_of(40)[2, 0])


def test_a_cut_recording_ends_and_says_so(tmp_path: Path) -> None:
    made = make(tmp_path, sets_of(4))
    made.path.write_bytes(made.path.read_bytes()[: made.size_after_set[2] + 10])
    for mode in ("live", "lossless"):
        assert len(grabs_of(tmp_path, mode, StepClock())) == 3
    grabber = make_grabber(RecordingSource(path=tmp_path), camera("a"), "lossless", StepClock(), scene=None)
    grabber.open()
    assert "cut short" in grabber.ending
    grabber.close()


def test_a_broken_picture_is_skipped_live_and_an_error_otherwise(tmp_path: Path) -> None:
    sets = sets_of(3)
    sink = FileSink(tmp_path / FILE_NAME)
    pictures = Pictures("png")
    writer = RecordingWriter(sink, RecordingInfo("", "", RIG.camera_ids, 8.0, pictures, 0, ""), RIG, engine={})
    for i, frame_set in enumerate(sets):
        messages = [f and pictures.message(f.image_bgr, f.timestamp_ns, f.camera_id) for f in frame_set.frames]
        if i == 1:
            messages[0] = messages[1][:60] if messages[1] else None
        writer.add_set(SetEntry.of(frame_set), messages)
    writer.finish({})
    sink.close()
    lost: list[Lost] = []
    grabs = grabs_of(tmp_path, "live", StepClock(), lost=lost)
    assert ([grab.index for grab, _ in grabs], lost) == ([7, 9], [Lost(undecodable=1)])
    with pytest.raises(RecordingError, match="picture"):
        grabs_of(tmp_path, "lossless", StepClock())


def test_a_camera_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    make(tmp_path, sets_of(2, missing=[(0, 1), (1, 1)]))
    for camera_id, says in (("z", "no camera 'z'; it has a, b"), ("b", "no picture of camera 'b'")):
        grabber = make_grabber(
            RecordingSource(path=tmp_path, camera=camera_id), camera(), "live", StepClock(), scene=None
        )
        with pytest.raises(CaptureError, match=says):
            grabber.open()
        grabber.close()
    assert len(grabs_of(tmp_path, "live", StepClock(), camera_id="other", camera="a")) == 2


def test_the_folder_is_a_rig_whose_lossless_sets_are_the_recorded_ones(tmp_path: Path) -> None:
    made = make(tmp_path, sets_of(12, missing=[(4, 1), (7, 0)]))
    config = load_rig_config(tmp_path / "rig.yaml")
    rig = load_rig(config)
    assert (rig.id, config.name, config.max_skew_ms) == (RIG.id, "pair", 8.0)
    numbers = iter(range(12))

    def look(read: FrameSet) -> None:
        number = next(numbers)
        expected = made.sets[number]
        assert_same_set(read, FrameSet(number, expected.frames, expected.skew_ms))

    with CaptureSession(config, rig, mode="lossless") as session:
        assert drain(session, look) == 12
        assert [state.state for state in session.states()] == ["ended", "ended"]


@given(
    st.integers(0, 2**32),
    st.integers(2, 4),
    st.sampled_from([0.5, 2.0, 6.0]),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.sampled_from([0.0, 0.1]),
)
def test_frames_that_made_a_live_set_make_the_same_set_again(
    seed: int, cameras: int, jitter_ms: float, loss: float, slow: float
) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secret
    live = _live_sets(rng, cameras, jitter_ms, loss, slow)
    again = set(_lossless_sets(live, cameras))
    # A lone view of a rig of several may be nobody's partner once all frames are known.
    assert {taken for taken in live if sum(item is not None for item in taken) > 1} <= again
    assert again <= set(live)


_Item = tuple[int, int]


def _live_sets(
    rng: random.Random, cameras: int, jitter_ms: float, loss: float, slow: float
) -> list[tuple[_Item | None, ...]]:
    """Sets of cameras that jitter, lose frames and deliver late."""
    arrivals = []
    for camera_id in range(cameras):
        phase_ms, arrived_ns = rng.uniform(-3, 3), 0
        for i in range(40):
            if rng.random() < loss:
                continue
            stamp_ns = round((1000 + i * 33.3 + phase_ms + rng.gauss(0, jitter_ms)) * MS)
            delay_ms = 5 + rng.expovariate(0.3) + (60 if rng.random() < slow else 0)
            arrived_ns = max(arrived_ns, stamp_ns + round(delay_ms * MS))
            arrivals.append((arrived_ns, camera_id, stamp_ns))
    synchronizer: Synchronizer[_Item] = Synchronizer(cameras, 8.0)
    sets, queue = [], sorted(arrivals, reverse=True)
    while queue or synchronizer.pending:
        deadline_ns = synchronizer.deadline_ns()
        if queue and (deadline_ns is None or queue[-1][0] <= deadline_ns):
            now_ns, camera_id, stamp_ns = queue.pop()
            synchronizer.push(camera_id, stamp_ns, (camera_id, stamp_ns), now_ns)
        else:
            assert deadline_ns is not None
            now_ns = deadline_ns
        while (match := synchronizer.pop(now_ns)) is not None:
            sets.append(match.items)
    return sets


def _lossless_sets(sets: list[tuple[_Item | None, ...]], cameras: int) -> list[tuple[_Item | None, ...]]:
    synchronizer: Synchronizer[_Item] = Synchronizer(cameras, 8.0, lossless=True)
    lanes = [[item for taken in sets if (item := taken[camera_id]) is not None][::-1] for camera_id in range(cameras)]
    again = []
    while any(lanes) or synchronizer.pending:
        for camera_id, lane in enumerate(lanes):
            if lane and not synchronizer.waiting(camera_id):
                item = lane.pop()
                synchronizer.push(camera_id, item[1], item, 0)
            synchronizer.set_present(camera_id, bool(lane) or synchronizer.waiting(camera_id) > 0)
        while (match := synchronizer.pop(0)) is not None:
            again.append(match.items)
    return again


def test_topics_are_named_by_the_cameras(tmp_path: Path) -> None:
    made = make(tmp_path, sets_of(1))
    with made.path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    topics = {channel.topic: channel for channel in summary.channels.values()}
    assert set(topics) == {picture_topic("a"), picture_topic("b"), "/frame_sets", "/hands", "/calibration"}
    assert topics["/cameras/a"].metadata == {"camera": "a", "width": str(WIDTH), "height": str(HEIGHT)}
