"""The losses against slow references and cases computed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.network.network import SequenceOutputs, StepOutputs
from training.losses import LossTerms, LossWeights, gaussian_heatmaps, losses
from training.samples import Batch

HANDS, FRAMES, VIEWS, JOINTS, CELLS, BLOCKS = 2, 2, 3, 21, 6, 2


class Case:
    """Made-up outputs and labels; all that a loss reads."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int, scale: float = 1.0) -> Tensor:
            return scale * torch.randn(shape, generator=generator)

        lead = (HANDS, FRAMES, VIEWS)
        projections = normal(*lead, 3, 4, scale=0.3)
        # Cameras half a metre before the hand.
        projections[..., :3, :3] += torch.eye(3)
        projections[..., 2, 3] = 0.5
        self.batch = Batch(
            crops=torch.zeros((*lead, 8, 8, 3), dtype=torch.uint8),
            projections=projections,
            view_mask=torch.ones(lead),
            labels=normal(*lead, JOINTS, 2, scale=0.4),
            label_confidence=torch.rand((*lead, JOINTS), generator=generator),
        )
        self.heatmaps = normal(*lead, JOINTS, CELLS, CELLS).requires_grad_()
        self.heatmap_joints = normal(*lead, JOINTS, 2, scale=0.3).requires_grad_()
        self.queries = tuple(normal(HANDS, FRAMES, JOINTS, 3, scale=0.05).requires_grad_() for _ in range(BLOCKS))
        self.start = normal(HANDS, FRAMES, JOINTS, 3, scale=0.05)
        self.mano_joints = normal(HANDS, FRAMES, JOINTS, 3, scale=0.05).requires_grad_()
        self.shape = normal(HANDS, FRAMES, 10)
        self.confidence = torch.rand((*lead, JOINTS), generator=generator).requires_grad_()
        self.valid = torch.ones(HANDS, FRAMES)
        self.flow_log_prob: Callable[[Tensor], Tensor] = lambda labels: 3.0 - labels.square().sum(-1)

    def losses(self) -> LossTerms:
        nothing = torch.empty(0)
        frames = StepOutputs(
            joints=self.queries[-1] if self.queries else self.start,
            mano_joints=self.mano_joints,
            rotations=nothing,
            shape=self.shape,
            translation=nothing,
            vertices=nothing,
            covariance_mm2=nothing,
            keypoints=nothing,
            view_confidence=self.confidence * self.batch.view_mask[..., None],
            reprojection_px=nothing,
            valid=self.valid,
            state_out=nothing,
            state_valid_out=nothing,
        )
        outputs = SequenceOutputs(
            frames=frames,
            heatmaps=self.heatmaps,
            heatmap_joints=self.heatmap_joints,
            queries=self.queries,
            start=self.start,
            flow_log_prob=self.flow_log_prob,
        )
        return losses(outputs, self.batch)

    def reference(self) -> dict[str, float]:
        """Eq. 13-16 by loops over hands, frames, views, joints and cells, and the shape's prior."""
        sums = dict.fromkeys(("heatmap", "heatmap_joints", "nll", "projection_queries", "projection_mano"), 0.0)
        count = answered = 0
        log_prob = self.flow_log_prob(self.batch.labels)
        for b, t, v, j in np.ndindex(HANDS, FRAMES, VIEWS, JOINTS):
            label_confidence = float(self.batch.label_confidence[b, t, v, j])
            if label_confidence == 0 or self.batch.view_mask[b, t, v] == 0:
                continue
            count += 1
            label = self.batch.labels[b, t, v, j].double().numpy()
            for row, column in np.ndindex(CELLS, CELLS):
                cell = (label + 1) / 2 * CELLS - 0.5
                squared = (column - cell[0]) ** 2 + (row - cell[1]) ** 2
                target = math.exp(-squared / (2 * 2.0**2))
                sums["heatmap"] += (float(self.heatmaps[b, t, v, j, row, column].detach()) - target) ** 2
            joint = self.heatmap_joints[b, t, v, j].detach().double().numpy()
            sums["heatmap_joints"] += float(np.sum((joint - label) ** 2))
            sums["nll"] -= float(log_prob[b, t, v, j])
            if self.valid[b, t] == 0:
                continue
            answered += 1
            confidence = float(self.confidence[b, t, v, j].detach()) * label_confidence
            projection = self.batch.projections[b, t, v].double().numpy()
            points = {"projection_queries": list(self.queries), "projection_mano": [self.mano_joints]}
            for name, clouds in points.items():
                for cloud in clouds:
                    moved = projection @ np.append(cloud[b, t, j].detach().double().numpy(), 1.0)
                    distance = np.sum((moved[:2] / moved[2] - label) ** 2)
                    sums[name] += confidence * float(distance) / len(clouds)
        told = {name: total / (answered if "projection" in name else count) for name, total in sums.items()}
        shapes = [self.shape[b, t].double().numpy() for b, t in np.ndindex(HANDS, FRAMES) if self.valid[b, t] > 0]
        return {**told, "shape": float(np.mean([np.mean(shape**2) for shape in shapes]))}


def numbers(terms: LossTerms) -> dict[str, float]:
    return {name: float(value) for name, value in terms.tensors().items()}


def test_losses_are_the_papers_equations() -> None:
    case = Case()
    assert numbers(case.losses()) == pytest.approx(case.reference(), rel=1e-5)


