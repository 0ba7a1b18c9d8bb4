from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from capture import RigConfigError, load_rig, load_rig_config
from capture.errors import CaptureError
from capture.grabbers.opencv_device import OpenCVGrabber
from capture.grabbers.protocol import MonotonicClock
from capture.rig_config import FileSource, ImagesSource, OpenCVSource, SyntheticSource

GOOD = """
name: desk
max_skew_ms: 12
ring_slots: 6
cameras:
  - id: cam0
    source: {type: file, path: cam0.mp4, loop: true, timestamps: {path: t.csv, camera: 0}}
  - id: cam1
    source: {type: images, path: pictures, fps: 12}
  - id: 2
    source: {type: opencv, device: 0, width: 640, height: 480, fps: 30, fourcc: MJPG}
  - id: cam3
    source: {type: opencv, device: /dev/video2}
  - id: cam4
    source: {type: synthetic}
calibration: calibration.json
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "rig.yaml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load_rig_config(written(tmp_path, GOOD))
    sources = [camera.source for camera in config.cameras]
    assert config.camera_ids == ("cam0", "cam1", "2", "cam3", "cam4")
    assert (config.name, config.max_skew_ms, config.ring_slots) == ("desk", 12, 6)
    assert isinstance(sources[0], FileSource)
    assert sources[0].path == tmp_path / "cam0.mp4"
    assert sources[0].timestamps is not None
    assert (sources[0].timestamps.path, sources[0].timestamps.camera) == (tmp_path / "t.csv", "0")
    assert isinstance(sources[1], ImagesSource)
    assert isinstance(sources[2], OpenCVSource)
    assert sources[2].device == 0
    assert isinstance(sources[3], OpenCVSource)
    assert sources[3].device == "/dev/video2"
    assert isinstance(sources[4], SyntheticSource)
    assert config.calibration is not None
    assert config.calibration.path == tmp_path / "calibration.json"


@pytest.mark.parametrize(("said", "up"), [("+z", "+z"), ("-y", "-y"), ("x", "+x"), ("", None), ("null", None)])
def test_a_rig_may_say_which_way_is_up(tmp_path: Path, said: str, up: str | None) -> None:
    assert load_rig_config(written(tmp_path, GOOD)).up is None
    assert load_rig_config(written(tmp_path, f"{GOOD}up: {said}\n")).up == up


def test_a_calibration_may_state_format_units_and_size(tmp_path: Path) -> None:
    text = GOOD.replace("calibration.json", "{path: c, format: handpose3d, units: 0.0435, size: 720x720}")
    config = load_rig_config(written(tmp_path, text))
    assert config.calibration is not None
    assert (config.calibration.units, config.calibration.size) == (0.0435, (720, 720))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("loop: true", "lop: true", ["cameras[0].source", "'lop'", "did you mean 'loop'", "timestamps"]),
        ("ring_slots: 6", "slots: 6", ["'slots'", "ring_slots"]),
        ("type: images", "type: rtsp", ["cameras[1].source", "rtsp", "not in this version yet", "{type: file}"]),
        ("type: images", "type: genicam", ["genicam", "not in this version yet", "V4L2"]),
        ("type: images", "type: remote", ["remote", "not in this version yet"]),
        ("type: images", "type: webcam", ["unknown source type 'webcam'", "file, images, opencv, synthetic"]),
        ("type: images, ", "", ["cameras[1].source", "no type"]),
        (
            "type: images",
            "typ: images",
            ["cameras[1].source", "unknown key 'typ' (did you mean 'type'?)", "file, images"],
        ),
        ("id: cam1", "id: cam0", ["'cam0'", "more than once"]),
        ("id: cam1", "id: a/b", ["cameras[1].id", "letters"]),
        ("max_skew_ms: 12", "max_skew_ms: -1", ["max_skew_ms", "-1"]),
        ("max_skew_ms: 12", "max_skew_ms: .nan", ["max_skew_ms"]),
        ("path: pictures, ", "", ["cameras[1].source.path is missing"]),
        ("loop: true", "fps: 10", ["timestamps and fps"]),
        ("type: synthetic", "type: synthetic, loop: true", ["cameras[4].source", "give frames"]),
        (
            "source: {type: synthetic}",
            "source: {type: synthetic, frames: 9, loop: true}\n  - {id: cam5, source: {type: synthetic, frames: 9}}",
            ["one scene", "after 9 frames, never", "the same frames"],
        ),
        ("ring_slots: 6", "up: north", ["up: 'north' is no axis; use one of +x, -x, +y, -y, +z, -z"]),
        ("ring_slots: 6", "up: 3", ["up: "]),
        ("id: cam1", "id: cam1\n    time_offset: 8", ["cameras[1]", "'time_offset'", "did you mean 'time_offset_ms'"]),
        ("id: cam1", "id: cam1\n    time_offset_ms: .inf", ["cameras[1].time_offset_ms"]),
        ("fourcc: MJPG", "fourcc: MJPEG", ["fourcc"]),
        ("name: desk", "name: [", ["not YAML"]),
    ],
)
def test_errors_are_one_line_with_file_key_and_remedy(tmp_path: Path, old: str, new: str, says: list[str]) -> None:
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(RigConfigError) as caught:
        load_rig_config(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert "pydantic" not in message
    for text in says:
        assert text in message


def test_a_camera_that_is_wrong_is_not_called_missing_too(tmp_path: Path) -> None:
    with pytest.raises(RigConfigError) as caught:
        load_rig_config(written(tmp_path, "cameras:\n  - {id: a, source: {type: file}}\ncalibration: c.json\n"))
    assert str(caught.value).endswith("rig.yaml: cameras[0].source.path is missing")


@pytest.mark.parametrize("text", ["", "- 1", "just words", "cameras: []", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_rig_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RigConfigError, match=r"rig\.yaml"):
        load_rig_config(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RigConfigError, match=r"nowhere\.yaml cannot be read"):
        load_rig_config(tmp_path / "nowhere.yaml")


def calibrated(folder: Path, ids: list[str]) -> None:
    cameras = [
        {
            "id": i,
            "width": 640,
            "height": 480,
            "model": "brown-conrady",
            "K": [[500, 0, 320], [0, 500, 240], [0, 0, 1]],
            "distortion": [0, 0, 0, 0, 0],
            "T_camera_world": np.eye(4).tolist(),
        }
        for i in ids
    ]
    content = {"schema": "usthand.calibration/1", "units": "m", "cameras": cameras}
    (folder / "calibration.json").write_text(json.dumps(content))


SMALL = """
cameras:
  - {id: b, source: {type: synthetic}}
  - {id: a, source: {type: synthetic}}
