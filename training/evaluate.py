"""How good a method is, against the truth that training never sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from training.datasets.base import WindowSource
from training.feeds import Feed, WindowFeed
from training.methods import Answer, Method
from training.metrics import MeshMetrics, PointMetrics, distances_mm, mesh_metrics, point_metrics
from training.samples import Window
from training.truth import Truth

COVERAGE_LEVELS: Final = (0.5, 0.9, 0.99)
"""Probabilities whose ellipsoids are checked."""

# Quantiles of chi-square with three degrees of freedom: squared Mahalanobis radii of those ellipsoids.
_SQUARED_RADII: Final = (2.365974, 6.251389, 11.344867)
_MM_PER_M: Final = 1e3
_WRIST: Final = 0


@dataclass(frozen=True, eq=False, slots=True)
class Exam:
    """Windows as a feed, with their truth: what a method is measured on.

    Args:
        feed: The windows, as crops or as what a fixed trunk said of them.
        truths: Of each window of the feed.

    Raises:
        ValueError: If there is not one truth for each window.
    """

    feed: Feed
    truths: Sequence[Truth]

    def __post_init__(self) -> None:
        if len(self.feed) != len(self.truths):
            raise ValueError(f"{len(self.feed)} windows with {len(self.truths)} truths; each window needs its own")


def truths_of(source: WindowSource) -> list[Truth]:
    """The truth of each window.

    Raises:
        ValueError: If one has none.
    """
    truths: list[Truth] = []
    for index in range(len(source)):
        truth = source.truth(index)
        if truth is None:
            raise ValueError(f"{source.name}: window {index} has no truth; measure on data that knows it")
        truths.append(truth)
    return truths


Samples: TypeAlias = Exam | Sequence[tuple[Window, Truth]]
"""Windows with their truth."""


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """What a method said about F frames, beside the truth.

    Args:
        joints: The method's joints `(F, 21, 3)`, metres, local frame.
        mano_joints: The hand model's joints `(F, 21, 3)`; None where the method has no hand model.
        vertices: The hand model's mesh `(F, Nv, 3)`; None where it makes none.
        covariance_mm2: Of `joints` `(F, 21, 3, 3)`; None where it knows no uncertainty.
        valid: Whether the method answered `(F,)`.
        true_joints: `(F, 21, 3)`.
        true_vertices: `(F, Nv, 3)`; None where a truth has none.
    """

    joints: NDArray[np.float64]
    mano_joints: NDArray[np.float64] | None
    vertices: NDArray[np.float64] | None
    covariance_mm2: NDArray[np.float64] | None
    valid: NDArray[np.bool_]
    true_joints: NDArray[np.float64]
    true_vertices: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How far a method is off. Frames without an answer are counted, and nowhere else taken in.

    Args:
        frames: How many frames were asked for.
        answered: Share of them that had an answer.
        joints: The method's joints; UST-Hand's are the refined query points.
        rooted_mm: Mean distance of `joints` after each frame's wrist is moved onto the truth's.
        mano_joints: The hand model's joints; None where the method has none.
        mesh: The hand model's mesh; None where the method or the truth has none of the same vertices.
        coverage: For each of `COVERAGE_LEVELS`, the share of joints whose truth lies in their ellipsoid; None where the
            method knows no uncertainty.
    """

    frames: int
    answered: float
    joints: PointMetrics
    rooted_mm: float
    mano_joints: PointMetrics | None
    mesh: MeshMetrics | None
    coverage: dict[float, float] | None


def evaluate(
    method: Method,
    samples: Samples,
    views: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
    f_frames: int | None = None,
) -> Evaluation:
    """Measure a method on windows whose truth is known.

    Args:
        method: It is left as it was.
        samples: Windows of equal T and S with their truth.
        views: See each window by so many of its views only, drawn by the seed; None is all.
        batch_size: Windows at a time.
        seed: Of the method's chance and the choice of views.
        f_frames: Take F-scores of so many frames only; None is all.

    Returns:
        The figures.

    Raises:
        ValueError: If there is nothing to measure, or no frame had an answer.
    """
    said = predict(method, samples, views, batch_size, seed)
    valid = said.valid
    if not valid.any():
        raise ValueError(f"none of {valid.size} frames had an answer; give windows with two views or more")
    joints, true_joints = said.joints[valid], said.true_joints[valid]
    moved = joints + (true_joints - joints)[:, _WRIST : _WRIST + 1]
    return Evaluation(
        frames=valid.size,
        answered=float(valid.mean()),
        joints=point_metrics(joints, true_joints),
        rooted_mm=float(distances_mm(moved, true_joints).mean()),
        mano_joints=None if said.mano_joints is None else point_metrics(said.mano_joints[valid], true_joints),
        mesh=_mesh(said, f_frames),
        coverage=None
        if said.covariance_mm2 is None
        else ellipsoid_coverage(joints, said.covariance_mm2[valid], true_joints),
    )


