"""How long errors last: what is wrong about a hand stays wrong for as long as it looks the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LENGTHS: Final = np.geomspace(0.005, 3.0, 60)
_POWERS: Final = (0.25, 0.5, 1.0, 2.0)
_BINS: Final = 24
# Variance of each frame's own, for the noise of pictures.
_OWN: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Memory:
    """Correlation of two frames' errors in one view: `kept / (1 + (distance / length)^2)^power`, and 1 with itself.

    Most frames are much like the one before; what is not kept comes of few that have nothing to do with the others.

    Args:
        kept: The share of pairs of frames that have to do with each other.
        length: How far the joints move in the crop meanwhile, root mean square, half crops.
        power: The lower, the longer is the tail.
    """

    kept: float
    length: float
    power: float

    def drawn(self, places: Array, steadiness: Array, channels: int, rng: np.random.Generator) -> Array:
        """Draw standard normal numbers `(T, channels)`; columns are independent.

        Args:
            places: Where the joints lie `(T, 21, 2)`.
            steadiness: Numbers from 0 to 1 `(T,)`: frames with high ones are those that have to do with no other. What
                is drawn with the same ones loses its memory in the same frames.
            channels: How many.
            rng: Where they are drawn from.
        """
        smooth = _shape(moved_by(places), self.length, self.power) + _OWN * np.eye(len(places))
        numbers = np.linalg.cholesky(smooth / (1.0 + _OWN)) @ rng.normal(size=(len(places), channels))
        alone = (steadiness > np.sqrt(self.kept))[:, None]
        return np.where(alone, rng.normal(size=numbers.shape), numbers)


def moved_by(places: Array) -> Array:
    """How far the joints `(..., T, 21, 2)` move in the crop between any two frames `(..., T, T)`, half crops."""
    steps = places[..., :, None, :, :] - places[..., None, :, :, :]
    return np.asarray(np.sqrt(np.mean(np.sum(steps**2, axis=-1), axis=-1)))


def fit_memory(places: Array, scores: Array) -> Memory:
    """Find how long something lasts.

    Args:
        places: Joints `(N, T, 21, 2)` of sequences in one view each, crop coordinates.
        scores: What is remembered `(N, T, C)`, each about normal of mean 0 and deviation 1; NaN where it is not known.
    """
    first, second = np.triu_indices(places.shape[1], 1)
    distance = moved_by(places)[:, first, second]
    known = np.isfinite(scores[:, first]).all(axis=-1) & np.isfinite(scores[:, second]).all(axis=-1)
    pairs = np.argwhere(known)
    distance = distance[known]
    one, other = scores[pairs[:, 0], first[pairs[:, 1]]], scores[pairs[:, 0], second[pairs[:, 1]]]
    products, squares = np.mean(one * other, axis=-1), np.mean(one**2 + other**2, axis=-1) / 2
    edges = np.quantile(distance, np.linspace(0.0, 1.0, _BINS + 1))
    bins = np.clip(np.searchsorted(edges, distance, side="right") - 1, 0, _BINS - 1)
    chosen = [bins == number for number in range(_BINS) if (bins == number).any()]
    at = np.array([distance[some].mean() for some in chosen])
    # Hands that hold still are easier or harder than others: each bin has its own variance.
    value = np.array([products[some].sum() / squares[some].sum() for some in chosen])
    found = []
    for power in _POWERS:
        for length in _LENGTHS:
            shape = _shape(at, length, power)
            kept = float(np.clip(shape @ value / (shape @ shape), 0.0, 1.0))
            found.append((float(np.sum((kept * shape - value) ** 2)), Memory(kept, float(length), power)))
    return min(found, key=lambda one: one[0])[1]


def _shape(distance: Array, length: float, power: float) -> Array:
    return np.asarray((1.0 + (distance / length) ** 2) ** -power)
