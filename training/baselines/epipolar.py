"""Epipolar transformers (He et al. 2020): a view's features, joined with what another view shows along epipolar lines.

For each cell of the reference view, features of its neighbour, the view whose camera stands nearest by angle, are
sampled along the cell's epipolar line; they are weighed by how alike they are to the cell's own, passed through a 1x1
convolution and added. Heatmaps are made of the joined features, and their joints meet in a DLT.

The paper samples 64 places of the whole line in the picture. A hand fills a crop and its depth is known to a hand's
width, so the samples lie where the line shows that depth range. Keys, queries and values have a quarter of the channels
(the paper's bottleneck has half), for a CPU.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from engine.network.config import NetworkConfig
from engine.network.heatmaps import cell_centers
from engine.network.joint_graph import sample_features
from engine.network.triangulation import observation_weights, project, weighted_dlt
from training.baselines.learned import LearnedBaseline, Views, reprojection_term, summed
from training.methods import Answer
from training.samples import Batch

_SAMPLES: Final = 16
_REACH_M: Final = 0.16
_MIN_DEPTH_M: Final = 0.05
_FAR: Final = 2.0
_MASKED: Final = -1e9


class EpipolarTransformer(LearnedBaseline):
    """Features fused along epipolar lines of the neighbouring view, heatmaps, DLT.

    Args:
        config: Trunk, decoder and widths.
        pretrained: Whether the backbone starts from what is embedded of trained weights.
    """

    name = "EpipolarTrans"

    def __init__(self, config: NetworkConfig, *, pretrained: bool = True) -> None:
        super().__init__(config, pretrained=pretrained)
        channels, inner = config.feature_channels, config.feature_channels // 4
        self.to_query = nn.Conv2d(channels, inner, 1)
        self.to_key_value = nn.Conv2d(channels, 2 * inner, 1)
        self.to_out = nn.Conv2d(inner, channels, 1)
        # As in the paper, fusion starts as nothing.
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.get_parameter("bias"))

    def mixed(self, features: Tensor, projections: Tensor, view_mask: Tensor) -> Tensor:
        """Add to each view what its neighbour shows along the cells' epipolar lines."""
        height, width = features.shape[-2:]
        neighbours, there = nearest_views(projections, view_mask)
        cells = cell_centers(height, width, features.device, features.dtype)
        lines = epipolar_samples(projections, neighbours, cells)
        keys = self.to_key_value(features).unflatten(0, view_mask.shape)
        picked = torch.take_along_dim(keys, neighbours[..., None, None, None], dim=1)
        sampled = sample_features(picked.flatten(0, 1), lines.flatten(0, 1).flatten(1, 2).clamp(-_FAR, _FAR))
        key, value = sampled.unflatten(1, (height * width, _SAMPLES)).chunk(2, dim=-1)
        query = self.to_query(features).flatten(2).transpose(1, 2)[:, :, None]
        weights = torch.softmax((query * key).sum(dim=-1) * key.shape[-1] ** -0.5, dim=-1)
        seen = (weights[..., None] * value).sum(dim=2).transpose(1, 2).unflatten(-1, (height, width))
        return features + self.to_out(seen) * there.flatten()[:, None, None, None]

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ARG002
        """The 2D stage's terms, and the reprojection of the triangulated joints."""
        views = self.look(batch)
        terms, counts = self.view_terms(views, batch)
        terms["projection"] = reprojection_term(self, _triangulated(views), views, batch, counts)
        return summed(terms)

    def answer(self, batch: Batch) -> Answer:
        """The triangulated joints."""
        views = self.look(batch)
        shape = batch.view_mask.shape[:2]
        return Answer(_triangulated(views).unflatten(0, shape), views.valid.unflatten(0, shape))


def _triangulated(views: Views) -> Tensor:
    weights = observation_weights(views.confidence, views.view_mask)
    return weighted_dlt(views.projections, views.joints, weights)


def nearest_views(projections: Tensor, view_mask: Tensor) -> tuple[Tensor, Tensor]:
    """The neighbour of each view: that which sees the local frame's origin from the nearest direction.

    Args:
        projections: `(N, V, 3, 4)`.
        view_mask: `(N, V)`.

    Returns:
        Indices `(N, V)`, and 1 where both the view and its neighbour are there, else 0.
    """
    centers = -(torch.linalg.inv(projections[..., :3]) @ projections[..., 3:])[..., 0]
    directions = nn.functional.normalize(centers, dim=-1)
    alike = directions @ directions.transpose(-1, -2)
    itself = torch.eye(alike.shape[-1], device=alike.device)
    allowed = view_mask[:, None, :] * (1.0 - itself)
    neighbours = (alike + (1.0 - allowed) * _MASKED).argmax(dim=-1)
    there = view_mask * torch.take_along_dim(view_mask, neighbours, dim=1) * (neighbours != itself.argmax(dim=-1))
    return neighbours, there


def epipolar_samples(projections: Tensor, neighbours: Tensor, places: Tensor) -> Tensor:
    """Where the epipolar lines of places lie in the neighbouring views, at depths about the local frame's origin.

    Args:
        projections: `(N, V, 3, 4)`.
        neighbours: The view in which each view's lines are wanted `(N, V)`.
        places: `(P, 2)` crop coordinates, the same in every view.

    Returns:
        `(N, V, P, samples, 2)`, crop coordinates of the neighbour.
    """
    steps = torch.linspace(-_REACH_M, _REACH_M, _SAMPLES, device=places.device, dtype=places.dtype)
    depths = (projections[..., 2, 3, None] + steps).clamp_min(_MIN_DEPTH_M)
    rays = torch.cat([places, torch.ones_like(places[:, :1])], dim=-1)
    seen = rays[:, None] * depths[:, :, None, :, None]
    inverse = torch.linalg.inv(projections[..., :3])
    points = (seen - projections[..., 3][:, :, None, None]) @ inverse.transpose(-1, -2)[:, :, None]
    count, views = neighbours.shape
    others = torch.take_along_dim(projections, neighbours[..., None, None], dim=1).reshape(count * views, 1, 3, 4)
    lines, _ = project(others, points.reshape(count * views, -1, 3))
    return lines.reshape(count, views, len(places), _SAMPLES, 2)
