from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from calibration import CalibrationError, Camera, Rig
from calibration.files import load_calibration, save_calibration
from server.commands.rig import app

RIGS = Path(__file__).resolve().parents[2] / "rigs"


def usthand_rig(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(a) for a in arguments])


def write_images(folder: Path, size: tuple[int, int]) -> None:
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.zeros((size[1], size[0], 3), np.uint8))


@pytest.fixture
def rig_file(tmp_path: Path) -> Path:
    """A rig of two folders of pictures, whose cameras stand 3-4-5 apart and look at each other's left."""
    cameras = []
    for name, center in (("a", (0.0, 0.0, 0.0)), ("b", (0.3, 0.4, 0.0))):
        write_images(tmp_path / name, (64, 48))
        T = np.eye(4)
        T[:3, 3] = np.negative(center)
        K = np.array([[32, 0, 31.5], [0, 32, 23.5], [0, 0, 1.0]])
        cameras.append(Camera(name, 64, 48, K, T_camera_world=T))
    save_calibration(Rig(tuple(cameras)), tmp_path / "calibration.json")
    path = tmp_path / "rig.yaml"
    path.write_text(
        "name: test\ncameras:\n  - {id: a, source: {type: images, path: a}}\n"
        "  - {id: b, source: {type: images, path: b}}\ncalibration: calibration.json\n"
    )
    return path


def test_check_finds_nothing_wrong_with_a_sound_rig(rig_file: Path) -> None:
    result = usthand_rig("check", rig_file)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("64x48") == 4
    assert result.stdout.count("ok") == 2
    assert result.stderr == ""


def test_check_names_each_problem_in_a_line_of_its_own(rig_file: Path) -> None:
    folder = rig_file.parent
    (folder / "a" / "0.png").unlink()
    (folder / "a").rmdir()
    (folder / "b" / "0.png").unlink()
    (folder / "b").rmdir()
    write_images(folder / "b", (32, 24))
    result = usthand_rig("check", rig_file)
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith("error: camera 'a': image folder ")
    assert "No such file" in first
    assert "is 32x24, but the calibration is for 64x48; calibrate at the size that is recorded" in second


def test_check_lists_every_reason_of_a_bad_calibration_and_still_looks_at_the_sources(rig_file: Path) -> None:
    path = rig_file.with_name("calibration.json")
    content = json.loads(path.read_text())
    content["cameras"][0]["width"] = 0
    content["cameras"][1]["distortion"] = [0.1]
    path.write_text(json.dumps(content))
    result = usthand_rig("check", rig_file)
    assert result.exit_code == 1
    assert [line.split(": ")[1:3] for line in result.stderr.splitlines()] == [
        [f"calibration {path}", "camera 'a'"],
        [f"calibration {path}", "camera 'b'"],
    ]
    assert result.stdout.count("none") == 2


def test_check_says_which_camera_the_calibration_lacks(rig_file: Path) -> None:
    rig_file.write_text(rig_file.read_text().replace("id: b", "id: c"))
    result = usthand_rig("check", rig_file)
    assert result.exit_code == 1
    assert "lacks camera c" in result.stderr


@pytest.mark.parametrize(
    ("source", "state"),
    [
        ("{type: synthetic}", "rendered"),
        ("{type: opencv, device: 'rtsp://user:pass@192.0.2.1/stream'}", "opencv rtsp://192.0.2.1/..."),
        ("{type: opencv, device: 'rtsp://192.0.2.1/stream'}", "not looked at"),
        ("{type: opencv, device: 987654}", "problem"),
        ("{type: opencv, device: /dev/null, width: 64, height: 48}", "not opened"),
        ("{type: file, path: absent.mp4}", "problem"),
    ],
)
def test_check_looks_at_every_kind_of_source_without_starting_it(rig_file: Path, source: str, state: str) -> None:
    rig_file.write_text(rig_file.read_text().replace("{type: images, path: a}", source))
    result = usthand_rig("check", rig_file)
    assert state in result.stdout
    assert result.exit_code == (1 if state == "problem" else 0)


def test_show_tells_lenses_places_and_baselines(rig_file: Path) -> None:
    result = usthand_rig("show", rig_file)
    assert result.exit_code == 0, result.output
    for part in ("world unit: metre", "brown-conrady", "32.0 32.0", "90.0 x 73.7", "+0.300 +0.400 +0.000", "0.500"):
        assert part in result.stdout, part
    assert "come closest" not in result.stdout  # the axes are parallel
    assert usthand_rig("show", rig_file.with_name("calibration.json")).exit_code == 0


def test_a_calibration_of_another_format_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "camera_array.toml"
    path.write_text("[cameras.0]\ncam_id = 0\nsize = [1280, 720]\nmatrix = [[1.0]]\n")
    result = usthand_rig("show", path)
    assert result.exit_code == 1
    assert "it looks like caliscope's TOML, not like usthand's; give format=caliscope" in str(result.exception)


def test_convert_writes_the_same_rig(caliscope_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = usthand_rig("convert", caliscope_file, "--format", "caliscope", "--units", "m", "--out", out)
    assert result.exit_code == 0, result.output
    assert load_calibration(out).id == load_calibration(caliscope_file, "caliscope").id
    assert json.loads(out.read_text())["source"] == "caliscope: camera_array.toml"


def test_convert_refuses_what_it_would_have_to_guess(caliscope_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    for arguments in (("caliscope", "--units", "mm"), ("handpose3d",), ("handpose3d", "--units", "mm")):
        result = usthand_rig("convert", caliscope_file, "--out", out, "--format", *arguments)
        assert isinstance(result.exception, CalibrationError)
    for size in ("720", "0x720", "720x", "ax5"):
        result = usthand_rig("convert", caliscope_file, "--out", out, "--format", "handpose3d", "--size", size)
        assert result.exit_code == 2
        assert "WIDTHxHEIGHT" in result.stderr
    assert not out.exists()


@pytest.fixture
def caliscope_file(tmp_path: Path) -> Path:
    path = tmp_path / "camera_array.toml"
    path.write_text(
        "[cameras.0]\ncam_id = 0\nsize = [640, 480]\nmatrix = [[500, 0, 320], [0, 500, 240], [0, 0, 1]]\n"
        "distortions = [-0.3, 0.05, 0, 0, 0]\ntranslation = [0.1, 0.2, 0.7]\nrotation = [0.1, 0.2, 0.3]\n"
    )
    return path


@pytest.mark.footage
@pytest.mark.parametrize("name", ["desk2", "room4"])
def test_the_footage_rigs_are_sound(footage_dir: Path, name: str) -> None:
    result = usthand_rig("check", RIGS / f"{name}.yaml")
    assert result.exit_code == 0, result.output


def test_names_with_brackets_are_said_as_they_are(rig_file: Path, tmp_path: Path) -> None:
    rig_file.write_text(rig_file.read_text().replace("name: test", "name: 'desk [/left] [old]'"))
    for command in ("check", "show"):
        result = usthand_rig(command, rig_file)
        assert result.exit_code == 0, result.output
        assert "desk [/left] [old]" in result.stdout
    out = tmp_path / "take [old][" / "]" / "calibration.json"
    out.parent.mkdir(parents=True)
    result = usthand_rig("convert", tmp_path / "calibration.json", "--format", "usthand", "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{out}: 2 cameras" in result.stdout.replace("\n", "")
