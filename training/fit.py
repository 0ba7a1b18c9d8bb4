"""Training: windows in, a better network out. Equal seeds give equal weights on one machine."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor, nn

from training.augmentation import jitter_colors
from training.distributed import (
    average_gradients,
    mean_over_processes,
    own_share,
    rank,
    same_weights,
    whole_batch_normalised,
)
from training.feeds import Feed
from training.methods import TrainableMethod
from training.precision import halved_convolutions
from training.room import told_if_full
from training.samples import Batch
from training.truth import training_step

_RESUME_SCHEMA: Final = "usthand.resume/2"


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a method is trained (sec. 4.2).

    Args:
        epochs: How often each window is seen.
        batch_size: Windows a step, over all processes together.
        learning_rate: Adam's, in the first part of the run.
        decay_after: Share of the run after which it is multiplied by `decay`.
        decay: The factor.
        clip_norm: The gradient's norm is held below it.
        color_jitter: Amount of `jitter_colors`.
        train_backbone: Whether the encoder learns; else its weights and its normalisation's statistics stay.
        backbone_rate: Factor on the encoder's learning rate.
        fewest_views: Each step sees its windows by so many of their views or more, drawn anew of those that saw the
            hand; 0 is always all.
        precision: `bfloat16` runs trunk and decoder in it, and the geometry in float32.
        seed: Of order, colours, views and noise.
    """

    epochs: int = 30
    batch_size: int = 8
    learning_rate: float = 3e-4
    decay_after: float = 2 / 3
    decay: float = 0.1
    clip_norm: float = 1.0
    color_jitter: float = 0.3
    train_backbone: bool = True
    backbone_rate: float = 1.0
    fewest_views: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs {self.epochs} and batch_size {self.batch_size} must be 1 or more")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be above 0")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}; use float32 or bfloat16")


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step was like.

    Args:
        step: Its number; the first is 0.
        total: The loss.
        terms: Its terms by name, before their weights.
        gradient_norm: The gradient's norm before it was clipped.
        learning_rate: The rate it was made with.
    """

    step: int
    total: float
    terms: dict[str, float]
    gradient_norm: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What an epoch was like.

    Args:
        epoch: Its number; the first is 0.
        steps: Steps since the start of the run.
        total: Mean loss over those of the epoch's steps that this call made.
        terms: Mean of each of its terms, before their weights.
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
    method: TrainableMethod,
    feed: Feed,
    config: FitConfig,
    on_epoch: Callable[[EpochReport], None] | None = None,
    resume_path: Path | None = None,
    *,
    on_step: Callable[[StepReport], None] | None = None,
    save_every: int = 0,
) -> int:
    """Train a method in place on 2D labels.

    Truth cannot be read while a step runs, nor while its windows are fetched; the callbacks run between steps and may
    evaluate. On a GPU `on_step` hears of a step when the next one is under way, and of an epoch's last one at its end.
    Within `training.distributed.processes` all processes call it alike, and the first one writes.

    Args:
        method: Its module is on any device.
        feed: The windows.
        config: How.
        on_epoch: Called after each epoch.
        resume_path: Where the state of the run is kept after each epoch; a run that finds one there goes on from it,
            and ends with the weights that an uninterrupted run would have.
        on_step: Called after each step.
        save_every: Keep the state after so many steps too; 0 is only after each epoch.

    Returns:
        The run's steps, those of former calls too.

    Raises:
        ValueError: If there is nothing to train on, the batches cannot be shared by the processes, or the state at
            `resume_path` cannot be read or is of another run, or a GPU's memory is full.
        OSError: If the state cannot be kept.
        FloatingPointError: If a loss or its gradient is not finite.
    """
    if not len(feed):
        raise ValueError("no windows to train on; give at least one")
    batch_size = min(config.batch_size, len(feed))
    own_share(range(batch_size))
    steps_per_epoch = -(-len(feed) // batch_size)
    module = method.module
    optimizer = _optimizer(module, config)
    start = 0
    if resume_path is not None and resume_path.exists():
        start = _load_state(resume_path, module, optimizer, config)
    same_weights(module)
    device = next(module.parameters()).device
    # The numbers of a step on a GPU are read when the next one was asked of it: it never waits for them.
    behind = int(device.type == "cuda")
    made: deque[_Step] = deque()
    done: list[StepReport] = []

    def settle(left: int) -> None:
        while len(made) > left:
            done.append(made.popleft().report())
            if on_step is not None:
                on_step(done[-1])

    for step in range(start, steps_per_epoch * config.epochs):
        epoch, place = divmod(step, steps_per_epoch)
        chosen = _order(config.seed, epoch, len(feed), batch_size)[place * batch_size : (place + 1) * batch_size]
        rate = config.learning_rate * (
            config.decay if step >= config.decay_after * steps_per_epoch * config.epochs else 1
        )
        with (
            _training_mode(module, config),
            whole_batch_normalised(module),
            halved_convolutions(module, device, wanted=config.precision == "bfloat16"),
            _seeded(config.seed, step) as generator,
            training_step(),
            _memory_told(device, batch_size),
        ):
            wanted = _views_of_step(feed.views, config.fewest_views, generator)
            orders = None if wanted is None else own_share(_orders(feed.views, batch_size, generator))
            batch = feed.batch(own_share(chosen), orders, wanted).to(device)
            made.append(_step(method, optimizer, batch, config, step, rate, generator))
        last = place == steps_per_epoch - 1
        saves = resume_path is not None and (last or (save_every and (step + 1) % save_every == 0))
        settle(0 if last or saves else behind)
        if resume_path is not None and saves and rank() == 0:
            _save_state(resume_path, module, optimizer, config, step + 1)
        if last:
            if on_epoch is not None:
                on_epoch(_epoch_report(epoch, done))
            done.clear()
    return steps_per_epoch * config.epochs


def _step(
    method: TrainableMethod,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    config: FitConfig,
    step: int,
    rate: float,
    generator: torch.Generator,
) -> _Step:
    batch = jitter_colors(batch, config.color_jitter, generator)
    total, terms = method.losses(batch, generator)
    told = mean_over_processes(torch.stack([*terms.values(), total.detach()]))
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    average_gradients(method.module)
    norm = nn.utils.clip_grad_norm_(method.module.parameters(), config.clip_norm)
    optimizer.step()
    numbers = torch.cat([told, norm.to(told.dtype)[None]]).to("cpu", non_blocking=True)
    arrived = torch.cuda.current_stream(told.device).record_event() if told.is_cuda else None
    return _Step(step, tuple(terms), numbers, arrived, rate)


@dataclass(frozen=True, eq=False, slots=True)
class _Step:
    """A step that was made, or that a GPU was asked to make.

    Args:
        number: Its number.
        names: Of the loss terms.
        numbers: The terms, their sum and the gradient's norm, on their way to the CPU.
        arrived: When they are there; None: they are.
        rate: The rate it was made with.
    """

    number: int
    names: tuple[str, ...]
    numbers: Tensor
    arrived: torch.cuda.Event | None
    rate: float

    def report(self) -> StepReport:
        """Wait for the numbers."""
        if self.arrived is not None:
            self.arrived.synchronize()
        *values, loss, norm = self.numbers.tolist()
        terms = dict(zip(self.names, values, strict=True))
        # A gradient that is not finite has spoilt the weights already, though the next loss alone would show it.
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise FloatingPointError(
                f"the loss is {loss} and its gradient's norm {norm} at step {self.number}: {terms}; lower the learning "
                "rate"
            )
        return StepReport(self.number, loss, terms, norm, self.rate)


def _epoch_report(epoch: int, done: list[StepReport]) -> EpochReport:
    return EpochReport(
        epoch=epoch,
        steps=done[-1].step + 1,
        total=float(np.mean([report.total for report in done])),
        terms={name: float(np.mean([report.terms[name] for report in done])) for name in done[0].terms},
        gradient_norm=float(np.mean([report.gradient_norm for report in done])),
        learning_rate=done[-1].learning_rate,
    )


def _order(seed: int, epoch: int, windows: int, batch_size: int) -> list[int]:
    """The windows of an epoch in their order; the last batch is filled up from the first."""
    rng = np.random.default_rng((seed, epoch, 0x04D))
    order = rng.permutation(windows)
    return [int(number) for number in np.resize(order, -(-windows // batch_size) * batch_size)]


def _views_of_step(most: int, fewest: int, generator: torch.Generator) -> int | None:
    """By how many views a step sees its windows; None is all."""
    if not 0 < fewest < most:
        return None
    return int(torch.randint(fewest, most + 1, (), generator=generator))


def _orders(most: int, windows: int, generator: torch.Generator) -> list[list[int]]:
    """In which order the views of each window of a step are taken."""
    return [torch.randperm(most, generator=generator).tolist() for _ in range(windows)]


def _optimizer(module: nn.Module, config: FitConfig) -> torch.optim.Adam:
    encoder: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        (encoder if name.startswith("backbone.") else rest).append(parameter)
    groups: list[dict[str, Any]] = [{"params": rest, "factor": 1.0}]
    if config.train_backbone and encoder:
        groups.append({"params": encoder, "factor": config.backbone_rate})
    # Fused: one kernel for all weights of a GPU, where launching them costs more than the sums.
    on_gpu = next(module.parameters()).is_cuda
    return torch.optim.Adam(groups, lr=config.learning_rate, fused=on_gpu or None)


@contextmanager
def _training_mode(module: nn.Module, config: FitConfig) -> Iterator[None]:
    """Training mode for a while, with a frozen encoder left as it is; then evaluation mode."""
    module.train()
    if isinstance(backbone := getattr(module, "backbone", None), nn.Module):
        backbone.train(config.train_backbone).requires_grad_(config.train_backbone)
    try:
        yield
    finally:
        module.eval()


@contextmanager
def _memory_told(device: torch.device, windows: int) -> Iterator[None]:
    """Say what to do where a GPU's memory is full."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"{device} has no memory for a step of {windows} windows ({_first_line(error)}); take fewer a step"
        ) from error


