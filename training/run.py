"""A training run: a folder with all that it was made from, its state, its curves and pictures, and its weights.

config.json        everything that decides the result: network, training, losses, data versions, code version
state.pt           the state to go on from
weights.pt         the newest weights, with what they reach on the validation windows
levels/            what a fixed trunk said of the windows (may be deleted)
tensorboard/       curves and pictures
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch.utils.tensorboard import SummaryWriter

from engine.backends.torch_backend import load_exported
from engine.code_version import code_version
from engine.hand_model.model import HandModel
from engine.network.config import NetworkConfig
from engine.network.network import UstHandNetwork
from engine.network.weights import load_weights, save_weights
from training.blend import blend
from training.calibrate import calibrate
from training.datasets import sized
from training.datasets.base import WindowSource
from training.distributed import processes, rank
from training.evaluate import evaluate
from training.feeds import Feed, WindowFeed, near
from training.fit import EpochReport, FitConfig, StepReport, fit
from training.half_weights import round_to_half
from training.joint_definition import Joints
from training.levels import LevelCache, build_levels
from training.losses import LossWeights
from training.pictures import overlay
from training.room import told_if_full, write_whole
from training.samples import Window
from training.truth import Truth
from training.usthand import UstHandMethod

STATE: Final = "state.pt"
WEIGHTS: Final = "weights.pt"
_CONFIG: Final = "config.json"
_LEVELS: Final = "levels"
_PICTURED: Final = 4


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What is trained and how.

    Args:
        network: The network.
        fit: Steps, rates, augmentation.
        losses: Weights of the loss terms.
        start: Weights to start from, a file of weights or an exported network; None is from the trunk's own and
            random ones.
        validation_windows: So many windows of the validation data are looked at after each epoch.
        save_every: Steps between two kept states; an epoch's end is always kept.
        start_share: The last weights lie so far back on the way to those of `start`; see `training.blend`.
        joints: Whose joints the labels mean; weights are measured by theirs (`training.joint_definition`).
    """

    network: NetworkConfig
    fit: FitConfig
    losses: LossWeights = field(default_factory=LossWeights)
    start: Path | None = None
    validation_windows: int = 64
    save_every: int = 200
    start_share: float = 0.0
    joints: Joints = "model"

    def __post_init__(self) -> None:
        check_start_share(self.start_share)
        if self.start_share and self.start is None:
            raise ValueError(f"start_share is {self.start_share} and there is no start; give the weights to start from")


def check_start_share(share: float) -> None:
    """Refuse a share that keeps less than nothing, or leaves nothing that was learnt.

    Raises:
        ValueError: If it is none from 0 to below 1.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"start_share is {share}; give one from 0 to below 1, 0.5 for instance")


def train(
    folder: Path,
    config: RunConfig,
    data: WindowSource,
    validation: WindowSource | None,
    hand_model: HandModel,
    *,
    device: torch.device,
    on_epoch: Callable[[EpochReport, dict[str, float]], None] = lambda *_: None,
    on_step: Callable[[StepReport], None] = lambda _: None,
    on_level: Callable[[str], None] = lambda _: None,
) -> Path:
    """Train a network on 2D labels, or go on with a run that was stopped.

    Args:
        folder: The run's; made if it is not there.
        config: What and how.
        data: What is learnt from; crops of another size than the network's are resized.
        validation: What is looked at after each epoch: pictures, and errors where it has truth, which also sets the
            scale of the covariance at the end. None: pictures of what is learnt from.
        hand_model: The right hand's model.
        device: Where to train.
        on_epoch: Told about each epoch and what the validation gave.
        on_step: Told about each step.
        on_level: Told about each window that a fixed trunk has seen.

    Returns:
        The file of weights.

    Raises:
        ValueError: If the folder is of another run, or the data cannot be trained on.
        OSError: If the run cannot be kept.
        FloatingPointError: If it goes astray.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = sized(data, config.network.input_px)
    validation = None if validation is None else sized(validation, config.network.input_px)
    with processes(device):
        record = _record(config, data, validation, hand_model)
        if rank() == 0:
            _keep_record(folder / _CONFIG, record)
        # Convolutions of a CPU are faster with channels last; nothing else changes.
        network = _network(config, hand_model).to(device)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        feed = near(_feed(folder / _LEVELS, config, network, data, on_level), device)
        method = UstHandMethod(network, config.losses)
        seen = _samples(validation, config.validation_windows)
        writer = SummaryWriter(str(folder / "tensorboard")) if rank() == 0 else None
        started = time.monotonic()

        def after_step(report: StepReport) -> None:
            if writer is not None:
                writer.add_scalar("loss/total", report.total, report.step)
                for name, value in report.terms.items():
                    writer.add_scalar(f"loss/{name}", value, report.step)
                writer.add_scalar("step/gradient_norm", report.gradient_norm, report.step)
                writer.add_scalar("step/learning_rate", report.learning_rate, report.step)
            on_step(report)

        def after_epoch(report: EpochReport) -> None:
            if writer is None:
                return
            reached = _measure(network, seen)
            for name, value in reached.items():
                writer.add_scalar(f"validation/{name}", value, report.steps)
            pictured = [window for window, _ in seen[:_PICTURED]] or [data[i] for i in range(min(_PICTURED, len(data)))]
            writer.add_image("joints", overlay(method, pictured), report.steps, dataformats="HWC")
            writer.flush()
            _save(folder, network, hand_model, record, reached, report.steps)
            on_epoch(report, reached)

        try:
            steps = fit(
                method,
                feed,
                config.fit,
                after_epoch,
                folder / STATE,
                on_step=after_step,
                save_every=config.save_every,
            )
        finally:
            if writer is not None:
                writer.close()
        if rank() == 0:
            if config.start is not None and config.start_share:
                blend(network, load_network(config.start, hand_model), config.start_share)
            record["seconds"] = round(time.monotonic() - started, 1)
            _finish(folder, network, hand_model, record, seen, steps)
    return folder / WEIGHTS


