"""`usthand demo`: the service on rendered cameras."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, cast

import typer

from server.commands.options import (
    DEFAULT_RECORDINGS,
    BackendOption,
    DriftOption,
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
    VmcOption,
)

# Twelve seconds: eleven hand shapes, and 25 MB a camera of pictures that are rendered once.
_ROUND = 351


def demo(
    port: PortOption = 8000,
    views: Annotated[int, typer.Option("--views", min=2, max=8, help="Rendered cameras.")] = 4,
    hands: Annotated[int, typer.Option("--hands", min=1, max=2, help="Hands in the scene.")] = 2,
    model: ModelOption = "detector",
    models: ModelsOption = None,
    backend: BackendOption = "auto",
    host: HostOption = "127.0.0.1",
    insecure: InsecureOption = False,
    token_file: TokenFileOption = None,
    smoothing: SmoothingOption = False,
    leap: LeapOption = False,
    leap_port: LeapPortOption = 6437,
    vmc: VmcOption = None,
    livelink: LiveLinkOption = None,
    recordings: RecordingsOption = DEFAULT_RECORDINGS,
    drift: DriftOption = "mask",
) -> None:
    """Start the service on rendered cameras, with the embedded weights; open the address it prints.

    For example:

        usthand demo

        usthand demo --port 8080 --views 6 --hands 1

        usthand demo --leap --vmc 127.0.0.1:39540

        usthand demo --model lite --backend torch
    """
    # Imported here so that `usthand --help` need not load the engine.
    from capture.rig_config import CameraConfig, RigConfig, SyntheticSource
    from capture.session import CaptureSession
    from engine.factory import open_engine
    from engine.synthetic.rigs import make_rig
    from server.commands.serving import chosen_outputs, run_service, settings
    from server.commands.sources import SCENE_SEED, SCENE_UP, scene_of
    from server.models import ModelPlace
    from server.recording.recordings import RecordingPlace

    outputs = chosen_outputs(SCENE_UP, leap_port=leap_port if leap else None, vmc=vmc, livelink=livelink)
    chosen = settings(host, port, token_file=token_file, insecure=insecure, outputs=outputs, drift=drift)
    rig = make_rig(views, SCENE_SEED)
    source = SyntheticSource(frames=_ROUND, loop=True)
    cameras = tuple(CameraConfig(id=camera.id, source=source) for camera in rig)
    config = RigConfig(name="demo", up=SCENE_UP, cameras=cameras)
    scene = scene_of(config, cast(Literal[1, 2], hands))
    run_service(
        chosen,
        title=f"Demo: {hands} rendered hand{'s' if hands > 1 else ''} in {views} rendered cameras.",
        rig=rig,
        open_session=lambda: CaptureSession(config, rig, mode="live", scene=scene),
        models=ModelPlace(model, partial(open_engine, backend=backend, smoothing=smoothing, views=views), models),
        recordings=RecordingPlace(recordings, config),
    )