@contextmanager
def _seeded(seed: int, step: int) -> Iterator[torch.Generator]:
    """Chance that depends on seed and step alone, torch's own included, so that resuming needs no random state."""
    values = np.random.SeedSequence((seed, step)).generate_state(2, np.uint64)
    # A GPU's state is set too, by the seed, and left as it is: to fetch it would wait for all that the GPU has to do.
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(int(values[0] >> np.uint64(1)))
        yield torch.Generator().manual_seed(int(values[1] >> np.uint64(1)))


def _save_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, config: FitConfig, step: int) -> None:
    state = {
        "schema": _RESUME_SCHEMA,
        "config": asdict(config),
        "step": step,
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    # A run that is stopped while it writes keeps the state before.
    unfinished = path.with_suffix(path.suffix + ".part")
    try:
        with told_if_full(path):
            torch.save(state, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _load_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, config: FitConfig) -> int:
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({_first_line(error)}); delete it to start anew") from error
    if not isinstance(state, dict) or state.get("schema") != _RESUME_SCHEMA:
        raise ValueError(f"{path} holds no state of a training run; delete it, or give another path")
    if state["config"] != asdict(config):
        raise ValueError(f"{path} is of a run with {state['config']}; delete it to start anew with {asdict(config)}")
    try:
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is of another network ({_first_line(error)}); delete it to start anew") from error
    return int(state["step"])


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
