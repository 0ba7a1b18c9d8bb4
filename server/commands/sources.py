"""From a rig file to a capture session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from calibration import Rig
from capture.frames import FrameSet
from capture.rig_config import RigConfig, SyntheticSource, load_rig, load_rig_config
from capture.session import CaptureSession
from engine.synthetic.scene import HandScene

SCENE_SEED = 7
SCENE_RATE_HZ = 30.0
SCENE_HANDS: Final = 2
_SILENCE_S: Final = 60.0
SCENE_UP: Final = "+z"
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
    return CaptureSession(config, rig, mode=mode, scene=scene_of(config, SCENE_HANDS))


def scene_of(config: RigConfig, hands: Literal[1, 2]) -> HandScene | None:
    """The embedded scene for a rig's rendered cameras; None where it has none.

    Where they begin again after some frames, which is then the same for all, the hands do so, too.
    """
    sources = [camera.source for camera in config.cameras if isinstance(camera.source, SyntheticSource)]
    if not sources:
        return None
    first = sources[0]
    period_s = first.frames / SCENE_RATE_HZ if first.loop and first.frames is not None else None
    return HandScene(hands=hands, seed=SCENE_SEED, rate_hz=SCENE_RATE_HZ, period_s=period_s)


def footage(config: RigConfig, rig: Rig, limit: int | None = None) -> Iterator[FrameSet]:
    """Yield every frame set of the recording in order; each is valid until the next is asked for.

    Raises:
        CaptureError: If a source fails.
        TimeoutError: If the sources fall silent.
    """
    with open_session(config, rig, "lossless") as session:
        count = 0
        while limit is None or count < limit:
            frame_set = session.next(_SILENCE_S)
            if frame_set is None:
                if session.finished:
                    return
                raise TimeoutError(f"rig {config.name}: no frame set came for {_SILENCE_S:g} s")
            with frame_set:
                yield frame_set
            count += 1
