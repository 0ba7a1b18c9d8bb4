"""A network learns a lab's own rig from its own recording, and is kept only if it has become better there.

The recording's first part is labelled in 2D by the detector and learnt from; its last part judges. Each camera in turn
is left out, and the joints that the other cameras' engine answers are compared with what a detector sees in that one: a
measure that needs no annotation and that no engine can please by agreeing with itself. A rig of two cameras leaves
nothing to answer from, so there both cameras answer and both judge, which is weaker, and is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from calibration import Rig
from capture.frames import FrameSet
from engine.factory import open_engine
from engine.hand_model.model import HandModel
from engine.network.card import make_card
from engine.network.export import export_network
from engine.network.weights import load_weights
from engine.types import HandEngine
from training.agreement import AgreedLabels
from training.datasets import Joined
from training.datasets.base import WindowSource
from training.feeds import Windows
from training.fit import FitConfig, StepReport
from training.footage import frame_sets_of, is_labelled, label_footage, windows_before
from training.leave_one_out import MIN_VIEWS, HeldOut, Place, SingleView, answer_without_each_view, score
from training.run import RunConfig, check_start_share, load_network, train

_WINDOWS: Final = "windows"
_RUN: Final = "run"
MODEL: Final = "model.onnx"
FEWEST_ANSWERED: Final = 0.9
"""A network that answers fewer hands than this share of the running engine's is not better, however well it does."""

FAR_OFF: Final = 0.015
"""Share of the pictures' width: about three times what a calibrated rig shows (docs/training.md)."""

RUNNING: Final = "running"
ADAPTED: Final = "adapted"

Footage = Callable[[], Iterator[FrameSet]]
"""Begins the recording anew: its frame sets in order, each valid until the next."""


@dataclass(frozen=True, slots=True)
class AdaptConfig:
    """How a network is adapted.

    Args:
        held_out: Share of the recording, its end, that judges and is not learnt from.
        fit: Steps and rates. The trunk is held fixed: it has seen more hands than a recording has.
        stride: A hand's windows begin so many frame sets apart.
        start_share: The adapted weights lie so far back on the way to those that they started from: a recording shows
            little of what hands do.
    """

    held_out: float = 0.5
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(epochs=6, learning_rate=2e-4, train_backbone=False, fewest_views=2)
    )
    stride: int = 1
    start_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0.1 <= self.held_out <= 0.9:
            raise ValueError(f"held_out is {self.held_out}; hold back a share between 0.1 and 0.9")
        check_start_share(self.start_share)


@dataclass(frozen=True, slots=True)
class Figure:
    """How far an engine's joints lie from what the judging cameras see.

    Args:
        hands: Hands that could be judged, the same for all engines.
        median_px: Over those hands, of the mean distance of the 21 joints, in pixels of the cameras.
        p95_px: 95th percentile.
        answered: Hands that this engine answered and a camera could judge, its own.
    """

    hands: int
    median_px: float
    p95_px: float
    answered: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What adaptation came to.

    Args:
        figures: By engine: `RUNNING` and `ADAPTED`.
        left_out: Whether each camera was left out in turn; else both cameras answered and judged.
        keeps_hands: Whether the adapted network answers about as many hands (`FEWEST_ANSWERED`).
        better: Whether it does, and is nearer to what the cameras see than the running engine.
        model: The adapted network's file; None where it is not better.
        far_off: Whether all engines are further from what the cameras see than a calibrated rig lets them be.
    """

    figures: Mapping[str, Figure]
    left_out: bool
    keeps_hands: bool
    better: bool
    model: Path | None
    far_off: bool


def adapt(
    folder: Path,
    footage: Footage,
    rig: Rig,
    running: str,
    start: Path,
    hand_model: HandModel,
    config: AdaptConfig,
    *,
    name: str,
    beside: WindowSource | None = None,
    opened: Callable[[str], HandEngine] = open_engine,
    on_labelled: Callable[[str], None] = lambda _: None,
    on_level: Callable[[str], None] = lambda _: None,
    on_step: Callable[[StepReport], None] = lambda _: None,
    on_judged: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Label, fine-tune, export, compare.

    Args:
        folder: Keeps the windows, the run, and the network if it is better. One that this began is gone on with.
        footage: The recording.
        rig: Its calibration.
        running: The model that runs now, as `usthand serve --model` takes it.
        start: The network to start from: a file of weights, or an exported network.
        hand_model: The right hand's model.
        config: How.
        name: What the recording is called; windows of another name are not taken for its own.
        beside: Other windows to learn from too, so that what was known is not forgotten.
        opened: Opens the running model and the adapted one.
        on_labelled: Told about each frame set that is labelled.
        on_level: Told about each window that the trunk has seen.
        on_step: Told about each training step.
        on_judged: Told about each frame set that an engine is judged by.

    Raises:
        EngineError: If the running model or the network to start from cannot be used.
        ValueError: If the recording has too few hands, the judged part shows none to both engines, or the folder is
            of another recording, calibration or stride.
    """
    # What cannot be used is said before the long work, not after it.
    opened(running).close()
    network = load_network(start, hand_model).config
    windows = folder / _WINDOWS
    if not is_labelled(windows, rig, name=name, stride=config.stride):
        finder = open_engine()
        try:
            label_footage(windows, footage(), rig, finder, name=name, stride=config.stride, advance=on_labelled)
        finally:
            finder.close()
    first_judged = round((1.0 - config.held_out) * frame_sets_of(windows))
    learnt = windows_before(windows, first_judged)
    data = AgreedLabels(learnt if beside is None else Joined([learnt, beside]))
    run = RunConfig(network, config.fit, start=start, start_share=config.start_share, joints="detector")
    weights_path = train(
        folder / _RUN,
        run,
        data,
        None,
        hand_model,
        device=torch.device("cpu"),
        on_step=on_step,
        on_level=on_level,
    )
    candidate = _export(folder / f"candidate-{MODEL}", weights_path, start, hand_model, learnt)

    def judged_part() -> Iterator[FrameSet]:
        for frame_set in itertools.islice(footage(), first_judged, None):
            yield frame_set
            on_judged("judging")

    figures = judge(judged_part, rig, {RUNNING: lambda: opened(running), ADAPTED: lambda: opened(str(candidate))})
    keeps_hands = figures[ADAPTED].answered >= FEWEST_ANSWERED * figures[RUNNING].answered
    better = keeps_hands and figures[ADAPTED].median_px < figures[RUNNING].median_px
    model = folder / MODEL
    if better:
        candidate.replace(model)
    else:
        candidate.unlink()
    far_off = is_far_off(figures, rig)
    return Verdict(figures, len(rig) >= MIN_VIEWS, keeps_hands, better, model if better else None, far_off)


