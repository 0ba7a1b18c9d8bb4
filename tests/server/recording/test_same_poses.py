"""What was recorded losslessly is tracked to the same poses again, by the engine itself."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import Rig
from calibration.files import save_calibration
from capture import CaptureSession
from capture.recording import Pictures, Recording
from capture.rig_config import RigConfig, load_rig, load_rig_config
from engine.factory import open_engine
from engine.synthetic.rigs import make_rig
from engine.synthetic.scene import HandScene
from engine.types import HandPose
from server.offline import solve_all
from server.recording.opening import RecordingOptions, open_recorder
from server.recording.sessions import record_lossless

FRAMES = 8


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered hands as a rig of image folders."""
    folder = tmp_path_factory.mktemp("footage")
    rig = make_rig(2, seed=7, width=320, height=240)
    scene = HandScene(hands=1, seed=7, rate_hz=30.0)
    save_calibration(rig, folder / "calibration.json")
    lines = ["name: footage", "cameras:"]
    for camera in rig:
        (folder / camera.id).mkdir()
        for i in range(FRAMES):
            cv2.imwrite(str(folder / camera.id / f"{i}.png"), scene.render(camera, i))
        lines.append(f"  - {{id: {camera.id}, source: {{type: images, path: {camera.id}, fps: 30}}}}")
    (folder / "rig.yaml").write_text("\n".join([*lines, "calibration: calibration.json"]))
    return folder


def opened(folder: Path) -> tuple[RigConfig, Rig]:
    config = load_rig_config(folder / "rig.yaml")
    return config, load_rig(config)


def answers(folder: Path) -> tuple[list[np.ndarray], list[tuple[HandPose, ...]]]:
    """All pictures of a rig `(F, V, H, W, 3)`, and all that the engine makes of them."""
    config, rig = opened(folder)
    engine = open_engine()
    pictures, hands = [], []
    with CaptureSession(config, rig, mode="lossless") as session:
        while not session.finished:
            frame_set = session.next(0.2)
            if frame_set is not None:
                with frame_set:
                    pictures.append(np.stack([frame.image_bgr for frame in frame_set.frames if frame is not None]))
                    hands.append(engine.process(frame_set, rig))
    engine.close()
    return pictures, hands


@pytest.fixture(scope="module")
def recorded(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The footage with its poses as a recording."""
    folder = tmp_path_factory.mktemp("take")
    config, rig = opened(footage)
    engine = open_engine()
    recorder = open_recorder(folder, config, rig, engine.card, RecordingOptions(Pictures("raw"), reserve_bytes=1000))
    told: list[int] = []
    record_lossless(
        CaptureSession(config, rig, mode="lossless"),
        recorder,
        threading.Event(),
        rig=rig,
        engine=engine,
        watch=lambda status: told.append(status.frame_sets),
    )
    status = recorder.stop()
    assert (status.state, status.frame_sets, status.hands, dict(status.drops)) == ("finished", FRAMES, FRAMES, {})
    assert len(told) == FRAMES
    return folder


def test_pictures_are_the_same_bits_and_poses_the_same_numbers(footage: Path, recorded: Path) -> None:
    pictures, hands = answers(footage)
    pictures_again, hands_again = answers(recorded)
    np.testing.assert_array_equal(np.stack(pictures_again), np.stack(pictures))
    assert sum(map(len, hands)) >= FRAMES // 2
    for before, again in zip(hands, hands_again, strict=True):
        assert [(hand.id, hand.side) for hand in again] == [(hand.id, hand.side) for hand in before]
        for one, other in zip(before, again, strict=True):
            for name in ("joints_world", "covariance_mm2", "pose", "shape", "translation", "reprojection_px"):
                np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=0, atol=1e-9, err_msg=name)


def test_a_run_over_the_recording_says_what_was_recorded(recorded: Path, tmp_path: Path) -> None:
    config, rig = opened(recorded)
    engine = open_engine()
    solve_all(CaptureSession(config, rig, mode="lossless"), engine, rig, tmp_path / "poses.jsonl")
    engine.close()
    lines = [json.loads(line) for line in (tmp_path / "poses.jsonl").read_text().splitlines()]
    for line, message in zip(lines, Recording(recorded).hands(), strict=True):
        for key in ("hands", "frame_set", "calibration_id", "model_id"):
            assert line[key] == message[key]
        for stamp in ("exposure", "received"):
            assert line["stamps_ns"][stamp] == message["stamps_ns"][stamp]


def test_only_so_many_seconds(footage: Path, tmp_path: Path) -> None:
    config, rig = opened(footage)
    recorder = open_recorder(tmp_path, config, rig, None, RecordingOptions(Pictures("png"), reserve_bytes=1000))
    session = CaptureSession(config, rig, mode="lossless")
    record_lossless(session, recorder, threading.Event(), rig=rig, engine=None, seconds=0.09, watch=print)
    assert recorder.stop().frame_sets == 3
    assert Recording(tmp_path).hands_count() == 0
