"""`usthand serve`: the service on real sources."""

from __future__ import annotations

from functools import partial

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
    RigOption,
    SmoothingOption,
    TokenFileOption,
    UpOption,
    VmcOption,
)


def serve(
    rig: RigOption,
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
    """Start the service on the cameras of a rig file.

    For example:

        usthand serve --rig rig.yaml

        usthand serve --rig rig.yaml --host 0.0.0.0 --token-file token.txt

        usthand serve --rig rig.yaml --up +z --leap --livelink 127.0.0.1:54321
    """
    # Imported here so that `usthand --help` need not load the engine.
    from engine.factory import open_engine
    from server.commands.serving import chosen_outputs, run_service, settings, upright
    from server.commands.sources import open_rig, open_session
    from server.models import ModelPlace
    from server.recording.recordings import RecordingPlace

    config, calibrated = open_rig(rig)
    config = upright(config, up)
    outputs = chosen_outputs(config.up, leap_port=leap_port if leap else None, vmc=vmc, livelink=livelink)
    chosen = settings(host, port, token_file=token_file, insecure=insecure, outputs=outputs, drift=drift)
    opened = partial(open_engine, backend=backend, hand_model=hand_model, smoothing=smoothing, views=len(calibrated))
    run_service(
        chosen,
        title=f"Serving rig {config.name or rig.name!r} with {len(calibrated)} cameras.",
        rig=calibrated,
        open_session=lambda: open_session(config, calibrated, "live"),
        models=ModelPlace(model, opened, models),
        recordings=RecordingPlace(recordings, config),
    )