def is_far_off(figures: Mapping[str, Figure], rig: Rig) -> bool:
    """Say whether all engines are so far from what the cameras see that the calibration is to be doubted first."""
    width_px = float(np.mean([camera.width for camera in rig]))
    return all(figure.median_px > FAR_OFF * width_px for figure in figures.values())


def judge(footage: Footage, rig: Rig, engines: Mapping[str, Callable[[], HandEngine]]) -> dict[str, Figure]:
    """Compare engines on a recording by what its cameras see, on the hands that all of them answered.

    Args:
        footage: The recording.
        rig: Its calibration.
        engines: What opens each of them, by name.

    Raises:
        ValueError: If there is no hand that all of them answered and a camera could judge.
    """
    errors: dict[str, dict[Place, float]] = {}
    for name, opened in engines.items():
        if len(rig) >= MIN_VIEWS:
            answers = answer_without_each_view(footage(), rig, opened)
            held_out, detections = answers.held_out, answers.detections
        else:
            held_out, detections = _answer_with_all_views(footage(), rig, opened)
        found, _ = score(rig, held_out, detections)
        errors[name] = {place: float(px.mean()) for place, px in found.errors_px.items()}
    common = sorted(set.intersection(*(set(of_engine) for of_engine in errors.values())))
    if not common:
        counts = ", ".join(f"{name} {len(of_engine)}" for name, of_engine in errors.items())
        raise ValueError(
            f"no hand was answered by all engines where a camera saw one (alone: {counts}); record longer, and check "
            "that the calibration fits"
        )
    return {
        name: Figure(
            len(common),
            float(np.median([of_engine[place] for place in common])),
            float(np.percentile([of_engine[place] for place in common], 95)),
            len(of_engine),
        )
        for name, of_engine in errors.items()
    }


def _answer_with_all_views(
    frame_sets: Iterable[FrameSet], rig: Rig, opened: Callable[[], HandEngine]
) -> tuple[list[HeldOut], list[list[list[Any]]]]:
    """What the engine answers from all cameras, to be judged by each, and what each camera shows by itself."""
    engine, single = opened(), SingleView()
    answers: list[HeldOut] = []
    detections: list[list[list[Any]]] = []
    try:
        for count, frame_set in enumerate(frame_sets):
            detections.append(
                [
                    [] if frame is None else single.detect(frame, camera)
                    for frame, camera in zip(frame_set.frames, rig, strict=True)
                ]
            )
            for hand in engine.process(frame_set, rig):
                answers += [HeldOut(count, view, hand.joints_world, hand.posed.joints) for view in range(len(rig))]
    finally:
        engine.close()
    return answers, detections


def _export(path: Path, weights_path: Path, start: Path, hand_model: HandModel, learnt: Windows) -> Path:
    weights = load_weights(weights_path)
    network = weights.build(hand_model)
    # A recording has no truth to scale the covariance by: what the start's was worth stays.
    before = load_network(start, hand_model)
    network.covariance.load_state_dict(before.covariance.state_dict())
    card = make_card(
        network,
        hand_model,
        name=f"{network.config.name}-adapted",
        training={**weights.training, "adapted_from": start.name, "windows": len(learnt)},
        metrics={},
    )
    export_network(network, card, path)
    return path
