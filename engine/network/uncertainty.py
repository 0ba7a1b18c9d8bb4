"""Covariance of each joint from the spread of its anchors, scaled on held-out data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.network.config import JOINTS

_MM_PER_M = 1e3


class AnchorCovariance(nn.Module):
    """The anchors of a joint as samples of where it may be.

    The flow learns what 2D labels say; how far the refined joint really is from the truth is another matter, so the
    spread is scaled and a floor is added, joint by joint, both set on held-out data (`calibrate` of training).
    """

    scale: Tensor
    floor_mm: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(JOINTS))
        self.register_buffer("floor_mm", torch.ones(JOINTS))

    def forward(self, anchors: Tensor) -> Tensor:
        """Return covariances `(N, 21, 3, 3)` in square millimetres of anchors `(N, M, 21, 3)` in metres."""
        spread = (anchors - anchors.mean(dim=1, keepdim=True)).transpose(1, 2) * _MM_PER_M
        samples = max(anchors.shape[1] - 1, 1)
        covariance = spread.transpose(-1, -2) @ spread / samples
        eye = torch.eye(3, device=anchors.device, dtype=anchors.dtype)
        return covariance * self.scale.square()[:, None, None] + eye * self.floor_mm.square()[:, None, None]
