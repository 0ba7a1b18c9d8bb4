"""Fits simulated label noise to a detector's real errors, and shows how alike they are on windows that were held out.

    usthand synth-windows --windows 2400 --out windows
    python -m benchmarks.label_noise windows --write --plot docs/label-noise.png
    python -m benchmarks.label_noise windows --levels bench

The detector has labelled rendered windows, whose truth is known. The first ones are fitted to, the rest is compared;
windows of one scene are never in both. `--write` puts the model where the package reads it; without it, what is there
already is compared. `--levels` says how far off triangulated labels of each preset are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.detector.networks import LANDMARK_INPUT_PX
from training.baselines.labels import LabelDlt
from training.datasets import ShardedWindows
from training.evaluate import evaluate
from training.joint_definition import DefinedByDetector
from training.label_noise import PRESETS, Levels, NoiseModel, NoisyLabeller, noisy_labeller
from training.label_noise.fit import Observed, errors_of, fit_noise, observe
from training.label_noise.seeing import Seeing
from training.samples import Window
from training.truth import Truth

Array = NDArray[np.float64]

_MODEL: Final = Path(__file__).resolve().parents[1] / "training" / "data" / "label_noise.json"
_PX: Final = LANDMARK_INPUT_PX / 2
_SHARES: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_HIDDEN: Final = (0.0, 0.01, 0.3, 0.6, 0.8, 1.01)
_ENDWISE: Final = (0.0, 0.01, 0.1, 0.4, 0.65, 0.9, 1.01)
_CONFIDENCE: Final = (1e-9, 0.1, 0.3, 0.7, 0.9, 0.97, 1.01)
# Correlations are taken of errors up to so many pixels: without a limit a few lost hands would decide them.
_LIMIT_PX: Final = 30.0
_PAIRS: Final = ((5, 6), (6, 7), (7, 8), (5, 9), (8, 12), (0, 8), (4, 8), (0, 9))


@dataclass(frozen=True, eq=False, slots=True)
class Figures:
    """What labels are like: name and numbers of each line, and curves for the picture."""

    lines: dict[str, list[float]]
    errors_px: Array
    confidences: Array
    by_joint_px: Array


def figures(seen: Seeing, labels: Array, confidence: Array) -> Figures:
    """Measure labels `(N, T, V, 21, 2)` with the confidence of each crop `(N, T, V)`."""
    errors = errors_of(seen.places, labels, confidence)
    there = ~errors.missed
    away = (labels - seen.places) * _PX
    length = np.linalg.norm(away, axis=-1)
    rms = np.sqrt(np.mean(length**2, axis=-1))
    held = np.clip(away, -_LIMIT_PX, _LIMIT_PX)
    steps = range(1, labels.shape[1])
    both = {step: there[:, step:] & there[:, :-step] for step in steps}

    def medians(values: Array, edges: tuple[float, ...]) -> list[float]:
        bins = pairwise(edges)
        return [float(np.median(length[there][(values >= low) & (values < high)])) for low, high in bins]

    def correlation(one: Array, other: Array) -> float:
        return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])

    jitter = np.linalg.norm(np.diff(away, axis=1), axis=-1)[both[1]]
    certain = np.broadcast_to(confidence[..., None], length.shape)
    return Figures(
        lines={
            "hands missed, taken for the other side's, %": [100 * errors.missed.mean(), 100 * errors.flipped.mean()],
            f"error of a joint, px, quantiles {_SHARES}": np.quantile(length[there], _SHARES).tolist(),
            f"error of a crop, rms px, quantiles {_SHARES}": np.quantile(rms[there], _SHARES).tolist(),
            f"confidence, quantiles {_SHARES}": np.quantile(confidence[there], _SHARES).tolist(),
            f"median error, px, by how hidden {_HIDDEN}": medians(seen.hidden[there], _HIDDEN),
            f"median error, px, by how endwise {_ENDWISE}": medians(seen.endwise[there], _ENDWISE),
            f"median error, px, by confidence {_CONFIDENCE}": medians(certain[there], _CONFIDENCE),
            "correlation with the error 1, 2, ... frames later": [
                correlation(held[:, step:][both[step]], held[:, :-step][both[step]]) for step in steps
            ],
            "change of the error to the next frame, px, quartiles": np.quantile(jitter, (0.25, 0.5, 0.75)).tolist(),
            f"correlation of joints {_PAIRS}": [correlation(held[there][:, a], held[there][:, b]) for a, b in _PAIRS],
        },
        errors_px=length[there].ravel(),
        confidences=confidence[there],
        by_joint_px=np.median(length[there], axis=0),
    )


def simulated(observed: Observed, labeller: NoisyLabeller, seed: int) -> tuple[Array, Array]:
    """Label what was observed once more: labels, and the confidence of each crop."""
    labels, confidence = np.empty_like(observed.labels), np.empty_like(observed.confidence)
    for index in range(len(labels)):
        one = Seeing(**{name: getattr(observed.seen, name)[index] for name in Seeing.__dataclass_fields__})
        labels[index], each = labeller.simulated(one, np.random.default_rng((seed, index)))
        confidence[index] = each.max(axis=-1)
    return labels, confidence


def plot(path: Path, real: Figures, noise: Figures) -> None:
    """Draw real and simulated quantiles over each other, and each joint's median."""
    shares = np.linspace(0.005, 0.995, 199)
    panels = [
        _panel("error of a joint, px (log) by share of joints", shares, [
            np.log10(np.quantile(one.errors_px, shares)) for one in (real, noise)
        ], [(np.log10(value), str(value)) for value in (1, 2, 5, 10, 20, 50, 100)]),
        _panel("confidence by share of hands", shares, [
            np.quantile(one.confidences, shares) for one in (real, noise)
        ], [(value, f"{value:g}") for value in (0.0, 0.25, 0.5, 0.75, 1.0)]),
        _panel("median error of each joint, px, wrist to little finger", np.linspace(0.0, 1.0, 21), [
            one.by_joint_px for one in (real, noise)
        ], [(value, str(value)) for value in (0, 2, 4, 6, 8, 10)]),
    ]  # fmt: skip
    cv2.imwrite(str(path), np.concatenate(panels, axis=1))


