"""Operators of PyTorch that read a network's maps: on a GPU kernels of the project's own, else PyTorch's operators.

Maps lie in memory channels last; ones that do not are copied. Importing this registers the operators.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.kernels.library import MOST_MAP_CHANNELS, heatmap_parts
from engine.kernels.torch_op import loaded_library
from engine.network.config import JOINTS
from engine.network.heatmaps import peak_confidence, soft_argmax

torch.library.define(
    "usthand::heatmap_joints", "(Tensor features, Tensor weight, Tensor bias, Tensor sharpness) -> (Tensor, Tensor)"
)


def heatmap_joints(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> tuple[Tensor, Tensor]:
    """Find joints in maps, as `engine.network.heatmaps.HeatmapHead` does; its heatmaps are not kept.

    Args:
        features: `(N, C, h, w)` float32; C is a multiple of 4, at most 128.
        weight: `(21, C)`, the heatmaps' convolution.
        bias: `(21,)`.
        sharpness: Scalar, positive: heatmaps are normalised by a softmax of so many times their values.

    Returns:
        Joints `(N, 21, 2)` in crop coordinates, confidences `(N, 21)` in [0, 1].

    Raises:
        ValueError: If a shape or a type is another.
    """
    found: tuple[Tensor, Tensor] = torch.ops.usthand.heatmap_joints(features, weight, bias, sharpness)
    return found


def maps_fit(channels: int) -> bool:
    """Whether the kernels read maps of so many channels."""
    return channels % 4 == 0 and 0 < channels <= MOST_MAP_CHANNELS


def check_maps(operator: str, features: Tensor) -> None:
    """Refuse maps that the kernels do not read; their channels are the third axis from the end.

    Raises:
        ValueError: If a shape or the type is another.
    """
    if features.dtype != torch.float32 or features.ndim < 4 or not maps_fit(features.shape[-3]):
        raise ValueError(
            f"{operator} takes float32 maps (..., C, h, w), C a multiple of 4 and at most {MOST_MAP_CHANNELS}, "
            f"not {features.dtype} of {tuple(features.shape)}"
        )


def check_shapes(operator: str, **given: tuple[Tensor, tuple[int, ...]]) -> None:
    """Refuse float32 tensors of another shape than they must have.

    Raises:
        ValueError: If a shape or a type is another.
    """
    for name, (tensor, shape) in given.items():
        if tensor.shape != shape or tensor.dtype != torch.float32:
            raise ValueError(
                f"{operator}: {name} is {tensor.dtype} of {tuple(tensor.shape)}; it must be float32 of {shape}"
            )


def _check_heatmaps(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> None:
    check_maps("usthand::heatmap_joints", features)
    check_shapes(
        "usthand::heatmap_joints",
        features=(features, (features.shape[0], *features.shape[-3:])),
        weight=(weight, (JOINTS, features.shape[-3])),
        bias=(bias, (JOINTS,)),
        sharpness=(sharpness, ()),
    )


def _heatmaps_fake(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> tuple[Tensor, Tensor]:
    _check_heatmaps(features, weight, bias, sharpness)
    count = features.shape[0]
    return features.new_empty((count, JOINTS, 2)), features.new_empty((count, JOINTS))


def _heatmaps_by_parts(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> tuple[Tensor, Tensor]:
    _check_heatmaps(features, weight, bias, sharpness)
    heatmaps = torch.conv2d(features, weight[:, :, None, None], bias)
    return soft_argmax(heatmaps, sharpness), peak_confidence(heatmaps)


def _heatmaps_launched(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> tuple[Tensor, Tensor]:
    _check_heatmaps(features, weight, bias, sharpness)
    library = loaded_library(features.device.index)
    if library is None:
        return _heatmaps_by_parts(features, weight, bias, sharpness)
    features = features.contiguous(memory_format=torch.channels_last)
    weight, bias = weight.contiguous(), bias.contiguous()
    count, channels, height, width = features.shape
    parts = features.new_empty((count, JOINTS, heatmap_parts(height, width), 4))
    joints, confidence = features.new_empty((count, JOINTS, 2)), features.new_empty((count, JOINTS))
    library.heatmaps(
        torch.cuda.current_stream(features.device).cuda_stream,
        features.data_ptr(),
        weight.data_ptr(),
        bias.data_ptr(),
        sharpness.data_ptr(),
        parts.data_ptr(),
        joints.data_ptr(),
        confidence.data_ptr(),
        count=count,
        channels=channels,
        height=height,
        width=width,
    )
    return joints, confidence


torch.library.register_fake("usthand::heatmap_joints", _heatmaps_fake)
torch.library.impl("usthand::heatmap_joints", "CPU", _heatmaps_by_parts)
torch.library.impl("usthand::heatmap_joints", "CUDA", _heatmaps_launched)
