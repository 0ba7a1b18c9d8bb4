"""`usthand export`: from weights to a file that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from server.commands.options import HandModelOption
from server.commands.output_path import require_file_place
from server.commands.packages import require_packages

if TYPE_CHECKING:
    from engine.hand_model.model import HandModel
    from engine.network.network import UstHandNetwork

_NEEDED: Final = ("torch", "onnx", "onnxscript")
_RANDOM_NOTES: Final = "Random weights: its poses mean nothing; for tests and timing only."
_DEFAULT_NETWORK: Final = "lite"


def export(
    out: Annotated[Path, typer.Option("--out", help="Where to write the ONNX file.")],
    network: Annotated[
        str | None, typer.Option("--network", help="lite or resnet34; with --weights, theirs by default.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="A checkpoint that training wrote; without it, random weights.")
    ] = None,
    hand_model: HandModelOption = None,
    input_px: Annotated[
        int | None, typer.Option("--input-px", help="Side of a crop, pixels; the network's own by default.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call the model; the network's name.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of random weights.")] = 0,
) -> None:
    """Export a network to an ONNX file for 1 to 8 views, with its model card, checked against PyTorch.

    Run it with `--model OUT.onnx`. A file holds the geometry of its hand model: share one made with MANO only as
    MANO's licence allows.

    For example:

        usthand export --network lite --out random.onnx

        usthand export --network lite --weights lite.pt --out lite.onnx
    """
    require_packages("export", _NEEDED)
    # Imported here so that `usthand --help` need not load torch.
    from engine.hand_model.model import HandModel
    from engine.network.card import make_card
    from engine.network.export import EXPORT_STEPS, export_network
    from server.progress import shown_progress

    require_file_place(out, "model.onnx")
    model = HandModel.load(hand_model)
    if weights is None:
        training: dict[str, Any] = {"data": "none: random weights"}
        metrics: dict[str, Any] = {}
        notes = _RANDOM_NOTES
        built = _random(network, input_px, seed, model)
        typer.secho(
            "warning: no --weights: the weights are RANDOM, so the poses will mean nothing; for tests and timing only",
            fg="yellow",
            err=True,
        )
    else:
        built, training, metrics = _trained(weights, network, input_px, model)
        notes = ""
    title = name or (built.config.name if weights else f"{built.config.name}-random")
    card = make_card(built, model, name=title, training=training, metrics=metrics, notes=notes)
    with shown_progress(EXPORT_STEPS, "export") as advance:
        report = export_network(built, card, out, advance=advance)
    typer.echo(
        f"{out}: {card.model_id}, {report.size_bytes / 1e6:.1f} MB, {report.nodes} operators, joints within "
        f"{report.parity_mm:.4f} mm of PyTorch's"
    )
    if weights is None:
        typer.echo(f"{out}: {_RANDOM_NOTES}")


def _random(network: str | None, input_px: int | None, seed: int, hand_model: HandModel) -> UstHandNetwork:
    """A network with weights drawn by a seed; what is embedded of a trained backbone is used."""
    from dataclasses import replace

    import torch

    from engine.network.config import preset
    from engine.network.network import UstHandNetwork

    config = preset(network or _DEFAULT_NETWORK)
    if input_px is not None:
        config = replace(config, input_px=input_px)
    torch.manual_seed(seed)
    return UstHandNetwork(config, hand_model)


def _trained(
    path: Path, network: str | None, input_px: int | None, hand_model: HandModel
) -> tuple[UstHandNetwork, dict[str, Any], dict[str, Any]]:
    """The network of a file of weights, what it learnt from, and what it reaches."""
    from engine.errors import EngineError
    from engine.network.weights import load_weights

    weights = load_weights(path)
    config = weights.config
    if network is not None and network != config.name:
        raise EngineError(f"{path}: holds the network {config.name}, not {network}; use --network {config.name}")
    if input_px is not None and input_px != config.input_px:
        raise EngineError(
            f"{path}: was trained on crops of {config.input_px} px, not {input_px}; leave --input-px out, or train anew"
        )
    try:
        return weights.build(hand_model), weights.training, weights.metrics
    except EngineError as error:
        raise EngineError(f"{path}: {error}") from error
