"""Evaluation compares the right things, and leaves the network as it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.network.network import UstHandNetwork
from training.evaluate import COVERAGE_LEVELS, ellipsoid_coverage, evaluate, predict, squared_mahalanobis
from training.metrics import distances_mm
from training.samples import Window
from training.truth import Truth
from training.usthand import UstHandMethod

Samples = list[tuple[Window, Truth]]
MakeNetwork = Callable[[], UstHandNetwork]


def test_figures_are_of_the_networks_own_answers(small_network: MakeNetwork, small_samples: Samples) -> None:
    network = small_network()
    network.train()
    said = predict(UstHandMethod(network), small_samples, batch_size=2)
    assert said.mano_joints is not None
    assert said.vertices is not None
    assert network.training
    # Against itself it is perfect: what it says about each window is taken for that window's truth.
    frames = small_samples[0][0].frames
    own = [
        (window, Truth(said.mano_joints[at : at + frames], said.vertices[at : at + frames]))
        for at, (window, _) in zip(range(0, 100, frames), small_samples, strict=False)
    ]
    figures = evaluate(UstHandMethod(network), own, batch_size=2)
    assert figures.mano_joints is not None
    assert figures.frames == 6
    assert figures.answered == 1.0
    assert figures.mano_joints.mean_mm == pytest.approx(0.0, abs=1e-3)
    assert figures.mano_joints.auc == pytest.approx(1.0, abs=1e-2)
    assert figures.mesh is not None
    assert figures.mesh.points.mean_mm == pytest.approx(0.0, abs=1e-3)
    assert figures.mesh.f_5 == pytest.approx(1.0)
    assert figures.joints.mean_mm == pytest.approx(float(distances_mm(said.joints, said.mano_joints).mean()), rel=1e-4)


def test_truth_without_a_mesh_gives_no_mesh_figures(small_network: MakeNetwork, small_samples: Samples) -> None:
    bare = [(window, Truth(truth.joints_local)) for window, truth in small_samples]
    assert evaluate(UstHandMethod(small_network()), bare).mesh is None


def test_fewer_views(small_network: MakeNetwork, small_samples: Samples) -> None:
    network = small_network()
    all_views, two, again = (
        evaluate(UstHandMethod(network), small_samples, views=views, seed=3) for views in (3, 2, 2)
    )
    assert all_views == evaluate(UstHandMethod(network), small_samples, seed=3)
    assert two == again
    assert two != all_views
    with pytest.raises(ValueError, match="had an answer"):
        evaluate(UstHandMethod(network), small_samples, views=1)
    with pytest.raises(ValueError, match="4 views were asked for"):
        evaluate(UstHandMethod(network), small_samples, views=4)
    with pytest.raises(ValueError, match="at least one"):
        evaluate(UstHandMethod(network), [])


def test_frames_without_an_answer_are_counted_only(small_network: MakeNetwork, small_samples: Samples) -> None:
    network = small_network()
    window, truth = small_samples[0]
    mask = window.view_mask.copy()
    mask[0, 1:] = 0.0
    # Frames of one instant each, so that the second frame does not see the first.
    apart = [
        (
            Window(
                window.crops[t : t + 1],
                window.projections[t : t + 1],
                m[t : t + 1],
                window.labels[t : t + 1],
                window.label_confidence[t : t + 1],
            ),
            Truth(truth.joints_local[t : t + 1]),
        )
        for t, m in ((0, mask), (1, mask))
    ]
    figures, only = (
        evaluate(UstHandMethod(network), apart, batch_size=1),
        evaluate(UstHandMethod(network), apart[1:], batch_size=1),
    )
    assert (figures.frames, figures.answered) == (2, 0.5)
    assert figures.joints.mean_mm == pytest.approx(only.joints.mean_mm, rel=0.05)


def test_squared_mahalanobis_by_hand() -> None:
    covariance = np.diag([4.0, 1.0, 0.25])
    assert squared_mahalanobis(np.array([2.0, 0.0, 0.0]), covariance) == pytest.approx(1.0)
    assert squared_mahalanobis(np.array([2.0, 3.0, 1.0]), covariance) == pytest.approx(1.0 + 9.0 + 4.0)


def test_ellipsoids_of_true_covariances_hold_what_they_should() -> None:
    rng = np.random.default_rng(0)
    shapes = rng.normal(size=(21, 3, 3))
    covariance_mm2: NDArray[np.float64] = shapes @ shapes.transpose(0, 2, 1) + np.eye(3)
    errors_mm = np.einsum("jab,njb->nja", np.linalg.cholesky(covariance_mm2), rng.normal(size=(4000, 21, 3)))
    truth = rng.normal(size=(4000, 21, 3))
    for factor in (1.0, 4.0):
        covered = ellipsoid_coverage(
            truth + errors_mm / 1e3, np.broadcast_to(factor * covariance_mm2, (4000, 21, 3, 3)), truth
        )
        assert tuple(covered) == COVERAGE_LEVELS
        for level, share in covered.items():
            if factor == 1.0:
                assert share == pytest.approx(level, abs=0.005)
            else:
                assert share > level


def test_equal_seeds_draw_equal_noise(small_network: MakeNetwork, small_samples: Samples) -> None:
    network = small_network()
    state = torch.get_rng_state()
    first, again, other = (predict(UstHandMethod(network), small_samples, seed=seed) for seed in (0, 0, 1))
    assert first.covariance_mm2 is not None
    assert other.covariance_mm2 is not None
    np.testing.assert_array_equal(first.covariance_mm2, again.covariance_mm2)
    assert not np.array_equal(first.covariance_mm2, other.covariance_mm2)
    assert torch.equal(torch.get_rng_state(), state)
    coverage = evaluate(UstHandMethod(network), small_samples).coverage
    assert coverage is not None
    assert coverage.keys() == set(COVERAGE_LEVELS)
