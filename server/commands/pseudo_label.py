"""`usthand pseudo-label`: footage to training data, without annotation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.commands.options import BackendOption, HandModelOption, ModelOption, RigOption
from server.commands.packages import require_packages


def pseudo_label(
    rig: RigOption,
    out: Annotated[Path, typer.Option("--out", help="Where to write the windows; an empty folder or a new one.")],
    stride: Annotated[
        int, typer.Option("--stride", min=1, help="A hand's windows begin so many frame sets apart.")
    ] = 1,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many frame sets.")] = None,
    model: ModelOption = "detector",
    backend: BackendOption = "auto",
    hand_model: HandModelOption = None,
) -> None:
    """Label the hands of recorded footage in 2D by a detector, as windows for `usthand train`.

    A recording of `usthand record` is a rig, too: RECORDING/rig.yaml.

    For example:

        usthand pseudo-label --rig take1/rig.yaml --out take1-windows
    """
    require_packages("pseudo-label", ("torch",))
    from engine.factory import open_engine
    from server.commands.sources import footage, open_rig
    from server.progress import shown_progress
    from training.footage import label_footage

    config, calibrated = open_rig(rig)
    engine = open_engine(model, backend=backend, hand_model=hand_model, views=len(calibrated))
    try:
        with shown_progress(limit) as advance:
            windows = label_footage(
                out,
                footage(config, calibrated, limit),
                calibrated,
                engine,
                name=config.name or rig.stem,
                stride=stride,
                advance=advance,
            )
    finally:
        engine.close()
    typer.echo(f"{out}: {len(windows)} windows of {windows.about['frame_sets']} frame sets")
