"""A convolution, what is added to it and its ReLU, as one operator: cuDNN has one kernel for it.

PyTorch has an operator without the sum, too. It gives cuDNN the memory of the answer, unwritten, as what is added with
a weight of zero; where that memory happens to hold what reads as NaN, so does the answer. So zeros are added instead.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor


@torch.library.custom_op("usthand::convolution_add_relu", mutates_args=())
def convolution_add_relu(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    added: Tensor,
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
        added: `(N, C', H', W')`, as the answer.
        stride: Along both axes.
        padding: Along both axes.
        dilation: Along both axes.
        groups: Groups of channels.
    """
    if images.device.type != "cuda":
        return _by_parts(images, weight, bias, added, stride, padding, dilation, groups)
    geometry = (stride, padding, dilation, groups)
    maps: Tensor = torch.ops.aten.cudnn_convolution_add_relu(images, weight, added, 1.0, bias, *geometry)
    return maps


def _by_parts(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    added: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    return torch.relu(torch.conv2d(images, weight, bias, stride, padding, dilation, groups) + added)


convolution_add_relu.register_fake(_by_parts)

CONVOLUTION_ADD_RELU: Final = torch.ops.usthand.convolution_add_relu.default
"""The operator, as graphs name it."""
