"""`usthand calibrate` from end to end: a small rig films a board, and the calibration is the rig's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from numpy.typing import NDArray
from typer.testing import CliRunner

from calibration import Rig
from calibration.boards import parse_board
from calibration.files import load_calibration
from calibration.solving.judging import PLACE_NAMES
from calibration.solving.projection import LENS_NAMES
from server.commands.calibrate import app
from tests.calibration.boards.rigs import board_path, film, small_rig

SPEC = "charuco:4x5:0.05:DICT_4X4_1000"


def usthand_calibrate(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def truth() -> Rig:
    return small_rig(2)


@pytest.fixture(scope="module")
def rig_file(truth: Rig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    board = parse_board(SPEC)
    return film(board, truth, board_path(board, truth, 40), tmp_path_factory.mktemp("filmed"))


@pytest.fixture(scope="module")
def calibrated(rig_file: Path) -> tuple[Result, Path, Path]:
    out, report = rig_file.parent / "calibration.json", rig_file.parent / "report"
    options = ("--rig", rig_file, "--board", SPEC, "--out", out, "--report", report, "--model", "brown-conrady-5")
    return usthand_calibrate(*options), out, report


def test_the_calibration_is_that_of_the_rig_which_filmed(calibrated: tuple[Result, Path, Path], truth: Rig) -> None:
    result, out, _ = calibrated
    assert result.exit_code == 0, result.output
    rig = load_calibration(out)
    assert rig.camera_ids == truth.camera_ids
    for camera, true in zip(rig, truth, strict=True):
        assert np.linalg.norm(camera.center_world - true.center_world) < 3e-3
        turn = cv2.Rodrigues(camera.T_camera_world[:3, :3] @ true.T_camera_world[:3, :3].T)[0]
        assert np.degrees(np.linalg.norm(turn)) < 0.4
        assert camera.K[0, 0] == pytest.approx(true.K[0, 0], rel=0.01)
    # What counts in the end: where points of the volume are seen.
    points = np.stack(np.meshgrid([-0.1, 0.1], [-0.1, 0.1], [0.5, 0.65]), axis=-1).reshape(-1, 3)
    assert np.linalg.norm(rig.project(points) - truth.project(points), axis=-1).max() < 1.0


def test_the_report_tells_what_held_out_frames_say(calibrated: tuple[Result, Path, Path], truth: Rig) -> None:
    result, out, folder = calibrated
    content = json.loads((folder / "report.json").read_text())
    assert content["verdict"] in ("good", "usable")
    assert content["calibration_id"] == load_calibration(out).id
    assert content["frame_sets"]["read"] == 40
    assert content["held_out"]["rms_px"] < 0.3
    assert abs(content["held_out"]["neighbour_median_mm"]) < 0.2
    assert content["weakest_camera"] in truth.camera_ids
    for camera in content["cameras"]:
        assert camera["sights"] + sum(camera["refused"].values()) == 40
        # Both were filmed at the same times.
        assert abs(camera["late_ms"]) < 5
        for picture in ("coverage", "residuals"):
            assert cv2.imread(str(folder / f"{picture}-{camera['id']}.png")).shape[1] == 640
    page = (folder / "report.md").read_text()
    assert f"verdict: {content['verdict']}" in page
    assert "coverage-cam1.png" in page
    assert f"verdict: {content['verdict']}" in result.stderr


def test_a_board_of_another_size_is_seen_with_a_tape(calibrated: tuple[Result, Path, Path], truth: Rig) -> None:
    result, _, folder = calibrated
    longest = json.loads((folder / "report.json").read_text())["longest_baseline"]
    between = np.linalg.norm(truth.cameras[0].center_world - truth.cameras[1].center_world)
    assert longest["cameras"] == ["cam0", "cam1"]
    assert longest["m"] == pytest.approx(between, abs=3e-3)
    assert f"from cam0 to cam1: {1000 * longest['m']:.0f} mm between the lenses; check it with a tape" in result.stderr


def test_every_number_is_told_with_how_well_it_is_known(calibrated: tuple[Result, Path, Path]) -> None:
    _, out, folder = calibrated
    first, second = (camera["numbers"] for camera in json.loads((folder / "report.json").read_text())["cameras"])
    assert list(first) == [*LENS_NAMES["brown-conrady"][:9], *PLACE_NAMES]
    assert second["fx"]["value"] == pytest.approx(load_calibration(out).cameras[1].K[0, 0], abs=1e-5)
    assert 0.01 < second["fx"]["sigma"] < 5
    # The first camera's place is where all others are measured from.
    assert first["x"] == {"value": 0.0, "sigma": 0.0}
    assert 0 < second["x"]["sigma"] < 3e-3


def test_detections_are_kept_and_the_lenses_can_be_held(calibrated: tuple[Result, Path, Path], rig_file: Path) -> None:
    _, lenses, folder = calibrated
    out = rig_file.parent / "floor.json"
    videos = [path.rename(path.with_suffix(".gone")) for path in sorted(rig_file.parent.glob("*.avi"))]
    try:
        # Without the videos the kept detections are of other files: they are not used.
        gone = usthand_calibrate("--rig", rig_file, "--board", SPEC, "--out", out, "--report", folder)
        assert gone.exit_code != 0
    finally:
        for path in videos:
            path.rename(path.with_suffix(".avi"))
    before = (folder / "detections.npz").stat().st_mtime_ns
    options = ("--rig", rig_file, "--board", SPEC, "--out", out, "--report", folder)
    result = usthand_calibrate("extrinsics", *options, "--lenses", lenses, "--world", "floor")
    assert result.exit_code == 0, result.output
    assert (folder / "detections.npz").stat().st_mtime_ns == before
    placed, given = load_calibration(out), load_calibration(lenses)
    for camera, other in zip(placed, given, strict=True):
        np.testing.assert_allclose(camera.K, other.K)
        # The board lies on the floor and the cameras see its face: they are above it.
        assert camera.center_world[2] > 0.3
    lengths = [np.linalg.norm(rig.cameras[0].center_world - rig.cameras[1].center_world) for rig in (placed, given)]
    assert lengths[0] == pytest.approx(lengths[1], abs=2e-3)


def test_lenses_alone(rig_file: Path, truth: Rig) -> None:
    out = rig_file.parent / "lenses.json"
    options = ("--rig", rig_file, "--board", SPEC, "--out", out, "--report", rig_file.parent / "report")
    result = usthand_calibrate("intrinsics", *options, "--model", "fisheye")
    assert result.exit_code == 0, result.output
    for camera, true in zip(load_calibration(out), truth, strict=True):
        assert camera.model == "fisheye"
        assert camera.K[0, 0] == pytest.approx(true.K[0, 0], rel=0.02)
        np.testing.assert_allclose(camera.T_camera_world, np.eye(4))


def test_of_long_footage_a_part_is_enough(rig_file: Path) -> None:
    options = ("--rig", rig_file, "--board", SPEC, "--out", rig_file.parent / "part.json", "--every", "4")
    result = usthand_calibrate("intrinsics", *options, "--model", "brown-conrady-5")
    assert result.exit_code == 0, result.output
    assert "in 10 frame sets" in result.stderr


def test_a_board_that_is_not_there_is_said_with_what_is(rig_file: Path) -> None:
    out = rig_file.parent / "never.json"
    result = usthand_calibrate("--rig", rig_file, "--board", "charuco:4x5:0.05:DICT_5X5_100", "--out", out)
    assert result.exit_code != 0
    assert "markers of DICT_4X4 were seen" in str(result.exception)
    assert "'cam0'" in str(result.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda image: cv2.GaussianBlur(image, (0, 0), 5.0),
            ("px wide, more than 7: focus the camera, hold the board still",),
        ),
        (lambda image: np.full_like(image, 90), ("no-board: 8", "hold the board where this camera sees it, or leave")),
        (lambda image: np.ascontiguousarray(image[:, ::-1]), ("mirroring off, or print the board again",)),
    ],
    ids=["blurred", "never seen", "mirrored"],
)
def test_a_camera_without_a_sight_is_named_with_what_to_do(
    rig_file: Path, tmp_path: Path, spoil: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], said: tuple[str, ...]
) -> None:
    for name, change in (("cam0", lambda image: image), ("cam1", spoil)):
        video = cv2.VideoCapture(str(rig_file.parent / f"{name}.avi"))
        (tmp_path / name).mkdir()
        for number in range(8):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), change(video.read()[1]))
        video.release()
    cameras = "".join(f"  - {{id: {i}, source: {{type: images, path: {i}, fps: 10}}}}\n" for i in ("cam0", "cam1"))
    (tmp_path / "rig.yaml").write_text(f"name: spoilt\ncameras:\n{cameras}")
    result = usthand_calibrate("--rig", tmp_path / "rig.yaml", "--board", SPEC, "--out", tmp_path / "c.json")
    assert result.exit_code != 0
    for words in ("camera 'cam1'", *said):
        assert words in str(result.exception)
    assert "cam0" not in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--rig", "rig.yaml"), "--board, --out"),
        (("--rig", "rig.yaml", "--board", SPEC, "--out", "c.json", "--model", "pinhole"), "brown-conrady-8"),
        (("--rig", "rig.yaml", "--board", "dots:4x5", "--out", "c.json"), "'dots'"),
        (("board", SPEC, "--out", "board.pdf", "--paper", "b5"), "'b5'"),
        (("board", "charuco:4x5:0.054:DICT_4X4_1000", "--out", "board.pdf"), "--paper a3"),
    ],
)
def test_wrong_options_are_named(arguments: tuple[str, ...], named: str) -> None:
    result = usthand_calibrate(*arguments)
    assert result.exit_code != 0
    assert named in result.output + str(result.exception)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--out", "{folder}"), "is a folder; give the name of a file in it"),
        (("--out", "{folder}/none/c.json"), "make it first"),
        (("--out", "{folder}/c.json", "--report", "{folder}/rig.yaml"), "rig.yaml is a file; give a folder"),
        (("--out", "{folder}/c.json", "--world", "flor"), "world 'flor' is not known; use board, floor"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(
    rig_file: Path, options: tuple[str, ...], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.calibrating.calibrate.find_board", lambda *_: pytest.fail("the footage was read"))
    own = (option.format(folder=rig_file.parent) for option in options)
    result = usthand_calibrate("--rig", rig_file, "--board", SPEC, *own)
    assert result.exit_code != 0
    assert named in str(result.exception)


def test_a_board_is_printed(tmp_path: Path) -> None:
    result = usthand_calibrate("board", f"{SPEC}:two-sided", "--out", tmp_path / "board.pdf", "--paper", "A3")
    assert result.exit_code == 0, result.output
    assert "2 page(s)" in result.stderr
    assert (tmp_path / "board.pdf").read_bytes().startswith(b"%PDF")
