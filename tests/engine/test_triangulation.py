"""Triangulation is the least-squares answer, and no single view can drag it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.hand_model.rotations import matrix_from_axis_angle
from engine.synthetic.rigs import look_at
from engine.triangulation import (
    Observations,
    RobustConfig,
    Triangulated,
    residuals_px,
    triangulate,
    view_medians,
    weighted_dlt,
)

Array = NDArray[np.float64]
Layout = Literal["dome", "line"]

FOCAL_PX = 700.0


def _hand(rng: np.random.Generator, center: Array | None = None) -> Array:
    """21 points as far apart as a hand's."""
    points = rng.normal(0.0, 1.0, (21, 3)) * (0.035, 0.05, 0.025)
    return points + (np.zeros(3) if center is None else center)


def _cameras(rng: np.random.Generator, views: int, layout: Layout) -> Array:
    """`T_camera_world` of views around the origin; on a line they stand nearly in a row before it."""
    transforms = []
    for number in range(views):
        if layout == "line":
            along = (number - (views - 1) / 2) * 0.18 + rng.uniform(-0.03, 0.03)
            center = np.array([along, 0.6, 0.1]) + rng.normal(0.0, 0.004, 3)
        else:
            azimuth = np.radians((number + 0.5) / views * 200 - 10 + rng.uniform(-8, 8))
            rise = np.radians(rng.uniform(0.0, 50.0))
            center = np.array([np.cos(azimuth) * np.cos(rise), np.sin(azimuth) * np.cos(rise), np.sin(rise)])
            center = center * rng.uniform(0.45, 0.8)
        transforms.append(look_at(center, rng.normal(0.0, 0.02, 3), rng.uniform(-1.0, 1.0)))
    return np.stack(transforms)


def _observe(transforms: Array, joints: Array) -> Observations:
    """Exact observations, each in a crop of its own focal length."""
    moved = np.einsum("vik,jk->vji", transforms[:, :3, :3], joints) + transforms[:, None, :3, 3]
    views = len(transforms)
    return Observations(
        projections=transforms[:, :3].copy(),
        points=moved[..., :2] / moved[..., 2:],
        focals_px=FOCAL_PX * np.linspace(0.8, 1.25, views),
        confidence=np.ones((views, len(joints))),
    )


def _shifted(observed: Observations, view: int, shift_px: Array, joints: slice | list[int] = slice(None)) -> Array:
    """The points with some of one view's moved by crop pixels."""
    points = observed.points.copy()
    points[view, joints] += shift_px / observed.focals_px[view]
    return points


def _agreed(observed: Observations, config: RobustConfig | None = None) -> Triangulated:
    result = triangulate(observed, config)
    assert result is not None
    return result


def _svd_dlt(projections: Array, points: Array, weights: Array) -> Array:
    """One joint by the textbook: unit rows, each times its weight; the last right singular vector."""
    rows = []
    for P, (x, y), weight in zip(projections, points, weights, strict=True):
        for row in (x * P[2] - P[0], y * P[2] - P[1]):
            rows.append(weight * row / np.linalg.norm(row[:3]))
    vector = np.linalg.svd(np.array(rows))[2][-1]
    return vector[:3] / vector[3]


@pytest.mark.parametrize("layout", ["dome", "line"])
@pytest.mark.parametrize("views", [2, 3, 4, 8])
def test_the_dlt_is_the_last_singular_vector(views: int, layout: Layout) -> None:
    rng = np.random.default_rng((views, len(layout)))
    for _ in range(10):
        joints = _hand(rng)
        observed = _observe(_cameras(rng, views, layout), joints)
        points = observed.points + rng.normal(0.0, 3.0, observed.points.shape) / FOCAL_PX
        weights = 10.0 ** rng.uniform(-3.0, 0.0, (views, 21))
        weights[:2] = np.maximum(weights[:2], 0.3)
        ours = weighted_dlt(observed.projections, points, weights)
        for joint in range(21):
            expected = _svd_dlt(observed.projections, points[:, joint], weights[:, joint])
            np.testing.assert_allclose(ours[joint], expected, atol=1e-8)