def _mesh(said: Predictions, f_frames: int | None) -> MeshMetrics | None:
    vertices, truth = said.vertices, said.true_vertices
    if vertices is None or truth is None or vertices.shape[1] != truth.shape[1]:
        return None
    return mesh_metrics(vertices[said.valid], truth[said.valid], f_frames)


def predict(
    method: Method, samples: Samples, views: int | None = None, batch_size: int = 8, seed: int = 0
) -> Predictions:
    """Ask a method about windows; arguments as in `evaluate`."""
    exam = samples if isinstance(samples, Exam) else _exam(samples)
    if not len(exam.feed):
        raise ValueError("no windows to evaluate on; give at least one")
    chosen = None if views is None else _chosen_views(exam.feed, views, seed)
    generator = torch.Generator().manual_seed(seed)
    device = _device(method)
    parts: list[Answer] = []
    for first in range(0, len(exam.feed), batch_size):
        indices = range(first, min(first + batch_size, len(exam.feed)))
        batch = exam.feed.batch(indices, None if chosen is None else [chosen[index] for index in indices])
        parts.append(method.predict(batch.to(device), generator))
    joints, valid = _joined(parts, "joints"), _joined(parts, "valid")
    if joints is None or valid is None:
        raise ValueError(f"method {method.name} gave no joints; every answer has them")
    meshes = [truth.vertices_local for truth in exam.truths]
    known = [mesh for mesh in meshes if mesh is not None]
    return Predictions(
        joints=joints,
        mano_joints=_joined(parts, "mano_joints"),
        vertices=_joined(parts, "vertices"),
        covariance_mm2=_joined(parts, "covariance_mm2"),
        valid=valid > 0,
        true_joints=np.concatenate([truth.joints_local for truth in exam.truths]),
        true_vertices=np.concatenate(known) if len(known) == len(meshes) else None,
    )


def _exam(samples: Sequence[tuple[Window, Truth]]) -> Exam:
    return Exam(WindowFeed([window for window, _ in samples]), [truth for _, truth in samples])


def _joined(parts: Sequence[Answer], name: str) -> NDArray[np.float64] | None:
    """A field of all answers, frame by frame; None where there is none."""
    values = [getattr(part, name) for part in parts]
    if any(value is None for value in values):
        return None
    frames: list[NDArray[np.float64]] = [value.flatten(0, 1).double().cpu().numpy() for value in values]
    return np.concatenate(frames)


def _device(method: Method) -> torch.device:
    """Where a method's weights are; the CPU for one that has none."""
    module = getattr(method, "module", None)
    first = next(module.parameters(), None) if isinstance(module, torch.nn.Module) else None
    return torch.device("cpu") if first is None else first.device


def _chosen_views(feed: Feed, views: int, seed: int) -> list[list[int]]:
    """Which views each window is seen by."""
    if not 1 <= views <= feed.views:
        raise ValueError(f"{views} views were asked for of windows with {feed.views}")
    rng = np.random.default_rng(seed)
    return [np.sort(rng.permutation(feed.views)[:views]).tolist() for _ in range(len(feed))]


def ellipsoid_coverage(
    joints: NDArray[np.float64], covariance_mm2: NDArray[np.float64], truth: NDArray[np.float64]
) -> dict[float, float]:
    """Share of joints whose truth lies in the ellipsoid of each of `COVERAGE_LEVELS`.

    Args:
        joints: `(..., 3)`, metres.
        covariance_mm2: `(..., 3, 3)`, square millimetres.
        truth: `(..., 3)`, metres.
    """
    squared = squared_mahalanobis(_MM_PER_M * (truth - joints), covariance_mm2)
    return {
        level: float((squared <= radius).mean()) for level, radius in zip(COVERAGE_LEVELS, _SQUARED_RADII, strict=True)
    }


def squared_mahalanobis(errors_mm: NDArray[np.float64], covariance_mm2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared length `(...)` of errors `(..., 3)` counted in standard deviations of covariances `(..., 3, 3)`."""
    solved = np.linalg.solve(covariance_mm2, errors_mm[..., None])[..., 0]
    return np.asarray((errors_mm * solved).sum(axis=-1), dtype=np.float64)
