"""`usthand evaluate`: what weights are worth on data whose truth is known, and the tables that compare methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from server.commands.devices import chosen_device
from server.commands.options import DeviceOption, HandModelOption
from server.commands.packages import require_packages

if TYPE_CHECKING:
    import torch

    from engine.hand_model.model import HandModel
    from training.datasets import ShardedWindows
    from training.datasets.base import WindowSource
    from training.fit import StepReport

_NEEDED: Final = ("torch", "onnx", "onnxscript")
_JOINTS: Final = ("auto", "detector", "model")


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Windows with truth to measure on, such as the bench-1 split.")],
    weights: Annotated[Path | None, typer.Option("--weights", help="Measure these weights.")] = None,
    table: Annotated[
        str | None, typer.Option("--table", help="1 to 5: the paper's tables; methods: every method and ablation.")
    ] = None,
    train: Annotated[
        list[Path] | None,
        typer.Option("--train", help="For tables: windows that methods learn from; table 3 takes one a kind of label."),
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option("--held-out", help="For tables: windows whose truth sets the covariances' scale.")
    ] = None,
    runs: Annotated[
        Path, typer.Option("--runs", help="For tables: where figures are kept; what is there is not run again.")
    ] = Path("comparison"),
    out: Annotated[Path | None, typer.Option("--out", help="Write here too: OUT.md and OUT.json.")] = None,
    views: Annotated[list[int] | None, typer.Option("--views", min=1, help="For weights: numbers of views.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="For tables: so many seeds.")] = 2,
    first_seed: Annotated[int, typer.Option("--first-seed", min=0, help="For tables: the first of them.")] = 0,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="For tables: how often a window is seen.")] = 2,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="For tables: windows a step.")] = 4,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="For tables: Adam's.")] = 1e-3,
    train_windows: Annotated[int, typer.Option("--train-windows", min=0, help="Learn from so many; 0: all.")] = 0,
    windows: Annotated[int, typer.Option("--windows", min=0, help="Measure on so many of them; 0: all.")] = 0,
    joints: Annotated[
        str, typer.Option("--joints", help="Whose joints the truth means: detector's, model's, or by the labels: auto.")
    ] = "auto",
    raw_labels: Annotated[
        bool,
        typer.Option(
            "--raw-labels/--agreed-labels",
            help="For tables: learn from each view's labels as they are, or as all views agree.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="For tables: run these methods only, of what is missing.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="For tables: run nothing, print what is there.")] = False,
    network: Annotated[str, typer.Option("--network", help="For tables: lite or resnet34.")] = "lite",
    device: DeviceOption = "auto",
    threads: Annotated[int, typer.Option("--threads", min=0, help="Of a CPU; 0 is torch's own choice.")] = 1,
    hand_model: HandModelOption = None,
) -> None:
    """Measure weights, or fill a table in: all its methods are trained with one trunk, decoder, budget and data.

    Stopped, the same command goes on where it was.

    For example:

        usthand evaluate --weights run/weights.pt --data bench

        usthand evaluate --table methods --train windows --data bench --runs comparison --out docs/methods
    """
    require_packages("evaluate", _NEEDED)
    import torch

    from engine.hand_model.model import HandModel
    from engine.network.config import preset
    from training.agreement import AgreedLabels
    from training.comparison import Budget, Comparison, Data, contenders
    from training.tables import table as table_of
    from training.tabulate import run_missing, said

    if threads:
        torch.set_num_threads(threads)
    if (weights is None) == (table is None):
        raise ValueError("evaluate needs one of --weights and --table")
    where = chosen_device(device)
    exam = _exam(_source(data, windows), joints)
    if weights is not None:
        text, plain = _of_weights(weights, exam, views or [], HandModel.load(hand_model), where)
    else:
        wanted = table_of(str(table))
        if not train:
            raise ValueError(f"table {table} needs --train: the windows that methods learn from")
        config, model = preset(network), HandModel.load(hand_model)
        budget = Budget(epochs, batch_size, learning_rate)
        held = None if held_out is None else _exam(_source(held_out, 0), joints)

        def lessons(path: Path) -> WindowSource:
            windows = _source(path, train_windows)
            return windows if raw_labels else AgreedLabels(windows)

        with _bar() as (on_level, on_run, on_step):
            comparisons = [
                Comparison(runs, Data(lessons(path), exam, held), config, model, budget, on_level, where)
                for path in train
            ]
            if not show:
                chosen = range(first_seed, first_seed + seeds)
                methods = contenders(config, model)
                run_missing(wanted, comparisons, methods, chosen, only=only or (), on_run=on_run, on_step=on_step)
        text, plain = said(wanted, comparisons)
    typer.echo(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.with_suffix(".md").write_text(text, encoding="utf-8")
        out.with_suffix(".json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def _exam(source: ShardedWindows, joints: str) -> WindowSource:
    """The windows with the truth of whose joints are meant (`training.joint_definition`)."""
    from training.joint_definition import DefinedByDetector

    if joints not in _JOINTS:
        raise ValueError(f"--joints {joints!r} is none of {', '.join(_JOINTS)}")
    if joints == "auto":
        joints = "detector" if source.detected else "model"
    return DefinedByDetector(source) if joints == "detector" else source


def _source(folder: Path, most: int) -> ShardedWindows:
    """Windows of a folder, or the first of them."""
    from training.datasets import ShardedWindows

    source = ShardedWindows(folder)
    return source if not most or most >= len(source) else ShardedWindows(folder, last=most)


def _of_weights(
    path: Path, exam: WindowSource, views: list[int], hand_model: HandModel, device: torch.device
) -> tuple[str, list[dict[str, Any]]]:
    """Figures of weights, for each number of views."""
    from engine.network.weights import load_weights
    from training.comparison import figures_of
    from training.evaluate import evaluate as measure
    from training.tables import as_list
    from training.usthand import UstHandMethod

    method = UstHandMethod(load_weights(path).build(hand_model).to(device))
    samples = []
    for index in range(len(exam)):
        truth = exam.truth(index)
        if truth is None:
            raise ValueError(f"{exam.name}: window {index} has no truth; measure on data that knows it")
        samples.append((exam[index], truth))
    most = samples[0][0].views
    figures = {count: figures_of(measure(method, samples, count)) for count in views or [most]}
    told = {"name": exam.name, "version": exam.version, "windows": len(exam)}
    return as_list(path.name, told, figures), [{"weights": path.name, "data": told, "figures": figures}]


@contextmanager
def _bar() -> Iterator[tuple[Callable[[str], None], Callable[[str], None], Callable[[StepReport], None]]]:
    """Say what runs, and show its steps on a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def on_level(note: str) -> None:
            progress.update(task, description=f"trunk: {note}")

        def on_run(note: str) -> None:
            progress.reset(task, description=note)
            if not console.is_terminal:
                typer.echo(note, err=True)

        def on_step(report: StepReport) -> None:
            progress.update(task, completed=report.step + 1)

        yield on_level, on_run, on_step
