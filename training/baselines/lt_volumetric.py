"""LT-Volumetric: learnable triangulation of human pose, the volumetric way (Iskakov et al. 2019, sec. 3.2).

Each view's maps are unprojected into a cube about the hand, the views are joined there, a small 3D network (V2V) turns
the volume into one likelihood volume a joint, and the joint is its softmax mean. The cube stands where the algebraic
answer puts the hand, as in the paper.

Small enough for a CPU: the network works at half the cube's resolution, and what it says is added to what the
unprojected 2D maps say, so that an untrained one gives the plain volumetric triangulation. The paper's views are joined
by a softmax; here by the mean of those that are there. Its loss on the volume at the true joint needs 3D truth and is
left out; the reprojection of the joints is held to the labels.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.network.config import JOINTS, NetworkConfig
from engine.network.joint_graph import sample_features
from engine.network.triangulation import observation_weights, project, weighted_dlt
from training.baselines.learned import LearnedBaseline, Views, reprojection_term, summed
from training.methods import Answer
from training.samples import Batch

_CUBE_M: Final = 0.24
_CELLS: Final = 24
_CHANNELS: Final = 12
_WIDTH: Final = 24
_FAR: Final = 2.0


class _Residual3d(nn.Module):
    """Two 3D convolutions about a shortcut, a block of V2V."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv3d(channels, channels, 3, padding=1),
            nn.GroupNorm(4, channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1),
            nn.GroupNorm(4, channels),
        )

    def forward(self, volume: Tensor) -> Tensor:
        return torch.relu(volume + self.inner(volume))


class LtVolumetric(LearnedBaseline):
    """Unprojected maps, V2V, softmax over the cube.

    Args:
        config: Trunk, decoder and widths.
        pretrained: Whether the backbone starts from what is embedded of trained weights.
        cells: Cells along a side of the cube, an even number.
    """

    name = "LT-Volumetric"

    def __init__(self, config: NetworkConfig, *, pretrained: bool = True, cells: int = _CELLS) -> None:
        super().__init__(config, pretrained=pretrained)
        self.cells = cells
        self.narrow = nn.Conv2d(config.feature_channels, _CHANNELS, 1)
        self.inward = nn.Sequential(
            nn.Conv3d(_CHANNELS + JOINTS, _WIDTH, 3, stride=2, padding=1), nn.GroupNorm(4, _WIDTH), nn.ReLU()
        )
        self.v2v = _Residual3d(_WIDTH)
        self.outward = nn.Conv3d(_WIDTH, JOINTS, 1)
        nn.init.normal_(self.outward.weight, std=1e-3)
        nn.init.zeros_(self.outward.get_parameter("bias"))

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ARG002
        """The 2D stage's terms, and the reprojection of the cube's joints and of its middle's."""
        views = self.look(batch)
        terms, counts = self.view_terms(views, batch)
        terms["projection"] = reprojection_term(self, self.in_cube(views), views, batch, counts)
        return summed(terms)

    def answer(self, batch: Batch) -> Answer:
        """The cube's joints."""
        views = self.look(batch)
        shape = batch.view_mask.shape[:2]
        return Answer(self.in_cube(views).unflatten(0, shape), views.valid.unflatten(0, shape))

    def in_cube(self, views: Views) -> Tensor:
        """Joints `(N, 21, 3)` of all views."""
        weights = observation_weights(views.confidence, views.view_mask)
        middle = weighted_dlt(views.projections, views.joints, weights).mean(dim=1).detach()
        points = cube_points(middle, self.cells)
        count = views.features.shape[0]
        narrow = self.narrow(views.features.flatten(0, 1)).unflatten(0, views.view_mask.shape)
        volume = unprojected(torch.cat([narrow, views.maps], dim=2), views.projections, points, views.view_mask)
        side = (self.cells,) * 3
        inner = self.v2v(self.inward(volume.reshape(count, -1, *side)))
        corrections = functional.interpolate(self.outward(inner), size=side, mode="trilinear", align_corners=False)
        logits = self.heatmap_head.sharpness * (volume[:, _CHANNELS:] + corrections.flatten(2))
        return softmax_mean(logits, points)


def cube_points(middle: Tensor, cells: int) -> Tensor:
    """The cells' middles `(N, cells^3, 3)` of cubes about points `(N, 3)`, metres; x changes slowest."""
    axis = ((torch.arange(cells, device=middle.device) + 0.5) / cells - 0.5) * _CUBE_M
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    return middle[:, None] + grid


def unprojected(maps: Tensor, projections: Tensor, points: Tensor, view_mask: Tensor) -> Tensor:
    """What the views show at points, averaged over those that are there.

    Args:
        maps: `(N, V, C, h, w)`.
        projections: `(N, V, 3, 4)`.
        points: `(N, P, 3)`, metres.
        view_mask: `(N, V)`.

    Returns:
        `(N, C, P)`.
    """
    places, _ = project(projections, points)
    sampled = sample_features(maps.flatten(0, 1), places.flatten(0, 1).clamp(-_FAR, _FAR)).unflatten(0, view_mask.shape)
    weights = view_mask / view_mask.sum(dim=1, keepdim=True).clamp_min(1.0)
    return torch.einsum("nvpc,nv->ncp", sampled, weights)


def softmax_mean(logits: Tensor, points: Tensor) -> Tensor:
    """Mean place `(N, 21, 3)` under the softmax of logits `(N, 21, P)` at points `(N, P, 3)`."""
    return torch.softmax(logits, dim=-1) @ points
