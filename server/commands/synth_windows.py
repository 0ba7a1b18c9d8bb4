"""`usthand synth-windows`: rendered training data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from server.commands.packages import require_packages

_SPLITS = ("train", "validation", "bench-1", "bench-2")


def synth_windows(
    out: Annotated[Path, typer.Option("--out", help="Where to write; a folder that this command began is finished.")],
    windows: Annotated[int, typer.Option("--windows", min=1, help="How many; the bench splits have 200.")] = 1000,
    split: Annotated[
        str, typer.Option("--split", help="train, validation, bench-1 or bench-2: scenes of its own.")
    ] = "train",
    labels: Annotated[
        str,
        typer.Option(
            "--labels",
            help="exact; detector: what MediaPipe sees; or simulated: mediapipe, openpose-like, wilor-like.",
        ),
    ] = "detector",
    views: Annotated[
        int, typer.Option("--views", min=1, max=8, help="Cameras of a window; the bench splits have 8.")
    ] = 4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal windows.")] = 0,
    plain: Annotated[
        bool, typer.Option("--plain", help="Raised hands by themselves: no things, no second hands.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0 is one a processor.")] = 0,
) -> None:
    """Render windows of hands for `usthand train`: five frames of some cameras, cropped, with 2D labels.

    The truth is written beside them for evaluation; training does not open it.

    For example:

        usthand synth-windows --windows 2000 --out windows

        usthand synth-windows --split bench-2 --out bench
    """
    require_packages("synth-windows", ("torch",))
    from server.progress import shown_progress
    from training.rendering import bench_plan, learning_plan, render

    match split:
        case "bench-1" | "bench-2":
            if plain:
                raise ValueError(f"--plain does not go with {split}, whose scenes are fixed; leave it out")
            plan = bench_plan(split, labels)
        case "train" | "validation":
            plan = learning_plan(split, windows, views, labels, seed, plain=plain)
        case _:
            raise ValueError(f"split {split!r} is not known; use one of {', '.join(_SPLITS)}")
    with shown_progress(len(plan.shards), "shards") as advance:
        render(out, plan, workers or len(os.sched_getaffinity(0)), advance)
    typer.echo(f"{out}: {plan.windows} windows of {plan.config.views} views, {labels} labels")
