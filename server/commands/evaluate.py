"""`usthand evaluate`: what weights are worth on data whose truth is known, and the tables that compare methods."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from server.commands.devices import chosen_device
from server.commands.options import DeviceOption, HandModelOption
from server.commands.packages import require_packages

if TYPE_CHECKING:
    import torch

    from engine.hand_model.model import HandModel
    from training.datasets import ShardedWindows
    from training.joint_definition import Joints

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
        str,
        typer.Option(
            "--joints", help="Whose joints the truth means: detector, model, or auto: those that were learnt."
        ),
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
    from server.progress import shown_parts
    from training.agreement import AgreedLabels
    from training.comparison import Budget, Comparison, Data, contenders
    from training.joint_definition import defined_by
    from training.tables import table as table_of
    from training.tabulate import run_missing, said

    if threads:
        torch.set_num_threads(threads)
    if (weights is None) == (table is None):
        raise ValueError("evaluate needs one of --weights and --table")
    where = chosen_device(device)
    if joints not in _JOINTS:
        raise ValueError(f"--joints {joints!r} is none of {', '.join(_JOINTS)}")
    if weights is not None:
        text, plain = _of_weights(
            weights, _source(data, windows), joints, views or [], HandModel.load(hand_model), where
        )
    else:
        wanted = table_of(str(table))
        if not train:
            raise ValueError(f"table {table} needs --train: the windows that methods learn from")
        config, model = preset(network), HandModel.load(hand_model)
        budget = Budget(epochs, batch_size, learning_rate)

        def compared(path: Path) -> Data:
            lessons = _source(path, train_windows)
            for judges in (data, *([] if held_out is None else [held_out])):
                if _source(judges, 0).version == _source(path, 0).version:
                    raise ValueError(f"{judges}: are windows that --train names too; give others to judge by")
            meant = _joints(joints, "detector" if lessons.detected else "model")
            return Data(
                lessons if raw_labels else AgreedLabels(lessons),
                defined_by(meant, _source(data, windows)),
                None if held_out is None else defined_by(meant, _source(held_out, 0)),
            )

        with shown_parts() as parts:
            trunk, steps = parts.part("windows seen by the trunk"), parts.part("steps")
            comparisons = [
                Comparison(runs, compared(path), config, model, budget, trunk.advance, where) for path in train
            ]

            def on_run(note: str) -> None:
                steps.begin(note)
                if not sys.stderr.isatty():
                    typer.echo(note, err=True)

            if not show:
                chosen = range(first_seed, first_seed + seeds)
                run_missing(
                    wanted,
                    comparisons,
                    contenders(config, model),
                    chosen,
                    only=only or (),
                    on_run=on_run,
                    on_step=lambda report: steps.reach(report.step + 1, f"loss {report.total:.3f}"),
                )
        text, plain = said(wanted, comparisons)
    typer.echo(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Not `with_suffix`: what stands behind a point in OUT is part of its name.
        out.with_name(f"{out.name}.md").write_text(text, encoding="utf-8")
        out.with_name(f"{out.name}.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def _joints(wanted: str, learnt: Joints) -> Joints:
    """Whose joints are meant (`training.joint_definition`): those that were asked for, else those that were learnt."""
    return "detector" if wanted == "detector" else "model" if wanted == "model" else learnt


def _source(folder: Path, most: int) -> ShardedWindows:
    """Windows of a folder, or the first of them."""
    from training.datasets import ShardedWindows

    source = ShardedWindows(folder)
    return source if not most or most >= len(source) else ShardedWindows(folder, last=most)


def _of_weights(
    path: Path, source: ShardedWindows, joints: str, views: list[int], hand_model: HandModel, device: torch.device
) -> tuple[str, list[dict[str, Any]]]:
    """Figures of weights, for each number of views."""
    from engine.network.weights import load_weights
    from training.comparison import figures_of
    from training.datasets import sized
    from training.evaluate import Exam, truths_of
    from training.evaluate import evaluate as measure
    from training.feeds import WindowFeed
    from training.joint_definition import defined_by
    from training.tables import as_list
    from training.usthand import UstHandMethod

    weights = load_weights(path)
    # Weights of earlier versions do not say whose joints they learnt.
    by_labels: Joints = "detector" if source.detected else "model"
    learnt: Joints = weights.training.get("joints", by_labels)
    exam = sized(defined_by(_joints(joints, learnt), source), weights.config.input_px)
    method = UstHandMethod(weights.build(hand_model).to(device))
    samples = Exam(WindowFeed(exam), truths_of(exam))
    figures = {count: figures_of(measure(method, samples, count)) for count in views or [samples.feed.views]}
    told = {"name": exam.name, "version": exam.version, "windows": len(exam)}
    return as_list(path.name, told, figures), [{"weights": path.name, "data": told, "figures": figures}]
