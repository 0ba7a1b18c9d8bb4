"""Find how a detector errs, from its labels of windows whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from training.joint_definition import detector_offsets_m
from training.label_noise.memory import Memory, fit_memory
from training.label_noise.model import KNOTS, OTHER_SIDE, RANKS, NoiseModel, shaped
from training.label_noise.seeing import Seeing, seeing, to_palm
from training.samples import JOINTS, Window
from training.truth import Truth

Array = NDArray[np.float64]

_MODES: Final = 32
# A hand is taken for the other side's where the other side's joints are so many times nearer.
_FLIPPED: Final = 0.6
# What an axis's error is no less than, in parts of its joint's, where its logarithm is taken.
_LEAST: Final = 0.02
_ROUNDS: Final = 6
_LEAST_SIZE: Final = 1e-6
_LEAST_SPREAD: Final = 0.05
_LEAST_FLIPS: Final = 0.02


@dataclass(frozen=True, eq=False, slots=True)
class Observed:
    """A detector's labels of N windows, and how hard they were; fields of `Seeing` with one axis before.

    Args:
        seen: How hard.
        labels: `(N, T, V, 21, 2)`, crop coordinates.
        confidence: `(N, T, V)`; 0 where the hand was missed.
    """

    seen: Seeing
    labels: Array
    confidence: Array


def observe(samples: Iterable[tuple[Window, Truth]], advance: Callable[[], None] = lambda: None) -> Observed:
    """Look at labelled windows, all of equal shapes and without masked views."""
    offsets_m, seen, labels, confidence = detector_offsets_m(), [], [], []
    for window, truth in samples:
        if window.view_mask.min() == 0.0:
            raise ValueError("a window has a masked view; fit label noise to windows that all cameras see")
        seen.append(seeing(window, truth.joints_local, offsets_m))
        labels.append(window.labels)
        confidence.append(window.label_confidence.max(axis=-1))
        advance()
    if not seen:
        raise ValueError("no windows to fit label noise to; give at least one")
    fields = {name: np.stack([getattr(one, name) for one in seen]) for name in Seeing.__dataclass_fields__}
    return Observed(Seeing(**fields), np.stack(labels).astype(np.float64), np.stack(confidence).astype(np.float64))


@dataclass(frozen=True, eq=False, slots=True)
class Errors:
    """Labels taken apart.

    Args:
        missed: Hands without a label `(N, T, V)`.
        flipped: Hands taken for the other side's `(N, T, V)`.
        error: What is left, axes of the palm's picture `(N, T, V, 21, 2)`, half crops; anything where missed.
        size: Its root mean square over the joints `(N, T, V)`.
    """

    missed: NDArray[np.bool_]
    flipped: NDArray[np.bool_]
    error: Array
    size: Array


def errors_of(places: Array, labels: Array, confidence: Array) -> Errors:
    """Take labels apart, a detector's or simulated ones; all axes but the last two are alike."""
    straight, crossed = labels - places, labels - places[..., OTHER_SIDE, :]
    flipped = _size(crossed) < _FLIPPED * _size(straight)
    error = np.where(flipped[..., None, None], crossed, straight)
    error = to_palm(error, places)
    missed = confidence == 0.0
    return Errors(missed, flipped & ~missed, error, _size(error))