def _record(
    config: RunConfig, data: WindowSource, validation: WindowSource | None, hand_model: HandModel
) -> dict[str, Any]:
    """Everything that decides the result, as plain maps."""
    return {
        "network": config.network.to_dict(),
        "fit": asdict(config.fit),
        "losses": asdict(config.losses),
        "start": None if config.start is None else config.start.name,
        **({} if config.start is None else {"start_sha256": hashlib.sha256(config.start.read_bytes()).hexdigest()}),
        # Not in runs that were begun before there was such a thing.
        **({"start_share": config.start_share} if config.start_share else {}),
        "joints": config.joints,
        "data": _told(data),
        "validation": None if validation is None else _told(validation),
        "hand_model": {"name": hand_model.name, "sha256": hand_model.sha256},
        "code": code_version(),
        "torch": str(torch.__version__),
    }


def _told(source: WindowSource) -> dict[str, Any]:
    return {"name": source.name, "version": source.version, "windows": len(source)}


def _keep_record(path: Path, record: dict[str, Any]) -> None:
    """Write what the run is, or see that it is the same that was begun here; the code may have changed."""
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(record))
        # Earlier versions did not tell whose joints they are, which follows from the data, nor the start's digest.
        ignored = {"code", "torch", "joints", *({"start_sha256"} - set(before))}
        for name in sorted((set(now) | set(before)) - ignored):
            if before.get(name) != now.get(name):
                raise ValueError(
                    f"{path}: the run was begun with {name} {before.get(name)}, not {now.get(name)}; use another "
                    "--out, or the same settings to go on"
                )
        return
    write_whole(path, json.dumps(record, indent=1))


def _network(config: RunConfig, hand_model: HandModel) -> UstHandNetwork:
    if config.start is not None:
        network = load_network(config.start, hand_model)
        if network.config != config.network:
            raise ValueError(f"{config.start}: is of the network {network.config}, not {config.network}; use its own")
        return network
    with torch.random.fork_rng():
        torch.manual_seed(config.fit.seed)
        return UstHandNetwork(config.network, hand_model)


def load_network(path: Path, hand_model: HandModel) -> UstHandNetwork:
    """Read a network from a file of weights, or from an exported one.

    Raises:
        EngineError: If it cannot be read, or is of another hand model.
    """
    if path.suffix == ".onnx":
        return load_exported(path, hand_model)[0]
    return load_weights(path).build(hand_model)


def _feed(
    folder: Path,
    config: RunConfig,
    network: UstHandNetwork,
    data: WindowSource,
    on_level: Callable[[str], None],
) -> Feed:
    if config.fit.train_backbone:
        return WindowFeed(data)
    if rank() == 0:
        build_levels(folder, network.backbone, data, on_level, threads=torch.get_num_threads())
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    return LevelCache(folder, network.backbone, data)


def _samples(source: WindowSource | None, most: int) -> list[tuple[Window, Truth | None]]:
    """Windows spread over the data."""
    if source is None or not len(source):
        return []
    wanted = min(most, len(source))
    indices = [number * len(source) // wanted for number in range(wanted)]
    return [(source[index], source.truth(index)) for index in indices]


def _known(samples: list[tuple[Window, Truth | None]]) -> list[tuple[Window, Truth]]:
    return [(window, truth) for window, truth in samples if truth is not None]


def _measure(network: UstHandNetwork, samples: list[tuple[Window, Truth | None]]) -> dict[str, float]:
    """What the network reaches where truth is known; nothing where it is not."""
    known = _known(samples)
    if not known:
        return {}
    method = UstHandMethod(network)
    told = evaluate(method, known)
    two = evaluate(method, known, views=2)
    reached = {
        "mpjpe_mm": told.joints.mean_mm,
        "pa_j_mm": told.joints.aligned_mm,
        "mpjpe_2_views_mm": two.joints.mean_mm,
    }
    if told.mano_joints is not None:
        reached["mano_mpjpe_mm"] = told.mano_joints.mean_mm
    if told.coverage is not None:
        reached["coverage_90"] = told.coverage[0.9]
    return reached


def _save(
    folder: Path,
    network: UstHandNetwork,
    hand_model: HandModel,
    record: dict[str, Any],
    reached: dict[str, float],
    steps: int,
) -> None:
    with told_if_full(folder / WEIGHTS):
        save_weights(folder / WEIGHTS, network, hand_model, training={**record, "steps": steps}, metrics=reached)


def _finish(
    folder: Path,
    network: UstHandNetwork,
    hand_model: HandModel,
    record: dict[str, Any],
    samples: list[tuple[Window, Truth | None]],
    steps: int,
) -> None:
    """Give the weights their last digits and figures, and the covariance its scale."""
    round_to_half(network.backbone)
    known = _known(samples)
    if known:
        # One half sets the scale, the other says what it is worth. Windows that lie beside each other show one person.
        half = -(-len(known) // 2)
        calibrate(network, known[:half])
        known = known[half:] or known
    _save(folder, network, hand_model, record, _measure(network, [*known]), steps)
