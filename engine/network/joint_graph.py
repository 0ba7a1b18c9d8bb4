"""The joint graph that is built of each view (sec. 3.2, eq. 3): G_init = [G_pose | G_jaf]."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.network.config import JOINTS

_MAPS_PER_JOINT = 2


class SpatialAwareGraphBuilder(nn.Module):
    """SAIGB, the spatial-aware initial graph building block of SAR (ref. 67 of the paper).

    Each joint has maps of its own over the whole of F4; what they say where becomes the joint's features.

    Args:
        channels: Channels of F4.
        cells: Cells of F4, its height times its width.
        out_channels: D_p.
    """

    def __init__(self, channels: int, cells: int, out_channels: int) -> None:
        super().__init__()
        self.to_maps = nn.Sequential(
            nn.Conv2d(channels, JOINTS * _MAPS_PER_JOINT, 1, bias=False),
            nn.BatchNorm2d(JOINTS * _MAPS_PER_JOINT),
            nn.ReLU(),
        )
        self.to_features = nn.Linear(_MAPS_PER_JOINT * cells, out_channels)

    def forward(self, deepest: Tensor) -> Tensor:
        """Build G_pose `(N, 21, D_p)` of F4 `(N, C4, h, w)`."""
        maps = self.to_maps(deepest)
        features: Tensor = self.to_features(maps.reshape(-1, JOINTS, self.to_features.in_features))
        return features


def sample_features(features: Tensor, points: Tensor) -> Tensor:
    """Bilinear interpolation (BLI) of feature maps at points.

    Args:
        features: `(N, C, h, w)`.
        points: `(N, P, 2)` crop coordinates.

    Returns:
        `(N, P, C)`; zeros outside the crop.
    """
    sampled = functional.grid_sample(features, points[:, None], mode="bilinear", align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)


class JointGraph(nn.Module):
    """G_init `(N, 21, D_p + D_a)`: SAIGB's features joined with F_ms at the heatmaps' joints.

    Args:
        deepest_channels: Channels of F4.
        cells: Cells of F4.
        pose_channels: D_p.
    """

    def __init__(self, deepest_channels: int, cells: int, pose_channels: int) -> None:
        super().__init__()
        self.saigb = SpatialAwareGraphBuilder(deepest_channels, cells, pose_channels)

    def forward(self, deepest: Tensor, features: Tensor, joints: Tensor) -> Tensor:
        """Build the graph of F4, F_ms `(N, C, h, w)` and joints `(N, 21, 2)` in crop coordinates."""
        return torch.cat([self.saigb(deepest), sample_features(features, joints)], dim=-1)