def test_masked_views_unbelieved_labels_and_unanswered_frames_do_not_count() -> None:
    case = Case(1)
    case.batch.view_mask[0, 0, 1] = 0
    case.batch.view_mask[1, 1, :2] = 0
    case.valid[1, 1] = 0
    case.batch.label_confidence[:, :, 2, 4:9] = 0
    before = numbers(case.losses())
    assert before == pytest.approx(case.reference(), rel=1e-5)
    # Whatever stands there.
    case.batch.labels[0, 0, 1] = 1e6
    case.batch.labels[:, :, 2, 4:9] = -1e20
    with torch.no_grad():
        case.heatmaps[1, 1, 0] = 1e20
        case.mano_joints[1, 1] = 1e6
    assert numbers(case.losses()) == pytest.approx(before)


def test_nothing_to_count_costs_nothing_and_gives_no_gradient() -> None:
    case = Case(2)
    case.batch.view_mask[:] = 0
    case.valid[:] = 0
    terms = case.losses()
    assert set(numbers(terms).values()) == {0.0}
    total = terms.total(LossWeights())
    total.backward()
    for tensor in (case.heatmaps, case.heatmap_joints, case.mano_joints, *case.queries):
        assert tensor.grad is not None
        assert not tensor.grad.any()


def test_what_is_right_costs_nothing() -> None:
    case = Case(3)
    batch = case.batch
    points = torch.cat([case.start, torch.ones_like(case.start[..., :1])], dim=-1)
    moved = torch.einsum("btvij,btpj->btvpi", batch.projections, points)
    batch.labels[:] = moved[..., :2] / moved[..., 2:]
    case.heatmaps = gaussian_heatmaps(batch.labels, CELLS, CELLS)
    case.heatmap_joints = batch.labels
    case.queries = (case.start, case.start)
    case.mano_joints = case.start
    case.shape = torch.zeros_like(case.shape)
    found = numbers(case.losses())
    assert found.pop("nll") < 0
    assert list(found.values()) == pytest.approx([0.0] * 5, abs=1e-9)


def test_confidence_gets_no_gradient() -> None:
    case = Case(4)
    case.losses().total(LossWeights()).backward()
    assert case.confidence.grad is None
    assert case.heatmaps.grad is not None


def test_a_heatmap_target_by_hand() -> None:
    # The label is the middle of cell (row 2, column 5) of 8.
    label = torch.tensor([(2 * 5 + 1) / 8 - 1, (2 * 2 + 1) / 8 - 1])
    target = gaussian_heatmaps(label, 8, 8)
    assert target.shape == (8, 8)
    assert float(target[2, 5]) == 1.0
    assert float(target[2, 7]) == pytest.approx(math.exp(-0.5))
    assert float(target[4, 3]) == pytest.approx(math.exp(-1.0))
    # Maps need not be square: crop coordinates span both sides.
    wide = gaussian_heatmaps(torch.tensor([(2 * 5 + 1) / 16 - 1, 1 / 4 - 1]), 4, 16)
    assert float(wide[0, 5]) == 1.0
    # A label outside the crop leaves its tail only.
    outside = gaussian_heatmaps(torch.tensor([1.5, 0.0]), 8, 8)
    assert float(outside.max()) == pytest.approx(math.exp(-((2.5 / 2) ** 2 + 0.25**2) / 2), rel=1e-5)


def test_terms_by_hand() -> None:
    case = Case(5)
    batch = case.batch
    # One label counts: joint 3 of view 1, a twentieth of the crop right of what everything says.
    batch.label_confidence[:] = 0
    batch.label_confidence[0, 0, 1, 3] = 0.5
    batch.projections[0, 0, 1] = torch.tensor([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 1.0, 0.5]])
    batch.labels[0, 0, 1, 3] = torch.tensor([0.3, 0.4])
    case.heatmap_joints = torch.zeros_like(case.heatmap_joints)
    # At a depth of 0.5 m x = 0.05 m is u = 2 * 0.05 / 0.5 = 0.2.
    case.queries = (torch.tensor([0.05, 0.1, 0.0]).expand(HANDS, FRAMES, JOINTS, 3), torch.zeros(HANDS, FRAMES, 21, 3))
    case.mano_joints = torch.tensor([0.075, 0.1, 0.0]).expand(HANDS, FRAMES, JOINTS, 3)
    case.confidence = torch.full_like(case.confidence, 0.8)
    terms = numbers(case.losses())
    assert terms["heatmap_joints"] == pytest.approx(0.25)
    assert terms["nll"] == pytest.approx(0.25 - 3.0)
    # Of two blocks: one is off by 0.1, the other by 0.5; 0.8 * 0.5 is what it is believed.
    assert terms["projection_queries"] == pytest.approx(0.4 * (0.01 + 0.25) / 2, rel=1e-5)
    assert terms["projection_mano"] == pytest.approx(0.0, abs=1e-9)


def test_the_total_is_weighted() -> None:
    terms = LossTerms(*(torch.tensor(value) for value in (100.0, 2.0, -3.0, 0.25, 0.5, 4.0)))
    assert float(terms.total(LossWeights())) == pytest.approx(0.1 + 20.0 - 0.3 + 7.5 + 0.008)


def test_the_prior_is_on_shapes_that_were_answered() -> None:
    case = Case(8)
    case.shape = torch.full_like(case.shape, 2.0)
    assert numbers(case.losses())["shape"] == pytest.approx(4.0)


def test_without_blocks_the_triangulated_points_are_the_query_points() -> None:
    case = Case(6)
    case.queries = ()
    without = numbers(case.losses())
    case.queries = (case.start,)
    assert without == pytest.approx(numbers(case.losses()))