@pytest.mark.parametrize("views", [2, 3, 8])
def test_the_dlt_is_exact_whatever_the_weights(views: int) -> None:
    rng = np.random.default_rng(views)
    joints = _hand(rng)
    observed = _observe(_cameras(rng, views, "dome"), joints)
    weights = 10.0 ** rng.uniform(-3.0, 0.0, (views, 21))
    np.testing.assert_allclose(weighted_dlt(observed.projections, observed.points, weights), joints, atol=1e-7)


def test_weight_zero_removes_an_observation() -> None:
    rng = np.random.default_rng(3)
    observed = _observe(_cameras(rng, 4, "dome"), _hand(rng))
    points = observed.points + rng.normal(0.0, 3.0, observed.points.shape) / FOCAL_PX
    weights = rng.uniform(0.3, 1.0, (4, 21))
    weights[2] = 0.0
    points[2] = 1e3
    rest = [0, 1, 3]
    np.testing.assert_allclose(
        weighted_dlt(observed.projections, points, weights),
        weighted_dlt(observed.projections[rest], points[rest], weights[rest]),
        atol=1e-12,
    )


def test_the_dlt_takes_batches() -> None:
    rng = np.random.default_rng(4)
    observed = [_observe(_cameras(rng, 3, "dome"), _hand(rng)) for _ in range(5)]
    projections, points = np.stack([o.projections for o in observed]), np.stack([o.points for o in observed])
    weights = rng.uniform(0.1, 1.0, (5, 3, 21))
    batch = weighted_dlt(projections, points, weights)
    for index in range(5):
        single = weighted_dlt(projections[index], points[index], weights[index])
        np.testing.assert_allclose(batch[index], single, atol=1e-12)


@pytest.mark.parametrize("layout", ["dome", "line"])
@pytest.mark.parametrize("views", [2, 3, 4, 8])
def test_exact_views_give_the_exact_hand(views: int, layout: Layout) -> None:
    rng = np.random.default_rng((views, 1))
    for _ in range(5):
        joints = _hand(rng)
        observed = _observe(_cameras(rng, views, layout), joints)
        result = _agreed(replace(observed, confidence=rng.uniform(0.5, 1.0, (views, 21))))
        np.testing.assert_allclose(result.joints_world, joints, atol=1e-6)
        np.testing.assert_allclose(result.residual_px, 0.0, atol=1e-3)
        np.testing.assert_allclose(result.weights, 1.0, atol=1e-6)
        np.testing.assert_allclose(result.view_weight, 1.0, atol=1e-6)
        assert (np.linalg.eigvalsh(result.information) > 0).all()


# Three cameras in a row are left out: a shift along the row moves the hand to another place that two of them agree on.
@pytest.mark.parametrize(("views", "layout"), [(3, "dome"), (4, "dome"), (8, "dome"), (4, "line"), (8, "line")])
@pytest.mark.parametrize("wrong", ["shifted", "another hand", "turned"])
def test_a_grossly_wrong_view_drags_nothing(views: int, layout: Layout, wrong: str) -> None:
    rng = np.random.default_rng((views, len(wrong)))
    for trial in range(40):
        transforms = _cameras(rng, views, layout)
        joints = _hand(rng)
        observed = _observe(transforms, joints)
        bad = trial % views
        points = observed.points.copy()
        if wrong == "shifted":
            angle = rng.uniform(0.0, 2 * np.pi)
            points = _shifted(observed, bad, 60.0 * np.array([np.cos(angle), np.sin(angle)]))
        elif wrong == "another hand":
            points[bad] = _observe(transforms, _hand(rng, rng.normal((0.2, 0.0, 0.0), 0.1))).points[bad]
        else:
            middle = points[bad].mean(axis=0)
            points[bad] = middle - (points[bad] - middle)
        points += rng.normal(0.0, 1.0, points.shape) / observed.focals_px[:, None, None]
        clean = _agreed(
            replace(
                observed,
                points=points,
                confidence=np.where(np.arange(views)[:, None] == bad, 0.0, observed.confidence),
            )
        )
        result = _agreed(replace(observed, points=points))
        moved = np.linalg.norm(result.joints_world - clean.joints_world, axis=1)
        good = np.arange(views) != bad
        assert moved.max() < 0.002, (trial, moved.max(), result.view_weight)
        assert (result.view_weight[good] > 0.7).all()
        if wrong != "turned":
            assert result.view_weight[bad] < 0.1


