"""`usthand calibrate refine` as people run it; on footage whose second camera is turned by a degree halfway."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from calibration.files import load_calibration, save_calibration
from calibration.refining import RefineError
from capture.rig_config import load_rig, load_rig_config
from engine.synthetic.rigs import make_rig
from server.commands.calibrate_refine import refine
from tests.calibration.drift.support import apart_deg, turned

RIGS = Path(__file__).resolve().parents[2] / "rigs"
TURN = np.radians([0.6, -0.8, 0.2])
BUMP_AT = 100


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(refine)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def _turn_video(source: Path, target: Path, camera, turn_rad, from_frame: int) -> None:
    """Copy a video, its pictures turned from a frame on."""
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float64)
    rays = np.dstack([camera.unproject(np.dstack([columns, rows])), np.ones(rows.shape)])
    maps = np.nan_to_num(camera.project_camera(rays @ cv2.Rodrigues(turn_rad)[0]), nan=-1e4).astype(np.float32)
    video = cv2.VideoCapture(str(source))
    size = (camera.width, camera.height)
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), video.get(cv2.CAP_PROP_FPS), size)
    number = 0
    while True:
        good, image = video.read()
        if not good:
            break
        if number >= from_frame:
            image = cv2.remap(image, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        writer.write(image)
        number += 1
    writer.release()
    video.release()
    assert number > from_frame


@pytest.mark.slow
@pytest.mark.footage
def test_a_bump_in_the_footage_is_found_and_repaired(run, footage_dir, tmp_path):
    rig = load_rig(load_rig_config(RIGS / "desk2.yaml"))
    _turn_video(footage_dir / "desk2/cam1.mp4", tmp_path / "cam1.mp4", rig.camera("cam1"), TURN, BUMP_AT)
    desk = json.dumps(str(footage_dir / "desk2"))
    (tmp_path / "rig.yaml").write_text(
        "name: bumped\nmax_skew_ms: 8\ncameras:\n"
        f"  - id: cam0\n    source: {{type: file, path: {footage_dir / 'desk2/cam0.mp4'}}}\n"
        "  - id: cam1\n    source: {type: file, path: cam1.mp4}\n"
        f"calibration: {{path: {desk}, format: handpose3d, units: 0.0435, size: [720, 720]}}\n"
    )
    out, report = tmp_path / "calibration.json", tmp_path / "report"
    done = run("--rig", tmp_path / "rig.yaml", "--out", out, "--report", report)
    assert done.exit_code == 0, done.output
    repaired = load_calibration(out)
    assert apart_deg(repaired, turned(rig, "cam1", TURN), "cam1") < 0.15
    assert np.array_equal(repaired.camera("cam0").T_camera_world, rig.camera("cam0").T_camera_world)
    told = json.loads((report / "refine.json").read_text())
    assert [moved["camera"] for moved in told["moved"]] == ["cam1"]
    assert told["moved"][0]["seen_in_background"] is True
    assert told["held_out"]["after"]["cam1"]["rms_px"] < told["held_out"]["before"]["cam1"]["rms_px"]


def test_footage_in_which_nothing_moved_is_left_alone(run, footage_dir, tmp_path):
    out = tmp_path / "calibration.json"
    done = run("--rig", RIGS / "desk2.yaml", "--out", out, "--limit", 140)
    assert isinstance(done.exception, RefineError)
    assert "neither the pictures nor the hands say" in str(done.exception)
    assert not out.exists()


def test_what_is_asked_for_must_be_there(run, tmp_path):
    both = run("--out", tmp_path / "c.json")
    assert both.exit_code == 2
    assert "--recording" in both.output
    desk = tmp_path / "rig.yaml"
    save_calibration(make_rig(2, 2, 64, 48), tmp_path / "calibration.json")
    sources = "".join(f"  - {{id: cam{i}, source: {{type: file, path: cam{i}.mp4}}}}\n" for i in (0, 1))
    desk.write_text(f"name: desk\ncameras:\n{sources}calibration: calibration.json\n")
    unknown = run("--rig", desk, "--out", tmp_path / "c.json", "--cameras", "cam7")
    assert unknown.exit_code == 2
    assert "there is no camera 'cam7'; there are cam0, cam1" in " ".join(unknown.output.replace("│", " ").split())
    # Said before the footage, which is not there, is looked for.
    nowhere = run("--rig", desk, "--out", tmp_path / "none" / "c.json")
    assert "make it first" in str(nowhere.exception)


@pytest.mark.slow
@pytest.mark.footage
def test_a_calibration_that_was_turned_is_repaired_by_the_one_before(run, footage_dir, tmp_path):
    rig = load_rig(load_rig_config(RIGS / "desk2.yaml"))
    save_calibration(turned(rig, "cam0", TURN), tmp_path / "turned.json")
    (tmp_path / "rig.yaml").write_text(
        "name: turned\nmax_skew_ms: 8\ncameras:\n"
        + "".join(
            f"  - id: {c}\n    source: {{type: file, path: {footage_dir / f'desk2/{c}.mp4'}}}\n" for c in rig.camera_ids
        )
        + "calibration: turned.json\n"
    )
    out = tmp_path / "calibration.json"
    done = run("--rig", tmp_path / "rig.yaml", "--out", out, "--before", RIGS / "desk2.yaml")
    assert done.exit_code == 0, done.output
    assert apart_deg(load_calibration(out), rig, "cam0") < 0.15
