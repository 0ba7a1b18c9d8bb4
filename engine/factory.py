"""Which engine runs: an explicit choice, with its reason when it cannot be had."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, get_args

from engine.detector.engine import DetectorConfig, DetectorEngine
from engine.detector.networks import LandmarkSize
from engine.detector.roster import RosterConfig
from engine.errors import EngineError
from engine.hand_model.model import HandModel
from engine.smoothing import OneEuroConfig
from engine.types import HandEngine

Backend = Literal["auto", "onnxruntime", "tensorrt", "torch"]

MODELS: dict[str, LandmarkSize | Literal["auto"]] = {
    "detector": "auto",
    "detector-full": "full",
    "detector-lite": "lite",
}

SHIPPED: dict[str, str] = {"lite": "lite.onnx"}
"""Trained networks that come with this version, by name; files in `engine/network/data`."""

_EXPORTED = ".onnx"
_LOG = logging.getLogger(__name__)


def open_engine(
    model: str = "detector",
    *,
    backend: str = "auto",
    hand_model: Path | None = None,
    smoothing: bool = False,
    max_hands: int = 2,
    views: int | None = None,
) -> HandEngine:
    """Open an engine.

    Args:
        model: `detector`; `detector-full` and `detector-lite` fix the size of its network. `lite` is the UST-Hand
            network that is shipped, and the path of an `.onnx` file that `usthand export` wrote is another one.
        backend: What executes it; `auto` takes the best that is there.
        hand_model: A converted hand model; None is the embedded open hand.
        smoothing: One-Euro smoothing of the joints.
        max_hands: So many hands are tracked at once.
        views: Cameras of the rig, where they are known: TensorRT has plans for each number of them.

    Returns:
        The engine, ready to run.

    Raises:
        EngineError: If there is no such engine, or not on that backend, or not with that hand model.
        FileNotFoundError: If there is no such hand model.
        ValueError: If the hand model cannot be used.
    """
    if backend not in get_args(Backend):
        raise EngineError(f"backend {backend!r} is not known; use one of {', '.join(get_args(Backend))}")
    if max_hands < 1:
        raise EngineError(f"max_hands is {max_hands}; track at least one hand")
    roster = RosterConfig(max_hands=max_hands)
    one_euro = OneEuroConfig() if smoothing else None
    if model in MODELS:
        if backend not in ("auto", "onnxruntime"):
            raise EngineError(f"backend {backend!r} does not run the detector engine; use auto or onnxruntime")
        config = DetectorConfig(landmarks=MODELS[model], roster=roster, smoothing=one_euro)
        return DetectorEngine(HandModel.load(hand_model), config)
    path = network_path(model)
    if path.suffix != _EXPORTED and not path.is_file():
        raise EngineError(
            f"model {model!r} is not known; this version has: {', '.join([*MODELS, *SHIPPED])}; or give the path of an "
            f"exported network, an {_EXPORTED} file"
        )
    return _open_network(path, backend, HandModel.load(hand_model), roster, one_euro, views)


def network_path(model: str) -> Path:
    """The file that a model's name means: that of `SHIPPED`, or the name as a path."""
    return shipped_path(model) if model in SHIPPED else Path(model)


def shipped_path(model: str) -> Path:
    """The file of a network of `SHIPPED`."""
    return Path(__file__).parent / "network" / "data" / SHIPPED[model]


def _open_network(
    path: Path,
    backend: str,
    hand_model: HandModel,
    roster: RosterConfig,
    smoothing: OneEuroConfig | None,
    views: int | None,
) -> HandEngine:
    """Open the network engine on an exported network."""
    from engine.backends import open_runtime
    from engine.tracker.config import TrackerConfig
    from engine.tracker.engine import NetworkEngine

    if not path.is_file():
        raise EngineError(f"{path}: there is no such file; make one with `usthand export`, or use --model detector")
    runtime = open_runtime(path, backend, hand_model=hand_model, views=views, hands=roster.max_hands)
    if runtime.card.notes:
        _LOG.warning("%s: %s", path, runtime.card.notes)
    try:
        return NetworkEngine(runtime, hand_model, TrackerConfig(roster=roster, smoothing=smoothing))
    except EngineError:
        runtime.close()
        raise
