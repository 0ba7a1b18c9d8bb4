"""How far a hand is from the truth, in the measures of the literature (UST-Hand, sec. 4.1).

Points are metres and any common frame; errors are millimetres. Vertices correspond one to one, as they do between two
hands of one hand model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

PCK_THRESHOLDS_MM: Final = np.linspace(0.0, 50.0, 100)
"""Where the curve of correct keypoints is sampled `(100,)`."""

_MM_PER_M: Final = 1e3
_ROWS: Final = 64


@dataclass(frozen=True, slots=True)
class PointMetrics:
    """How far points are from where they should be.

    Args:
        mean_mm: Mean distance: MPJPE of joints, MPVPE of vertices.
        aligned_mm: The same after each frame is moved, turned and scaled onto its truth: PA-J, PA-V.
        auc: Area under the curve of correct points from 0 to 50 mm, in [0, 1], not aligned.
    """

    mean_mm: float
    aligned_mm: float
    auc: float


@dataclass(frozen=True, slots=True)
class MeshMetrics:
    """How far a mesh is from where it should be.

    Args:
        points: Its vertices, one by one.
        f_5: F-score at 5 mm, in [0, 1].
        f_15: F-score at 15 mm.
    """

    points: PointMetrics
    f_5: float
    f_15: float


def distances_mm(points: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each point `(..., N, 3)` to its own truth `(..., N, 3)`: `(..., N)`, millimetres."""
    if points.shape != truth.shape:
        raise ValueError(f"points {points.shape} and truth {truth.shape} differ in shape; they must correspond")
    return np.asarray(_MM_PER_M * np.linalg.norm(points - truth, axis=-1), dtype=np.float64)


def aligned(points: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move, turn and scale each frame's points onto their truth with least squared error (Procrustes, no mirroring).

    Args:
        points: `(..., N, 3)`.
        truth: `(..., N, 3)`.

    Returns:
        The points `(..., N, 3)` in their best place.
    """
    middle, truth_middle = points.mean(axis=-2, keepdims=True), truth.mean(axis=-2, keepdims=True)
    source, target = points - middle, truth - truth_middle
    u, stretch, vt = np.linalg.svd(np.swapaxes(source, -1, -2) @ target)
    # Where the best orthogonal matrix mirrors, turn the axis that loses least.
    signs = np.ones_like(stretch)
    signs[..., 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * signs[..., None, :]) @ vt
    spread = np.square(source).sum(axis=(-1, -2))
    scale = (stretch * signs).sum(axis=-1) / np.where(spread > 0.0, spread, 1.0)
    moved: NDArray[np.float64] = scale[..., None, None] * (source @ rotation) + truth_middle
    return moved


def pck_auc(errors_mm: NDArray[np.float64]) -> float:
    """Area under the share of errors (any shape) within each of `PCK_THRESHOLDS_MM`, over the thresholds' range."""
    ordered = np.sort(errors_mm, axis=None)
    share = np.searchsorted(ordered, PCK_THRESHOLDS_MM, side="right") / ordered.size
    return float(np.trapezoid(share, PCK_THRESHOLDS_MM) / PCK_THRESHOLDS_MM[-1])


def f_score(points: NDArray[np.float64], truth: NDArray[np.float64], threshold_mm: float) -> float:
    """Harmonic mean of how much of the answer is near the truth, and of the truth near the answer.

    Near means: the nearest of all points of the other set is closer than the threshold. Nothing is aligned.

    Args:
        points: One frame's points `(N, 3)`.
        truth: `(M, 3)`.
        threshold_mm: The threshold.

    Returns:
        In [0, 1].
    """
    return _f_score(*nearest_squared(points, truth), threshold_mm)


def nearest_squared(
    points: NDArray[np.float64], truth: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared distance of each point `(N, 3)` to the nearest of the truth `(M, 3)`, and the other way round."""
    to_truth, to_points = np.empty(len(points)), np.full(len(truth), np.inf)
    lengths = np.square(truth).sum(axis=1)
    # Some rows at a time stay in a processor's cache.
    for first in range(0, len(points), _ROWS):
        rows = points[first : first + _ROWS]
        squares = rows @ (-2.0 * truth.T)
        squares += np.square(rows).sum(axis=1)[:, None]
        squares += lengths
        to_truth[first : first + _ROWS] = squares.min(axis=1)
        np.minimum(to_points, squares.min(axis=0), out=to_points)
    return to_truth, to_points


def _f_score(to_truth: NDArray[np.float64], to_points: NDArray[np.float64], threshold_mm: float) -> float:
    squared = (threshold_mm / _MM_PER_M) ** 2
    precision, recall = float((to_truth < squared).mean()), float((to_points < squared).mean())
    return 2.0 * precision * recall / (precision + recall) if precision + recall > 0.0 else 0.0


def point_metrics(points: NDArray[np.float64], truth: NDArray[np.float64]) -> PointMetrics:
    """Measure the points `(F, N, 3)` of F frames against their truth `(F, N, 3)`."""
    errors = distances_mm(points, truth)
    return PointMetrics(
        mean_mm=float(errors.mean()),
        aligned_mm=float(distances_mm(aligned(points, truth), truth).mean()),
        auc=pck_auc(errors),
    )


def mesh_metrics(vertices: NDArray[np.float64], truth: NDArray[np.float64], f_frames: int | None = None) -> MeshMetrics:
    """Measure the vertices `(F, Nv, 3)` of F frames against their truth `(F, Nv, 3)`.

    F-scores compare all vertices with all; `f_frames` takes them of so many frames only, spread evenly.
    """
    # About one origin near the hand: distances by squares lose digits far from it.
    middle = truth.mean(axis=(0, 1))
    vertices, truth = vertices - middle, truth - middle
    taken = np.arange(len(vertices))
    if f_frames is not None and f_frames < len(vertices):
        taken = np.arange(f_frames) * len(vertices) // f_frames
    nearest = [nearest_squared(a, b) for a, b in zip(vertices[taken], truth[taken], strict=True)]
    return MeshMetrics(
        points=point_metrics(vertices, truth),
        f_5=float(np.mean([_f_score(*both, 5.0) for both in nearest])),
        f_15=float(np.mean([_f_score(*both, 15.0) for both in nearest])),
    )
