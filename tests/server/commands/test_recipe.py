"""The commands of docs/evaluation.md that made the network, as they are printed there, at a size for tests."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("tensorboard")

ROOT = Path(__file__).resolve().parents[3]
_SMALL = {"--windows": "3", "--epochs": "1", "--batch-size": "3", "--device": "cpu"}


def _printed() -> list[list[str]]:
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (block,) = (block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "usthand export" in block)
    lines = block.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line]


def _usthand(arguments: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, f"usthand {shlex.join(arguments)}: {done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_recipe_ends_in_a_network_that_runs(tmp_path: Path) -> None:
    commands = _printed()
    assert [command[:2] for command in commands].count(["usthand", "train"]) == 2
    for program, *arguments in commands:
        assert program == "usthand"
        small = [_SMALL.get(before, argument) for before, argument in zip(["", *arguments], arguments, strict=False)]
        _usthand(small, tmp_path)
    _usthand(shlex.split("synth --views 2 --frames 6 --hands 1 --out film"), tmp_path)
    _usthand(shlex.split("run --rig film/rig.yaml --model lite.onnx --out poses.jsonl"), tmp_path)
    messages = [json.loads(line) for line in (tmp_path / "poses.jsonl").read_text().splitlines()]
    assert len(messages) == 6
    assert any(message["hands"] for message in messages)
