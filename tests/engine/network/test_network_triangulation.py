"""The DLT without a decomposition against float64 SVD, and projection."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from engine.network.triangulation import (  # noqa: E402
    MIN_CONFIDENCE,
    observation_weights,
    project,
    weighted_dlt,
)
from engine.synthetic.rigs import look_at  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_grad")

Array = NDArray[np.float64]


def projections_of(centers: Array) -> Array:
    """Crop cameras at places `(V, 3)` that look at the origin, with a hand of 20 cm filling them: `(V, 3, 4)`."""
    made = []
    for center in centers:
        T = look_at(center, np.zeros(3))
        focal = np.linalg.norm(center) / 0.13
        made.append(np.diag([focal, focal, 1.0]) @ T[:3])
    return np.array(made)


def rig(views: int, rng: np.random.Generator) -> Array:
    directions = rng.normal(size=(views, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    while views == 2 and abs(directions[0] @ directions[1]) > 0.97:
        directions[1] = rng.normal(size=3)
        directions[1] /= np.linalg.norm(directions[1])
    return projections_of(directions * rng.uniform(0.4, 1.2, size=(views, 1)))


def exact(projections: Array, points: Array, weights: Array) -> Array:
    """The homogeneous DLT in float64: the right singular vector of the smallest singular value, point by point."""
    answer = np.zeros((points.shape[1], 3))
    for n in range(points.shape[1]):
        rows = []
        for v, P in enumerate(projections):
            for axis in range(2):
                row = points[v, n, axis] * P[2] - P[axis]
                rows.append(weights[v, n] * row / np.linalg.norm(row[:3]))
        vector = np.linalg.svd(np.array(rows))[2][-1]
        answer[n] = vector[:3] / vector[3]
    return answer


def seen(projections: Array, points_world: Array) -> Array:
    homogeneous = np.concatenate([points_world, np.ones((len(points_world), 1))], axis=1)
    moved = np.einsum("vij,nj->vni", projections, homogeneous)
    return moved[..., :2] / moved[..., 2:]


def float32(*arrays: Array) -> list[torch.Tensor]:
    return [torch.tensor(array, dtype=torch.float32)[None] for array in arrays]


@pytest.mark.parametrize("views", [2, 3, 4, 8])
@pytest.mark.parametrize("noise", [0.0, 0.02], ids=["exact points", "2 px of noise"])
def test_against_svd_in_float64(views: int, noise: float) -> None:
    rng = np.random.default_rng(views)
    worst = 0.0
    for _ in range(10):
        P = rig(views, rng)
        truth = rng.uniform(-0.09, 0.09, size=(100, 3))
        points = seen(P, truth) + rng.normal(scale=noise, size=(views, 100, 2))
        confidence = 10 ** rng.uniform(-3, 0, size=(views, 100))
        P32, points32, confidence32 = float32(P, points, confidence)
        weights = observation_weights(confidence32, torch.ones(1, views))
        found = weighted_dlt(P32, points32, weights)[0].double().numpy()
        expected = exact(P, points, np.maximum(confidence, MIN_CONFIDENCE))
        if noise == 0:
            assert np.abs(expected - truth).max() < 1e-9
        worst = max(worst, float(np.linalg.norm(found - expected, axis=1).max()))
    # Metres. With noise the two forms of the DLT differ by what the residual squared says, far below the noise itself.
    assert worst < (2e-6 if noise == 0 else 2e-4)


@pytest.mark.parametrize("views", [2, 3, 4, 8])
def test_cameras_on_a_line(views: int) -> None:
    """A camera bar: all centres collinear, 1 m away, 15 cm apart."""
    rng = np.random.default_rng(0)
    along = 0.15 * (np.arange(views) - (views - 1) / 2)
    centers = np.stack([along, -np.ones(views), np.zeros(views)], axis=1)
    P, truth = projections_of(centers), rng.uniform(-0.09, 0.09, size=(200, 3))
    points = seen(P, truth)
    confidence = 10 ** rng.uniform(-3, 0, size=(views, 200))
    P32, points32, confidence32 = float32(P, points, confidence)
    found = weighted_dlt(P32, points32, observation_weights(confidence32, torch.ones(1, views)))[0]
    assert np.linalg.norm(found.double().numpy() - truth, axis=1).max() < 5e-6


def test_weights_decide() -> None:
    """An observation of no weight has no say, one of little weight little."""
    rng = np.random.default_rng(1)
    P, truth = rig(4, rng), rng.uniform(-0.05, 0.05, size=(20, 3))
    points = seen(P, truth)
    points[3] += 0.5
    weights = np.ones((4, 20))
    errors = []
    for share in (1.0, 0.1, 0.0):
        weights[3] = share
        found = weighted_dlt(*float32(P, points, weights))[0].double().numpy()
        errors.append(float(np.linalg.norm(found - truth, axis=1).mean()))
    assert errors[0] > 10 * errors[1] > 0
    assert errors[2] < 2e-5


@pytest.mark.parametrize("usable", [0, 1])
def test_too_few_views_give_numbers_all_the_same(usable: int) -> None:
    rng = np.random.default_rng(2)
    P, truth = rig(3, rng), rng.uniform(-0.05, 0.05, size=(20, 3))
    mask = torch.zeros(1, 3)
    mask[0, :usable] = 1
    P32, points32 = float32(P, seen(P, truth))
    P32.requires_grad_()
    with torch.enable_grad():
        found = weighted_dlt(P32, points32, observation_weights(torch.ones(1, 3, 20), mask))
        found.sum().backward()
    assert torch.isfinite(found).all()
    assert found.detach().norm(dim=-1).max() < 0.5
    assert torch.isfinite(P32.grad).all()


def test_projection_against_matrices() -> None:
    rng = np.random.default_rng(3)
    P, points = rig(3, rng), rng.uniform(-0.09, 0.09, size=(30, 3))
    P32, points32 = float32(P, points)
    places, depths = project(P32, points32)
    assert np.allclose(places[0].numpy(), seen(P, points), atol=1e-5)
    expected = np.einsum("vj,nj->vn", P[:, 2, :3], points) + P[:, 2, 3:]
    assert np.allclose(depths[0].numpy(), expected, atol=1e-5)
