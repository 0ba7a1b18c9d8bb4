"""Other projects' layouts: made-up files as each project writes them, and what is wrong with them said by camera."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import CalibrationError
from calibration.files import load_calibration, parse_calibration
from calibration.formats.yaml_text import MAX_NODES, parse_yaml

ANIPOSE = b"""
[cam_0]
name = "A"
size = [ 640, 480,]
matrix = [ [ 500.0, 0.0, 320.0,], [ 0.0, 510.0, 240.0,], [ 0.0, 0.0, 1.0,],]
distortions = [ -0.1, 0.0, 0.0, 0.0, 0.0,]
rotation = [ 0.0, 0.0, 0.0,]
translation = [ 0.0, 0.0, 0.0,]

[cam_1]
name = "B"
size = [ 640, 480,]
matrix = [ [ 500.0, 0.0, 320.0,], [ 0.0, 510.0, 240.0,], [ 0.0, 0.0, 1.0,],]
distortions = [ 0.1, 0.0, 0.0, 0.0,]
rotation = [ 0.0, 1.5707963267948966, 0.0,]
translation = [ 250.0, 0.0, 10.0,]
fisheye = true

[metadata]
adjusted = false
error = 0.42
"""

KALIBR = b"""cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [-0.3, 0.1, 1e-05, -2.5e-05]
  distortion_model: radtan
  intrinsics: [460.0, 459.0, 366.5, 249.5]
  resolution: [752, 480]
  rostopic: /cam0/image_raw
cam1:
  T_cn_cnm1:
  - [1.0, 0.0, 0.0, -0.11]
  - [0.0, 1.0, 0.0, 0.0]
  - [0.0, 0.0, 1.0, 0.0]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: pinhole
  distortion_coeffs: [0.01, 0.0, 0.0, 0.0]
  distortion_model: equidistant
  intrinsics: [460.0, 459.0, 366.5, 249.5]
  resolution: [752, 480]
cam2:
  T_cn_cnm1:
  - [0.0, 0.0, 1.0, 0.0]
  - [0.0, 1.0, 0.0, 0.2]
  - [-1.0, 0.0, 0.0, 0.0]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: pinhole
  distortion_coeffs: []
  distortion_model: none
  intrinsics: [460.0, 459.0, 366.5, 249.5]
  resolution: [752, 480]
