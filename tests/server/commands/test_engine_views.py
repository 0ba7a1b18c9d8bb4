"""Every command says for how many cameras it opens the engine: TensorRT has plans for each number of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from capture.rig_config import CameraConfig, RigConfig, SyntheticSource
from engine.errors import EngineError
from engine.synthetic.rigs import make_rig
from server import cli

VIEWS = 3


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What engines were asked for; there are none."""
    rig = make_rig(VIEWS, 7)
    cameras = tuple(CameraConfig(id=camera.id, source=SyntheticSource(frames=1)) for camera in rig)
    config = RigConfig(name="three", cameras=cameras)
    options: list[dict[str, Any]] = []

    def refuse(_model: str = "", **given: Any) -> None:
        options.append(given)
        raise EngineError("there is no engine here")

    monkeypatch.setattr("engine.factory.open_engine", refuse)
    monkeypatch.setattr("server.commands.sources.open_rig", lambda *_: (config, rig))
    monkeypatch.setattr("server.commands.replay.open_replay", lambda *_, **__: (config, rig))
    monkeypatch.setattr("server.commands.sources.open_session", lambda *_, **__: None)
    monkeypatch.setattr("server.commands.serving.run_service", lambda *_, models, **__: models.open_start())
    return options


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--rig", "rig.yaml", "--out", "poses.jsonl"],
        ["serve", "--rig", "rig.yaml"],
        ["replay", "take"],
        ["record", "--rig", "rig.yaml", "--out", "take"],
        ["pseudo-label", "--rig", "rig.yaml", "--out", "windows"],
        ["bench", "--rig", "rig.yaml"],
        ["demo", "--views", str(VIEWS)],
    ],
    ids=lambda command: command[0],
)
def test_the_engine_is_opened_for_the_rigs_cameras(
    command: list[str], asked: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(cli.app, command)
    assert str(answer.exception) == "there is no engine here", answer.output
    assert [given.get("views") for given in asked] == [VIEWS]
