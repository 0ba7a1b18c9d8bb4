"""How good a network is, against the truth that training never sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engine.network.network import UstHandNetwork
from training.metrics import MeshMetrics, PointMetrics, mesh_metrics, point_metrics
from training.samples import Window, collate
from training.truth import Truth
from training.usthand import run_network

COVERAGE_LEVELS: Final = (0.5, 0.9, 0.99)
"""Probabilities whose ellipsoids are checked."""

# Quantiles of chi-square with three degrees of freedom: squared Mahalanobis radii of those ellipsoids.
_SQUARED_RADII: Final = (2.365974, 6.251389, 11.344867)
_MM_PER_M: Final = 1e3


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """What a network said about F frames, beside the truth.

    Args:
        joints: Refined query points `(F, 21, 3)`, metres, local frame.
        mano_joints: MANO's joints `(F, 21, 3)`.
        vertices: MANO's mesh `(F, Nv, 3)`.
        covariance_mm2: Of `joints` `(F, 21, 3, 3)`.
        valid: Whether the network answered `(F,)`.
        true_joints: `(F, 21, 3)`.
        true_vertices: `(F, Nv, 3)`; None where a truth has none.
    """

    joints: NDArray[np.float64]
    mano_joints: NDArray[np.float64]
    vertices: NDArray[np.float64]
    covariance_mm2: NDArray[np.float64]
    valid: NDArray[np.bool_]
    true_joints: NDArray[np.float64]
    true_vertices: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How far a network is off. Frames without an answer are counted, and nowhere else taken in.

    Args:
        frames: How many frames were asked for.
        answered: Share of them that had an answer.
        mano_joints: MANO's joints.
        queries: The refined query points.
        mesh: MANO's mesh; None where the truth has none.
        coverage: For each of `COVERAGE_LEVELS`, the share of query points whose truth lies in their ellipsoid.
    """

    frames: int
    answered: float
    mano_joints: PointMetrics
    queries: PointMetrics
    mesh: MeshMetrics | None
    coverage: dict[float, float]


def evaluate(
    network: UstHandNetwork,
    samples: Sequence[tuple[Window, Truth]],
    views: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
) -> Evaluation:
    """Measure a network on windows whose truth is known.

    Args:
        network: In any mode; it is left as it was.
        samples: Windows of equal T and S with their truth.
        views: See each window by so many of its views only, drawn by the seed; None is all.
        batch_size: Windows at a time.
        seed: Of the hypotheses' noise and the choice of views.

    Returns:
        The figures.

    Raises:
        ValueError: If there is nothing to measure, or no frame had an answer.
    """
    said = predict(network, samples, views, batch_size, seed)
    valid = said.valid
    if not valid.any():
        raise ValueError(f"none of {valid.size} frames had an answer; give windows with two views or more")
    true_joints = said.true_joints[valid]
    return Evaluation(
        frames=valid.size,
        answered=float(valid.mean()),
        mano_joints=point_metrics(said.mano_joints[valid], true_joints),
        queries=point_metrics(said.joints[valid], true_joints),
        mesh=None if said.true_vertices is None else mesh_metrics(said.vertices[valid], said.true_vertices[valid]),
        coverage=ellipsoid_coverage(said.joints[valid], said.covariance_mm2[valid], true_joints),
    )


def predict(
    network: UstHandNetwork,
    samples: Sequence[tuple[Window, Truth]],
    views: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
) -> Predictions:
    """Run a network over windows; arguments as in `evaluate`."""
    if not samples:
        raise ValueError("no windows to evaluate on; give at least one")
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    device = next(network.parameters()).device
    windows = [window if views is None else _seen_by(window, views, rng) for window, _ in samples]
    parts: list[dict[str, NDArray[np.float64]]] = []
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        for first in range(0, len(windows), batch_size):
            batch = collate(windows[first : first + batch_size]).to(device)
            frames = run_network(network, batch, generator).frames
            parts.append(
                {
                    name: getattr(frames, name).flatten(0, 1).double().cpu().numpy()
                    for name in ("joints", "mano_joints", "vertices", "covariance_mm2", "valid")
                }
            )
    network.train(was_training)
    said = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    meshes = [truth.vertices_local for _, truth in samples]
    known = [mesh for mesh in meshes if mesh is not None]
    return Predictions(
        joints=said["joints"],
        mano_joints=said["mano_joints"],
        vertices=said["vertices"],
        covariance_mm2=said["covariance_mm2"],
        valid=said["valid"] > 0,
        true_joints=np.concatenate([truth.joints_local for _, truth in samples]),
        true_vertices=np.concatenate(known) if len(known) == len(meshes) else None,
    )


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


def _seen_by(window: Window, views: int, rng: np.random.Generator) -> Window:
    if not 1 <= views <= window.views:
        raise ValueError(f"{views} views were asked for of a window with {window.views}")
    return window.with_views(np.sort(rng.permutation(window.views)[:views]).tolist())
