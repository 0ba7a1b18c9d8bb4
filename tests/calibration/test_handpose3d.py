from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration import CalibrationError, Rig
from calibration.files import load_calibration, parse_calibration


def load(folder: Path) -> Rig:
    return load_calibration(folder, "handpose3d", 0.0435, size=(720, 720))


def test_a_folder_becomes_a_rig_in_metres(handpose3d_folder: Path) -> None:
    rig = load(handpose3d_folder)
    assert rig.camera_ids == ("cam0", "cam1")
    second = rig.camera("cam1")
    assert (second.width, second.height) == (720, 720)
    np.testing.assert_array_equal(second.K, [[901, 0, 356.5], [0, 901, 355.5], [0, 0, 1]])
    np.testing.assert_array_equal(second.distortion, [-0.01, 0.2, -0.003, -0.004, 0.1])
    np.testing.assert_array_equal(second.T_camera_world[:3, :3], [[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    np.testing.assert_allclose(second.T_camera_world[:3, 3], [0.0435, 0.087, 0.435])


def test_named_units_are_those_lengths(handpose3d_folder: Path) -> None:
    lengths = [
        load_calibration(handpose3d_folder, "handpose3d", units, size=(720, 720)).cameras[0].T_camera_world[2, 3]
        for units in ("m", "cm", "mm", "in", 2.0)
    ]
    np.testing.assert_allclose(lengths, [10, 0.1, 0.01, 0.254, 20])


def test_units_and_size_are_demanded(handpose3d_folder: Path) -> None:
    with pytest.raises(CalibrationError, match="carry no unit of length; give units: use m, cm, mm, in or a number"):
        load_calibration(handpose3d_folder, "handpose3d", size=(720, 720))
    with pytest.raises(CalibrationError, match="carry no image size; give size"):
        load_calibration(handpose3d_folder, "handpose3d", "mm")
    with pytest.raises(CalibrationError, match="more than one file"):
        parse_calibration(b"", "handpose3d")


def test_what_is_wrong_is_said_of_its_camera(handpose3d_folder: Path) -> None:
    (handpose3d_folder / "c0.dat").unlink()
    (handpose3d_folder / "rot_trans_c0.dat").write_text("R:\n1 0\n0 1\nT:\n0\nnan\n0\n")
    (handpose3d_folder / "c1.dat").write_text("intrinsic:\n900 0 x\n0 900 360\n0 0 1\n")
    (handpose3d_folder / "rot_trans_c2.dat").write_bytes(b"\xff" * 9)
    with pytest.raises(CalibrationError) as caught:
        load(handpose3d_folder)
    reasons = caught.value.reasons
    assert list(reasons) == ["cam0", "cam1", "cam2"]
    for camera, part in [
        ("cam0", "c0.dat is missing"),
        ("cam0", "'R:' in rot_trans_c0.dat is not 3 rows of 3"),
        ("cam0", "'nan', which is no finite number"),
        ("cam1", "'x', which is no finite number"),
        ("cam1", "no block 'distortion:'"),
        ("cam2", "cannot be read"),
    ]:
        assert any(part in reason for reason in reasons[camera]), part


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"holds no cN\.dat"):
        load(tmp_path)
    with pytest.raises(CalibrationError, match="is not a folder"):
        load(tmp_path / "absent")
    (tmp_path / "c0.dat").write_text("x" * 70_000)
    with pytest.raises(CalibrationError, match="larger than"):
        load(tmp_path)


@pytest.mark.footage
def test_the_published_folder_is_read(footage_dir: Path) -> None:
    rig = load(footage_dir / "desk2")
    assert rig.camera_ids == ("cam0", "cam1")
    baseline_m = np.linalg.norm(rig.cameras[0].center_world - rig.cameras[1].center_world)
    assert 0.4 < baseline_m < 0.7
    np.testing.assert_allclose(
        rig.cameras[1].T_camera_world[:3, 3], 0.0435 * np.array([1.38111884, 5.19805597, 16.669449])
    )
