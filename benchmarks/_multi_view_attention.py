"""Work of the size of HandMvNet, the fastest published multi-view network, for comparison on the same GPU.

Its description has: a ResNet50 a view, heatmaps and what is sampled at their joints, attention over the joints of all
views, and a graph convolution that gives 3D joints. How wide and how deep its attention is we could not read out of a
published implementation; here it has four layers of 512 channels and eight heads. Weights are random: this is work of
comparable size, in plain eager PyTorch, and not that network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_JOINTS = 21
_CHANNELS = 512
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


class Bottleneck(nn.Module):
    """A residual block of ResNet50."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 4 * channels, 1, bias=False),
            nn.BatchNorm2d(4 * channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != 4 * channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, 4 * channels, 1, stride, bias=False), nn.BatchNorm2d(4 * channels)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Turn maps into maps."""
        return torch.relu(self.layers(maps) + self.shortcut(maps))


class MultiViewAttention(nn.Module):
    """Crops of V views to 3D joints."""

    def __init__(self) -> None:
        super().__init__()
        width = 64
        stem = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        blocks: list[nn.Module] = []
        for channels, count, stride in _STAGES:
            for index in range(count):
                blocks.append(Bottleneck(width, channels, stride if index == 0 else 1))
                width = 4 * channels
        self.trunk = nn.Sequential(*stem, *blocks)
        self.enlarge = nn.Sequential(
            nn.ConvTranspose2d(width, 256, 4, 2, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.ConvTranspose2d(256, 256, 4, 2, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
        )
        self.heatmaps = nn.Conv2d(256, _JOINTS, 1)
        self.to_tokens = nn.Linear(256 + 2, _CHANNELS)
        layer = nn.TransformerEncoderLayer(_CHANNELS, 8, 4 * _CHANNELS, batch_first=True, norm_first=True)
        self.attention = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.adjacency = nn.Parameter(torch.eye(_JOINTS))
        self.graph = nn.ModuleList([nn.Linear(_CHANNELS, _CHANNELS), nn.Linear(_CHANNELS, 3)])

    def forward(self, crops: Tensor) -> Tensor:
        """Turn crops `(V, S, S, 3)` uint8 into joints `(21, 3)`."""
        images = crops.permute(0, 3, 1, 2).to(self.adjacency.dtype) / 255
        maps = self.enlarge(self.trunk(images))
        heatmaps = self.heatmaps(maps).flatten(2).softmax(dim=-1)
        side = maps.shape[-1]
        along = torch.linspace(-1, 1, side, device=maps.device, dtype=maps.dtype)
        joints = torch.stack(
            [
                (heatmaps.unflatten(2, (side, side)).sum(dim=-2) * along).sum(dim=-1),
                (heatmaps.unflatten(2, (side, side)).sum(dim=-1) * along).sum(dim=-1),
            ],
            dim=-1,
        )
        sampled = functional.grid_sample(maps, joints[:, None], align_corners=False)[:, :, 0].transpose(1, 2)
        tokens = self.to_tokens(torch.cat([sampled, joints], dim=-1)).flatten(0, 1)[None]
        seen = self.attention(tokens)[0].unflatten(0, (-1, _JOINTS)).mean(dim=0)
        for number, linear in enumerate(self.graph):
            seen = self.adjacency @ linear(seen)
            if number == 0:
                seen = torch.relu(seen)
        return seen
