from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration import CalibrationError
from calibration.files import load_calibration, parse_calibration


def test_a_camera_array_becomes_a_rig_named_as_its_videos(caliscope_text: str) -> None:
    rig = parse_calibration(caliscope_text.encode(), "caliscope", "m")
    assert rig.camera_ids == ("cam_0", "cam_1")
    first, second = rig
    assert (first.width, first.height, first.rms_px) == (640, 480, 0.5)
    np.testing.assert_array_equal(first.distortion, [-0.3, 0.05, 0, 0, 0])
    np.testing.assert_array_equal(first.T_camera_world[:3, 3], [0.1, 0.2, 0.7])
    np.testing.assert_allclose(second.T_camera_world[:3, :3], first.T_camera_world[:3, :3], atol=1e-15)
    assert (first.model, second.model) == ("brown-conrady", "fisheye")


def test_it_is_in_metres_and_needs_not_be_told(caliscope_text: str) -> None:
    data = caliscope_text.encode()
    assert parse_calibration(data, "caliscope").id == parse_calibration(data, "caliscope", 1.0).id
    with pytest.raises(CalibrationError, match="caliscope files are in metres"):
        parse_calibration(data, "caliscope", "mm")


@pytest.mark.parametrize(
    ("old", "new", "camera", "reason"),
    [
        ("size = [640, 480]", "size = [640]", "cam_0", "give [width, height]"),
        ("size = [640, 480]", "size = [640.0, 480]", "cam_0", "size[0] is 640.0"),
        ("cam_id = 0", "", "cameras.0", "cam_id is None"),
        ("cam_id = 1", "cam_id = 0", "cam_0", "more than once"),
        ("error = 0.5", "error = true", "cam_0", "error is True"),
        ("rotation = [[0.0, -1.0", "rotation = [[0.5, -1.0", "cam_0", "rotation of T_camera_world"),
        ("rotation = [0.0, 0.0, 1.5707963267948966]", "", "cam_1", "rotation is missing"),
        ("rotation = [0.0, 0.0, 1.57", "rotation = [nan, 0.0, 1.57", "cam_1", "rotation[0] is nan"),
        ("fisheye = true", "fisheye = 1", "cam_1", "give true or false"),
        ("[0.1, 0, 0, 0]", "[0.1, 0, 0]", "cam_1", "distortions is"),
        ("ignore = false", "ignore = 0", "cam_0", "ignore is 0"),
    ],
)
def test_what_is_wrong_is_said_of_its_camera(caliscope_text: str, old: str, new: str, camera: str, reason: str) -> None:
    assert old in caliscope_text
    data = caliscope_text.replace(old, new, 1).encode()
    with pytest.raises(CalibrationError) as caught:
        parse_calibration(data, "caliscope")
    assert any(reason in why for why in caught.value.reasons[camera])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no table"),
        ("cameras = 3", "no table"),
        ("[cameras]", "every camera is ignored"),
        ("[cameras]\n0 = 3", "give a table"),
        ("[cameras.0]\n[cameras.0]", "not TOML"),
        ("x = " + "[" * 40, "deeper than 32"),
        ("a." * 40 + "a = 1", "deeper than 32"),
        ("x = '" + "[" * 40 + "'", "no table"),
        ('x = """' + "[" * 40 + '"""', "no table"),
        ("# " + "[" * 40, "no table"),
    ],
)
def test_what_is_no_camera_array_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason):
        parse_calibration(text.encode(), "caliscope")


@pytest.mark.footage
def test_the_published_file_is_read(footage_dir: Path) -> None:
    rig = load_calibration(footage_dir / "room4" / "camera_array.toml", "caliscope", "m", size=(1280, 720))
    assert rig.camera_ids == ("cam_0", "cam_1", "cam_2", "cam_3")
    assert [camera.rms_px for camera in rig] == [0.541, 0.401, 0.366, 0.329]
    assert rig.camera("cam_0").distortion[0] == -0.3320992998866297