calibration: calibration.json
"""


def test_the_rig_has_the_files_cameras_in_the_files_order(tmp_path: Path) -> None:
    calibrated(tmp_path, ["a", "spare", "b"])
    rig = load_rig(load_rig_config(written(tmp_path, SMALL)))
    assert rig.camera_ids == ("b", "a")


def test_a_camera_without_calibration_is_named_with_both_lists(tmp_path: Path) -> None:
    calibrated(tmp_path, ["a", "c"])
    with pytest.raises(RigConfigError) as caught:
        load_rig(load_rig_config(written(tmp_path, SMALL)))
    assert "lacks camera b: the rig names b, a, the calibration has a, c" in str(caught.value)


def test_a_rig_without_calibration_says_so(tmp_path: Path) -> None:
    with pytest.raises(RigConfigError, match="names no calibration"):
        load_rig(load_rig_config(written(tmp_path, SMALL.replace("calibration: calibration.json", ""))))


@pytest.mark.parametrize(
    ("device", "shown"),
    [
        (0, 0),
        ("/dev/v4l/by-id/usb-cam@2", "/dev/v4l/by-id/usb-cam@2"),
        ("rtsp://user:secret@10.0.0.4:554/stream", "rtsp://10.0.0.4:554/..."),
        ("rtsp://user:sec/ret@10.0.0.4/stream", "rtsp://10.0.0.4/..."),
        ("http://[fe80::1]:80/video?password=secret", "http://[fe80::1]:80/..."),
        ("rtsp://10.0.0.4/user=admin_password=secret", "rtsp://10.0.0.4/..."),
        ("rtspsrc location=rtsp://user:secret@10.0.0.4/s ! appsink", "..."),
    ],
)
def test_what_is_said_of_a_device_holds_no_password(device: int | str, shown: int | str) -> None:
    """A camera's state, `/readyz` among the places that tell it, is for everybody."""
    source = OpenCVSource(device=device)
    assert source.shown == shown
    with pytest.raises(CaptureError) as refused:
        OpenCVGrabber(source, 640, 480, MonotonicClock(), opener=lambda _: cv2.VideoCapture()).open()
    assert f"camera device {shown!r} cannot be opened" in str(refused.value)