def fit_noise(observed: Observed) -> NoiseModel:
    """Fit a model to what was observed."""
    seen = observed.seen
    errors = errors_of(seen.places, observed.labels, observed.confidence)
    there = ~errors.missed
    looks = seen.of_crops
    look_mean, look_spread = looks[there].mean(axis=0), looks[there].std(axis=0)
    look = (looks - look_mean) / look_spread

    missed = float(errors.missed.mean())
    scores = _scores(observed.confidence[there])
    confidence, confidence_rest = _regressed(look[there], scores)
    spread = float(confidence_rest.std())
    # Of all hands, the missed ones too, which are not part of the regression.
    chance = np.random.default_rng(0).normal(size=look.size // look.shape[-1])
    everywhere = look.reshape(-1, look.shape[-1]) @ confidence + chance * spread
    ranks = missed + (1.0 - missed) * _ranks(observed.confidence[there])

    logarithm = np.log(np.maximum(errors.size[there], _LEAST_SIZE))
    hats = _hats(ranks)
    flipped = errors.flipped[there].astype(np.float64)
    told = np.concatenate([hats, look[there], flipped[:, None]], axis=1)
    found, *_ = np.linalg.lstsq(told, logarithm, rcond=None)
    error, error_flipped = found[len(RANKS) : -1], float(found[-1])
    rest = logarithm - look[there] @ error - flipped * error_flipped
    error_rest = np.stack([_quantiles(rest, weights) for weights in hats.T])
    place = _places(rest, ranks, error_rest)

    joint, joint_by, unit = _joints(seen.of_joints[there], errors.error[there] / errors.size[there][:, None, None])
    unit_scores = np.sign(unit) * ndtri(0.5 + 0.5 * _ranks(np.abs(unit).ravel()).reshape(unit.shape))
    scores_of_units = unit_scores.reshape(-1, 2 * JOINTS)
    modes = _modes(scores_of_units)

    flips, *_ = np.linalg.lstsq(hats, flipped, rcond=None)
    flips = np.clip(flips, 0.0, 1.0)
    likely = hats @ flips
    surprise = (flipped - likely) / np.sqrt(np.maximum(likely * (1.0 - likely), _LEAST_SPREAD**2))
    # Where nearly no hand is flipped there is nothing to see of how long that lasts.
    surprise[likely < _LEAST_FLIPS] = np.nan

    def memory(values: Array) -> Memory:
        in_time = np.full((*there.shape, values.shape[-1]), np.nan)
        in_time[there] = values
        return fit_memory(_in_time(seen.places), _in_time(in_time))

    return NoiseModel(
        look_mean=look_mean,
        look_spread=look_spread,
        confidence=confidence,
        confidence_rest=spread,
        confidence_memory=memory(confidence_rest[:, None]),
        confidence_scores=np.quantile(everywhere, KNOTS),
        confidences=np.quantile(observed.confidence[there], KNOTS),
        missed=missed,
        error=error,
        error_flipped=error_flipped,
        error_rest=error_rest,
        error_memory=memory(place[:, None]),
        joint=joint,
        joint_by=joint_by,
        unit=_table(unit, modes, joint + seen.of_joints[there] @ joint_by),
        modes=modes,
        unit_memory=memory(scores_of_units),
        shared=_shared(seen, there, unit_scores),
        flips=flips,
        flip_memory=memory(surprise[:, None]),
    )


def _joints(of_joints: Array, relative: Array) -> tuple[Array, Array, Array]:
    """Each joint's share of a crop's error, what it goes with, and the axes' errors over it."""
    logarithm = np.log(np.maximum(np.linalg.norm(relative, axis=-1), _LEAST))
    mean = of_joints.mean(axis=0)
    by, *_ = np.linalg.lstsq(
        (of_joints - mean).reshape(-1, of_joints.shape[-1]), (logarithm - logarithm.mean(axis=0)).ravel(), rcond=None
    )
    joint = np.median(logarithm - of_joints @ by, axis=0)
    return joint, by, relative / np.exp(joint + of_joints @ by)[..., None]


def _shared(seen: Seeing, there: NDArray[np.bool_], unit_scores: Array) -> Array:
    """The share of each joint's variance that views have in common, as if it were a vector in space."""
    scores = np.zeros((*there.shape, JOINTS, 2))
    scores[there] = unit_scores
    # Each direction of space, as the palm's picture shows it.
    across = to_palm(np.swapaxes(seen.axes, -1, -2), seen.places)
    axes = np.swapaxes(across, -1, -2)
    explained, possible = np.zeros(JOINTS), np.zeros(JOINTS)
    views = there.shape[2]
    for one in range(views):
        for other in range(one):
            alike = np.einsum("ntai,ntbi->ntab", axes[:, :, one], axes[:, :, other])
            both = there[:, :, one] & there[:, :, other]
            products = np.einsum("ntja,ntjb->ntjab", scores[:, :, one], scores[:, :, other])
            explained += np.einsum("ntjab,ntab,nt->j", products, alike, both)
            possible += np.einsum("ntab,ntab,nt->", alike, alike, both)
    return np.asarray(np.clip(explained / possible, 0.0, 1.0))


def _table(unit: Array, modes: Array, of_joint: Array) -> Array:
    """Find the table with which `shaped` gives axes' errors as they were."""
    wanted = np.quantile(np.abs(unit), KNOTS)
    rng = np.random.default_rng(0)
    own = np.sqrt(np.maximum(1.0 - np.sum(modes**2, axis=1), 0.0))
    normal = rng.normal(size=(len(unit), modes.shape[1])) @ modes.T + own * rng.normal(size=(len(unit), len(modes)))
    table = wanted
    for _ in range(_ROUNDS):
        drawn = shaped(normal.reshape(unit.shape), of_joint, table) / np.exp(of_joint)[..., None]
        table = table * wanted / np.quantile(np.abs(drawn), KNOTS)
    return table


def _modes(scores: Array) -> Array:
    correlation = scores.T @ scores / len(scores)
    spread = np.sqrt(np.diag(correlation))
    values, vectors = np.linalg.eigh(correlation / np.outer(spread, spread))
    modes = vectors[:, -_MODES:] * np.sqrt(values[-_MODES:])
    return np.asarray(modes / np.maximum(np.linalg.norm(modes, axis=1, keepdims=True), 1.0))


def _regressed(told: Array, wanted: Array) -> tuple[Array, Array]:
    found, *_ = np.linalg.lstsq(told, wanted, rcond=None)
    return np.asarray(found, dtype=np.float64), np.asarray(wanted - told @ found, dtype=np.float64)


def _hats(ranks: Array) -> Array:
    """How near each rank is to each of `RANKS` `(N, R)`, for straight lines between them."""
    return np.stack([np.interp(ranks, RANKS, row) for row in np.eye(len(RANKS))], axis=1)


def _quantiles(values: Array, weights: Array) -> Array:
    """Quantiles at `KNOTS` of weighted values; of all alike where none has a weight."""
    weights = weights if weights.any() else np.ones_like(weights)
    order = np.argsort(values)
    up_to = np.cumsum(weights[order]) - 0.5 * weights[order]
    return np.interp(KNOTS, up_to / weights.sum(), values[order])


def _places(values: Array, ranks: Array, tables: Array) -> Array:
    """Normal scores of values among those of their own rank."""
    scores = ndtri(KNOTS)
    each = np.stack([np.interp(values, table, scores) for table in tables], axis=1)
    return np.asarray(np.sum(_hats(ranks) * each, axis=1))


def _in_time(scores: Array) -> Array:
    """`(N, T, V, C)` to `(N V, T, C)`."""
    moved = np.moveaxis(scores, 2, 1)
    return moved.reshape(-1, *moved.shape[2:])


def _ranks(values: Array) -> Array:
    order = np.empty(len(values))
    order[np.argsort(values, kind="stable")] = np.arange(len(values))
    return np.asarray((order + 0.5) / len(values))


def _scores(values: Array) -> Array:
    return np.asarray(ndtri(_ranks(values)))


def _size(error: Array) -> Array:
    return np.asarray(np.sqrt(np.mean(np.sum(error**2, axis=-1), axis=-1)))
