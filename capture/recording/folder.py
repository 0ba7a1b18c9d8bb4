"""The files beside a recording's MCAP file that make it a source like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from calibration import Rig
from calibration.files import save_calibration
from calibration.up import Up

FILE_NAME: Final = "recording.mcap"
RIG_NAME: Final = "rig.yaml"
CALIBRATION_NAME: Final = "calibration.json"


def write_rig_files(folder: Path, rig: Rig, *, name: str, max_skew_ms: float, up: Up | None = None) -> None:
    """Write `calibration.json`, and `rig.yaml` with the recording as every camera's source.

    Args:
        folder: The recording's folder.
        rig: The calibration.
        name: The rig's name, for people.
        max_skew_ms: The rig's.
        up: Which axis of the calibration's world points up, where somebody said so.
    """
    save_calibration(rig, folder / CALIBRATION_NAME, source=f"recording {folder.name}")
    content = {
        "name": name,
        "max_skew_ms": max_skew_ms,
        **({} if up is None else {"up": up}),
        "cameras": [{"id": i, "source": {"type": "recording", "path": FILE_NAME}} for i in rig.camera_ids],
        "calibration": CALIBRATION_NAME,
    }
    (folder / RIG_NAME).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
