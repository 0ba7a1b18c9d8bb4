"""A detector's errors, simulated: labels that are as wrong as its own are, without asking it.

Each crop has a size of error and a confidence, both drawn about what its look lets one expect and both lasting while
the hand looks the same. Within a crop all joints err together, as fingers of one hand do, each by as much as it is
hard to see. Some hands are taken for the other side's, some are missed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from training.joint_definition import detector_offsets_m
from training.label_noise.memory import Memory
from training.label_noise.seeing import Seeing, from_palm, seeing, to_palm
from training.samples import JOINTS, Window
from training.truth import Truth

Array = NDArray[np.float64]

_FILE: Final = "label_noise.json"

KNOTS: Final = ndtr(np.linspace(-3.2, 3.2, 33))
"""Probabilities at which distributions are kept: dense in the tails."""

RANKS: Final = np.array([0.0, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.6, 1.0])
"""Ranks of confidence about which errors are kept, with straight lines between: the unsure err most."""

OTHER_SIDE: Final = np.array([0, *(joint for finger in (17, 13, 9, 5, 1) for joint in range(finger, finger + 4))])
"""Which joint of a right hand is where a left hand's would be."""


@dataclass(frozen=True, eq=False, slots=True)
class NoiseModel:
    """What was found of a detector (`training.label_noise.fit`). Lengths are in half crops.

    Args:
        look_mean: Of `Seeing.of_crops` `(4,)` where it was fitted.
        look_spread: Its standard deviations `(4,)`.
        confidence: Of a hand's confidence score: what each standardised look adds `(4,)`.
        confidence_rest: Standard deviation of the rest.
        confidence_memory: For how long it lasts.
        confidence_scores: Quantiles of the score at `KNOTS`: they give it its rank among all hands.
        confidences: Quantiles at `KNOTS` of the confidences of hands that were not missed.
        missed: Share of hands that are missed: those of lowest rank.
        error: What each standardised look adds to the logarithm of a crop's error, root mean square over joints `(4,)`.
        error_flipped: What it adds that the hand is taken for the other side's.
        error_rest: Quantiles of the rest at `KNOTS`, about each of `RANKS` of the confidence `(R, Q)`.
        error_memory: For how long it lasts.
        joint: Logarithm of each joint's error over its crop's `(21,)`.
        joint_by: What each of `Seeing.of_joints` adds to it `(3,)`.
        unit: Quantiles at `KNOTS` that make joints' normal numbers errors (`shaped`).
        modes: How joints err together `(42, K)`: the columns of a covariance's square root, axes of the palm's picture.
        unit_memory: For how long it lasts.
        shared: Share of each joint's variance that all views have in common `(21,)`: an idea of where it lies in space.
        flips: Share of hands taken for the other side's about `RANKS`.
        flip_memory: For how long that lasts.
    """

    look_mean: Array
    look_spread: Array
    confidence: Array
    confidence_rest: float
    confidence_memory: Memory
    confidence_scores: Array
    confidences: Array
    missed: float
    error: Array
    error_flipped: float
    error_rest: Array
    error_memory: Memory
    joint: Array
    joint_by: Array
    unit: Array
    modes: Array
    unit_memory: Memory
    shared: Array
    flips: Array
    flip_memory: Memory

    @classmethod
    def load(cls) -> NoiseModel:
        """Read what was fitted to MediaPipe's landmark network."""
        content = json.loads((files("training") / "data" / _FILE).read_text(encoding="utf-8"))
        return cls.from_plain(content["model"])

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> NoiseModel:
        """Make it of plain maps and lists, those of `plain`."""
        made: dict[str, Any] = {}
        for name, value in content.items():
            if isinstance(value, list):
                made[name] = np.array(value, dtype=np.float64)
            else:
                made[name] = Memory(**value) if isinstance(value, dict) else float(value)
        return cls(**made)

    def plain(self) -> dict[str, Any]:
        """Plain maps and lists of four digits."""

        def rounded(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: rounded(inner) for name, inner in value.items()}
            return np.vectorize(lambda number: float(f"{number:.4g}"))(value).tolist()

        return {name: rounded(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Levels:
    """How another detector differs from the one that the model was fitted to.

    Args:
        error: Factor on all errors.
        hidden: Factor on what hidden and endwise joints add.
        alone: Share of the errors' variance that joints do not share.
        failures: Factor on how many hands are missed or taken for the other side's.
        own_confidence: Whether each joint has a confidence of its own; else all of a crop have one.
        own_joints: Whether its joints are MediaPipe's; else they are the hand model's.
    """

    error: float = 1.0
    hidden: float = 1.0
    alone: float = 0.0
    failures: float = 1.0
    own_confidence: bool = False
    own_joints: bool = True


class NoisyLabeller:
    """Labels windows as a detector would that errs like this.

    Args:
        name: What the labels are called.
        model: The errors.
        levels: What is different.
    """

    def __init__(self, name: str, model: NoiseModel, levels: Levels) -> None:
        self.name = name
        self._model = model
        self._levels = levels
        self._offsets_m = detector_offsets_m() if levels.own_joints else np.zeros((JOINTS, 3))

    def label(
        self, window: Window, truth: Truth, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Label a window.

        Args:
            window: Of right hands, or of left ones in the mirror; its own labels do not count.
            truth: Its truth.
            rng: Where the errors are drawn from.

        Returns:
            Labels `(T, V, 21, 2)`, crop coordinates, and confidence `(T, V, 21)`; 0 in masked views and where the hand
            was missed.
        """
        seen = seeing(window, truth.joints_local, self._offsets_m)
        labels, confidence = self.simulated(seen, rng)
        confidence *= window.view_mask[..., None]
        labels[confidence == 0.0] = 0.0
        return labels.astype(np.float32), confidence.astype(np.float32)

    def simulated(self, seen: Seeing, rng: np.random.Generator) -> tuple[Array, Array]:
        """Labels and confidences of all crops, masked ones too."""
        labels, confidence = np.empty_like(seen.places), np.empty(seen.places.shape[:-1])
        shared = self._shared(seen, rng)
        for view in range(seen.places.shape[1]):
            labels[:, view], confidence[:, view] = self._of_view(seen, view, shared[:, view], rng)
        return labels, confidence

    def _shared(self, seen: Seeing, rng: np.random.Generator) -> Array:
        """Standard normal numbers `(T, V, 21, 2)` that are one vector of each joint in space, seen by all views."""
        frames, views = seen.places.shape[:2]
        correlation = (self._model.modes @ self._model.modes.T).reshape(JOINTS, 2, JOINTS, 2)
        values, vectors = np.linalg.eigh((correlation[:, 0, :, 0] + correlation[:, 1, :, 1]) / 2)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        root /= np.linalg.norm(root, axis=1, keepdims=True)
        everywhere = seen.places.reshape(frames, views * JOINTS, 2)
        drawn = self._model.unit_memory.drawn(everywhere, np.zeros(frames), 3 * JOINTS, rng).reshape(frames, JOINTS, 3)
        in_space = np.einsum("jk,tki->tji", root, drawn)
        return to_palm(np.einsum("tvci,tji->tvjc", seen.axes, in_space), seen.places)

    def _of_view(self, seen: Seeing, view: int, shared: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        model, levels, places = self._model, self._levels, seen.places[:, view]
        look = (seen.of_crops[:, view] - model.look_mean) / model.look_spread
        # The first two looks and the first two of a joint's are hidden and endwise.
        by_look, by_joint = model.error.copy(), model.joint_by.copy()
        by_look[:2] *= levels.hidden
        by_joint[:2] *= levels.hidden
        of_joint = model.joint + seen.of_joints[:, view] @ by_joint

        steadiness = rng.random(len(places))
        rest = model.confidence_memory.drawn(places, steadiness, 1, rng)[:, 0]
        score = look @ model.confidence + rest * model.confidence_rest
        rank = np.interp(score, model.confidence_scores, KNOTS)
        ranks = np.repeat(rank[:, None], JOINTS, axis=1)
        if levels.own_confidence:
            ranks = ndtr(ndtri(ranks) - (of_joint - of_joint.mean(axis=1, keepdims=True)))
        confidence = np.interp((ranks - model.missed) / (1.0 - model.missed), KNOTS, model.confidences)
        confidence[rank < model.missed * levels.failures] = 0.0

        chance = levels.failures * np.interp(rank, RANKS, model.flips)
        flipped = ndtr(model.flip_memory.drawn(places, steadiness, 1, rng)[:, 0]) < chance
        rest = ndtr(model.error_memory.drawn(places, steadiness, 1, rng)[:, 0])
        tables = np.stack([np.interp(rest, KNOTS, table) for table in model.error_rest], axis=1)
        rests = np.array([np.interp(*told) for told in zip(rank, [RANKS] * len(rank), tables, strict=True)])
        size = levels.error * np.exp(look @ by_look + model.error_flipped * flipped + rests)
        labels = np.where(flipped[:, None, None], places[:, OTHER_SIDE], places)

        common = model.shared[:, None] * (1.0 - levels.alone)
        normal = np.sqrt(1.0 - common) * self._normal(places, steadiness, rng) + np.sqrt(common) * shared
        error = size[:, None, None] * shaped(normal, of_joint, model.unit)
        return labels + from_palm(error, places), confidence

    def _normal(self, places: Array, steadiness: Array, rng: np.random.Generator) -> Array:
        """Standard normal numbers `(T, 21, 2)` that joints share as far as they do."""
        model, alone = self._model, self._levels.alone
        own = np.sqrt(np.maximum(1.0 - np.sum(model.modes**2, axis=1), 0.0))
        together = model.unit_memory.drawn(places, steadiness, model.modes.shape[1], rng) @ model.modes.T
        together += own * model.unit_memory.drawn(places, steadiness, 2 * JOINTS, rng)
        apart = model.unit_memory.drawn(places, steadiness, 2 * JOINTS, rng) if alone else 0.0
        return np.asarray(np.sqrt(1.0 - alone) * together + np.sqrt(alone) * apart).reshape(-1, JOINTS, 2)


def shaped(normal: Array, of_joint: Array, table: Array) -> Array:
    """Make normal numbers errors of a crop's joints, whose root mean square is 1.

    Args:
        normal: `(..., 21, 2)`.
        of_joint: Logarithm of how large each joint's are `(..., 21)`.
        table: Quantiles at `KNOTS` of what they are to be, without sign.
    """
    unit = np.sign(normal) * np.interp(2.0 * ndtr(np.abs(normal)) - 1.0, KNOTS, table)
    error = np.exp(of_joint)[..., None] * unit
    return np.asarray(error / np.sqrt(np.mean(np.sum(error**2, axis=-1), axis=-1))[..., None, None])