"""

EYE = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
K = [[2250, 0, 985], [0, 2252, 763], [0, 0, 1]]
MULTICAL = {
    "cameras": {
        "left": {"model": "standard", "image_size": [2000.00, 1500.00], "K": K, "dist": [[-0.12, 0.32, 0, 0, -0.2]]},
        "right": {"image_size": [2000, 1500], "K": K, "dist": [0.1, 0, 0, 0]},
    },
    "camera_poses": {"left": {"R": EYE, "T": [0, 0, 0]}, "right_to_left": {"R": EYE, "T": [-0.05, 0, 0]}},
    "image_sets": {"rgb": []},
}

HANCO = {"K": [[[500, 0, 112], [0, 500, 112], [0, 0, 1]]] * 2, "M": [np.eye(4).tolist()] * 2}


def refused(data: bytes, format: str, units: str | None = None, **options: object) -> dict[str, list[str]]:
    with pytest.raises(CalibrationError) as caught:
        parse_calibration(data, format, units, **options)
    return caught.value.reasons


def test_anipose() -> None:
    rig = parse_calibration(ANIPOSE, "anipose", "mm")
    assert rig.camera_ids == ("A", "B")
    assert [camera.model for camera in rig] == ["brown-conrady", "fisheye"]
    np.testing.assert_allclose(rig.camera("B").T_camera_world[:3, 3], [0.25, 0, 0.01])
    np.testing.assert_allclose(rig.camera("B").T_camera_world[:3, :3], [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-15)
    assert "carry no unit" in refused(ANIPOSE, "anipose")[""][0]
    assert "name is" not in str(refused(ANIPOSE.replace(b'"A"', b'"Camera 1"'), "anipose", "mm"))
    assert "cam_0" in refused(ANIPOSE.replace(b'"A"', b'"Camera 1"'), "anipose", "mm")
    assert "rotation is missing; add it" in refused(ANIPOSE.replace(b"rotation", b"rotate", 1), "anipose", "mm")["A"]
    assert "no table" in refused(b"", "anipose", "mm")[""][0]


def test_kalibr_chains_its_cameras() -> None:
    rig = parse_calibration(KALIBR, "kalibr")
    assert rig.camera_ids == ("cam0", "cam1", "cam2")
    assert [camera.model for camera in rig] == ["brown-conrady", "fisheye", "brown-conrady"]
    np.testing.assert_array_equal(rig.camera("cam0").distortion, [-0.3, 0.1, 1e-05, -2.5e-05, 0])
    np.testing.assert_array_equal(rig.camera("cam0").T_camera_world, np.eye(4))
    # cam2 <- cam1 <- cam0: the shift of the first step is turned by the second.
    np.testing.assert_allclose(rig.camera("cam2").T_camera_world[:3, 3], [0, 0.2, 0.11], atol=1e-15)
    assert "are in metres" in refused(KALIBR, "kalibr", "mm")[""][0]


@pytest.mark.parametrize(
    ("old", "new", "camera", "why"),
    [
        (b"camera_model: pinhole", b"camera_model: omni", "cam0", "'omni'"),
        (b"distortion_model: radtan", b"distortion_model: fov", "cam0", "'fov'"),
        (b"[460.0, 459.0, 366.5, 249.5]", b"[460.0, 459.0]", "cam0", "intrinsics is"),
        (b"cam1:", b"cam3:", "", "without a gap"),
        (b"  T_cn_cnm1:\n  - [1.0", b"  T_other:\n  - [1.0", "cam1", "T_cn_cnm1 is missing"),
        (b"- [1.0, 0.0, 0.0, -0.11]", b"- [2.0, 0.0, 0.0, -0.11]", "cam1", "rotation"),
        (b"-0.11]", b".nan]", "cam1", "not finite"),
        (b"cam0:", b"cam0: &a\n  cam_x: *a", "", "alias"),
        (b"rostopic: /cam0", b"rostopic: !!python/object/apply:os.system [ls] #", "", "tag"),
    ],
)
def test_what_is_wrong_with_a_camchain_is_said(old: bytes, new: bytes, camera: str, why: str) -> None:
    assert old in KALIBR
    assert any(why in reason for reason in refused(KALIBR.replace(old, new, 1), "kalibr")[camera])


def test_multical() -> None:
    rig = parse_calibration(json.dumps(MULTICAL).encode(), "multical", "m")
    assert rig.camera_ids == ("left", "right")
    assert (rig.camera("left").width, rig.camera("left").height) == (2000, 1500)
    np.testing.assert_array_equal(rig.camera("right").distortion, [0.1, 0, 0, 0, 0])
    np.testing.assert_array_equal(rig.camera("right").T_camera_world[:3, 3], [-0.05, 0, 0])
    chained = json.loads(json.dumps(MULTICAL))
    chained["camera_poses"]["left"]["T"] = [1, 0, 0]
    assert "not the world itself" in refused(json.dumps(chained).encode(), "multical", "m")["right"][0]
    del chained["camera_poses"]
    assert "intrinsics only" in refused(json.dumps(chained).encode(), "multical", "m")[""][0]
    tilted = json.loads(json.dumps(MULTICAL))
    tilted["cameras"]["left"]["dist"] = [0.1] * 14
    assert "tilt of 0.1" in refused(json.dumps(tilted).encode(), "multical", "m")["left"][0]


def test_hanco() -> None:
    rig = parse_calibration(json.dumps(HANCO).encode(), "hanco", size=(224, 224))
    assert rig.camera_ids == ("cam0", "cam1")
    assert "give size" in refused(json.dumps(HANCO).encode(), "hanco")[""][0]
    assert "one matrix a camera" in refused(json.dumps({**HANCO, "M": []}).encode(), "hanco", size=(224, 224))[""][0]
    bad = json.dumps({**HANCO, "M": [np.eye(4).tolist(), np.diag([1.0, 1, -1, 1]).tolist()]}).encode()
    assert list(refused(bad, "hanco", size=(224, 224))) == ["cam1"]


def test_opencvs_multi_view_sample() -> None:
    storage = cv2.FileStorage("o.yml", cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY | cv2.FILE_STORAGE_FORMAT_YAML)
    intrinsics = np.array([[500.0, 0, 320], [0, 501, 240], [0, 0, 1]])
    storage.write("Ks", np.array([intrinsics, intrinsics]))
    storage.write("distortions", np.array([[[0.1, 0, 0, 0, 0.0]], [[0, 0.2, 0, 0, 0.0]]]))
    storage.write("rvecs", np.array([np.zeros((3, 1)), [[0.0], [np.pi / 2], [0.0]]]))
    storage.write("Ts", np.array([np.zeros((3, 1)), [[100.0], [0.0], [0.0]]]))
    storage.write("image_sizes", np.array([(640, 480), (640, 480)]))
    storage.write("is_fisheye", np.array([0, 0], dtype=int))
    storage.write("errors_per_frame", np.zeros((2, 7)))
    storage.write("cam_ids", "1,2")
    data = storage.releaseAndGetString().encode()
    rig = parse_calibration(data, "opencv", "mm")
    assert rig.camera_ids == ("cam1", "cam2")
    np.testing.assert_array_equal(rig.cameras[1].distortion, [0, 0.2, 0, 0, 0])
    np.testing.assert_allclose(rig.cameras[1].center_world, -rig.cameras[1].T_camera_world[:3, :3].T @ [0.1, 0, 0])
    assert "carry no unit" in refused(data, "opencv")[""][0]
    assert "neither 'cameras' nor 'Ks'" in refused(b"%YAML:1.0\n---\nM1: 3\n", "opencv")[""][0]
    assert "rvecs has 6 numbers; 1 cameras need 3" in str(refused(_one_camera(data), "opencv", "m"))


def _one_camera(data: bytes) -> bytes:
    """Take the second camera out of `Ks` alone."""
    head, ks, rest = data.partition(b"distortions:")[0], b"distortions:", data.partition(b"distortions:")[2]
    text = head.decode()
    numbers = text[text.index("[") + 1 : text.index("]")].split(",")
    shorter = text.replace("rows: 2", "rows: 1")[: text.index("[") + 1] + ",".join(numbers[:9]) + " ]\n"
    return shorter.encode() + ks + rest


def write_colmap(folder: Path, cameras: str, images: str) -> Path:
    folder.mkdir()
    (folder / "cameras.txt").write_text(cameras)
    (folder / "images.txt").write_text(images)
    return folder


def test_colmap_counts_pixels_from_the_corner(tmp_path: Path) -> None:
    folder = write_colmap(
        tmp_path / "model",
        "# a comment\n1 SIMPLE_RADIAL 640 480 500 320 240 0.1\n2 FULL_OPENCV 640 480 500 501 320 240 1 2 3 4 5 6 7 8\n"
        "3 SIMPLE_PINHOLE 640 480 500 320 240\n4 RADIAL_FISHEYE 640 480 500 320 240 0.1 0.2\n",
        "# a comment\n1 1 0 0 0 0 0 2 1 left.jpg\n10.0 20.0 -1 30.0 40.0 7\n"
        "2 0 0 1 0 1 0 2 2 right/0001.png\n\n3 1 0 0 0 0 0 0 3 c.d.png\n\n4 1 0 0 0 0 0 0 4 e\n",
    )
    rig = load_calibration(folder, "colmap", "cm")
    assert rig.camera_ids == ("left", "right", "c.d", "e")
    left, right, _, fisheye = rig
    np.testing.assert_array_equal(left.K, [[500, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])
    np.testing.assert_array_equal(left.distortion, [0.1, 0, 0, 0, 0])
    np.testing.assert_array_equal(right.distortion, [1, 2, 3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(fisheye.distortion, [0.1, 0.2, 0, 0])
    np.testing.assert_allclose(right.T_camera_world[:3], [[-1, 0, 0, 0.01], [0, 1, 0, 0], [0, 0, -1, 0.02]], atol=1e-15)


@pytest.mark.parametrize(
    ("cameras", "images", "camera", "why"),
    [
        ("1 THIN_PRISM_FISHEYE 640 480 1 1 1", "1 1 0 0 0 0 0 0 1 a.png", "a", "cannot be used"),
        ("1 PINHOLE 640 480 1 1 1", "1 1 0 0 0 0 0 0 1 a.png", "a", "takes 4 finite numbers"),
        ("1 PINHOLE 640 480 500 500 320 nan", "1 1 0 0 0 0 0 0 1 a.png", "a", "takes 4 finite numbers"),
        ("1 PINHOLE 640 480 500 500 320 240", "1 1 1 0 0 0 0 0 1 a.png", "a", "unit one"),
        ("1 PINHOLE 640 480 500 500 320 240", "1 1 0 0 0 0 0 0 2 a.png", "a", "not in cameras.txt"),
        ("1 PINHOLE 640 480 500 500 320 240", "1 1 0 0 0 0 0 0 1 a.png\n\n2 1 0 0 0 0 0 0 1 a/1.png", "a", "more than"),
        ("1 PINHOLE 640 480 500 500 320 240", "1 1 0 0", "image 1", "has 4 words"),
        ("1 PINHOLE 640 480 500 500 320 240", "", "", "lists no picture"),
        ("1 PINHOLE 6.5 480 500 500 320 240", "1 1 0 0 0 0 0 0 1 a.png", "a", "whole numbers"),
    ],
)
def test_what_is_wrong_with_a_colmap_model_is_said(
    tmp_path: Path, cameras: str, images: str, camera: str, why: str
) -> None:
    folder = write_colmap(tmp_path / "model", cameras, images)
    with pytest.raises(CalibrationError) as caught:
        load_calibration(folder, "colmap", "m")
    assert any(why in reason for reason in caught.value.reasons[camera])


def write_dexycb(folder: Path) -> Path:
    (folder / "extrinsics_x").mkdir(parents=True)
    (folder / "intrinsics").mkdir()
    (folder / "extrinsics_x" / "extrinsics.yml").write_text(
        "extrinsics:\n  '836212060125':\n  - 0.0\n  - -1.0\n  - 0.0\n  - 0.3\n  - 1.0\n  - 0.0\n  - 0.0\n  - 0.1\n"
        "  - 0.0\n  - 0.0\n  - 1.0\n  - 0.0\n  '840412060917': [1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0]\n"
        "  apriltag: [1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0]\nmaster: '840412060917'\n"
    )
    for serial in ("836212060125", "840412060917"):
        (folder / "intrinsics" / f"{serial}_640x480.yml").write_text(
            "color: {fx: 613.8, fy: 614.0, ppx: 313.5, ppy: 236.7}\ndepth: {fx: 380}\n"
        )
    return folder / "extrinsics_x" / "extrinsics.yml"


def test_dexycb_goes_from_camera_to_world(tmp_path: Path) -> None:
    path = write_dexycb(tmp_path)
    rig = load_calibration(path, "dexycb")
    assert rig.camera_ids == ("836212060125", "840412060917")
    np.testing.assert_allclose(rig.cameras[0].center_world, [0.3, 0.1, 0])
    assert (rig.cameras[0].width, rig.cameras[0].height) == (640, 480)
    assert load_calibration(path.parent, "dexycb").id == rig.id
    with pytest.raises(CalibrationError, match="intrinsics for 640x480"):
        load_calibration(path, "dexycb", size=(1280, 720))
    (tmp_path / "intrinsics" / "836212060125_640x480.yml").unlink()
    with pytest.raises(CalibrationError, match="camera '836212060125': intrinsics/ has intrinsics for none"):
        load_calibration(path, "dexycb")


def write_easymocap(folder: Path, sizes: bool) -> Path:
    folder.mkdir()
    intrinsics = '%YAML:1.0\r\n---\r\nnames:\r\n  - "1"\r\n  - "2"\r\n'
    extrinsics = intrinsics

    def block(key: str, rows: int, cols: int, *values: float) -> str:
        return (
            f"{key}: !!opencv-matrix\r\n  rows: {rows}\r\n  cols: {cols}\r\n  dt: d\r\n"
            f"  data: [{', '.join(f'{v:.6f}' for v in values)}]\r\n"
        )

    for name in ("1", "2"):
        intrinsics += block(f"K_{name}", 3, 3, 500, 0, 320, 0, 500, 240, 0, 0, 1)
        intrinsics += block(f"dist_{name}", 1, 5, 0.1, 0, 0, 0, 0)
        if sizes:
            intrinsics += f"H_{name}: 480\r\nW_{name}: 640\r\n"
        extrinsics += block(f"R_{name}", 3, 1, 0, 0, np.pi / 2) + block(f"Rot_{name}", 3, 3, 0, -1, 0, 1, 0, 0, 0, 0, 1)
        extrinsics += block(f"T_{name}", 3, 1, int(name), 0, 3)
    (folder / "intri.yml").write_bytes(intrinsics.encode())
    (folder / "extri.yml").write_bytes(extrinsics.encode())
    return folder


def test_easymocap(tmp_path: Path) -> None:
    rig = load_calibration(write_easymocap(tmp_path / "new", sizes=True), "easymocap", "m")
    assert rig.camera_ids == ("1", "2")
    np.testing.assert_allclose(
        rig.camera("2").T_camera_world[:3], [[0, -1, 0, 2], [1, 0, 0, 0], [0, 0, 1, 3]], atol=1e-6
    )
    old = write_easymocap(tmp_path / "old", sizes=False)
    with pytest.raises(CalibrationError, match="give size"):
        load_calibration(old, "easymocap", "m")
    assert load_calibration(old, "easymocap", "m", size=(640, 480)).id == rig.id
    with pytest.raises(CalibrationError, match="the file says 640x480"):
        load_calibration(tmp_path / "new", "easymocap", "m", size=(320, 240))
    text = (old / "extri.yml").read_text().replace("0.000000, -1.000000", "0.000000, 1.000000", 1)
    (old / "extri.yml").write_text(text)
    with pytest.raises(CalibrationError, match="two different rotations"):
        load_calibration(old, "easymocap", "m", size=(640, 480))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [" * 40, "deeper than"),
        ("a: &x [1]\nb: *x", "alias"),
        ("--- 1\n--- 2", "more than one YAML document"),
        ("a: 1\na: 2", "more than once"),
        ("? [a]\n: b", "a key is a list"),
        ("a: !!python/name:os.system", "tag"),
        ("a: [1, 2", "not YAML"),
        ("[" + "1," * (MAX_NODES + 1) + "]", "more than"),
    ],
)
def test_yaml_is_plain_values_only(text: str, why: str) -> None:
    with pytest.raises(CalibrationError, match=why):
        parse_yaml(text)


def test_yaml_scalars_are_what_they_look_like() -> None:
    text = "a: 1e-5\nb: '7'\nc: 012\nd: yes\ne: true\nf: ~\ng: -.inf\n8: 1.\n"
    expected = {"a": 1e-5, "b": "7", "c": 12, "d": "yes", "e": True, "f": None, "g": float("-inf"), "8": 1.0}
    assert parse_yaml(text) == expected


@pytest.mark.parametrize("format", ["colmap", "dexycb", "easymocap", "handpose3d"])
def test_what_is_several_files_cannot_be_one(format: str) -> None:
    assert "more than one file; convert it" in refused(b"", format, "m")[""][0]


def test_a_pickle_is_named_and_never_opened() -> None:
    for format in ("usthand", "opencv", "anipose", "kalibr", "multical"):
        assert (
            "never read"
            in refused(b"\x80\x04\x95N.", format, "m" if format in ("anipose", "multical") else None)[""][0]
        )


OWN = json.dumps({"schema": "usthand.calibration/1", "units": "m", "cameras": [{"id": "a", "K": [[1] * 3] * 3}] * 8})


@pytest.mark.parametrize(
    ("data", "format", "why"),
    [
        (OWN, "opencv", "looks like usthand's JSON, not like opencv's; give format=usthand"),
        (OWN, "anipose", "looks like usthand's JSON, not like anipose's; give format=usthand"),
        (ANIPOSE.decode(), "usthand", "looks like anipose's TOML, not like usthand's; give format=anipose"),
        ("# a remark\n\n" + ANIPOSE.decode(), "kalibr", "give format=anipose"),
        ("[cameras.0]\ncam_id = 0\n", "anipose", "give format=caliscope"),
        ('title = "rig"\n', "usthand", "looks like TOML, .* give format=anipose or format=caliscope"),
        (KALIBR.decode(), "usthand", "looks like kalibr's YAML, not like usthand's; give format=kalibr"),
        ("%YAML:1.0\n---\nKs: 1\n", "usthand", "looks like opencv's YAML, not like usthand's; give format=opencv"),
        ('{"cameras": {}, "camera_poses": {}}', "usthand", "give format=multical"),
        ('{"K": [], "M": []}', "usthand", "give format=hanco"),
    ],
)
def test_a_file_of_another_format_is_called_so_and_nothing_else(data: str, format: str, why: str) -> None:
    with pytest.raises(CalibrationError, match=why) as caught:
        parse_calibration(data.encode(), format, None if format in ("opencv", "usthand", "kalibr") else "m")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("data", "format"),
    [(OWN, "usthand"), ('{"cameras": []}', "opencv"), ("[cam_0]\nname = 1\n", "anipose"), ("?", "usthand")],
)
def test_a_file_that_may_be_of_the_format_keeps_its_own_reasons(data: str, format: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        parse_calibration(data.encode(), format, "m")
    assert "looks like" not in str(caught.value)
