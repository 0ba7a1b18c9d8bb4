"""The losses of UST-Hand, sec. 3.6, eq. 13-17. Only 2D labels supervise.

Lengths are crop coordinates throughout: one unit is half a crop's side, so that a square of the side's hundredth is
(0.02)^2 = 4e-4, at any crop size. The paper does not name its unit. Its weights balance in this one: at an error of a
twentieth of the crop the weighted terms of eq. 13, 14 and 16 are about 0.01, 0.1 and 0.2, and a nat of eq. 15 is 0.1;
in pixels eq. 14 and 16 would be ten thousand times as much and drown the others.

Every term is a mean over what counts: labels with a confidence above 0 in views that are not masked.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from engine.network.network import SequenceOutputs
from engine.network.triangulation import project
from training.distributed import count, mean_over_processes
from training.samples import Batch

HEATMAP_SIGMA_CELLS = 2.0
"""Standard deviation of a label's Gaussian in the heatmap target, in cells of the heatmap."""


@dataclass(frozen=True, slots=True)
class LossWeights:
    """The tradeoff parameters of eq. 17.

    Args:
        heatmap: lambda_0, of eq. 13.
        heatmap_joints: lambda_1, of eq. 14.
        nll: lambda_2, of eq. 15.
        projection: lambda_3, of eq. 16.
        shape: Of the prior on MANO's shape, which the paper does not name. A detector's joints lie elsewhere in the
            hand than MANO's, and without a prior hands of no human shape explain the difference.
    """

    heatmap: float = 0.001
    heatmap_joints: float = 10.0
    nll: float = 0.1
    projection: float = 10.0
    shape: float = 0.002


@dataclass(frozen=True, eq=False, slots=True)
class LossTerms:
    """The terms of eq. 17 before their weights, each a scalar.

    Args:
        heatmap: Eq. 13; squared heatmap values, summed over the cells of a map.
        heatmap_joints: Eq. 14; squared crop coordinates.
        nll: Eq. 15; nats of a density over squared crop coordinates.
        projection_queries: The first line of eq. 16; squared crop coordinates.
        projection_mano: The second.
        shape: Mean square of MANO's shape, squared standard deviations.
    """

    heatmap: Tensor
    heatmap_joints: Tensor
    nll: Tensor
    projection_queries: Tensor
    projection_mano: Tensor
    shape: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        """Eq. 17, and the shape's prior."""
        return (
            weights.heatmap * self.heatmap
            + weights.heatmap_joints * self.heatmap_joints
            + weights.nll * self.nll
            + weights.projection * (self.projection_queries + self.projection_mano)
            + weights.shape * self.shape
        )

    def tensors(self) -> dict[str, Tensor]:
        """The terms by name, without their gradients."""
        return {field.name: getattr(self, field.name).detach() for field in fields(self)}


def losses(outputs: SequenceOutputs, batch: Batch) -> LossTerms:
    """Compare what the network said with the labels.

    In eq. 16 a joint's conf_i is the network's own confidence of that view times the label's. No gradient flows through
    it: else the network would pay less by being less confident.

    Args:
        outputs: Of the batch's crops and projections.
        batch: Its labels, and its projections for eq. 16.

    Returns:
        The terms.
    """
    counts = (batch.label_confidence > 0) * batch.view_mask[..., None]
    # One usable view leaves depth open; what the network answers then is not a claim to be judged.
    frames = outputs.frames
    answered = counts * frames.valid[..., None, None]
    confidence = answered * frames.view_confidence.detach() * batch.label_confidence
    # Without STPT blocks the triangulated points are the query points.
    queries = [
        reprojection_loss(points, batch.projections, batch.labels, confidence, answered)
        for points in outputs.queries or (outputs.start,)
    ]
    return LossTerms(
        heatmap=heatmap_loss(outputs.heatmaps, batch.labels, counts),
        heatmap_joints=weighted_mean(squared_distance(outputs.heatmap_joints, batch.labels), counts, counts),
        nll=weighted_mean(-outputs.flow_log_prob(batch.labels), counts, counts),
        projection_queries=torch.stack(queries).mean(),
        projection_mano=reprojection_loss(frames.mano_joints, batch.projections, batch.labels, confidence, answered),
        shape=weighted_mean(frames.shape.square().mean(dim=-1), frames.valid, frames.valid),
    )


def heatmap_loss(heatmaps: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Eq. 13: squared difference to the labels' Gaussians, summed over a map's cells, averaged over the maps.

    Args:
        heatmaps: `(..., 21, h, w)`.
        labels: `(..., 21, 2)` crop coordinates.
        counts: `(..., 21)`: 1 or 0.
    """
    target = gaussian_heatmaps(labels, heatmaps.shape[-2], heatmaps.shape[-1])
    return weighted_mean((heatmaps - target).square().sum(dim=(-1, -2)), counts, counts)


def gaussian_heatmaps(labels: Tensor, height: int, width: int) -> Tensor:
    """The target of eq. 13: a Gaussian of `HEATMAP_SIGMA_CELLS` and peak 1 about each label.

    Args:
        labels: `(..., 2)` crop coordinates; about a label outside the crop only the Gaussian's tail is left.
        height: Rows of the map.
        width: Columns.

    Returns:
        `(..., height, width)`.
    """
    column = (labels[..., 0, None] + 1) * (width / 2) - 0.5 - torch.arange(width, device=labels.device)
    row = (labels[..., 1, None] + 1) * (height / 2) - 0.5 - torch.arange(height, device=labels.device)
    scale = -0.5 / HEATMAP_SIGMA_CELLS**2
    return (scale * row.square()).exp()[..., :, None] * (scale * column.square()).exp()[..., None, :]


def reprojection_loss(
    points: Tensor, projections: Tensor, labels: Tensor, confidence: Tensor, counts: Tensor
) -> Tensor:
    """A line of eq. 16: squared distance of projected points to the labels, weighed by confidence.

    Args:
        points: `(B, T, 21, 3)`, metres, local frame.
        projections: `(B, T, V, 3, 4)`.
        labels: `(B, T, V, 21, 2)` crop coordinates.
        confidence: conf_i `(B, T, V, 21)`.
        counts: `(B, T, V, 21)`: what the mean is taken over, 1 or 0; the confidences are not divided out.
    """
    places, _ = project(projections.flatten(0, 1), points.flatten(0, 1))
    return weighted_mean(squared_distance(places.reshape(labels.shape), labels), confidence, counts)


def squared_distance(points: Tensor, labels: Tensor) -> Tensor:
    """Squared distances `(...)` of `(..., 2)`."""
    return (points - labels).square().sum(dim=-1)


def weighted_mean(values: Tensor, weights: Tensor, counts: Tensor) -> Tensor:
    """Sum of weighted values over the number of those that count; 0 where none does.

    Values of weight 0 may be anything, infinite too. Where several processes share a batch, the number is the batch's:
    the mean of their answers is the answer for all of it.
    """
    kept = torch.where(weights > 0, values, torch.zeros_like(values))
    return (kept * weights).sum() / mean_over_processes(counts.sum()).clamp_min(1.0 / count())
