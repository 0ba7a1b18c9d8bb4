"""Each measure against cases that were computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.hand_model.rotations import matrix_from_axis_angle
from training.metrics import aligned, distances_mm, f_score, mesh_metrics, pck_auc, point_metrics

Array = NDArray[np.float64]

SQUARE = np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.1, 0.1, 0.0], [0.0, 0.1, 0.0]])
LIFTED = SQUARE + np.array([0.0, 0.0, 0.006])


def _cloud(seed: int, count: int = 21, frames: int = 3) -> Array:
    return np.random.default_rng(seed).normal(0.0, 0.05, (frames, count, 3))


def test_distances_are_millimetres() -> None:
    moved = SQUARE + np.array([(0.003, 0.004, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, -0.012), (0.001, 0.002, 0.002)])
    np.testing.assert_allclose(distances_mm(moved, SQUARE), [5.0, 0.0, 12.0, 3.0], atol=1e-12)
    with pytest.raises(ValueError, match="differ in shape"):
        distances_mm(SQUARE[:3], SQUARE)


def test_mean_error_is_of_all_points_of_all_frames() -> None:
    truth = np.stack([SQUARE, SQUARE])
    moved = truth.copy()
    moved[0, 0] += (0.008, 0.0, 0.0)
    moved[1] += (0.0, 0.001, 0.0)
    assert point_metrics(moved, truth).mean_mm == pytest.approx((8.0 + 4 * 1.0) / 8)


@given(
    st.integers(0, 2**16),
    st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3),
    st.floats(0.3, 3.0),
)
def test_alignment_undoes_any_similarity(seed: int, turn: list[float], scale: float) -> None:
    truth = _cloud(seed)
    moved = scale * truth @ matrix_from_axis_angle(np.array(turn)).T + np.array([0.3, -0.2, 1.0])
    np.testing.assert_allclose(aligned(moved, truth), truth, atol=1e-9)


def test_alignment_does_not_mirror() -> None:
    truth = _cloud(1)
    mirrored = truth * (-1.0, 1.0, 1.0)
    assert distances_mm(aligned(mirrored, truth), truth).mean() > 10.0
    # Flat clouds are their own mirror image.
    flat = truth * (1.0, 1.0, 0.0)
    np.testing.assert_allclose(aligned(flat * (-1.0, 1.0, 1.0), flat), flat, atol=1e-9)


def test_alignment_by_hand() -> None:
    # Along one axis, about their middle: -1, 0, 1 onto -2, 0, 2.3 (middle 0.1). Best scale: (2.1 + 2.2) / 2 = 2.15.
    points = np.array([[[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    truth = np.array([[[-2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [2.3, 0.0, 0.0]]])
    np.testing.assert_allclose(aligned(points, truth)[0, :, 0], [0.1 - 2.15, 0.1, 0.1 + 2.15], atol=1e-12)


def test_alignment_is_the_best_there_is() -> None:
    truth = _cloud(2, frames=1)
    points = truth + _cloud(3, frames=1) * 0.2
    best = np.square(aligned(points, truth) - truth).sum()
    rng = np.random.default_rng(0)
    for _ in range(200):
        turn, scale, move = rng.normal(0, 0.05, 3), np.exp(rng.normal(0, 0.05)), rng.normal(0, 0.003, 3)
        other = scale * aligned(points, truth) @ matrix_from_axis_angle(turn).T + move
        assert np.square(other - truth).sum() >= best


def test_alignment_of_one_point_in_many_places_stays_finite() -> None:
    truth = _cloud(4)
    np.testing.assert_allclose(
        aligned(np.zeros_like(truth), truth), np.broadcast_to(truth.mean(1, keepdims=True), truth.shape)
    )


def test_auc_by_hand() -> None:
    assert pck_auc(np.zeros(5)) == pytest.approx(1.0)
    assert pck_auc(np.full(5, 50.1)) == 0.0
    # All points jump from wrong to right between two thresholds: half of that interval counts.
    step = 50.0 / 99.0
    assert pck_auc(np.full(4, 24.9 * step)) == pytest.approx((99 - 24.5) / 99)
    # Half of the points exact, half never right.
    assert pck_auc(np.array([0.0, 0.0, 80.0, 90.0])) == pytest.approx(0.5)
    # Evenly spread errors: the curve is the diagonal.
    assert pck_auc(np.linspace(0.0, 50.0, 100_001)) == pytest.approx(0.5, abs=1e-4)


def test_f_score_by_hand() -> None:
    assert f_score(SQUARE, SQUARE, 5.0) == 1.0
    assert f_score(LIFTED, SQUARE, 5.0) == 0.0
    assert f_score(LIFTED, SQUARE, 15.0) == 1.0
    # Two of four answers are near the truth (precision 1/2), and they are near all of it (recall 1): 2/3.
    answer = np.concatenate([SQUARE[:2], SQUARE[2:] + np.array([0.0, 0.0, 0.5])])
    assert f_score(answer, SQUARE[:2], 5.0) == pytest.approx(2 / 3)
    assert f_score(SQUARE[:2], answer, 5.0) == pytest.approx(2 / 3)
    # It is the nearest point that counts, not the one of the same number.
    assert f_score(SQUARE[::-1], SQUARE, 1.0) == 1.0


def test_mesh_figures_do_not_depend_on_where_the_mesh_is() -> None:
    truth = _cloud(5, count=60)
    answer = truth + _cloud(6, count=60) * 0.1
    near, far = mesh_metrics(answer, truth), mesh_metrics(answer + 1e3, truth + 1e3)
    assert far.f_5 == near.f_5
    assert far.points.mean_mm == pytest.approx(near.points.mean_mm)
    assert 0.0 < near.f_5 < near.f_15 < 1.0
    assert near.points.mean_mm == pytest.approx(float(distances_mm(answer, truth).mean()))
    assert near.points.aligned_mm < near.points.mean_mm
