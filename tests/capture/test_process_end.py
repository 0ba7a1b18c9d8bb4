"""What is left when the session's own process ends, well or badly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.capture.support import alive, wait_for

PROGRAM = """
import sys, time
from capture import CaptureSession
from tests.capture.support import HangingScene, config_of, rig_of, synthetic

if __name__ == "__main__":
    config = config_of(synthetic(), synthetic())
    session = CaptureSession(config, rig_of(config), mode="live", scene=HangingScene("b", 3))
    session.start()
    session.next(5)
    print(*(camera.pid for camera in session._cameras), flush=True)
    if sys.argv[1] == "wait":
        sys.stdin.read()
    if sys.argv[1] == "stop":
        session.stop()
"""


def launched(folder: Path, how: str) -> tuple[subprocess.Popen[str], list[int]]:
    path = folder / "program.py"
    path.write_text(PROGRAM)
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(path), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    return process, [int(word) for word in process.stdout.readline().split()]


@pytest.mark.parametrize("how", ["stop", "forget"])
def test_an_ending_program_leaves_no_grabber_and_no_noise(tmp_path: Path, how: str) -> None:
    process, grabbers = launched(tmp_path, how)
    _, noise = process.communicate(timeout=20)
    assert len(grabbers) == 2
    assert process.returncode == 0
    assert noise == ""
    wait_for(lambda: not any(map(alive, grabbers)), "the grabbers end")


def test_grabbers_end_with_a_killed_program_even_when_they_hang(tmp_path: Path) -> None:
    process, grabbers = launched(tmp_path, "wait")
    assert len(grabbers) == 2
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    wait_for(lambda: not any(map(alive, grabbers)), "the grabbers end")


def test_ctrl_c_reaches_the_program_and_not_its_grabbers(tmp_path: Path) -> None:
    process, grabbers = launched(tmp_path, "wait")
    for pid in grabbers:
        os.kill(pid, signal.SIGINT)
    assert all(map(alive, grabbers))
    _, noise = process.communicate("", timeout=20)
    assert process.returncode == 0
    assert noise == ""
