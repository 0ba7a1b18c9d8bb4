"""`usthand run`: the same pipeline offline, every frame set answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.commands.options import BackendOption, HandModelOption, ModelOption, RigOption, SmoothingOption
from server.commands.output_path import require_file_place


def run(
    rig: RigOption,
    out: Annotated[Path, typer.Option("--out", help="Where to write: one JSON line a frame set.")],
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many frame sets.")] = None,
    model: ModelOption = "detector",
    backend: BackendOption = "auto",
    hand_model: HandModelOption = None,
    smoothing: SmoothingOption = False,
) -> None:
    """Track the hands in recorded footage, losing no frame; each line is a `hands` message of the stream.

    While it runs, and after a failure, what there is so far is in OUT.part; an older OUT is replaced when all is done.

    For example:

        usthand run --rig rig.yaml --out poses.jsonl

        usthand run --rig rig.yaml --out poses.jsonl --limit 100
    """
    # Imported here so that `usthand --help` need not load the engine.
    from engine.factory import open_engine
    from server.commands.sources import open_rig, open_session
    from server.offline import solve_all
    from server.progress import shown_progress

    require_file_place(out, "poses.jsonl")
    config, calibrated = open_rig(rig)
    views = len(calibrated)
    engine = open_engine(model, backend=backend, hand_model=hand_model, smoothing=smoothing, views=views)
    try:
        session = open_session(config, calibrated, "lossless")
        with shown_progress(limit) as advance:
            summary = solve_all(session, engine, calibrated, out, limit=limit, advance=advance)
    finally:
        engine.close()
    typer.echo(f"{out}: {summary}", err=True)
