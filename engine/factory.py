"""Which engine runs: an explicit choice, with its reason when it cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from engine.detector.engine import DetectorConfig, DetectorEngine
from engine.detector.networks import LandmarkSize
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


def open_engine(
    model: str = "detector",
    *,
    backend: str = "auto",
    hand_model: Path | None = None,
    smoothing: bool = False,
    max_hands: int = 2,
) -> HandEngine:
    """Open an engine.

    Args:
        model: `detector`, the embedded default; `detector-full` and `detector-lite` fix the size of its network.
        backend: What executes it; `auto` takes the best that is there.
        hand_model: A converted hand model; None is the embedded open hand.
        smoothing: One-Euro smoothing of the joints.
        max_hands: So many hands are tracked at once.

    Returns:
        The engine, ready to run.

    Raises:
        EngineError: If there is no such engine, or not on that backend.
        FileNotFoundError: If there is no such hand model.
        ValueError: If the hand model cannot be used.
    """
    if backend not in get_args(Backend):
        raise EngineError(f"backend {backend!r} is not known; use one of {', '.join(get_args(Backend))}")
    if model not in MODELS:
        raise EngineError(f"model {model!r} is not known; this version has: {', '.join(MODELS)}")
    if backend not in ("auto", "onnxruntime"):
        raise EngineError(f"backend {backend!r} does not run the detector engine; use auto or onnxruntime")
    if max_hands < 1:
        raise EngineError(f"max_hands is {max_hands}; track at least one hand")
    config = DetectorConfig(
        landmarks=MODELS[model], max_hands=max_hands, smoothing=OneEuroConfig() if smoothing else None
    )
    return DetectorEngine(HandModel.load(hand_model), config)
