"""Training: windows in, a better network out. Equal seeds give equal weights on one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from engine.network.network import SequenceOutputs, UstHandNetwork
from training.augmentation import jitter_colors
from training.losses import LossWeights, losses
from training.samples import Batch, Window, collate
from training.truth import training_step

_RESUME_SCHEMA: Final = "usthand.resume/1"


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How the network is trained (sec. 4.2).

    Args:
        epochs: How often each window is seen.
        batch_size: Windows a step.
        learning_rate: Adam's, in the first part of the run.
        decay_after: Share of the run after which it is multiplied by `decay`.
        decay: The factor.
        clip_norm: The gradient's norm is held below it.
        weights: Of the loss terms.
        color_jitter: Amount of `jitter_colors`.
        train_backbone: Whether the encoder learns; else its weights and its normalisation's statistics stay.
        backbone_rate: Factor on the encoder's learning rate.
        seed: Of order, colours, noise and dropout.
    """

    epochs: int = 30
    batch_size: int = 8
    learning_rate: float = 3e-4
    decay_after: float = 2 / 3
    decay: float = 0.1
    clip_norm: float = 1.0
    weights: LossWeights = field(default_factory=LossWeights)
    color_jitter: float = 0.3
    train_backbone: bool = True
    backbone_rate: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs {self.epochs} and batch_size {self.batch_size} must be 1 or more")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be above 0")


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What an epoch was like.

    Args:
        epoch: Its number; the first is 0.
        steps: Steps since the start of the run.
        total: Mean of eq. 17 over the epoch's steps.
        terms: Mean of each of its terms, before their weights, by the name in `LossTerms`.
        gradient_norm: Mean norm of the gradient before it was clipped.
        learning_rate: Of the epoch's last step.
    """

    epoch: int
    steps: int
    total: float
    terms: dict[str, float]
    gradient_norm: float
    learning_rate: float


def fit(
    network: UstHandNetwork,
    windows: Sequence[Window],
    config: FitConfig,
    on_epoch: Callable[[EpochReport], None] | None = None,
    resume_path: Path | None = None,
) -> None:
    """Train a network in place on 2D labels.

    Truth cannot be read while a step runs, nor while its windows are fetched; `on_epoch` runs between steps and may
    evaluate.

    Args:
        network: On any device.
        windows: All of equal T and S.
        config: How.
        on_epoch: Called after each epoch.
        resume_path: Where the state of the run is kept after each epoch; a run that finds one there goes on from it,
            and ends with the weights that an uninterrupted run would have.

    Raises:
        ValueError: If there is nothing to train on, or the state at `resume_path` is of another run.
        FloatingPointError: If a loss is not finite.
    """
    if not windows:
        raise ValueError("no windows to train on; give at least one")
    steps_per_epoch = -(-len(windows) // config.batch_size)
    optimizer = _optimizer(network, config)
    first = 0
    if resume_path is not None and resume_path.exists():
        first = _load_state(resume_path, network, optimizer, config)
    for epoch in range(first, config.epochs):
        with _training_mode(network, config), _seeded(config.seed, epoch) as generator:
            totals: list[dict[str, float]] = []
            order = torch.randperm(len(windows), generator=generator).tolist()
            for index in range(steps_per_epoch):
                step = epoch * steps_per_epoch + index
                _set_learning_rate(optimizer, config, step / (steps_per_epoch * config.epochs))
                chosen = order[index * config.batch_size : (index + 1) * config.batch_size]
                with training_step():
                    batch = collate([windows[number] for number in chosen])
                    totals.append(_step(network, optimizer, batch, config, generator))
        if resume_path is not None:
            _save_state(resume_path, network, optimizer, config, epoch + 1)
        if on_epoch is not None:
            mean = {name: float(np.mean([row[name] for row in totals])) for name in totals[0]}
            on_epoch(
                EpochReport(
                    epoch=epoch,
                    steps=(epoch + 1) * steps_per_epoch,
                    total=mean.pop("total"),
                    gradient_norm=mean.pop("gradient_norm"),
                    terms=mean,
                    learning_rate=optimizer.param_groups[0]["lr"],
                )
            )


def run_network(network: UstHandNetwork, batch: Batch, generator: torch.Generator) -> SequenceOutputs:
    """Run a network over a batch with noise drawn on the CPU, so that it is equal on every device."""
    hands, frames, views = batch.view_mask.shape
    noise = torch.randn((hands, frames, views, network.config.hypotheses, 21, 2), generator=generator)
    outputs: SequenceOutputs = network.forward_sequence(
        batch.crops, batch.projections, batch.view_mask, noise.to(batch.crops.device), batch.levels
    )
    return outputs


def _step(
    network: UstHandNetwork,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    config: FitConfig,
    generator: torch.Generator,
) -> dict[str, float]:
    batch = jitter_colors(batch.to(next(network.parameters()).device), config.color_jitter, generator)
    terms = losses(run_network(network, batch, generator), batch)
    total: Tensor = terms.total(config.weights)
    if not torch.isfinite(total):
        raise FloatingPointError(f"the loss is {float(total.detach())}: {terms.numbers()}; lower the learning rate")
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
    optimizer.step()
    return {"total": float(total.detach()), "gradient_norm": float(norm), **terms.numbers()}


def _optimizer(network: UstHandNetwork, config: FitConfig) -> torch.optim.Adam:
    encoder = {id(parameter) for parameter in network.backbone.parameters()}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if id(p) not in encoder], "factor": 1.0}
    ]
    if config.train_backbone:
        groups.append({"params": list(network.backbone.parameters()), "factor": config.backbone_rate})
    return torch.optim.Adam(groups, lr=config.learning_rate)


def _set_learning_rate(optimizer: torch.optim.Optimizer, config: FitConfig, progress: float) -> None:
    rate = config.learning_rate * (config.decay if progress >= config.decay_after else 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


@contextmanager
def _training_mode(network: UstHandNetwork, config: FitConfig) -> Iterator[None]:
    """Training mode for a while, with a frozen encoder left as it is; then evaluation mode."""
    network.train()
    network.backbone.train(config.train_backbone).requires_grad_(config.train_backbone)
    try:
        yield
    finally:
        network.eval()


@contextmanager
def _seeded(seed: int, epoch: int) -> Iterator[torch.Generator]:
    """Chance that depends on seed and epoch alone, torch's own included, so that resuming needs no random state."""
    values = np.random.SeedSequence((seed, epoch)).generate_state(2, np.uint64)
    with torch.random.fork_rng():
        torch.manual_seed(int(values[0] >> np.uint64(1)))
        yield torch.Generator().manual_seed(int(values[1] >> np.uint64(1)))


def _save_state(
    path: Path, network: UstHandNetwork, optimizer: torch.optim.Optimizer, config: FitConfig, epoch: int
) -> None:
    state = {
        "schema": _RESUME_SCHEMA,
        "config": repr(config),
        "epoch": epoch,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    # A run that is stopped while it writes keeps the state before.
    unfinished = path.with_suffix(path.suffix + ".part")
    torch.save(state, unfinished)
    unfinished.replace(path)


def _load_state(path: Path, network: UstHandNetwork, optimizer: torch.optim.Optimizer, config: FitConfig) -> int:
    state = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(state, dict) or state.get("schema") != _RESUME_SCHEMA:
        raise ValueError(f"{path} holds no state of a training run; delete it, or give another path")
    if state["config"] != repr(config):
        raise ValueError(f"{path} is of a run with {state['config']}; delete it to start anew with {config}")
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])
