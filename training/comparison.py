"""The comparison: every method and ablation, with the same data, labels, trunk, decoder, steps and seeds.

Each run of a method with a seed leaves a file of its figures; what is there is not run again, so the comparison can be
made in pieces, by several processes, and be interrupted.

FOLDER/levels/      what the fixed trunk said of the data (may be deleted)
FOLDER/runs/        a file of figures for each run
FOLDER/states/      states of runs that were stopped
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

import torch
from torch import nn

from engine.code_version import code_version
from engine.hand_model.model import HandModel
from engine.network.backbones import Backbone, build_backbone
from engine.network.config import NetworkConfig
from engine.network.network import UstHandNetwork
from training.ablations import ablations
from training.baselines import (
    EpipolarTransformer,
    HaMuCo,
    LabelDlt,
    LtAlgebraic,
    LtVolumetric,
    Monocular,
    RobustLabelDlt,
    S2Hand,
)
from training.calibrate import calibrate
from training.datasets import sized
from training.datasets.base import WindowSource
from training.evaluate import Evaluation, Exam, evaluate, truths_of
from training.feeds import Feed, near
from training.fit import FitConfig, StepReport, fit
from training.levels import LevelCache, build_levels
from training.methods import Method, TrainableMethod
from training.room import write_whole
from training.usthand import UstHandMethod

SCHEMA: Final = "usthand.comparison/1"
VIEWS: Final = (2, 4, 6, 8)
"""Numbers of views that methods are asked with, as far as the data has them."""

_RUNS: Final = "runs"
_LEVELS: Final = "levels"
_STATES: Final = "states"
_F_FRAMES: Final = 100
_BATCH: Final = 4


@dataclass(frozen=True, slots=True)
class Budget:
    """What each method may spend on learning.

    Args:
        epochs: How often each window is seen.
        batch_size: Windows a step.
        learning_rate: Adam's, at the start; a tenth of it after two thirds of the steps.
        fewest_views: Each step sees so many views or more; 0 is always all.
    """

    epochs: int = 2
    batch_size: int = 4
    learning_rate: float = 1e-3
    fewest_views: int = 2


@dataclass(frozen=True, eq=False, slots=True)
class Contender:
    """A method that takes part.

    Args:
        name: What tables call it.
        make: Makes it anew.
        learns: Whether it is trained: else one seed says all.
        frames: Windows need so many frames.
    """

    name: str
    make: Callable[[], Method]
    learns: bool = True
    frames: int = 1


def contenders(config: NetworkConfig, hand_model: HandModel) -> list[Contender]:
    """All that take part, the cheap ones first.

    Args:
        config: UST-Hand's settings, of which all others take trunk, decoder and widths.
        hand_model: The right hand's model.
    """

    def ust_hand(name: str, variant: NetworkConfig) -> Contender:
        frames = variant.temporal_frames if variant.temporal_frames > config.temporal_frames else 1
        return Contender(name, lambda: UstHandMethod(UstHandNetwork(variant, hand_model), name=name), frames=frames)

    (full, *variants) = (ust_hand(name, variant) for name, variant in ablations(config).items())
    monocular = Contender(Monocular.name, lambda: Monocular(config, hand_model), learns=False)
    return [
        Contender(LabelDlt().name, LabelDlt, learns=False),
        Contender(LabelDlt(weighted=True).name, lambda: LabelDlt(weighted=True), learns=False),
        Contender(RobustLabelDlt.name, lambda: RobustLabelDlt(config.input_px), learns=False),
        *([monocular] if config.use_trunk_joints else []),
        Contender(LtAlgebraic.name, lambda: LtAlgebraic(config)),
        full,
        Contender(HaMuCo.name, lambda: HaMuCo(config, hand_model)),
        Contender(EpipolarTransformer.name, lambda: EpipolarTransformer(config)),
        Contender(LtVolumetric.name, lambda: LtVolumetric(config)),
        Contender(S2Hand.name, lambda: S2Hand(config, hand_model)),
        *variants,
    ]


@dataclass(frozen=True, eq=False, slots=True)
class Data:
    """What is compared on.

    Args:
        train: Learnt from, by its 2D labels.
        exam: Measured on, by its truth.
        held_out: Sets the scale of covariances, by its truth; None leaves them as the methods say.
    """

    train: WindowSource
    exam: WindowSource
    held_out: WindowSource | None = None

    def sized(self, size_px: int) -> Data:
        """The same with crops of a network's size."""
        held_out = None if self.held_out is None else sized(self.held_out, size_px)
        return Data(sized(self.train, size_px), sized(self.exam, size_px), held_out)


