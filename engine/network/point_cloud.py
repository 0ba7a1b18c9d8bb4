"""Features of the unified probabilistic 3D point cloud (sec. 3.4, eq. 8)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.network.config import NetworkConfig
from engine.network.feature_interaction import MASKED_LOGIT
from engine.network.joint_graph import sample_features
from engine.network.triangulation import project


def sine_encoding(channels: int, height: int, width: int) -> Tensor:
    """The 2D sine positional encoding F_PE `(C, h, w)`: a quarter each of sines and cosines of x and of y."""
    frequencies = math.pi * torch.logspace(0, math.log10(max(height, width) / 2), channels // 4)
    x = (2 * torch.arange(width) + 1) / width - 1
    y = (2 * torch.arange(height) + 1) / height - 1
    along_x = (frequencies[:, None] * x)[:, None, :].expand(-1, height, -1)
    along_y = (frequencies[:, None] * y)[:, :, None].expand(-1, -1, width)
    return torch.cat([along_x.sin(), along_x.cos(), along_y.sin(), along_y.cos()])


class PointFeatures(nn.Module):
    """F_P: what all views show where a point projects, through a bottleneck, weighed over the views.

    The paper does not say how views are joined. Here each view's sample passes a bottleneck together with the view's
    confidence in the point's joint, and views are weighed by a softmax of what it says, so that any number of them, in
    any order, makes one feature.

    Args:
        config: Widths.
    """

    encoding: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels, cells = config.feature_channels, config.input_px // 8
        self.register_buffer("encoding", sine_encoding(channels, cells, cells), persistent=False)
        self.bottleneck = nn.Sequential(nn.Linear(channels + 1, channels), nn.ReLU())
        self.to_weight = nn.Linear(channels, 1)
        self.to_features = nn.Linear(channels, config.point_channels)

    def forward(
        self, features: Tensor, projections: Tensor, points: Tensor, confidence: Tensor, view_mask: Tensor
    ) -> Tensor:
        """Look points up in all views.

        Args:
            features: F_ms `(B, V, C, h, w)`.
            projections: `(B, V, 3, 4)`.
            points: `(B, N, 3)`, metres, local frame.
            confidence: Each view's confidence in the points' joints `(B, V, N)`.
            view_mask: `(B, V)`.

        Returns:
            F_P `(B, N, D)`.
        """
        batch, views, count = confidence.shape
        places, _ = project(projections, points)
        encoded = (features + self.encoding).flatten(0, 1)
        # Outside the crop nothing is sampled; far outside is no better than near outside, and float32 stays exact.
        sampled = sample_features(encoded, places.flatten(0, 1).clamp(-2.0, 2.0)).reshape(batch, views, count, -1)
        seen = self.bottleneck(torch.cat([sampled, confidence[..., None]], dim=-1))
        logits = self.to_weight(seen) + ((1.0 - view_mask) * MASKED_LOGIT)[:, :, None, None]
        fused: Tensor = self.to_features((torch.softmax(logits, dim=1) * seen).sum(dim=1))
        return fused
