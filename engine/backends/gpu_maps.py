"""Parts of a network that read its maps, by operators that are kernels of the project's own on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.kernels.maps_op import heatmap_joints, maps_fit
from engine.network.heatmaps import HeatmapHead
from engine.network.network import UstHandNetwork


def read_maps_by_kernels(network: UstHandNetwork) -> None:
    """Replace a network's parts that read its maps, in place, where the kernels take their sizes."""
    head = network.heatmap_head
    if not maps_fit(network.config.feature_channels):
        return
    # The kernel takes a map's highest value for the highest of so many times it.
    if float(head.sharpness) > 0:
        network.heatmap_head = _Heatmaps(head)  # type: ignore[assignment] # it is called as the head is


class _Heatmaps(nn.Module):
    """`HeatmapHead` without its heatmaps, which nobody reads in a step.

    Args:
        head: The one that it is made of.
    """

    weight: Tensor
    bias: Tensor
    sharpness: Tensor

    def __init__(self, head: HeatmapHead) -> None:
        super().__init__()
        convolution = head.to_heatmaps
        self.register_buffer("weight", convolution.weight.flatten(1).clone(memory_format=torch.contiguous_format))
        self.register_buffer("bias", convolution.get_parameter("bias").clone())
        self.register_buffer("sharpness", head.sharpness.clone())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find the joints of crops; the heatmaps are `(N, 21, 0, 1)`."""
        # As the decoder's convolutions leave them, so that nothing is copied.
        features = features.contiguous(memory_format=torch.channels_last)
        joints, confidence = heatmap_joints(features, self.weight, self.bias, self.sharpness)
        return joints[:, :, :0, None], joints, confidence