class Comparison:
    """Runs of methods on data, kept in a folder.

    Args:
        folder: Where; made if it is not there.
        data: What is compared on.
        config: UST-Hand's settings.
        hand_model: The right hand's model.
        budget: What each method may spend.
        on_level: Told about each window that the trunk has seen.
        device: Where methods learn and are measured; None is the CPU.

    Raises:
        ValueError: If a source is empty, or the exam has no truth.
    """

    def __init__(
        self,
        folder: Path,
        data: Data,
        config: NetworkConfig,
        hand_model: HandModel,
        budget: Budget,
        on_level: Callable[[str], None] = lambda _: None,
        device: torch.device | None = None,
    ) -> None:
        self._folder = folder
        self._data = data = data.sized(config.input_px)
        self._config = config
        self._hand_model = hand_model
        self._budget = budget
        self._on_level = on_level
        self._device = device or torch.device("cpu")
        self._feeds: dict[str, Feed] = {}
        self._frames = data.exam[0].frames
        self._views = tuple(views for views in VIEWS if views <= data.exam[0].views)
        if not self._views:
            raise ValueError(f"{data.exam.name}: has windows of one view; a comparison needs two or more")
        for name in (_RUNS, _STATES):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._backbone: Backbone | None = None

    def missing(self, wanted: Sequence[Contender], seeds: Sequence[int]) -> list[tuple[Contender, int]]:
        """Runs that are not there yet: all methods with the first seed, then with the next.

        Methods that learn nothing are run with the first seed alone; those whose windows are too short, not at all.
        """
        return [
            (contender, seed)
            for number, seed in enumerate(seeds)
            for contender in wanted
            if contender.frames <= self._frames
            and (number == 0 or contender.learns)
            and self._kept(contender.name, seed) is None
        ]

    def run(self, contender: Contender, seed: int, on_step: Callable[[StepReport], None] = lambda _: None) -> Path:
        """Train a method, or go on where it was stopped, measure it and keep its figures.

        Returns:
            The file of figures.
        """
        started = time.monotonic()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            method = contender.make()
        training_s = 0.0
        state = self._folder / _STATES / self._path(contender.name, seed).with_suffix(".pt").name
        if _trainable(method):
            feed = self._levels(self._data.train)
            method.module.to(self._device)
            # Convolutions of a CPU are faster with channels last; nothing else changes.
            for module in method.module.modules():
                if isinstance(module, nn.Conv2d):
                    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            config = FitConfig(
                epochs=self._budget.epochs,
                batch_size=self._budget.batch_size,
                learning_rate=self._budget.learning_rate,
                color_jitter=0.0,
                train_backbone=False,
                fewest_views=self._budget.fewest_views,
                seed=seed,
            )
            started = time.monotonic()
            fit(method, feed, config, resume_path=state, on_step=on_step, save_every=50)
            training_s = time.monotonic() - started
            if isinstance(method, UstHandMethod) and self._data.held_out is not None:
                calibrate(method.network, self._exam(self._data.held_out), _BATCH)
        exam = self._exam(self._data.exam)
        figures = {
            str(views): figures_of(evaluate(method, exam, views, _BATCH, f_frames=_F_FRAMES)) for views in self._views
        }
        content = {
            **self._identity(contender.name, seed),
            "figures": figures,
            "training_s": round(training_s, 1),
            "code": code_version(),
        }
        path = self._path(contender.name, seed)
        write_whole(path, json.dumps(content, indent=1))
        state.unlink(missing_ok=True)
        return path

    def results(self) -> list[dict[str, Any]]:
        """The content of all runs' files of this comparison, in no order."""
        found = [self._read(path) for path in sorted((self._folder / _RUNS).glob("*.json"))]
        return [content for content in found if content | self._identity(content["method"], content["seed"]) == content]

    def _exam(self, source: WindowSource) -> Exam:
        return Exam(self._levels(source), truths_of(source))

    def _levels(self, source: WindowSource) -> Feed:
        """What the trunk said of a source, on a GPU once for all methods."""
        if source.name + source.version not in self._feeds:
            self._feeds[source.name + source.version] = near(self._seen(source), self._device)
        return self._feeds[source.name + source.version]

    def _seen(self, source: WindowSource) -> LevelCache:
        if self._backbone is None:
            self._backbone = build_backbone(self._config.backbone)
        # One folder for each version of each source, so that comparisons of several data share what they can.
        place = hashlib.sha256(f"{source.name} {source.version} {self._config.backbone}".encode()).hexdigest()[:12]
        return build_levels(self._folder / _LEVELS / place, self._backbone, source, self._on_level, device=self._device)

    def _identity(self, name: str, seed: int) -> dict[str, Any]:
        """Everything that decides a run, as plain maps."""
        data = self._data
        told = {"train": data.train, "exam": data.exam, "held_out": data.held_out}
        identity = {
            "schema": SCHEMA,
            "method": name,
            "seed": seed,
            "data": {
                part: None
                if source is None
                else {"name": source.name, "version": source.version, "windows": len(source)}
                for part, source in told.items()
            },
            "budget": asdict(self._budget),
            "network": self._config.to_dict(),
            "hand_model": self._hand_model.sha256,
        }
        plain: dict[str, Any] = json.loads(json.dumps(identity))
        return plain

    def _kept(self, name: str, seed: int) -> dict[str, Any] | None:
        """A run's file, if it is there and is of this comparison."""
        path = self._path(name, seed)
        if not path.exists():
            return None
        content = self._read(path)
        for part, value in self._identity(name, seed).items():
            if content.get(part) != value:
                raise ValueError(
                    f"{path}: is of a comparison with {part} {content.get(part)}, not {value}; give another folder"
                )
        return content

    def _path(self, name: str, seed: int) -> Path:
        # Runs of other data lie beside each other: Tab. 3 compares labels.
        version = re.sub(r"[^0-9a-z]+", "-", self._data.train.version)
        return self._folder / _RUNS / f"{_slug(name)}-{version}-{seed}.json"

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: cannot be read ({error}); delete it to run it anew") from error
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise ValueError(f"{path}: holds no figures of {SCHEMA}; delete it to run it anew")
        return content


