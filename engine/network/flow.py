"""The conditional normalising flow over a view's 2D joints (sec. 3.3, eq. 6-7): a RealNVP.

The paper leaves open how a pose's 42 numbers are coupled. Here each joint has a flow in its two coordinates, with one
set of weights, conditioned on its own F_fuse, which already holds what the other joints and views say. It needs no
label of the joints that a detector left out, and it exports as a few products of small matrices.

From z to x: coupling layers, in which u is moved and scaled by what v says and then v by what u says, and last an
affine map by F_fuse alone, about the heatmap's joint.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.network.config import NetworkConfig

# Standard deviation of x at the start of training, crop coordinates: as wide as first heatmaps are wrong, about 22
# pixels of a crop of 224. Narrower, the first likelihoods drown all else.
_SPREAD = 0.2
# Bounds of what one layer may scale by, natural logarithm.
_MAX_LOG_SCALE = 2.0


class ConditionalRealNvp(nn.Module):
    """An invertible map between z ~ N(0, I) and a joint's place x, given F_fuse.

    Args:
        config: Widths and number of layers.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.layers, self.hidden = config.flow_layers, config.flow_channels
        last = nn.Linear(config.flow_channels, self.layers * self.hidden + 4)
        self.condition = nn.Sequential(nn.Linear(config.fusion_channels, config.flow_channels), nn.ReLU(), last)
        self.from_coordinate = nn.Parameter(torch.randn(self.layers, self.hidden))
        # Zero: the flow starts as a Gaussian about the heatmap's joint.
        self.to_scale_shift = nn.Parameter(torch.zeros(self.layers, self.hidden, 2))
        with torch.no_grad():
            last.weight[-4:] = 0.0
            last.bias[-4:] = 0.0

    def forward(self, z: Tensor, fused: Tensor, center: Tensor) -> Tensor:
        """Take samples of the prior to joints: x = f(z; F_fuse).

        Args:
            z: `(..., M, 2)`.
            fused: F_fuse `(..., C)`.
            center: The heatmap's joint `(..., 2)`, crop coordinates.

        Returns:
            `(..., M, 2)`, crop coordinates.
        """
        conditions, shift, log_scale = self._conditioned(fused)
        u, v = z.unbind(-1)
        for layer in range(self.layers):
            scale, move = self._coupling(layer, v if layer % 2 == 0 else u, conditions)
            if layer % 2 == 0:
                u = u * scale.exp() + move
            else:
                v = v * scale.exp() + move
        x = torch.stack([u, v], dim=-1)
        return x * log_scale.exp()[..., None, :] + (center + shift)[..., None, :]

    def inverse(self, x: Tensor, fused: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        """Take joints to samples of the prior: z = f^-1(x; F_fuse).

        Args:
            x: `(..., M, 2)`, crop coordinates.
            fused: F_fuse `(..., C)`.
            center: The heatmap's joint `(..., 2)`.

        Returns:
            z `(..., M, 2)` and log |det dz/dx| `(..., M)`.
        """
        conditions, shift, log_scale = self._conditioned(fused)
        y = (x - (center + shift)[..., None, :]) * (-log_scale).exp()[..., None, :]
        log_det = -log_scale.sum(dim=-1)[..., None].expand(x.shape[:-1])
        u, v = y.unbind(-1)
        for layer in reversed(range(self.layers)):
            scale, move = self._coupling(layer, v if layer % 2 == 0 else u, conditions)
            if layer % 2 == 0:
                u = (u - move) * (-scale).exp()
            else:
                v = (v - move) * (-scale).exp()
            log_det = log_det - scale
        return torch.stack([u, v], dim=-1), log_det

    def log_prob(self, x: Tensor, fused: Tensor, center: Tensor) -> Tensor:
        """Log density of joints `(..., M, 2)` given F_fuse (eq. 7): `(..., M)`, per squared crop coordinate."""
        z, log_det = self.inverse(x, fused, center)
        return log_det - 0.5 * (z**2).sum(dim=-1) - math.log(2 * math.pi)

    def _conditioned(self, fused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What F_fuse gives each layer `(..., 1, L, H)`; the last map's shift and log scale `(..., 2)`."""
        condition = self.condition(fused)
        layers = condition[..., :-4].unflatten(-1, (self.layers, self.hidden))[..., None, :, :]
        shift = condition[..., -4:-2] * _SPREAD
        log_scale = _bounded(condition[..., -2:]) + math.log(_SPREAD)
        return layers, shift, log_scale

    def _coupling(self, layer: int, given: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Log scale and shift `(..., M)` of one coordinate from the other `(..., M)`."""
        hidden = torch.relu(given[..., None] * self.from_coordinate[layer] + conditions[..., layer, :])
        log_scale, move = (hidden @ self.to_scale_shift[layer]).unbind(-1)
        return _bounded(log_scale), move


def _bounded(log_scale: Tensor) -> Tensor:
    return torch.tanh(log_scale) * _MAX_LOG_SCALE
