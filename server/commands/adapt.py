"""`usthand adapt`: a network learns a lab's own rig from its own recording, and is kept only if it is better there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from capture.recording import RIG_NAME
from server.commands.options import BackendOption, HandModelOption, ModelOption
from server.commands.packages import require_packages

if TYPE_CHECKING:
    from training.adapt import Verdict

_NEEDED: Final = ("torch", "onnx", "onnxscript", "tensorboard")
_EXPORTED: Final = ".onnx"


def adapt(
    recording: Annotated[
        Path, typer.Argument(metavar="RECORDING", help="A recording's folder, or a rig file of footage.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for windows, run and network; one that this began is gone on with.")
    ],
    model: ModelOption = "detector",
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            help="Weights or exported network to start from; --model by default, or lite if that is no network.",
        ),
    ] = None,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the recording, its end, that judges and is not learnt from.")
    ] = 0.5,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="How often each window is seen.")] = 6,
    start_share: Annotated[
        float,
        typer.Option(
            "--start-share", help="How much of the start's weights is kept: 0 none, 0.5 half, near 1 nearly all."
        ),
    ] = 0.5,
    beside: Annotated[
        Path | None, typer.Option("--beside", help="Other windows to learn from too, so that less is forgotten.")
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="Address of a running service to have take up a better model.")
    ] = None,
    backend: BackendOption = "auto",
    hand_model: HandModelOption = None,
) -> None:
    """Adapt a network to a rig by a recording of it, without annotation; keep it only if it is better there.

    The first part of the recording is labelled in 2D by the detector and learnt from. The last part judges: each camera
    is left out in turn, and the hands that come from the others are compared with what it sees.

    For example:

        usthand adapt recordings/take1 --out adapted

        usthand adapt recordings/take1 --out adapted --service http://127.0.0.1:8000
    """
    require_packages("adapt", _NEEDED)
    from dataclasses import replace
    from functools import partial

    from engine.factory import open_engine
    from engine.hand_model.model import HandModel
    from server.access import read_token
    from server.commands.sources import footage, open_rig
    from server.progress import shown_parts
    from server.service_client import ServiceAddress, choose_model
    from training.adapt import AdaptConfig
    from training.adapt import adapt as run
    from training.datasets import ShardedWindows

    address = None if service is None else ServiceAddress.parse(service, "--service", read_token(None))
    rig_file = recording / RIG_NAME if recording.is_dir() else recording
    config, calibrated = open_rig(rig_file)
    if len(calibrated) < 2:
        raise ValueError(f"{recording}: has {len(calibrated)} camera; adaptation needs two or more")
    adaptation = AdaptConfig(held_out=held_out, start_share=start_share)
    with shown_parts() as parts:
        labelled, trunk = parts.part("frame sets labelled"), parts.part("windows seen by the trunk")
        steps, judged = parts.part("steps"), parts.part("frame sets judged")
        verdict = run(
            out,
            lambda: footage(config, calibrated),
            calibrated,
            model,
            starting_network(model, start),
            HandModel.load(hand_model),
            replace(adaptation, fit=replace(adaptation.fit, epochs=epochs)),
            name=f"{config.name or rig_file.stem} ({rig_file.resolve().parent.name})",
            beside=None if beside is None else ShardedWindows(beside),
            opened=partial(open_engine, backend=backend, hand_model=hand_model),
            on_labelled=labelled.advance,
            on_level=trunk.advance,
            on_step=lambda report: steps.reach(report.step + 1, f"loss {report.total:.3f}"),
            on_judged=judged.advance,
        )
    _tell(verdict, model)
    if verdict.model is None:
        return
    if address is None:
        typer.echo(f"Run it: usthand serve --rig RIG --model {shlex.quote(str(verdict.model))}")
    else:
        running = choose_model(address, verdict.model)
        typer.echo(f"{address.url}: runs {running} now")


def starting_network(model: str, start: Path | None) -> Path:
    """What to start from: what was asked for, else the running network, else the one that comes with the package."""
    from engine.factory import SHIPPED, shipped_path

    if start is not None:
        return start
    if Path(model).suffix == _EXPORTED:
        return Path(model)
    return shipped_path(model if model in SHIPPED else next(iter(SHIPPED)))


def _tell(verdict: Verdict, model: str) -> None:
    """Print the figures and what follows from them."""
    from training.adapt import ADAPTED, RUNNING

    how = "each camera left out in turn" if verdict.left_out else "both cameras answer and judge: none can be left out"
    table = Table(title=f"Distance to what cameras see on the held-out end; {how}")
    for column in ("model", "hands", "median px", "p95 px", "hands of its own"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, told in ((RUNNING, f"{model} (running)"), (ADAPTED, "adapted")):
        figure = verdict.figures[name]
        table.add_row(
            escape(told), f"{figure.hands}", f"{figure.median_px:.2f}", f"{figure.p95_px:.2f}", f"{figure.answered}"
        )
    Console(soft_wrap=True).print(table)
    if not verdict.keeps_hands:
        typer.echo(
            f"Answers fewer hands than {model}: nothing was kept; go on with {model}, or record more of what is missed"
        )
    elif verdict.model is None:
        typer.echo(f"Not better than {model}: nothing was kept; go on with {model}, or record more of what it misses")
    else:
        typer.echo(f"Better than {model}: kept as {verdict.model}")
    if verdict.far_off:
        typer.secho(
            "warning: both are further from what the cameras see than hands on a calibrated rig are: a camera may have "
            "moved since it was calibrated. `usthand calibrate refine` repairs that from a recording; else calibrate "
            "anew, and adapt again with another --out",
            fg="yellow",
            err=True,
        )