def _panel(title: str, x: Array, curves: list[Array], ticks: list[tuple[float, str]]) -> NDArray[np.uint8]:
    width, height, left, bottom = 430, 330, 46, 24
    image = np.full((height, width, 3), 255, np.uint8)
    low, high = ticks[0][0], ticks[-1][0]

    def at(across: Array, up: Array) -> NDArray[np.int32]:
        return np.stack(
            [left + across * (width - left - 12), height - bottom - (up - low) / (high - low) * (height - bottom - 34)],
            axis=-1,
        ).astype(np.int32)

    for value, text in ticks:
        line = at(np.array([0.0, 1.0]), np.array([value, value]))
        cv2.line(image, line[0].tolist(), line[1].tolist(), (225, 225, 225), 1)
        place = (4, int(line[0, 1]) + 4)
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (80, 80, 80), 1, cv2.LINE_AA)
    for curve, color, name, row in zip(
        curves, ((40, 40, 40), (40, 90, 230)), ("real", "simulated"), (0, 1), strict=True
    ):
        cv2.polylines(image, [at(x, np.clip(curve, low, high))], False, color, 2, cv2.LINE_AA)
        place = (left + 8, 48 + 16 * row)
        cv2.putText(image, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, 1, cv2.LINE_AA)
    cv2.putText(image, title, (left - 40, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return image


def compare(real: Figures, noise: Figures) -> None:
    """Print both, line by line."""
    for name, numbers in real.lines.items():
        print(name)
        for title, values in (("real", numbers), ("simulated", noise.lines[name])):
            print(f"  {title:10}" + "".join(f"{value:9.2f}" for value in values))
    off = np.abs(noise.by_joint_px / real.by_joint_px - 1.0)
    print(f"median error of a joint: off by at most {100 * off.max():.0f} %, by {100 * off.mean():.0f} % on average")


def levels(source: ShardedWindows) -> None:
    """Print how far off triangulated labels are: the detector's own, and those of each preset."""

    def printed(name: str, samples: list[tuple[Window, Truth]]) -> None:
        for method in (LabelDlt(), LabelDlt(weighted=True)):
            told = evaluate(method, samples)
            print(f"{name:16} {method.name:28} {told.joints.mean_mm:7.2f} mm, aligned {told.joints.aligned_mm:6.2f} mm")

    print(f"{source.name}, {source[0].views} views")
    by_detector = DefinedByDetector(source)
    printed("detector", [(_light(window), truth) for window, truth in _samples(by_detector)])
    for name in PRESETS:
        labeller, samples = noisy_labeller(name), []
        truths = by_detector if PRESETS[name].own_joints else source
        for index, (window, truth) in enumerate(_samples(source)):
            labels, confidence = labeller.label(window, truth, np.random.default_rng((7, index)))
            noisy = replace(_light(window), labels=labels, label_confidence=confidence)
            judged = truths.truth(index)
            if judged is not None:
                samples.append((noisy, judged))
        printed(name, samples)


def _light(window: Window) -> Window:
    """The window without its pictures: triangulation needs none."""
    return replace(window, crops=np.zeros((*window.view_mask.shape, 1, 1, 3), np.uint8))


def _samples(source: ShardedWindows | DefinedByDetector) -> Iterator[tuple[Window, Truth]]:
    for index in range(len(source)):
        truth = source.truth(index)
        if truth is None:
            raise ValueError(f"{source.name}: window {index} has no truth; give rendered windows")
        yield source[index], truth


def main() -> None:
    """Fit, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="rendered windows with the detector's labels")
    parser.add_argument("--fitted-share", type=float, default=5 / 6, help="share of the windows that is fitted to")
    parser.add_argument("--write", action="store_true", help="fit, and put the model where the package reads it")
    parser.add_argument("--plot", type=Path, help="draw real and simulated errors into this picture")
    parser.add_argument("--levels", type=Path, help="say how far off triangulated labels of these windows are")
    arguments = parser.parse_args()
    if arguments.levels is not None:
        levels(ShardedWindows(arguments.levels))
        return
    whole = ShardedWindows(arguments.data)
    if not whole.detected:
        raise SystemExit(f"{arguments.data}: has no labels of a detector; render it with --labels detector")
    # A multiple of all numbers of windows that a scene may have.
    middle = int(len(whole) * arguments.fitted_share) // 20 * 20
    if arguments.write:
        model = fit_noise(observe(_samples(ShardedWindows(arguments.data, 0, middle))))
        content = {
            "detector": "mediapipe-full",
            "data": f"{whole.name}, version {whole.version}, first {middle} windows",
        }
        _MODEL.write_text(json.dumps({**content, "model": model.plain()}) + "\n", encoding="utf-8")
    held_out = observe(_samples(ShardedWindows(arguments.data, middle, len(whole))))
    labels, confidence = simulated(held_out, NoisyLabeller("mediapipe", NoiseModel.load(), Levels()), seed=0)
    real = figures(held_out.seen, held_out.labels, held_out.confidence)
    noise = figures(held_out.seen, labels, confidence)
    print(f"{len(whole) - middle} windows of {whole.name} that were not fitted to")
    compare(real, noise)
    if arguments.plot is not None:
        plot(arguments.plot, real, noise)


if __name__ == "__main__":
    main()
