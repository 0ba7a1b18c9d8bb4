from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Container
from pathlib import Path

import cv2
import numpy as np
import pytest

from capture import CaptureError
from capture.grabbers import make_grabber
from capture.grabbers.image_folder import ImageFolderGrabber, natural_key
from capture.grabbers.opencv_device import OpenCVGrabber, open_device
from capture.grabbers.protocol import Grab, Grabber, Lost
from capture.grabbers.synthetic import Strides, SyntheticGrabber
from capture.grabbers.timestamps import load_timestamps
from capture.grabbers.video_file import VideoFileGrabber
from capture.recording import RecordingError
from capture.recording.image_messages import read_image_message
from capture.rig_config import FileSource, ImagesSource, OpenCVSource, SyntheticSource
from tests.capture.support import (
    HEIGHT,
    WIDTH,
    CountingScene,
    camera,
    grey_of,
    index_of,
    stamped,
    write_timestamps,
    write_uneven_video,
    write_video,
)

SECOND = 1_000_000_000


class StepClock:
    """A clock that moves when it is waited on, and by a given cost whenever it is read."""

    def __init__(self, cost_ns: int = 0) -> None:
        self.time_ns = 100 * SECOND
        self.cost_ns = cost_ns
        self.ended = False

    def now_ns(self) -> int:
        self.time_ns += self.cost_ns
        return self.time_ns

    def wait_until(self, time_ns: int) -> bool:
        self.time_ns = max(self.time_ns, time_ns)
        return not self.ended


