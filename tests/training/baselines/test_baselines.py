"""Each baseline is what its paper says, learns from 2D labels alone, and needs no truth for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.hand_model import HandModel
from engine.network.config import NetworkConfig
from engine.network.heatmaps import cell_centers, soft_argmax
from engine.network.triangulation import project, weighted_dlt
from training.baselines import (
    EpipolarTransformer,
    HaMuCo,
    LabelDlt,
    LtAlgebraic,
    LtVolumetric,
    Monocular,
    RobustLabelDlt,
    S2Hand,
)
from training.baselines.epipolar import epipolar_samples, nearest_views
from training.baselines.learned import LearnedBaseline
from training.baselines.lt_algebraic import triangulate_with_confidences
from training.baselines.lt_volumetric import cube_points, softmax_mean, unprojected
from training.baselines.placement import best_translation, camera_rotations
from training.evaluate import evaluate
from training.feeds import WindowFeed
from training.fit import EpochReport, FitConfig, fit
from training.losses import gaussian_heatmaps
from training.samples import Batch, Window, collate
from training.truth import Truth, TruthReadError, training_step

Samples = list[tuple[Window, Truth]]
Make = Callable[[HandModel], LearnedBaseline]

SMALL = NetworkConfig(
    name="small",
    backbone="mobilenetv4-conv-small",
    input_px=64,
    feature_channels=16,
    pose_channels=8,
    fusion_channels=16,
    attention_heads=2,
)
TRUNK = replace(SMALL, backbone="mediapipe-lite", use_trunk_joints=True)

LEARNED: dict[str, Make] = {
    "algebraic": lambda _: LtAlgebraic(SMALL),
    "algebraic, trunk": lambda _: LtAlgebraic(TRUNK),
    "volumetric": lambda _: LtVolumetric(SMALL, cells=12),
    "volumetric, trunk": lambda _: LtVolumetric(TRUNK, cells=12),
    "epipolar": lambda _: EpipolarTransformer(SMALL),
    "hamuco": lambda model: HaMuCo(SMALL, model),
    "hamuco, trunk": lambda model: HaMuCo(TRUNK, model),
    "s2hand": lambda model: S2Hand(SMALL, model),
}


def _made(name: str, hand_model: HandModel) -> LearnedBaseline:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LEARNED[name](hand_model)


def _batch(samples: Samples) -> Batch:
    return collate([window for window, _ in samples])


def _true_joints(samples: Samples) -> Tensor:
    """`(N, 21, 3)` of all frames of all windows."""
    return torch.from_numpy(np.concatenate([truth.joints_local for _, truth in samples])).float()


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_dlt_of_perfect_labels_is_the_truth(small_samples: Samples) -> None:
    full = [(window, truth) for window, truth in small_samples if window.label_confidence.min() > 0.0]
    assert full
    for method in (LabelDlt(), LabelDlt(weighted=True), RobustLabelDlt(64)):
        figures = evaluate(method, full)
        assert figures.answered == 1.0
        assert figures.joints.mean_mm < 0.1
        assert figures.mesh is None


def test_the_robust_one_lets_no_outlier_drag_it(small_samples: Samples) -> None:
    spoilt = []
    for window, truth in small_samples:
        labels = window.labels.copy()
        labels[:, 0, 4] += 0.5
        spoilt.append((replace(window, labels=labels), truth))
    plain, robust = evaluate(LabelDlt(), spoilt), evaluate(RobustLabelDlt(64), spoilt)
    assert robust.joints.mean_mm < 0.5 * plain.joints.mean_mm
    assert robust.coverage is not None
    assert plain.coverage is None


def test_labels_in_one_view_are_no_answer(small_samples: Samples) -> None:
    window, truth = small_samples[0]
    alone = window.with_views([0])
    for method in (LabelDlt(), RobustLabelDlt(64)):
        with pytest.raises(ValueError, match="had an answer"):
            evaluate(method, [(alone, truth)])


@pytest.mark.parametrize("name", LEARNED)
def test_each_learns_a_tiny_batch(name: str, hand_model: HandModel, small_samples: Samples) -> None:
    method = _made(name, hand_model)
    reports: list[EpochReport] = []
    config = FitConfig(
        epochs=10, batch_size=2, learning_rate=2e-3, color_jitter=0.0, train_backbone="trunk" not in name
    )
    windows = [window for window, _ in small_samples[:2]]
    # `fit` locks the truth while a step runs.
    fit(method, WindowFeed(windows), config, reports.append)
    # A landmark trunk cannot read crops this small; unlearning what it says takes longer.
    assert reports[-1].total < (0.9 if "trunk" in name else 0.75) * reports[0].total
    assert reports[-1].terms["projection"] < reports[0].terms["projection"]
    assert not method.training
    figures = evaluate(method, small_samples[:2])
    assert figures.answered == 1.0
    assert np.isfinite(figures.joints.mean_mm)
    assert (figures.mesh is not None) == (name.split(",")[0] in ("hamuco", "s2hand"))


@pytest.mark.parametrize("name", ["algebraic", "volumetric", "epipolar", "hamuco", "s2hand"])
def test_masked_views_change_nothing(name: str, hand_model: HandModel, small_samples: Samples) -> None:
    method = _made(name, hand_model)
    windows = [window for window, _ in small_samples[:2]]
    plain = method.predict(collate(windows), _generator())
    padded = method.predict(collate([window.with_masked_views(5) for window in windows]), _generator())
    torch.testing.assert_close(padded.joints, plain.joints, atol=2e-5, rtol=1e-3)
    torch.testing.assert_close(padded.valid, plain.valid)


@pytest.mark.parametrize("name", ["algebraic", "volumetric", "epipolar", "hamuco", "s2hand"])
def test_a_step_is_made_without_the_truth_and_without_3d(
    name: str, hand_model: HandModel, small_samples: Samples
) -> None:
    method = _made(name, hand_model)
    with training_step():
        total, terms = method.losses(_batch(small_samples[:1]), _generator())
        with pytest.raises(TruthReadError):
            _ = small_samples[0][1].joints_local
    assert torch.isfinite(total)
    assert total.item() == pytest.approx(sum(float(value) for value in terms.values()), rel=1e-5)
    total.backward()
    untaught = [
        part for part, weight in method.named_parameters() if weight.grad is None and not part.startswith("backbone.")
    ]
    assert untaught == []


def test_algebraic_of_perfect_heatmaps_is_the_dlt(small_samples: Samples) -> None:
    batch = _batch(small_samples)
    projections, mask = batch.projections.flatten(0, 1), batch.view_mask.flatten(0, 1)
    truth = _true_joints(small_samples)
    places, _ = project(projections, truth)
    # Heatmaps whose softmax is the Gaussian itself; joints near the border would be cut.
    inside = (places.abs() < 0.6).all(dim=-1).all(dim=1)
    sigma_cells, side = 2.0, 32
    logs = gaussian_heatmaps(places, side, side).clamp_min(1e-30).log() * (2.0 / sigma_cells) ** 2
    joints = soft_argmax(logs.flatten(0, 1), torch.ones(())).unflatten(0, mask.shape)
    made = triangulate_with_confidences(projections, joints, torch.full(places.shape[:-1], 0.7), mask)
    assert inside.any()
    torch.testing.assert_close(made[inside], truth[inside], atol=1e-3, rtol=0.0)
    torch.testing.assert_close(
        made, weighted_dlt(projections, joints, mask[..., None].expand(places.shape[:-1])), atol=1e-5, rtol=0.0
    )


def test_algebraic_lets_a_view_without_confidence_say_little(small_samples: Samples) -> None:
    batch = _batch(small_samples[:1])
    projections, mask = batch.projections[0], batch.view_mask[0]
    truth = _true_joints(small_samples[:1])
    places, _ = project(projections, truth)
    places[:, 0] += 0.3
    trusted = torch.ones(places.shape[:-1])
    doubted = trusted.clone()
    doubted[:, 0] = 0.0
    errors = [
        float((triangulate_with_confidences(projections, places, weights, mask) - truth).norm(dim=-1).mean())
        for weights in (trusted, doubted)
    ]
    assert errors[1] < 0.05 * errors[0]


def test_a_volume_of_exact_heatmaps_has_its_mean_at_the_joint(small_samples: Samples) -> None:
    batch = _batch(small_samples[:1])
    projections, mask = batch.projections[0], batch.view_mask[0]
    truth = _true_joints(small_samples[:1])
    places, _ = project(projections, truth)
    inside = (places.abs() < 0.8).all(dim=-1).all(dim=1)
    points = cube_points(truth.mean(dim=1), 24)
    volume = unprojected(gaussian_heatmaps(places, 32, 32), projections, points, mask)
    joints = softmax_mean(25.0 * volume, points)
    assert inside.sum() > 10
    # A cell of the cube is 10 mm wide.
    assert (joints - truth)[inside].norm(dim=-1).max() < 5e-3


def test_samples_lie_on_epipolar_lines(small_samples: Samples) -> None:
    projections = _batch(small_samples[:1]).projections[0].double()
    mask = torch.ones(projections.shape[:2], dtype=torch.float64)
    neighbours, there = nearest_views(projections, mask)
    assert there.min() == 1.0
    places = cell_centers(4, 4, projections.device, torch.float64)
    lines = epipolar_samples(projections, neighbours, places)
    for frame in range(projections.shape[0]):
        for view in range(projections.shape[1]):
            first, second = projections[frame, view], projections[frame, int(neighbours[frame, view])]
            center = torch.cat([-torch.linalg.solve(first[:, :3], first[:, 3]), torch.ones(1, dtype=torch.float64)])
            epipole = second @ center
            # F = [e']_x P' P^+
            cross = torch.linalg.cross(epipole.expand(3, 3), torch.eye(3, dtype=torch.float64)).T
            fundamental = cross @ second @ torch.linalg.pinv(first)
            wanted = torch.cat([places, torch.ones_like(places[:, :1])], dim=1) @ fundamental.T
            wanted = wanted / wanted[:, :2].norm(dim=1, keepdim=True)
            found = torch.cat([lines[frame, view], torch.ones_like(lines[frame, view][..., :1])], dim=-1)
            assert (found * wanted[:, None]).sum(dim=-1).abs().max() < 1e-6
            # And the true point of the hand is among the depths that are looked at.
            assert lines[frame, view].std(dim=1).norm(dim=-1).min() > 0.0


def test_a_neighbour_is_never_the_view_itself_nor_a_masked_one(small_samples: Samples) -> None:
    projections = _batch(small_samples[:1]).projections[0]
    mask = torch.ones(projections.shape[:2])
    neighbours, _ = nearest_views(projections, mask)
    own = torch.arange(projections.shape[1])
    assert (neighbours != own).all()
    mask[:, 1] = 0.0
    neighbours, there = nearest_views(projections, mask)
    assert (neighbours[there > 0] != 1).all()
    assert (there[:, 1] == 0).all()
    mask[:, 2] = 0.0
    assert (nearest_views(projections, mask)[1] == 0).all()


def test_a_hand_is_placed_where_its_rays_meet(small_samples: Samples) -> None:
    batch = _batch(small_samples[:1])
    projections = batch.projections[0]
    truth = _true_joints(small_samples[:1])
    places, _ = project(projections, truth)
    about = truth - truth[:, :1]
    for views in (slice(0, 1), slice(None)):
        weights = torch.ones(places[:, views].shape[:-1])
        found = best_translation(projections[:, views], places[:, views], weights, about)
        torch.testing.assert_close(found, truth[:, 0], atol=1e-3, rtol=0.0)


def test_cameras_turn_by_rotations(small_samples: Samples) -> None:
    rotations = camera_rotations(_batch(small_samples).projections.double())
    eye = torch.eye(3, dtype=torch.float64).expand(rotations.shape)
    torch.testing.assert_close(rotations @ rotations.transpose(-1, -2), eye, atol=1e-5, rtol=0.0)
    assert torch.linalg.det(rotations).min() > 0.99


def test_the_monocular_detector_is_placed_by_its_own_view(hand_model: HandModel, small_samples: Samples) -> None:
    method = Monocular(replace(TRUNK, input_px=64), hand_model)
    batch = _batch(small_samples)
    answer = method.predict(batch, _generator())
    assert answer.joints.shape == (3, 2, 21, 3)
    assert answer.valid.min() == 1.0
    # Whichever view was the surest, its rays are where the hand is.
    assert torch.isfinite(answer.joints).all()
    with pytest.raises(Exception, match="reads no joints"):
        Monocular(SMALL, hand_model)
