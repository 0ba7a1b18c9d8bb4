"""A convolution, what is added to it and its ReLU, as one operator: cuDNN has one kernel for it."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor


@torch.library.custom_op("usthand::convolution_relu", mutates_args=())
def convolution_relu(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    added: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """`relu(convolution(images, weight, bias) + added)`; arguments as of `torch.nn.functional.conv2d`.

    Args:
        images: `(N, C, H, W)`.
        weight: `(C', C / groups, h, w)`.
        bias: `(C',)`.
        added: `(N, C', H', W')`.
        stride: Along both axes.
        padding: Along both axes.
        dilation: Along both axes.
        groups: Groups of channels.
    """
    if images.device.type != "cuda":
        return _by_parts(images, weight, bias, added, stride, padding, dilation, groups)
    if bias is None:
        bias = weight.new_zeros(weight.shape[0])
    geometry = (stride, padding, dilation, groups)
    maps: Tensor
    if added is None:
        maps = torch.ops.aten.cudnn_convolution_relu(images, weight, bias, *geometry)
    else:
        maps = torch.ops.aten.cudnn_convolution_add_relu(images, weight, added, 1.0, bias, *geometry)
    return maps


def _by_parts(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    added: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    maps = torch.conv2d(images, weight, bias, stride, padding, dilation, groups)
    return torch.relu(maps if added is None else maps + added)


convolution_relu.register_fake(_by_parts)

CONVOLUTION_RELU: Final = torch.ops.usthand.convolution_relu.default
"""The operator, as graphs name it."""