def blank(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return np.zeros((height, width, 3), dtype=np.uint8)


def everything(grabber: Grabber, epoch_ns: int = 100 * SECOND) -> tuple[list[Grab], list[int]]:
    grabs, numbers, _ = all_of(grabber, epoch_ns)
    return grabs, numbers


def all_of(grabber: Grabber, epoch_ns: int = 100 * SECOND) -> tuple[list[Grab], list[int], list[Lost]]:
    """Read a source to its end: what it gave, the numbers in its pictures, and what was lost with no picture after."""
    into = blank()
    grabber.start(epoch_ns)
    grabs, numbers, lost = [], [], []
    while (grab := grabber.grab(into)) is not None:
        if isinstance(grab, Lost):
            lost.append(grab)
        else:
            grabs.append(grab)
            numbers.append(index_of(into))
    grabber.close()
    return grabs, numbers, lost


def grabbed(grabber: Grabber, into: np.ndarray) -> Grab:
    grab = grabber.grab(into)
    assert isinstance(grab, Grab)
    return grab


@pytest.mark.parametrize("name", ["v.mp4", "v.avi"])
@pytest.mark.parametrize("mode", ["live", "lossless"])
def test_a_video_gives_all_its_frames_at_its_own_times(tmp_path: Path, name: str, mode: str) -> None:
    grabber = VideoFileGrabber(FileSource(path=write_video(tmp_path / name, 12, fps=20)), mode, StepClock())
    info = grabber.open()
    assert (info.width, info.height, info.fps) == (WIDTH, HEIGHT, 20)
    grabs, numbers = everything(grabber)
    assert numbers == list(range(12))
    assert [grab.index for grab in grabs] == list(range(12))
    assert [round((grab.timestamp_ns - 100 * SECOND) / 1e6) for grab in grabs] == [50 * i for i in range(12)]
    assert not any(grab.behind for grab in grabs)
    if mode == "live":
        assert all(0 <= grab.received_ns - grab.timestamp_ns < 1000 for grab in grabs)


def test_timestamps_of_the_device_replace_the_files_own(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.avi", 3)
    times = write_timestamps(tmp_path / "t.csv", {"x": [10.0, 10.5, 11.25], "y": [9.75, 10.5, 11.0]})
    grabber = VideoFileGrabber(stamped(video, times, "x"), "live", StepClock())
    assert grabber.open().fps == pytest.approx(1.6)
    grabs, _ = everything(grabber)
    assert [(grab.timestamp_ns - 100 * SECOND) / SECOND for grab in grabs] == [0.25, 0.75, 1.5]


def test_a_slow_reader_skips_frames_and_counts_them(tmp_path: Path) -> None:
    source = FileSource(path=write_video(tmp_path / "v.avi", 20, fps=10))
    grabber = VideoFileGrabber(source, "live", StepClock(cost_ns=80_000_000))
    grabber.open()
    grabs, numbers = everything(grabber)
    assert numbers == [grab.index for grab in grabs]
    assert 3 < len(grabs) < 20
    assert sum(grab.behind for grab in grabs) + len(grabs) == grabs[-1].index - grabs[0].index + 1
    assert all(grab.received_ns < grab.timestamp_ns + 200_000_000 for grab in grabs)


@pytest.mark.parametrize("kind", ["video", "folder"])
def test_frames_skipped_at_the_very_end_are_counted(tmp_path: Path, kind: str) -> None:
    clock = StepClock()
    grabber: Grabber
    if kind == "video":
        grabber = VideoFileGrabber(FileSource(path=write_video(tmp_path / "v.avi", 6, fps=10)), "live", clock)
    else:
        grabber = ImageFolderGrabber(pictures(tmp_path / "p", 6), "live", clock)
    grabber.open()
    grabber.start(clock.time_ns)
    into = blank()
    assert [grabbed(grabber, into).index for _ in range(2)] == [0, 1]
    clock.time_ns += 5 * SECOND
    assert (grabber.grab(into), grabber.grab(into)) == (Lost(behind=4), None)


def test_a_replay_that_comes_back_goes_on_where_the_others_are(tmp_path: Path) -> None:
    source = FileSource(path=write_video(tmp_path / "v.avi", 10, fps=10), loop=True)
    clock = StepClock()
    grabber = VideoFileGrabber(source, "live", clock)
    grabber.open()
    grabber.start(clock.time_ns - 12 * SECOND - SECOND // 2)
    into = blank()
    grab = grabbed(grabber, into)
    assert (grab.index, index_of(into), grab.behind) == (125, 5, 0)


def test_a_loop_goes_on_counting(tmp_path: Path) -> None:
    source = FileSource(path=write_video(tmp_path / "v.avi", 4, fps=10), loop=True)
    grabber = VideoFileGrabber(source, "live", StepClock())
    grabber.open()
    grabber.start(100 * SECOND)
    into = blank()
    seen = []
    for _ in range(10):
        grab = grabbed(grabber, into)
        seen.append((grab.index, round((grab.timestamp_ns - 100 * SECOND) / 1e6), index_of(into)))
    grabber.close()
    assert seen == [(i, 100 * i, i % 4) for i in range(10)]


UNEVEN = [0, 1, 2, 4, 7, 8, 9, 11, 14, 15]


@pytest.mark.parametrize("name", ["v.mov", "v.mkv"])
def test_uneven_frames_are_all_there_at_their_own_times(tmp_path: Path, name: str) -> None:
    # Matroska holds no number of frames: OpenCV's is made of duration and rate, here 16 for 10.
    grabber = VideoFileGrabber(FileSource(path=write_uneven_video(tmp_path / name, UNEVEN)), "lossless", StepClock())
    grabber.open()
    grabs, numbers = everything(grabber)
    assert numbers == list(range(10))
    assert [round((grab.timestamp_ns - 100 * SECOND) * 30 / SECOND) for grab in grabs] == UNEVEN


@pytest.mark.parametrize("name", ["v.mov", "v.mkv"])
def test_a_loop_of_uneven_frames_keeps_their_times(tmp_path: Path, name: str) -> None:
    source = FileSource(path=write_uneven_video(tmp_path / name, UNEVEN), loop=True)
    grabber = VideoFileGrabber(source, "live", StepClock())
    grabber.open()
    grabber.start(100 * SECOND)
    into = blank()
    seen = []
    for _ in range(80):
        grab = grabbed(grabber, into)
        seen.append((grab.index, round((grab.timestamp_ns - 100 * SECOND) * 30 / SECOND), grab.behind))
    assert seen == [(10 * k + i, 16 * k + tick, 0) for k in range(8) for i, tick in enumerate(UNEVEN)]


def test_a_replay_of_unknown_length_comes_back_to_the_present(tmp_path: Path) -> None:
    path = tmp_path / "v.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", blank() + grey_of(i))[1].tobytes() for i in range(10)))
    clock = StepClock()
    grabber = VideoFileGrabber(FileSource(path=path, loop=True, fps=10), "live", clock)
    grabber.open()
    grabber.start(clock.time_ns - 12 * SECOND - SECOND // 2)
    into = blank()
    grab = grabbed(grabber, into)
    assert (grab.timestamp_ns, clock.time_ns) == (100 * SECOND, 100 * SECOND)
    assert index_of(into) == 5


def test_loops_that_are_over_are_skipped_and_counted(tmp_path: Path) -> None:
    source = FileSource(path=write_video(tmp_path / "v.avi", 4, fps=10), loop=True)
    clock = StepClock()
    grabber = VideoFileGrabber(source, "live", clock)
    grabber.open()
    grabber.start(clock.time_ns)
    into = blank()
    assert grabber.grab(into) is not None
    clock.time_ns += 2 * SECOND + SECOND // 20
    grab = grabbed(grabber, into)
    assert (grab.index, grab.behind, index_of(into)) == (20, 19, 0)


def test_a_cut_file_without_a_count_of_frames_is_known_by_its_duration(tmp_path: Path) -> None:
    path = write_uneven_video(tmp_path / "v.mkv", range(60))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    grabber = VideoFileGrabber(FileSource(path=path), "lossless", StepClock())
    grabber.open()
    with pytest.raises(CaptureError, match=r"v\.mkv ended after [01]\.\d of its 2\.0 declared seconds"):
        everything(grabber)


def test_the_picture_is_written_where_it_was_asked_to(tmp_path: Path) -> None:
    grabber = VideoFileGrabber(FileSource(path=write_video(tmp_path / "v.avi", 2)), "lossless", StepClock())
    grabber.open()
    grabber.start(0)
    with pytest.raises(CaptureError, match=f"picture of {WIDTH}x{HEIGHT}"):
        grabber.grab(blank(WIDTH + 2, HEIGHT))


@pytest.mark.parametrize("name", ["v.mp4", "v.avi"])
def test_a_truncated_video_is_an_error_in_lossless_mode(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, 40)
    data = path.read_bytes()
    if path.suffix == ".mp4":  # the index stands at the end: cut pictures out before it, as a bad copy does
        start = data.index(b"mdat") + 4
        data = data[:start] + bytes(len(data) // 2) + data[start + len(data) // 2 :]
    else:
        data = data[: len(data) // 2]
    path.write_bytes(data)
    grabber = VideoFileGrabber(FileSource(path=path), "lossless", StepClock())
    grabber.open()
    with pytest.raises(CaptureError, match=rf"{name}.*(40 declared frames|cannot be decoded)"):
        everything(grabber)
    grabber.close()


def test_a_truncated_video_just_ends_live_and_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    grabber = VideoFileGrabber(FileSource(path=path), "live", StepClock())
    grabber.open()
    grabs, _ = everything(grabber)
    assert 0 < len(grabs) < 40
    assert f"after {len(grabs)} of its 40 declared frames" in grabber.ending


def test_a_video_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"not a video")
    with pytest.raises(CaptureError, match=r"v\.mp4 is not a video"):
        VideoFileGrabber(FileSource(path=tmp_path / "v.mp4"), "live", StepClock()).open()
    with pytest.raises(CaptureError, match=r"w\.mp4 does not exist"):
        VideoFileGrabber(FileSource(path=tmp_path / "w.mp4"), "live", StepClock()).open()


def test_timestamps_of_another_recording_are_refused(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.avi", 3)
    times = write_timestamps(tmp_path / "t.csv", {"0": [1.0, 2.0]})
    with pytest.raises(CaptureError, match=r"declares 3 frames, but .* have 2 rows"):
        VideoFileGrabber(stamped(video, times, "0"), "live", StepClock()).open()


def test_timestamps_do_for_a_file_without_a_count_of_frames(tmp_path: Path) -> None:
    video = write_uneven_video(tmp_path / "v.mkv", UNEVEN)
    times = write_timestamps(tmp_path / "t.csv", {"x": [tick / 30 for tick in UNEVEN]})
    grabber = VideoFileGrabber(stamped(video, times, "x"), "lossless", StepClock())
    grabber.open()
    grabs, _ = everything(grabber)
    assert [round((grab.timestamp_ns - 100 * SECOND) * 30 / SECOND) for grab in grabs] == UNEVEN
    longer = write_timestamps(tmp_path / "l.csv", {"x": [tick / 30 for tick in [*UNEVEN, 16]]})
    grabber = VideoFileGrabber(stamped(video, longer, "x"), "lossless", StepClock())
    grabber.open()
    with pytest.raises(CaptureError, match="after 10 of its 11 declared frames"):
        everything(grabber)


def test_timestamps_in_another_unit_are_remarked_on(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.avi", 3, fps=30)
    seconds = write_timestamps(tmp_path / "s.csv", {"x": [0.0, 0.1, 0.2]})
    assert VideoFileGrabber(stamped(video, seconds, "x"), "live", StepClock()).open().warnings == ()
    milliseconds = write_timestamps(tmp_path / "ms.csv", {"x": [0.0, 33.3, 66.7]})
    (warning,) = VideoFileGrabber(stamped(video, milliseconds, "x"), "live", StepClock()).open().warnings
    assert warning == ("timestamps ms.csv make 0.03 frames a second of a file that states 30; frame_time is in seconds")


def test_loops_are_equally_long_for_all_cameras_of_a_rig(tmp_path: Path) -> None:
    times = {"x": [0.0, 0.1, 0.2, 0.3], "y": [0.003, 0.203, 0.303], "z": [0.15]}
    path = write_timestamps(tmp_path / "t.csv", times)
    assert {load_timestamps(path, cam).period_ns for cam in "xyz"} == {403_000_000}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cam_id,time\n0,1\n", "lack the column frame_time"),
        ("cam_id,frame_time\n1,1\n2,1\n", "no camera '0'; set timestamps.camera to one of 1, 2"),
        ("cam_id,frame_time\n0,soon\n", "line 2: frame_time 'soon'"),
        ("cam_id,frame_time\n0,nan\n", "line 2"),
        ("cam_id,frame_time\n0,2\n0,1\n", "goes back in time"),
        ("", "lack the column"),
    ],
)
def test_bad_timestamps_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(CaptureError, match=says) as caught:
        load_timestamps(path, "0")
    assert str(path) in str(caught.value)


def pictures(folder: Path, count: int) -> ImagesSource:
    folder.mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((HEIGHT, WIDTH, 3), grey_of(i), dtype=np.uint8))
    (folder / "notes.txt").write_text("not a picture")
    return ImagesSource(path=folder, fps=10)


@pytest.mark.parametrize("mode", ["live", "lossless"])
def test_a_folder_gives_its_pictures_in_natural_order(tmp_path: Path, mode: str) -> None:
    grabber = ImageFolderGrabber(pictures(tmp_path / "p", 12), mode, StepClock())
    assert grabber.open().fps == 10
    grabs, numbers = everything(grabber)
    assert numbers == list(range(12))
    assert [(grab.timestamp_ns - 100 * SECOND) // 1_000_000 for grab in grabs] == [100 * i for i in range(12)]


def test_names_sort_by_their_numbers() -> None:
    names = ["b.png", "a10.png", "a9.png", "7.png", "10.png"]
    assert [p.name for p in sorted(map(Path, names), key=natural_key)] == [
        "7.png",
        "10.png",
        "a9.png",
        "a10.png",
        "b.png",
    ]


def test_a_looped_folder_skips_what_is_over(tmp_path: Path) -> None:
    source = pictures(tmp_path / "p", 3).model_copy(update={"loop": True})
    clock = StepClock()
    grabber = ImageFolderGrabber(source, "live", clock)
    grabber.open()
    grabber.start(clock.time_ns)
    into = blank()
    first = grabbed(grabber, into)
    clock.time_ns += 750_000_000
    second = grabbed(grabber, into)
    assert (first.index, second.index, second.behind) == (0, 7, 6)
    assert index_of(into) == 7 % 3


def test_broken_pictures(tmp_path: Path) -> None:
    source = pictures(tmp_path / "p", 4)
    (source.path / "2.png").write_bytes(b"broken")
    grabber = ImageFolderGrabber(source, "lossless", StepClock())
    grabber.open()
    with pytest.raises(CaptureError, match=r"2\.png cannot be decoded"):
        everything(grabber)
    live = ImageFolderGrabber(source, "live", StepClock())
    live.open()
    _, numbers, lost = all_of(live)
    assert (numbers, lost) == ([0, 1, 3], [Lost(undecodable=1)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptureError, match="holds no picture"):
        ImageFolderGrabber(ImagesSource(path=tmp_path / "empty"), "live", StepClock()).open()
    with pytest.raises(CaptureError, match="cannot be read"):
        ImageFolderGrabber(ImagesSource(path=tmp_path / "none"), "live", StepClock()).open()


def test_a_picture_that_states_an_impossible_size_is_a_broken_one(tmp_path: Path) -> None:
    source = pictures(tmp_path / "p", 2)
    data = bytearray((source.path / "1.png").read_bytes())
    data[16:29] = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (source.path / "1.png").write_bytes(data)
    grabber = ImageFolderGrabber(source, "lossless", StepClock())
    grabber.open()
    with pytest.raises(CaptureError, match=r"1\.png cannot be decoded"):
        everything(grabber)
    message = b"\0\1\0\0" + bytes(8) + struct.pack("<I1s3xI4s", 1, b"", 4, b"png") + struct.pack("<I", len(data)) + data
    with pytest.raises(RecordingError, match="cannot be decoded"):
        read_image_message(message, compressed=True)


def test_a_rendered_camera_films_common_instants(tmp_path: Path) -> None:
    grabber = SyntheticGrabber(SyntheticSource(frames=6), camera(), CountingScene(rate_hz=10), "live", StepClock())
    assert grabber.open().fps == 10
    grabs, _ = everything(grabber)
    assert [(grab.index, (grab.timestamp_ns - 100 * SECOND) // 1_000_000) for grab in grabs] == [
        (i, 100 * i) for i in range(6)
    ]


def test_slow_rendering_takes_every_second_or_fourth_instant() -> None:
    clock = StepClock()

    class Slow(CountingScene):
        def render(self, camera: object, index: int) -> np.ndarray:
            clock.time_ns += 150_000_000
            return super().render(camera, index)

    words = np.zeros(2, dtype=np.int64)
    source = SyntheticSource(frames=40)
    grabber = SyntheticGrabber(source, camera(), Slow(rate_hz=10), "live", clock, Strides(words, 1))
    grabber.open()
    grabs, _ = everything(grabber)
    assert words.tolist() == [0, 2]
    assert all(grab.index % 2 == 0 for grab in grabs)
    assert sum(grab.behind for grab in grabs) + len(grabs) == grabs[-1].index + 1


def test_instants_that_are_over_before_the_end_are_counted() -> None:
    clock = StepClock()
    grabber = SyntheticGrabber(SyntheticSource(frames=6), camera(), CountingScene(rate_hz=10), "live", clock)
    grabber.open()
    grabber.start(clock.time_ns)
    into = blank()
    assert grabbed(grabber, into).index == 0
    clock.time_ns += 5 * SECOND
    assert (grabber.grab(into), grabber.grab(into)) == (Lost(behind=5), None)


def test_all_cameras_go_as_slowly_as_the_slowest_needs() -> None:
    words = np.array([0, 4])
    grabber = SyntheticGrabber(
        SyntheticSource(frames=40), camera(), CountingScene(rate_hz=10), "live", StepClock(), Strides(words, 0)
    )
    grabber.open()
    grabs, _ = everything(grabber)
    assert [grab.index for grab in grabs] == list(range(0, 40, 4))
    assert words.tolist() == [1, 4]


def test_lossless_rendering_leaves_nothing_out() -> None:
    clock = StepClock(cost_ns=SECOND)
    grabber = SyntheticGrabber(SyntheticSource(frames=5), camera(), CountingScene(), "lossless", clock)
    grabber.open()
    grabs, _ = everything(grabber)
    assert [grab.index for grab in grabs] == list(range(5))


def test_a_looped_scene_is_rendered_once_and_then_played() -> None:
    clock = StepClock()
    rendered: list[int] = []

    class Slow(CountingScene):
        def render(self, camera: object, index: int) -> np.ndarray:
            rendered.append(index)
            clock.time_ns += 250_000_000
            return super().render(camera, index)

    words = np.zeros(1, dtype=np.int64)
    source = SyntheticSource(frames=10, loop=True)
    grabber = SyntheticGrabber(source, camera(), Slow(rate_hz=10), "live", clock, Strides(words, 0))
    grabber.open()
    grabber.start(clock.time_ns)
    into = blank()
    last = -1
    for _ in range(60):
        grab = grabbed(grabber, into)
        assert grab.timestamp_ns == 100 * SECOND + grab.index * 100_000_000
        assert grab.index == last + 1 + grab.behind
        # The pictures have the scene's own numbers, a round before and now.
        assert (into == grab.index % 10).all()
        last = grab.index
    # Each was rendered once, though only every third or so could be in time; then the camera keeps up with all.
    assert sorted(rendered) == list(range(10))
    assert words.tolist() == [1]


def test_lossless_rendering_of_a_looped_scene_ends_after_a_round() -> None:
    grabber = SyntheticGrabber(SyntheticSource(frames=5, loop=True), camera(), CountingScene(), "lossless", StepClock())
    grabber.open()
    grabs, _ = everything(grabber)
    assert [grab.index for grab in grabs] == list(range(5))


def test_a_scene_of_another_size_is_named() -> None:
    grabber = SyntheticGrabber(SyntheticSource(), camera(), CountingScene(), "lossless", StepClock())
    grabber.open()
    with pytest.raises(CaptureError, match="camera 'a'"):
        grabber.grab(blank(10, 10))
    with pytest.raises(CaptureError, match="no scene"):
        make_grabber(SyntheticSource(), camera(), "live", StepClock(), scene=None)


class FakeDevice:
    """What stands in for the hardware: takes settings as it likes, and can be unplugged."""

    def __init__(self, *, present: bool = True, stamp_ms: float = 0.0, **fixed: float) -> None:
        self.present = present
        self.stamp_ms = stamp_ms
        self.settings = {cv2.CAP_PROP_FPS: 30.0}
        self.fixed = {getattr(cv2, f"CAP_PROP_{name.upper()}"): value for name, value in fixed.items()}
        self.frames = 3
        self.empty: Container[int] = ()
        self.broken: Container[int] = ()
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.present

    def set(self, prop: int, value: float) -> bool:
        self.settings[prop] = value
        return True

    def get(self, prop: int) -> float:
        if prop == cv2.CAP_PROP_POS_MSEC:
            return self.stamp_ms
        return self.fixed.get(prop, self.settings.get(prop, 0.0))

    def grab(self) -> bool:
        self.frames -= 1
        return self.frames >= 0

    def retrieve(self, into: np.ndarray) -> tuple[bool, np.ndarray]:
        if self.frames in self.empty:
            # What OpenCV does with a buffer of no bytes: it asserts that there are some.
            cv2.imdecode(np.empty(0, dtype=np.uint8), cv2.IMREAD_COLOR)
        if self.frames in self.broken:
            return False, into
        into[:] = 3 - self.frames
        return True, into

    def release(self) -> None:
        self.released = True


def device_grabber(device: FakeDevice, clock: StepClock, **source: object) -> OpenCVGrabber:
    return OpenCVGrabber(OpenCVSource(device=0, **source), WIDTH, HEIGHT, clock, first_index=7, opener=lambda _: device)


def test_a_device_is_asked_and_read_back() -> None:
    device = FakeDevice()
    info = device_grabber(device, StepClock(), fps=60, fourcc="MJPG").open()
    assert (info.width, info.height, info.fps) == (WIDTH, HEIGHT, 60)
    assert info.warnings == ()
    assert "MJPG" in info.description
    assert device.settings[cv2.CAP_PROP_BUFFERSIZE] == 2, "one to fill while the other one is decoded"
    stubborn = FakeDevice(fps=15.0, frame_width=640.0, fourcc=float(cv2.VideoWriter.fourcc(*"YUYV")))
    info = device_grabber(stubborn, StepClock(), fps=60, fourcc="MJPG").open()
    assert (info.width, info.fps) == (640, 15)
    assert [text for text in ("640x64", "gives 15", "gives YUYV") if not any(text in w for w in info.warnings)] == []


@pytest.mark.parametrize("fps", [90_000.0, float("inf"), float("nan"), -1.0])
def test_a_rate_that_is_none_is_unknown(fps: float) -> None:
    assert device_grabber(FakeDevice(fps=fps), StepClock()).open().fps == 0
    (warning,) = device_grabber(FakeDevice(fps=fps), StepClock(), fps=30).open().warnings
    assert "asked for 30 frames a second, the camera gives no rate" in warning


@pytest.mark.parametrize(
    ("device", "api"),
    [
        (0, cv2.CAP_V4L2),
        ("/dev/video2", cv2.CAP_V4L2),
        ("/dev/v4l/by-id/usb-046d_Cam-video-index0", cv2.CAP_V4L2),
        ("rtsp://camera/stream", cv2.CAP_ANY),
    ],
)
def test_a_device_of_the_machine_is_opened_as_one(monkeypatch: pytest.MonkeyPatch, device: int | str, api: int) -> None:
    opened = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(cv2, "VideoCapture", lambda *args: opened.append(args))
    open_device(device)
    assert opened == [(device, api)]


def test_a_device_counts_on_and_fails_when_it_is_unplugged() -> None:
    device, clock = FakeDevice(), StepClock()
    grabber = device_grabber(device, clock)
    grabber.open()
    grabber.start(0)
    into = blank()
    assert [grabbed(grabber, into).index for _ in range(3)] == [7, 8, 9]
    with pytest.raises(CaptureError, match="stopped giving frames"):
        grabber.grab(into)
    grabber.close()
    grabber.close()
    assert device.released


def test_a_picture_without_data_costs_that_picture_and_not_the_camera() -> None:
    device = FakeDevice()
    device.empty, device.broken = (2,), (1,)
    grabber = device_grabber(device, StepClock())
    grabber.open()
    into = blank()
    assert [grabber.grab(into), grabber.grab(into)] == [Lost(undecodable=1)] * 2
    assert grabbed(grabber, into).index == 9


def test_a_device_whose_pictures_are_all_broken_fails_and_says_so() -> None:
    device = FakeDevice()
    device.frames = 1000
    device.broken = range(1000)
    grabber = device_grabber(device, StepClock())
    grabber.open()
    into = blank()
    assert [grabber.grab(into) for _ in range(60)] == [Lost(undecodable=1)] * 60
    with pytest.raises(CaptureError, match="gave 60 pictures one after the other that cannot be decoded"):
        grabber.grab(into)


@pytest.mark.parametrize(("age_ms", "used"), [(20, True), (0, True), (-5, False), (5000, False)])
def test_the_drivers_stamp_is_used_where_it_is_on_our_clock(age_ms: int, used: bool) -> None:
    clock = StepClock()
    device = FakeDevice(stamp_ms=clock.time_ns / 1e6 - age_ms)
    grabber = device_grabber(device, clock)
    grabber.open()
    grab = grabbed(grabber, blank())
    assert grab.received_ns == clock.time_ns
    assert grab.timestamp_ns == clock.time_ns - (age_ms * 1_000_000 if used else 0)


def test_a_missing_device_says_what_to_check() -> None:
    device = FakeDevice(present=False)
    with pytest.raises(CaptureError, match="camera device 0 cannot be opened; check that it is plugged in"):
        device_grabber(device, StepClock()).open()
    assert device.released