@pytest.mark.parametrize("views", [3, 4, 8])
def test_a_few_wrong_joints_of_a_view_are_left_out(views: int) -> None:
    rng = np.random.default_rng((views, 5))
    wrong = [4, 8, 12, 16]
    right = np.setdiff1d(np.arange(21), wrong)
    kept = []
    for trial in range(60):
        joints = _hand(rng)
        observed = _observe(_cameras(rng, views, "dome"), joints)
        angle = rng.uniform(0.0, 2 * np.pi)
        points = _shifted(observed, trial % views, 80.0 * np.array([np.cos(angle), np.sin(angle)]), wrong)
        points += rng.normal(0.0, 1.0, points.shape) / observed.focals_px[:, None, None]
        result = _agreed(replace(observed, points=points))
        away = np.linalg.norm(result.joints_world - joints, axis=1)
        assert away[right].max() < 0.006
        assert (result.view_weight > 0.7).all()
        kept.append(away[wrong].max() < 0.006 and (result.weights[trial % views, wrong] < 0.15).all())
    # Of three views a joint that one of them moved along another's epipolar line cannot be told from a right one.
    assert np.mean(kept) >= (0.9 if views == 3 else 1.0)


def test_two_views_of_different_hands_say_so() -> None:
    rng = np.random.default_rng(8)
    transforms = _cameras(rng, 2, "dome")
    observed = _observe(transforms, _hand(rng))
    points = observed.points.copy()
    points[1] = _observe(transforms, _hand(rng, np.array([0.0, 0.0, 0.25]))).points[1]
    result = _agreed(replace(observed, points=points))
    assert np.isfinite(result.joints_world).all()
    assert (np.nanmedian(result.residual_px, axis=1) > 16.0).any()


@pytest.mark.parametrize("seen", [0, 1])
def test_fewer_than_two_views_are_nothing(seen: int) -> None:
    rng = np.random.default_rng(2)
    observed = _observe(_cameras(rng, 3, "dome"), _hand(rng))
    confidence = np.zeros((3, 21))
    confidence[:seen] = 1.0
    assert triangulate(replace(observed, confidence=confidence)) is None


def _noisy(views: int, seed: int) -> Observations:
    """A hand with noise, one wrong view where there are three or more, and one missing view where there are four."""
    rng = np.random.default_rng((seed, views))
    observed = _observe(_cameras(rng, views, "dome"), _hand(rng))
    points = _shifted(observed, 1, np.array([50.0, 30.0])) if views > 2 else observed.points
    points = points + rng.normal(0.0, 2.0, points.shape) / FOCAL_PX
    confidence = rng.uniform(0.5, 1.0, (views, 21))
    if views > 3:
        confidence[2] = 0.0
    return replace(observed, points=points, confidence=confidence)


@pytest.mark.parametrize("views", [2, 3, 4, 8])
def test_moving_the_world_moves_the_hand(views: int) -> None:
    observed = _noisy(views, 11)
    turn = matrix_from_axis_angle(np.array([0.4, -1.1, 2.0]))
    shift = np.array([3.0, -2.0, 0.7])
    projections = observed.projections.copy()
    projections[:, :, :3] = observed.projections[:, :, :3] @ turn.T
    projections[:, :, 3] -= projections[:, :, :3] @ shift
    before, after = _agreed(observed), _agreed(replace(observed, projections=projections))
    np.testing.assert_allclose(after.joints_world, before.joints_world @ turn.T + shift, atol=1e-6)
    np.testing.assert_allclose(after.information, turn @ before.information @ turn.T, rtol=1e-4, atol=1.0)
    np.testing.assert_allclose(after.view_weight, before.view_weight, atol=1e-5)


