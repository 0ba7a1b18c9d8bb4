"""`usthand train`: from windows with 2D labels to weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast

import typer

from server.commands.devices import chosen_device
from server.commands.options import DeviceOption, HandModelOption
from server.commands.packages import require_packages

if TYPE_CHECKING:
    from training.datasets.base import WindowSource
    from training.fit import EpochReport

_NEEDED: Final = ("torch", "onnx", "onnxscript", "tensorboard")


def train(
    data: Annotated[
        list[Path], typer.Option("--data", help="A folder of windows (synth-windows, pseudo-label); may be repeated.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The run's folder; one that holds this run goes on with it.")],
    validation: Annotated[
        Path | None, typer.Option("--validation", help="Windows to look at after each epoch, never trained on.")
    ] = None,
    network: Annotated[str, typer.Option("--network", help="lite or resnet34.")] = "lite",
    start: Annotated[Path | None, typer.Option("--start", help="Weights to start from, of the same network.")] = None,
    start_share: Annotated[
        float,
        typer.Option(
            "--start-share", help="How much of the start's weights is kept: 0 none, near 1 nearly all. Needs --start."
        ),
    ] = 0.0,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="How often each window is seen.")] = 30,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Windows a step, over all processes.")] = 8,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Adam's, at the start.")] = 3e-4,
    train_trunk: Annotated[
        bool,
        typer.Option("--train-trunk/--fixed-trunk", help="Whether the encoder learns, or sees a crop once."),
    ] = True,
    trunk_rate: Annotated[float, typer.Option("--trunk-rate", help="Factor on the encoder's learning rate.")] = 1.0,
    heatmap_weight: Annotated[float, typer.Option("--heatmap-weight", help="lambda_0 of eq. 17.")] = 0.001,
    raw_labels: Annotated[
        bool,
        typer.Option(
            "--raw-labels/--agreed-labels", help="Learn from each view's labels as they are, or as all views agree."
        ),
    ] = False,
    fewest_views: Annotated[
        int, typer.Option("--fewest-views", min=0, max=8, help="Each step sees so many views or more; 0: always all.")
    ] = 2,
    precision: Annotated[str, typer.Option("--precision", help="float32 or bfloat16 (trunk and decoder).")] = "float32",
    device: DeviceOption = "auto",
    threads: Annotated[int, typer.Option("--threads", min=0, help="Of a CPU; 0 is torch's own choice.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights, order, views and noise.")] = 0,
    hand_model: HandModelOption = None,
) -> None:
    """Train the network from 2D labels alone; stopped, the same command goes on where it was.

    Several processes or hosts: `torchrun --nproc-per-node 2 -m server.cli train ...`. Curves and pictures:
    `tensorboard --logdir RUN/tensorboard`.

    For example:

        usthand train --data windows --validation held-out --out run --fixed-trunk --epochs 10

        usthand export --weights run/weights.pt --out mine.onnx
    """
    require_packages("train", _NEEDED)
    import torch

    from engine.hand_model.model import HandModel
    from engine.network.config import preset
    from server.progress import shown_parts
    from training.agreement import AgreedLabels
    from training.datasets import Joined, ShardedWindows
    from training.distributed import rank
    from training.fit import FitConfig
    from training.joint_definition import Joints, defined_by
    from training.losses import LossWeights
    from training.run import RunConfig
    from training.run import train as run

    if threads:
        torch.set_num_threads(threads)
    sources = [ShardedWindows(path) for path in data]
    joined = Joined(sources)
    windows: WindowSource = joined if raw_labels else AgreedLabels(joined)
    # What was learnt from a detector's labels has its joints, and is measured by them.
    joints: Joints = "detector" if any(source.detected for source in sources) else "model"
    seen = None
    if validation is not None:
        watched = ShardedWindows(validation)
        if watched.version in {source.version for source in sources}:
            raise ValueError(f"--validation {validation}: are windows that --data names too; give others to judge by")
        seen = defined_by(joints, watched)
    config = RunConfig(
        network=preset(network),
        fit=FitConfig(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            train_backbone=train_trunk,
            backbone_rate=trunk_rate,
            fewest_views=fewest_views,
            precision=cast(Literal["float32", "bfloat16"], precision),
            seed=seed,
        ),
        losses=LossWeights(heatmap=heatmap_weight),
        start=start,
        start_share=start_share,
        joints=joints,
    )

    def say(report: EpochReport, reached: dict[str, float]) -> None:
        told = ", ".join(f"{name} {value:.2f}" for name, value in reached.items())
        terms = ", ".join(f"{name} {value:.4f}" for name, value in report.terms.items())
        typer.echo(
            f"epoch {report.epoch + 1} of {epochs}, step {report.steps}: loss {report.total:.4f} ({terms}) {told}"
        )

    steps_per_epoch = -(-len(windows) // min(batch_size, len(windows)))
    with shown_parts() as parts:
        trunk, steps = (
            parts.part("windows seen by the trunk", len(windows)),
            parts.part("steps", steps_per_epoch * epochs),
        )
        weights = run(
            out,
            config,
            windows,
            seen,
            HandModel.load(hand_model),
            device=chosen_device(device),
            on_epoch=say,
            on_step=lambda report: steps.reach(report.step + 1, f"loss {report.total:.3f}"),
            on_level=trunk.advance,
        )
    if rank() == 0:
        typer.echo(f"{weights}: trained on {windows.name}")
