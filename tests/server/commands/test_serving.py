"""What `demo`, `serve` and `replay` say of themselves."""

from __future__ import annotations

from pathlib import Path

from capture.rig_config import CameraConfig, RigConfig, SyntheticSource
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
