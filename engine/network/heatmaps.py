"""Heatmaps and what is read from them (sec. 3.1, eq. 1-2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.network.config import JOINTS

# Softmax sharpness at the start of training. The map's maximum is about 1 and its Gaussian 2 cells wide: 12 leaves a
# peak of 0.6 cells that outweighs a thousand empty cells, and is read to 0.02 cells.
_SHARPNESS = 12.0
_START = 0.1


class HeatmapHead(nn.Module):
    """A 1x1 convolution from F_ms to one likelihood map a joint.

    Args:
        channels: Channels of F_ms.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_heatmaps = nn.Conv2d(channels, JOINTS, 1)
        # Quiet: maps that start with noise of half a peak cost more than all that is to be learned, and seem sure.
        with torch.no_grad():
            self.to_heatmaps.weight.mul_(_START)
            self.to_heatmaps.get_parameter("bias").zero_()
        self.sharpness = nn.Parameter(torch.tensor(_SHARPNESS))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find the joints of crops.

        Args:
            features: F_ms `(N, C, h, w)`.

        Returns:
            Heatmaps `(N, 21, h, w)`, joints `(N, 21, 2)` in crop coordinates, confidences `(N, 21)` in [0, 1].
        """
        heatmaps = self.to_heatmaps(features)
        return heatmaps, soft_argmax(heatmaps, self.sharpness), peak_confidence(heatmaps)


def soft_argmax(heatmaps: Tensor, sharpness: Tensor) -> Tensor:
    """Expected position under the normalised map (eq. 1).

    Args:
        heatmaps: `(N, J, h, w)`.
        sharpness: Scalar; the map is normalised by a softmax of so many times its values.

    Returns:
        `(N, J, 2)`: u, v in crop coordinates, -1 and 1 at the outer edges of the crop.
    """
    height, width = heatmaps.shape[-2:]
    likelihood = torch.softmax(heatmaps.flatten(2) * sharpness, dim=-1)
    return likelihood @ cell_centers(height, width, heatmaps.device, heatmaps.dtype)


def peak_confidence(heatmaps: Tensor) -> Tensor:
    """Confidence of each joint `(N, J)`: the map's maximum (eq. 2), held in [0, 1]."""
    return heatmaps.flatten(2).amax(dim=-1).clamp(0.0, 1.0)


def cell_centers(height: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Crop coordinates of the cells of a map `(height * width, 2)`, row by row."""
    v = (2 * torch.arange(height, device=device, dtype=dtype) + 1) / height - 1
    u = (2 * torch.arange(width, device=device, dtype=dtype) + 1) / width - 1
    return torch.stack([u.repeat(height), v.repeat_interleave(width)], dim=-1)