@pytest.mark.parametrize("views", [3, 4, 8])
def test_the_order_of_views_does_not_matter(views: int) -> None:
    observed = _noisy(views, 12)
    order = np.random.default_rng(views).permutation(views)
    before = _agreed(observed)
    after = _agreed(
        Observations(
            observed.projections[order], observed.points[order], observed.focals_px[order], observed.confidence[order]
        )
    )
    np.testing.assert_allclose(after.joints_world, before.joints_world, atol=1e-9)
    for name in ("weights", "view_weight", "residual_px"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name)[order], atol=1e-6)


def test_a_view_that_saw_nothing_has_no_say_and_no_residual() -> None:
    observed = _noisy(4, 13)
    result = _agreed(observed)
    assert np.isnan(result.residual_px[2]).all()
    assert (result.weights[2] == 0).all()
    assert result.view_weight[2] == 0
    rest = [0, 1, 3]
    without = _agreed(
        Observations(
            observed.projections[rest], observed.points[rest], observed.focals_px[rest], observed.confidence[rest]
        )
    )
    np.testing.assert_allclose(result.joints_world, without.joints_world, atol=1e-9)


@pytest.mark.parametrize("filler", [0.0, 1e3, np.nan])
def test_a_removed_observation_may_hold_anything(filler: float) -> None:
    rng = np.random.default_rng(14)
    joints = _hand(rng)
    observed = _observe(_cameras(rng, 4, "dome"), joints)
    points, confidence = observed.points.copy(), observed.confidence.copy()
    for view, joint in ((0, 4), (1, 4), (3, 8), (2, 0), (2, 12)):
        points[view, joint], confidence[view, joint] = filler, 0.0
    result = _agreed(replace(observed, points=points, confidence=confidence))
    np.testing.assert_allclose(result.joints_world, joints, atol=1e-6)


@pytest.mark.parametrize("views", [2, 4, 8])
def test_information_is_the_inverse_of_the_scatter(views: int) -> None:
    rng = np.random.default_rng((views, 21))
    config = RobustConfig()
    joints = _hand(rng)
    observed = _observe(_cameras(rng, views, "dome"), joints)
    errors, claimed = [], []
    for _ in range(200):
        noise = rng.normal(0.0, config.noise_px, observed.points.shape) / observed.focals_px[:, None, None]
        result = _agreed(replace(observed, points=observed.points + noise), config)
        errors.append(result.joints_world - joints)
        claimed.append(np.linalg.inv(result.information))
    error = np.stack(errors)
    scatter = np.einsum("nji,njk->jik", error, error) / len(error)
    mean_claim = np.mean(claimed, axis=0)
    # Along every direction: eigenvalues of claim^-1 scatter are variance ratios.
    ratios = np.linalg.eigvals(np.linalg.solve(mean_claim, scatter)).real
    assert 0.75 < np.median(ratios) < 1.25, np.median(ratios)
    assert ratios.min() > 0.5
    assert ratios.max() < 1.6


def test_disagreement_lowers_the_information() -> None:
    rng = np.random.default_rng(22)
    observed = _observe(_cameras(rng, 4, "dome"), _hand(rng))
    shifts = np.array([(9.0, 0.0), (-9.0, 0.0), (0.0, 9.0), (0.0, -9.0)]) / observed.focals_px[:, None]
    agreeing, arguing = _agreed(observed), _agreed(replace(observed, points=observed.points + shifts[:, None]))
    assert (np.linalg.det(arguing.information) < 0.5 * np.linalg.det(agreeing.information)).all()


def test_points_behind_a_view_are_far_off() -> None:
    rng = np.random.default_rng(23)
    joints = _hand(rng)
    observed = _observe(_cameras(rng, 3, "dome"), joints)
    center = -observed.projections[0, :, :3].T @ observed.projections[0, :, 3]
    behind = center + (center - joints)
    residual = residuals_px(observed, behind)
    assert (residual[0] > 1e5).all()
    np.testing.assert_allclose(residuals_px(observed, joints), 0.0, atol=1e-9)


def test_a_median_is_over_what_a_view_has() -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(0.0, 1.0, (6, 21))
    usable = rng.random((6, 21)) < np.linspace(0.0, 1.0, 6)[:, None]
    values[~usable] = np.nan
    found = view_medians(values, usable)
    assert found[0] == np.inf
    np.testing.assert_array_equal(found[1:], np.nanmedian(values[1:], axis=1))
