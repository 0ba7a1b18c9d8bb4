"""From a rig file to a capture session."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from calibration import Rig
from capture.rig_config import RigConfig, SyntheticSource, load_rig, load_rig_config
from capture.session import CaptureSession
from engine.synthetic.scene import HandScene

SCENE_SEED = 7
SCENE_RATE_HZ = 30.0
SCENE_HANDS: Final = 2
SCENE_UP = "+z"
"""Up in the world of `engine.synthetic.rigs`."""


def open_rig(path: Path) -> tuple[RigConfig, Rig]:
    """Read a rig file and its calibration.

    Raises:
        RigConfigError: If the rig file cannot be used.
        CalibrationError: If the calibration cannot be used.
    """
    config = load_rig_config(path)
    return config, load_rig(config)


def open_session(config: RigConfig, rig: Rig, mode: Literal["live", "lossless"]) -> CaptureSession:
    """Open a rig's capture session; rendered cameras film the embedded scene."""
    rendered = any(isinstance(camera.source, SyntheticSource) for camera in config.cameras)
    scene = HandScene(hands=SCENE_HANDS, seed=SCENE_SEED, rate_hz=SCENE_RATE_HZ) if rendered else None
    return CaptureSession(config, rig, mode=mode, scene=scene)
