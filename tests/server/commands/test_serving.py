"""What `demo`, `serve` and `replay` say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from calibration.files import save_calibration
from capture.rig_config import CameraConfig, RigConfig, SyntheticSource
from server import cli
from server.access import Access
from server.commands import serving
from server.datagrams import Target
from server.models import ModelPlace
from server.outputs import Outputs
from server.recording.recordings import RecordingPlace
from server.service import ServiceSettings


class Announced:
    """Stands where the service would: says its address and ends."""

    leap_address = None

    def __init__(self, _settings, *, announce, **_parts):
        self._announce = announce

    def run(self):
        self._announce("http://[fd00::5]:8000/")


def test_others_are_told_where_all_addresses_are_listened_on(rig, monkeypatch, capfd):
    monkeypatch.setattr(serving, "Service", Announced)
    config = RigConfig(name="x", cameras=(CameraConfig(id="cam0", source=SyntheticSource()),))
    monkeypatch.setattr(serving, "url_for_others", lambda host, port: f"http://198.51.100.7:{port}/" if host else None)
    for host, told in (("0.0.0.0", True), ("", False)):  # noqa: S104
        serving.run_service(
            ServiceSettings(host, 8000, Access("secret")),
            title="Serving",
            rig=rig,
            open_session=lambda: None,
            models=ModelPlace("detector", lambda _: None),
            recordings=RecordingPlace(Path("recordings"), config),
        )
        said = capfd.readouterr().err
        assert ("In this machine's network: http://198.51.100.7:8000/?token=..." in said) is told


def test_names_and_addresses_with_brackets_are_said_as_they_are(rig, monkeypatch, capfd):
    monkeypatch.setattr(serving, "Service", Announced)
    config = RigConfig(name="x", cameras=(CameraConfig(id="cam0", source=SyntheticSource()),))
    serving.run_service(
        ServiceSettings("fd00::5", 8000, Access("secret"), Outputs(vmc=Target("fe80::1", 39540))),
        title="Serving rig 'desk [/left] [old]'",
        rig=rig,
        open_session=lambda: None,
        models=ModelPlace("detector", lambda _: None),
        recordings=RecordingPlace(Path("recordings"), config),
    )
    said = capfd.readouterr().err
    assert "Serving rig 'desk [/left] [old]'" in said
    assert "Viewer: http://[fd00::5]:8000/?token=...   API: http://[fd00::5]:8000/docs " in said


@pytest.mark.parametrize(
    ("said", "options", "up", "kept"),
    [
        ("", [], "-y", None),
        ("up: +z\n", [], "+z", "+z"),
        ("up: +z\n", ["--up", "-x"], "-x", "-x"),
        ("", ["--up=x"], "+x", "+x"),
    ],
)
def test_the_command_line_says_what_is_up_then_the_rig_file(rig, tmp_path, monkeypatch, said, options, up, kept):
    chosen = []
    monkeypatch.setattr(
        serving, "run_service", lambda *given, **more: chosen.append((*given, more["recordings"].config))
    )
    save_calibration(rig, tmp_path / "calibration.json")
    cameras = "".join(f"  - {{id: {camera.id}, source: {{type: synthetic}}}}\n" for camera in rig)
    (tmp_path / "rig.yaml").write_text(f"{said}cameras:\n{cameras}calibration: calibration.json\n")
    answer = CliRunner().invoke(
        cli.app, ["serve", "--rig", str(tmp_path / "rig.yaml"), *options], catch_exceptions=False
    )
    assert answer.exit_code == 0, answer.output
    ((settings, config),) = chosen
    # What is recorded keeps what was in force.
    assert (settings.outputs.up, config.up) == (up, kept)
