"""The commands as people run them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from websockets.sync.client import connect

from calibration.files import save_calibration
from engine.errors import EngineError
from server import cli

COMMANDS = ("demo", "serve", "run", "record", "replay", "synth", "rig", "doctor", "bench", "export", "hand-model")


@dataclass
class Answer:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def usthand(monkeypatch, capfd):
    """Run a command through the entry point itself, in this process."""
    for name in [name for name in os.environ if name.startswith("USTHAND_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["usthand", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return Answer(code if isinstance(code, int) else 0, *capfd.readouterr())

    return run


def assert_one_clear_line(result, *named):
    assert result.returncode == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.stderr
    for text in named:
        assert text in result.stderr


@pytest.fixture
def rig_file(tmp_path, rig):
    """Two cameras with five blank pictures each."""
    pair = rig.subset(("cam0", "cam1"))
    save_calibration(pair, tmp_path / "calibration.json")
    for camera in pair:
        folder = tmp_path / camera.id
        folder.mkdir()
        for i in range(5):
            cv2.imwrite(str(folder / f"{i}.png"), np.full((camera.height, camera.width, 3), 90, np.uint8))
    sources = "".join(
        f"  - id: {camera.id}\n    source: {{type: images, path: {camera.id}, fps: 30}}\n" for camera in pair
    )
    path = tmp_path / "rig.yaml"
    path.write_text(f"name: pair\ncameras:\n{sources}calibration: calibration.json\n", encoding="utf-8")
    return path


def test_help_names_every_command_and_its_examples(usthand):
    answer = usthand("--help")
    assert answer.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", answer.stdout), command
    assert "usthand run --rig rig.yaml --out poses.jsonl" in usthand("run", "--help").stdout


def test_a_missing_rig_file(tmp_path, usthand):
    for command in (["serve"], ["run", "--out", tmp_path / "out.jsonl"]):
        assert_one_clear_line(usthand(*command, "--rig", tmp_path / "none.yaml"), "none.yaml")


def test_an_unknown_key_and_a_broken_calibration(rig_file, usthand):
    text = rig_file.read_text(encoding="utf-8")
    rig_file.write_text(f"{text}max_skw_ms: 3\n", encoding="utf-8")
    assert_one_clear_line(usthand("serve", "--rig", rig_file, "--port", 0), "max_skw_ms")
    rig_file.write_text(text, encoding="utf-8")
    path = rig_file.with_name("calibration.json")
    path.write_text("{}", encoding="utf-8")
    assert_one_clear_line(usthand("serve", "--rig", rig_file, "--port", 0), f"{path}: schema is missing")
    path.unlink()
    missing = usthand("serve", "--rig", rig_file, "--port", 0)
    assert_one_clear_line(missing, "cannot be read")
    assert missing.stderr.count(str(path)) == 1


def test_a_level_of_the_log_that_is_none(usthand, monkeypatch):
    monkeypatch.setenv("USTHAND_LOG", "chatty")
    assert_one_clear_line(usthand("demo", "--port", 0), "USTHAND_LOG", "'CHATTY'", "info")


def test_a_port_in_use_and_an_open_bind_are_refused(usthand):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_clear_line(usthand("demo", "--port", port), str(port), "in use")
    assert_one_clear_line(usthand("demo", "--host", "0.0.0.0"), "--insecure", "USTHAND_TOKEN")  # noqa: S104


def run_line(rig_file, usthand, *named):
    """What `usthand run` says of a rig that cannot be used; no result file is left."""
    out = rig_file.with_name("poses.jsonl")
    assert_one_clear_line(usthand("run", "--rig", rig_file, "--out", out), *named)
    assert not out.exists()


def edit(rig_file, old, new):
    text = rig_file.read_text(encoding="utf-8")
    assert old in text
    rig_file.write_text(text.replace(old, new), encoding="utf-8")


def test_receivers_axes_and_ports_of_other_protocols_that_are_none(rig_file, usthand):
    assert_one_clear_line(usthand("demo", "--vmc", "nowhere"), "--vmc", "'nowhere'", "HOST:PORT")
    assert_one_clear_line(usthand("serve", "--rig", rig_file, "--up", "north"), "--up", "'north'", "+z")
    unknown = usthand("serve", "--rig", rig_file, "--port", "0", "--livelink", "no.such.host.invalid:54321")
    assert_one_clear_line(unknown, "--livelink no.such.host.invalid:54321")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = usthand("demo", "--port", "0", "--leap", "--leap-port", port)
    assert_one_clear_line(answer, f"port {port}", "in use", "--leap-port")


def test_a_missing_source(rig_file, usthand):
    edit(rig_file, "path: cam1", "path: gone")
    run_line(rig_file, usthand, "cam1", "gone")


def test_a_calibration_of_other_cameras(rig_file, usthand):
    edit(rig_file, "id: cam1", "id: cam9")
    run_line(rig_file, usthand, "cam9", "cam0, cam1")


def test_a_calibration_of_too_few_cameras(rig_file, rig, usthand):
    save_calibration(rig.subset(("cam0",)), rig_file.with_name("calibration.json"))
    run_line(rig_file, usthand, "cam1", "calibration.json")


def test_pictures_of_another_size_than_the_calibration(rig_file, usthand):
    for picture in sorted(rig_file.with_name("cam1").iterdir()):
        cv2.imwrite(str(picture), np.zeros((24, 32, 3), np.uint8))
    run_line(rig_file, usthand, "cam1", "32x24")


def test_a_truncated_video(rig_file, rig, usthand):
    camera = rig.camera("cam1")
    video = rig_file.with_name("cam1.avi")
    size = (camera.width, camera.height)
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 30, size)
    noise = np.random.default_rng(5)
    for _ in range(5):
        writer.write(noise.integers(0, 255, (camera.height, camera.width, 3), dtype=np.uint8))
    writer.release()
    content = video.read_bytes()
    video.write_bytes(content[: len(content) * 2 // 3])
    edit(rig_file, "type: images, path: cam1, fps: 30", "type: file, path: cam1.avi")
    run_line(rig_file, usthand, "cam1", "cam1.avi", "truncated")


def test_too_little_shared_memory(rig_file, usthand):
    calibration = rig_file.with_name("calibration.json")
    content = json.loads(calibration.read_text(encoding="utf-8"))
    for camera in content["cameras"]:
        camera.update(width=30000, height=30000, K=[[30000, 0, 15000], [0, 30000, 15000], [0, 0, 1]])
    calibration.write_text(json.dumps(content), encoding="utf-8")
    text = rig_file.read_text(encoding="utf-8")
    rig_file.write_text(re.sub(r"\{type.*\}", "{type: synthetic}", text) + "ring_slots: 256\n", encoding="utf-8")
    run_line(rig_file, usthand, "shared memory", "ring_slots")


def test_an_unknown_model_is_refused_and_debugging_shows_where(rig_file, tmp_path, usthand, monkeypatch):
    command = ("run", "--rig", rig_file, "--out", tmp_path / "out.jsonl", "--model", "psychic")
    assert_one_clear_line(usthand(*command), "psychic")
    monkeypatch.setenv("USTHAND_DEBUG", "1")
    with pytest.raises(EngineError, match="psychic"):
        usthand(*command)


def test_wrong_usage_exits_with_2(usthand):
    assert usthand("serve").returncode == 2
    assert usthand("dance").returncode == 2
    assert usthand("demo", "--port", "70000").returncode == 2


def test_run_answers_every_frame_set(rig_file, tmp_path, usthand):
    out = tmp_path / "poses.jsonl"
    answer = usthand("run", "--rig", rig_file, "--out", out)
    assert answer.returncode == 0, answer.stderr
    assert "5 frame sets, 0 hands" in answer.stderr
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["frame_set"]["id"] for line in lines] == list(range(5))


def test_run_refuses_a_place_that_it_could_not_write_to_before_it_works(rig_file, tmp_path, usthand, monkeypatch):
    monkeypatch.setattr("engine.factory.open_engine", lambda *_, **__: pytest.fail("it began to work"))
    for out, why in (
        (tmp_path, "is a folder; give the name of a file in it"),
        (tmp_path / "no" / "x", "make it first"),
    ):
        assert_one_clear_line(usthand("run", "--rig", rig_file, "--out", out), why)
    assert not list(tmp_path.parent.glob("*.part"))


def test_an_older_file_stays_until_a_run_has_succeeded(rig_file, tmp_path, usthand):
    out = tmp_path / "poses.jsonl"
    out.write_text("older\n", encoding="utf-8")
    picture = tmp_path / "cam1" / "2.png"
    whole = picture.read_bytes()
    picture.write_bytes(b"no picture")
    assert usthand("run", "--rig", rig_file, "--out", out).returncode == 1
    assert out.read_text(encoding="utf-8") == "older\n"
    picture.write_bytes(whole)
    assert usthand("run", "--rig", rig_file, "--out", out).returncode == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 5


def children_of(pid):
    """Processes below one, by the kernel's own account."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def is_running(pid):
    """Whether a process still runs; one that only waits for its new parent to take note of its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_demo_serves_and_ctrl_c_ends_it_with_all_its_processes():
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "server.cli", "demo", "--port", "0", "--views", "2", "--hands", "1"),
            *("--leap", "--leap-port", "0", "--livelink", ":54321"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = None
        while url is None:
            line = process.stderr.readline()
            assert line, "it ended before it served"
            match = re.search(r"Viewer: (http://\S+)", line)
            url = match and match[1]
        assert httpx.get(f"{url}healthz").json() == {"status": "ok"}
        assert httpx.get(f"{url}api/v1/skeleton?dialect=unity").json()["up"] == "+z"
        leap = re.search(r"Leap: (ws://127\.0\.0\.1:\d+/v6\.json)", process.stderr.readline())
        with connect(leap[1]) as client:
            assert json.loads(client.recv(5))["version"] == 6
        assert "LiveLink: to 127.0.0.1:54321" in process.stderr.readline()
        children = children_of(process.pid)
        assert children
        start_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert time.monotonic() - start_s < 5.5
        assert "Traceback" not in process.stderr.read()
        deadline_s = time.monotonic() + 2
        while any(map(is_running, children)):
            assert time.monotonic() < deadline_s, "a process was left behind"
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
