"""`usthand synth` writes a sequence that the rest of the system reads."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from calibration.files import load_calibration
from capture.rig_config import FileSource, load_rig, load_rig_config
from engine.synthetic import HandScene, make_rig
from server.commands.sources import footage
from server.commands.synth import synth

app = typer.Typer()
app.command()(synth)


def run(*arguments: str) -> object:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "made" / "here"
    run("--views", "2", "--frames", "4", "--hands", "2", "--seed", "3", "--out", str(out))
    return out


def test_the_folder_is_complete(sequence: Path) -> None:
    names = {path.name for path in sequence.iterdir()}
    assert names == {"rig.yaml", "calibration.json", "truth.jsonl", "cam0.avi", "cam1.avi"}


def test_rig_and_calibration_are_read_back(sequence: Path) -> None:
    config = load_rig_config(sequence / "rig.yaml")
    rig = load_rig(config)
    assert rig.id == make_rig(2, 3).id
    assert load_calibration(sequence / "calibration.json").id == rig.id
    assert config.up == "+z"


def test_served_it_begins_again_and_offline_it_ends(sequence: Path) -> None:
    config = load_rig_config(sequence / "rig.yaml")
    assert [camera.source.loop for camera in config.cameras if isinstance(camera.source, FileSource)] == [True, True]
    assert sum(1 for _ in footage(config, load_rig(config), limit=20)) == 4


def test_videos_show_the_scene(sequence: Path) -> None:
    scene, rig = HandScene(hands=2, seed=3), make_rig(2, 3)
    for camera in rig:
        video = cv2.VideoCapture(str(sequence / f"{camera.id}.avi"))
        assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(30.0)
        for index in range(4):
            ok, image = video.read()
            assert ok
            difference = np.abs(image.astype(int) - scene.render(camera, index))
            assert difference.mean() < 3.0
        assert not video.read()[0]
        video.release()


def test_truth_is_exact(sequence: Path) -> None:
    lines = [json.loads(line) for line in (sequence / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    scene = HandScene(hands=2, seed=3)
    assert [line["seq"] for line in lines] == [0, 1, 2, 3]
    for line in lines:
        assert (line["type"], line["v"]) == ("hands", 1)
        assert line["frame_set"]["views"] == ["cam0", "cam1"]
        truths = scene.truth(line["seq"])
        assert [(hand["id"], hand["side"], hand["confidence"]) for hand in line["hands"]] == [
            (0, "right", 1.0),
            (1, "left", 1.0),
        ]
        for hand, truth in zip(line["hands"], truths, strict=True):
            np.testing.assert_array_equal(hand["joints"], truth.joints_world)
            np.testing.assert_array_equal(hand["mano"]["pose"], truth.pose)
            np.testing.assert_array_equal(hand["mano"]["shape"], truth.shape)
            np.testing.assert_array_equal(hand["mano"]["translation"], truth.translation)
            assert np.shape(hand["orientations"]) == (21, 4)


def test_a_folder_with_something_in_it_is_left_alone(sequence: Path) -> None:
    before = (sequence / "truth.jsonl").read_bytes()
    with pytest.raises(ValueError, match="give another --out"):
        run("--views", "2", "--frames", "1", "--out", str(sequence))
    assert (sequence / "truth.jsonl").read_bytes() == before