def figures_of(evaluation: Evaluation) -> dict[str, float]:
    """The figures of an evaluation by the names that tables use; those that are not known are not there."""
    figures = {
        "frames": float(evaluation.frames),
        "answered": evaluation.answered,
        "mpjpe": evaluation.joints.mean_mm,
        "pa_j": evaluation.joints.aligned_mm,
        "auc_j": evaluation.joints.auc,
        "rooted": evaluation.rooted_mm,
    }
    if evaluation.mano_joints is not None:
        figures |= {"mano_mpjpe": evaluation.mano_joints.mean_mm, "mano_pa_j": evaluation.mano_joints.aligned_mm}
    if evaluation.mesh is not None:
        mesh = evaluation.mesh
        figures |= {
            "mpvpe": mesh.points.mean_mm,
            "pa_v": mesh.points.aligned_mm,
            "auc_v": mesh.points.auc,
            "f_5": mesh.f_5,
            "f_15": mesh.f_15,
        }
    if evaluation.coverage is not None:
        figures |= {f"coverage_{100 * level:.0f}": share for level, share in evaluation.coverage.items()}
    return figures


def _trainable(method: Method) -> TypeGuard[TrainableMethod]:
    return hasattr(method, "losses")


def _slug(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "-", name.lower()).strip("-")
