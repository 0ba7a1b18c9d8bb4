"""`usthand bench`: per-stage times and rates on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.commands.options import BackendOption, ModelOption

if TYPE_CHECKING:
    from server.bench import GpuBench, StageTimes


def bench(
    rig: Annotated[
        Path | None, typer.Option("--rig", help="Recorded footage to run on; without it, rendered cameras.")
    ] = None,
    views: Annotated[int, typer.Option("--views", min=2, max=8, help="Rendered cameras, without --rig.")] = 4,
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Stop after so many frame sets.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    model: ModelOption = "detector",
    backend: BackendOption = "auto",
) -> None:
    """Time the pipeline from decode to message, loss-free and as fast as it goes: p50, p95 and p99 of every stage.

    Rendering costs more than decoding: without --rig, `wait for frames` is the renderer's time. Of an exported network
    in ONNX Runtime the parts inside a step for one hand are timed too, apart from the pipeline; on a GPU the parts of a
    frame of one hand and of two, its rate, memory and energy, and how far its joints are from float32's.

    For example:

        usthand bench --views 2 --frames 60

        usthand bench --rig rig.yaml --json

        usthand bench --model lite.onnx --views 8
    """
    # Imported here so that `usthand --help` need not load the engine.
    import json
    import os
    import platform
    from dataclasses import asdict, replace

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from capture.rig_config import CameraConfig, RigConfig, SyntheticSource
    from engine.factory import network_path, open_engine
    from engine.synthetic.rigs import make_rig
    from server.bench import gpu_bench, measure, network_stages
    from server.commands.sources import SCENE_SEED, open_rig, open_session
    from server.progress import shown_progress

    if rig is None:
        calibrated = make_rig(views, SCENE_SEED)
        count = (frames or 100) + 10
        source = SyntheticSource(frames=count)
        cameras = tuple(CameraConfig(id=camera.id, source=source) for camera in calibrated)
        config = RigConfig(name=f"{views} rendered cameras", cameras=cameras)
    else:
        config, calibrated = open_rig(rig)
    engine = open_engine(model, backend=backend, views=len(calibrated))
    try:
        session = open_session(config, calibrated, "lossless")
        with shown_progress(frames) as advance:
            result = measure(session, engine, calibrated, limit=frames, advance=advance)
        card = engine.card
    finally:
        engine.close()
    result = replace(result, rig=config.name or result.rig)
    on_gpu: tuple[GpuBench, ...] = ()
    if card.kind == "network":
        path = network_path(model)
        if card.backend.startswith("onnxruntime"):
            result = replace(result, stages=(*result.stages, *network_stages(path, result.views)))
        else:
            on_gpu = gpu_bench(path, backend, result.views)
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    if as_json:
        gpu = [asdict(measured) for measured in on_gpu]
        typer.echo(json.dumps({"machine": machine, "engine": asdict(card), **asdict(result), "gpu": gpu}))
        return

    def times(title: str, stages: tuple[StageTimes, ...]) -> None:
        table = Table(title=escape(title))
        table.add_column("stage")
        for column in ("p50 ms", "p95 ms", "p99 ms"):
            table.add_column(column, justify="right")
        for stage in stages:
            table.add_row(stage.name, f"{stage.p50_ms:.2f}", f"{stage.p95_ms:.2f}", f"{stage.p99_ms:.2f}")
        Console().print(table)

    title = f"{result.rig}: {result.views} views, {card.model_id} on {card.backend}; {machine}"
    times(title, result.stages)
    typer.echo(f"{result.frame_sets} frame sets, {result.hands} hands: {result.rate_hz:.1f} frame sets a second")
    if not result.hands:
        typer.echo("no hand was followed, so every frame set was searched anew: this is not the rate of tracking")
    for measured in on_gpu:
        times(f"{measured.backend}: {measured.views} views, hands: {measured.hands}", measured.stages)
        energy = "not readable" if measured.energy_mj is None else f"{measured.energy_mj:.0f} mJ a frame set"
        typer.echo(
            f"{measured.rate_hz:.0f} frame sets a second with two under way; {measured.memory_mib:.0f} MiB of GPU "
            f"memory; energy {energy}; joints within {measured.parity_mm:.3f} mm of float32"
        )
