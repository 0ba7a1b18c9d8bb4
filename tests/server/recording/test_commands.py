"""`usthand record` and `usthand replay` as people run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from calibration.files import save_calibration
from capture.recording import FILE_NAME, Recording, RecordingError, write_rig_files
from capture.rig_config import RecordingSource
from engine.synthetic.rigs import make_rig
from server import cli
from server.commands.replay import open_replay

WAIT_S = 30.0
COMMAND = [sys.executable, "-m", "server.cli"]


@pytest.fixture
def usthand(monkeypatch, capfd):
    """Run a command through the entry point itself, in this process; returns its exit status and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["usthand", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capfd.readouterr().err

    return run


def rig_file(folder: Path, source: str) -> Path:
    """Two small cameras, each with this source."""
    rig = make_rig(2, seed=5, width=64, height=48)
    save_calibration(rig, folder / "calibration.json")
    cameras = "".join(f"  - {{id: {camera.id}, source: {source.format(id=camera.id)}}}\n" for camera in rig)
    path = folder / "rig.yaml"
    path.write_text(f"name: pair\ncameras:\n{cameras}calibration: calibration.json\n")
    return path


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    folder = tmp_path / "footage"
    for i in range(6):
        for camera_id in ("cam0", "cam1"):
            (folder / camera_id).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / camera_id / f"{i}.png"), np.full((48, 64, 3), 20 * i, np.uint8))
    return rig_file(folder, "{{type: images, path: {id}, fps: 30}}")


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def wait_for_sets(folder: Path, count: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while not (folder / FILE_NAME).exists() or Recording(folder).frame_set_count() < count:
        assert time.monotonic() < deadline, "nothing was recorded in time"
        threading.Event().wait(0.05)


def test_footage_is_recorded_losslessly_and_read_like_any_rig(footage, tmp_path, usthand):
    out = tmp_path / "take"
    code, said = usthand("record", "--rig", footage, "--out", out, "--lossless", "--no-poses", "--pictures", "png")
    assert code == 0, said
    assert "take: 6 frame sets with 12 frames in 0.2 s, 0 hands messages" in said
    assert "dropped: none" in said
    values = [int(frame_set.frames[0].image_bgr.max()) for frame_set in Recording(out).frame_sets()]
    assert values == [0, 20, 40, 60, 80, 100]
    again = tmp_path / "again"
    code, said = usthand("record", "--rig", out / "rig.yaml", "--out", again, "--lossless", "--no-poses")
    assert code == 0, said
    first, second = (
        [(s.id, s.timestamp_ns, s.received_ns) for s in Recording(folder).frame_sets()] for folder in (out, again)
    )
    assert first == second


def test_what_would_spoil_something_is_refused(footage, tmp_path, usthand):
    code, said = usthand("record", "--rig", footage, "--out", footage.parent)
    assert (code, said.count("\n")) == (1, 1)
    assert "is there already and not an empty folder" in said
    cameras = tmp_path / "cameras"
    cameras.mkdir()
    code, said = usthand(
        "record", "--rig", rig_file(cameras, "{{type: opencv, device: 99}}"), "--out", tmp_path / "x", "--lossless"
    )
    assert (code, said.count("\n")) == (1, 1)
    assert "camera cam0, cam1 is live and waits for nobody; leave out --lossless" in said


def test_a_rig_that_fails_leaves_nothing_in_the_way_of_the_next_try(footage, tmp_path, usthand):
    text = footage.read_text()
    footage.write_text(text.replace("path: cam1", "path: gone"))
    out = tmp_path / "take"
    command = ("record", "--rig", footage, "--out", out, "--lossless", "--no-poses")
    code, said = usthand(*command)
    assert (code, said.count("\n")) == (1, 1)
    assert "gone" in said
    footage.write_text(text)
    assert usthand(*command)[0] == 0


def test_ctrl_c_ends_it_cleanly_and_a_kill_leaves_what_was_written(footage, tmp_path):
    rig = footage
    rig.write_text(rig.read_text().replace("fps: 30", "fps: 30, loop: true"))
    cleanly, killed = tmp_path / "cleanly", tmp_path / "killed"
    with running("record", "--rig", rig, "--out", cleanly, "--no-poses") as process:
        wait_for_sets(cleanly, 5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, said
        assert re.search(r"cleanly: \d+ frame sets with \d+ frames", said)
    recording = Recording(cleanly)
    assert recording.complete
    assert recording.end["state"] == "finished"
    with running("record", "--rig", rig, "--out", killed, "--no-poses") as process:
        wait_for_sets(killed, 5)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)
    recording = Recording(killed)
    assert not recording.complete
    sets = list(recording.frame_sets())
    assert len(sets) >= 5
    assert sum(len(frame_set.view_ids) for frame_set in sets) == sum(map(recording.frame_count, ("cam0", "cam1")))


def test_a_replay_runs_the_whole_service_on_the_recording(footage, tmp_path, usthand):
    out = tmp_path / "take"
    assert usthand("record", "--rig", footage, "--out", out, "--lossless", "--no-poses")[0] == 0
    with running("replay", out, "--port", "0", "--loop", "--recordings", tmp_path / "more") as process:
        url = None
        while url is None:
            line = process.stderr.readline()
            assert line, "it ended before it served"
            match = re.search(r"Viewer: (http://\S+)", line)
            url = match and match[1]
        deadline = time.monotonic() + WAIT_S
        while httpx.get(f"{url}api/v1/stats").json()["frame_sets"] < 8:  # more than the recording has: it loops
            assert time.monotonic() < deadline
            time.sleep(0.1)
        cameras = httpx.get(f"{url}api/v1/cameras").json()["cameras"]
        assert [camera["state"] for camera in cameras] == ["streaming", "streaming"]
        assert httpx.post(f"{url}api/v1/recordings", json={"name": "copy"}).status_code == 201
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0
        assert "Traceback" not in process.stderr.read()
    assert Recording(tmp_path / "more" / "copy").complete


def test_a_replay_slower_than_recorded_allows_for_the_wider_skew(tmp_path):
    write_rig_files(tmp_path, make_rig(2, seed=5), name="pair", max_skew_ms=8.0, up="+z")
    config, rig = open_replay(tmp_path, 0.5, loop=True)
    assert (config.max_skew_ms, config.up) == (16, "+z")
    assert rig.camera_ids == ("cam0", "cam1")
    sources = [camera.source for camera in config.cameras]
    assert sources == [RecordingSource(path=tmp_path / FILE_NAME, loop=True, speed=0.5)] * 2


def test_what_is_no_recording_cannot_be_replayed(footage, tmp_path):
    with pytest.raises(RecordingError, match=r"is no recording: it has no rig\.yaml"):
        open_replay(tmp_path, 1.0, loop=False)
    with pytest.raises(RecordingError, match="source of type images; use usthand serve --rig"):
        open_replay(footage.parent, 1.0, loop=False)
