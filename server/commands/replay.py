"""`usthand replay`: the whole service on a recording."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from calibration import Rig
from capture.recording import RIG_NAME, RecordingError
from capture.rig_config import RecordingSource, RigConfig, load_rig, load_rig_config
from server.commands.options import (
    DEFAULT_RECORDINGS,
    BackendOption,
    DriftOption,
    HandModelOption,
    HostOption,
    InsecureOption,
    LeapOption,
    LeapPortOption,
    LiveLinkOption,
    ModelOption,
    ModelsOption,
    PortOption,
    RecordingsOption,
    SmoothingOption,
    TokenFileOption,
    UpOption,
    VmcOption,
)


def replay(
    recording: Annotated[Path, typer.Argument(metavar="DIR", help="The recording's folder.")],
    speed: Annotated[float, typer.Option("--speed", min=0.01, max=100, help="1 is the pace it was recorded at.")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end.")] = False,
    model: ModelOption = "detector",
    models: ModelsOption = None,
    backend: BackendOption = "auto",
    hand_model: HandModelOption = None,
    port: PortOption = 8000,
    host: HostOption = "127.0.0.1",
    insecure: InsecureOption = False,
    token_file: TokenFileOption = None,
    smoothing: SmoothingOption = False,
    up: UpOption = None,
    leap: LeapOption = False,
    leap_port: LeapPortOption = 6437,
    vmc: VmcOption = None,
    livelink: LiveLinkOption = None,
    recordings: RecordingsOption = DEFAULT_RECORDINGS,
    drift: DriftOption = "mask",
) -> None:
    """Start the service on a recording, paced by its own timestamps: its pictures are tracked anew.

    For example:

        usthand replay recordings/take1

        usthand replay recordings/take1 --loop --speed 0.5
    """
    # Imported here so that `usthand --help` need not load the engine.
    from engine.factory import open_engine
    from server.commands.serving import chosen_outputs, run_service, settings, upright
    from server.commands.sources import open_session
    from server.models import ModelPlace
    from server.recording.recordings import RecordingPlace

    config, calibrated = open_replay(recording, speed, loop=loop)
    config = upright(config, up)
    outputs = chosen_outputs(config.up, leap_port=leap_port if leap else None, vmc=vmc, livelink=livelink)
    chosen = settings(host, port, token_file=token_file, insecure=insecure, outputs=outputs, drift=drift)
    opened = partial(open_engine, backend=backend, hand_model=hand_model, smoothing=smoothing, views=len(calibrated))
    run_service(
        chosen,
        title=f"Replaying {recording} with {len(calibrated)} cameras.",
        rig=calibrated,
        open_session=lambda: open_session(config, calibrated, "live"),
        models=ModelPlace(model, opened, models),
        recordings=RecordingPlace(recordings, config),
    )


def open_replay(folder: Path, speed: float, *, loop: bool) -> tuple[RigConfig, Rig]:
    """Read the rig file of a recording and set the pace.

    Args:
        folder: The recording's.
        speed: Seconds of the recording a second.
        loop: Whether to begin again at the end.

    Raises:
        RecordingError: If it is none.
    """
    path = folder / RIG_NAME
    if not path.is_file():
        raise RecordingError(f"{folder} is no recording: it has no {RIG_NAME}; give the folder that was recorded to")
    config = load_rig_config(path)
    cameras = []
    for camera in config.cameras:
        if not isinstance(camera.source, RecordingSource):
            raise RecordingError(
                f"{folder} is no recording: camera {camera.id!r} has a source of type {camera.source.type}; use "
                f"usthand serve --rig {path}"
            )
        paced = camera.source.model_copy(update={"speed": speed, "loop": loop})
        # Slower, frames of one instant lie further apart.
        cameras.append(camera.model_copy(update={"source": paced, "time_offset_ms": camera.time_offset_ms / speed}))
    update = {"cameras": tuple(cameras), "max_skew_ms": config.max_skew_ms / speed}
    return config.model_copy(update=update), load_rig(config)
