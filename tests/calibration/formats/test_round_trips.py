"""What is written for other programs and read back is the same rig, to 1e-9, in every format and unit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibration import CalibrationError, Camera, Rig
from calibration.files import WRITTEN_FORMATS, load_calibration, write_calibration
from calibration.formats.rotations import (
    matrix_from_quaternion,
    matrix_from_vector,
    quaternion_from_matrix,
    vector_from_matrix,
)
from calibration.reframe import in_first_camera, renumbered

UNITLESS = {"anipose", "colmap", "multical"}

unit_interval = st.floats(-1, 1)
angles = st.sampled_from([0.0, 1e-9, 1e-4, np.pi - 1e-7, np.pi]) | st.floats(0, np.pi)


@st.composite
def rotations(draw: st.DrawFn) -> np.ndarray:
    axis = np.array([draw(unit_interval) for _ in range(3)])
    length = np.linalg.norm(axis)
    axis = axis / length if length > 1e-3 else np.array([0.0, 0.0, 1.0])
    return matrix_from_vector(axis * draw(angles))


@st.composite
def cameras(draw: st.DrawFn, name: str) -> Camera:
    T = np.eye(4)
    T[:3, :3] = draw(rotations())
    T[:3, 3] = [draw(st.floats(-5, 5)) for _ in range(3)]
    f, cx, cy = draw(st.floats(200, 3000)), draw(st.floats(0, 1279)), draw(st.floats(0, 719))
    K = [[f, 0, cx], [0, f * draw(st.floats(0.8, 1.2)), cy], [0, 0, 1]]
    model = draw(st.sampled_from(["brown-conrady", "fisheye"]))
    count = 4 if model == "fisheye" else draw(st.sampled_from([0, 4, 5, 8]))
    coefficients = np.zeros(4 if model == "fisheye" else max(count, 5))
    coefficients[:count] = [draw(st.floats(-0.3, 0.3)) for _ in range(count)]
    return Camera(name, 1280, 720, K, coefficients, T, model, draw(st.none() | st.floats(0, 3)))


@st.composite
def rigs(draw: st.DrawFn) -> Rig:
    names = draw(
        st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True), min_size=1, max_size=4, unique=True)
    )
    return Rig(tuple(draw(cameras(name)) for name in names), draw(st.sampled_from(["", "desk"])))


def cannot_be_held(camera: Camera, format: str) -> bool:
    if format == "multical":
        return camera.model == "fisheye" or "_to_" in camera.id
    return format == "kalibr" and bool(camera.distortion[4:].any())


def assert_same(rig: Rig, again: Rig) -> None:
    assert again.camera_ids == rig.camera_ids
    points = np.random.default_rng(0).uniform(-3, 3, (200, 3))
    for old, new in zip(rig, again, strict=True):
        assert (new.width, new.height, new.model) == (old.width, old.height, old.model)
        np.testing.assert_allclose(new.K, old.K, rtol=0, atol=1e-9)
        np.testing.assert_allclose(new.T_camera_world, old.T_camera_world, rtol=0, atol=1e-9)
        longer = max(new.distortion.size, old.distortion.size)
        padded = [np.append(c.distortion, np.zeros(longer - c.distortion.size)) for c in (new, old)]
        np.testing.assert_array_equal(*padded)
        before, after = old.project_camera(points), new.project_camera(points)
        np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rigs(), st.sampled_from(WRITTEN_FORMATS), st.sampled_from(["m", "mm", "0.0435"]))
def test_write_then_read_is_the_same_rig_or_a_refusal_by_name(rig: Rig, format: str, units: str) -> None:
    if format == "kalibr":
        rig = renumbered(in_first_camera(rig))
    said = units if format in UNITLESS else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        if beyond := {camera.id for camera in rig if cannot_be_held(camera, format)}:
            with pytest.raises(CalibrationError) as caught:
                write_calibration(rig, path, format, units=said)
            assert set(caught.value.reasons) == beyond
            assert not path.exists()
            return
        left_out = write_calibration(rig, path, format, units=said)
        again = load_calibration(path, format, said)
    assert_same(rig, again)
    keeps_name, keeps_rms = format == "usthand", format in ("usthand", "opencv")
    assert ("name" in " ".join(left_out)) == (bool(rig.name) and not keeps_name)
    assert ("rms_px" in " ".join(left_out)) == (any(c.rms_px is not None for c in rig) and not keeps_rms)
    if keeps_rms:
        assert [c.rms_px for c in again] == [c.rms_px for c in rig]


@given(rotations())
def test_quaternions_and_vectors_are_the_rotation(R: np.ndarray) -> None:
    np.testing.assert_allclose(matrix_from_quaternion(quaternion_from_matrix(R)), R, rtol=0, atol=1e-12)
    np.testing.assert_allclose(matrix_from_vector(vector_from_matrix(R)), R, rtol=0, atol=1e-12)


def test_opencv_itself_reads_what_is_written_for_it(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "rig.yml"
    write_calibration(rig, path, "opencv")
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    listed = storage.getNode("cameras")
    assert listed.size() == len(rig)
    for index, camera in enumerate(rig):
        node = listed.at(index)
        assert node.getNode("name").string() == camera.id
        np.testing.assert_array_equal(node.getNode("camera_matrix").mat(), camera.K)
        np.testing.assert_array_equal(node.getNode("T_camera_world").mat(), camera.T_camera_world)
    storage.release()


@pytest.mark.parametrize(
    ("format", "change", "why"),
    [
        ("kalibr", {"distortion": [0.1, 0, 0, 0, 0.2]}, "5 distortion coefficients"),
        ("kalibr", {"distortion": [0.1, 0, 0, 0, 0, 0.1, 0, 0]}, "8 distortion coefficients"),
        ("kalibr", {"id": "left"}, r"\(--renumber\)"),
        ("kalibr", {"K": [[500, 2, 320], [0, 500, 240], [0, 0, 1]]}, "skew of 2 px"),
        ("kalibr", {"T": (0.1, 0, 0)}, r"first camera the world.*\(--first-camera-world\)"),
        ("multical", {"model": "fisheye", "distortion": [0, 0, 0, 0]}, "fisheyes"),
        ("multical", {"id": "a_to_b"}, "_to_"),
        ("colmap", {"K": [[500, 2, 320], [0, 500, 240], [0, 0, 1]]}, "skew of 2 px"),
        ("colmap", {"turn": 3e-4}, "rotation is off by"),
        ("anipose", {"turn": 3e-4}, "rotation is off by"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_by_name(
    tmp_path: Path, format: str, change: dict[str, object], why: str
) -> None:
    T = np.eye(4)
    T[:3, 3] = change.get("T", (0, 0, 0))
    T[0, 0] += change.get("turn", 0.0)
    K = change.get("K", [[500, 0, 320], [0, 500, 240], [0, 0, 1]])
    name = str(change.get("id", "cam0"))
    camera = Camera(name, 640, 480, K, change.get("distortion", [0] * 5), T, change.get("model", "brown-conrady"))
    with pytest.raises(CalibrationError, match=why) as caught:
        write_calibration(Rig((camera,)), tmp_path / "out", format, units="m" if format in UNITLESS else None)
    assert list(caught.value.reasons) == [name]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", WRITTEN_FORMATS)
def test_a_unit_is_asked_for_where_the_file_has_none_and_only_there(tmp_path: Path, format: str) -> None:
    rig = Rig((Camera("cam0", 640, 480, [[500, 0, 320], [0, 500, 240], [0, 0, 1]]),))
    if format in UNITLESS:
        with pytest.raises(CalibrationError, match="carry no unit of length; give --to-units"):
            write_calibration(rig, tmp_path / "out", format)
        write_calibration(rig, tmp_path / "out", format, units="mm")
        with pytest.raises(CalibrationError, match="carry no unit"):
            load_calibration(tmp_path / "out", format)
    else:
        with pytest.raises(CalibrationError, match="are in metres"):
            write_calibration(rig, tmp_path / "out", format, units="mm")


@pytest.mark.parametrize("format", ["caliscope", "dexycb", "easymocap", "handpose3d", "hanco"])
def test_a_format_that_is_only_read_says_which_are_written(rig: Rig, tmp_path: Path, format: str) -> None:
    with pytest.raises(CalibrationError, match="can be read but not written; write one of usthand, anipose"):
        write_calibration(rig, tmp_path / "out", format)


def test_the_first_camera_as_world_changes_no_picture(rig: Rig) -> None:
    moved = in_first_camera(rig)
    np.testing.assert_array_equal(moved.cameras[0].T_camera_world, np.eye(4))
    points = np.random.default_rng(1).uniform((-1, -1, 1), (1, 1, 3), (50, 3))
    to_first = rig.cameras[0].to_camera(points)
    np.testing.assert_allclose(moved.project(to_first), rig.project(points), atol=1e-9)
