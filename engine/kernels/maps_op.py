"""Operators of PyTorch that read a network's maps: on a GPU kernels of the project's own, else PyTorch's operators.

Maps lie in memory channels last; ones that do not are copied. Importing this registers the operators.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import torch
from torch import Tensor

from engine.kernels.library import MOST_MAP_CHANNELS, MOST_POINT_VIEWS, heatmap_parts
from engine.kernels.operators import check_shapes, loaded_library
from engine.network.config import JOINTS
from engine.network.feature_interaction import MASKED_LOGIT
from engine.network.heatmaps import peak_confidence, soft_argmax
from engine.network.joint_graph import sample_features
from engine.network.triangulation import project

_Found: TypeAlias = tuple[Tensor, Tensor, Tensor]

torch.library.define(
    "usthand::heatmap_joints",
    "(Tensor features, Tensor weight, Tensor bias, Tensor sharpness) -> (Tensor, Tensor, Tensor)",
)
torch.library.define("usthand::sample_maps", "(Tensor maps, Tensor places) -> Tensor")
torch.library.define(
    "usthand::see_points",
    "(Tensor maps, Tensor across, Tensor down, Tensor projections, Tensor points, Tensor confidence, "
    "Tensor mask, Tensor rows) -> Tensor",
)
# Far outside the crop is no better than near outside, and float32 stays exact.
_FARTHEST = 2.0
HEATMAP_JOINTS: Final = torch.ops.usthand.heatmap_joints.default
SAMPLE_MAPS: Final = torch.ops.usthand.sample_maps.default
"""Operators, as graphs name them."""


def heatmap_joints(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> _Found:
    """Find joints in maps, as `engine.network.heatmaps.HeatmapHead` does, and what the maps show there.

    Args:
        features: `(N, C, h, w)` float32; C is a multiple of 4, at most 128.
        weight: `(21, C)`, the heatmaps' convolution.
        bias: `(21,)`.
        sharpness: Scalar, positive: heatmaps are normalised by a softmax of so many times their values.

    Returns:
        Joints `(N, 21, 2)` in crop coordinates, confidences `(N, 21)` in [0, 1], features at the joints `(N, 21, C)`.
        The heatmaps are not kept.

    Raises:
        ValueError: If a shape or a type is another.
    """
    found: _Found = torch.ops.usthand.heatmap_joints(features, weight, bias, sharpness)
    return found


def sample_maps(maps: Tensor, places: Tensor) -> Tensor:
    """Interpolate maps at places, as `engine.network.joint_graph.sample_features` does.

    Args:
        maps: `(N, C, h, w)` float32; C is a multiple of 4, at most 128.
        places: `(N, P, 2)` crop coordinates.

    Returns:
        `(N, P, C)`; zeros outside the crop.

    Raises:
        ValueError: If a shape or a type is another.
    """
    samples: Tensor = torch.ops.usthand.sample_maps(maps, places)
    return samples


def see_points(
    maps: Tensor,
    across: Tensor,
    down: Tensor,
    projections: Tensor,
    points: Tensor,
    confidence: Tensor,
    mask: Tensor,
    rows: Tensor,
) -> Tensor:
    """Find what all views show where points project.

    A view says what its map, interpolated, and its confidence say, cut off at zero; all together the sum of that,
    weighed by a softmax over the views.

    Args:
        maps: `(B, V, C, h, w)` float32; C is a multiple of 4, at most 128.
        across: `(w, C)`: added to all cells of a column.
        down: `(h, C)`: added to all cells of a row.
        projections: `(B, V, 3, 4)`.
        points: `(B, P, 3)`, metres, local frame.
        confidence: Each view's confidence in the points `(B, V, P)`.
        mask: `(B, V)`.
        rows: `(3, C)`: so many times the confidence is added to what is interpolated; what else is added to it; the
            product with what a view says is its logit.

    Returns:
        `(B, P, C)`.

    Raises:
        ValueError: If a shape or a type is another.
    """
    seen: Tensor = torch.ops.usthand.see_points(maps, across, down, projections, points, confidence, mask, rows)
    return seen


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


def _check_heatmaps(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> None:
    check_maps("usthand::heatmap_joints", features)
    check_shapes(
        "usthand::heatmap_joints",
        features=(features, (features.shape[0], *features.shape[-3:])),
        weight=(weight, (JOINTS, features.shape[-3])),
        bias=(bias, (JOINTS,)),
        sharpness=(sharpness, ()),
    )


def _heatmaps_fake(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> _Found:
    _check_heatmaps(features, weight, bias, sharpness)
    return _heatmaps_memory(features)


def _heatmaps_memory(features: Tensor) -> _Found:
    count, channels = features.shape[:2]
    shapes = (count, JOINTS, 2), (count, JOINTS), (count, JOINTS, channels)
    joints, confidence, samples = (features.new_empty(shape) for shape in shapes)
    return joints, confidence, samples


def _heatmaps_by_parts(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> _Found:
    _check_heatmaps(features, weight, bias, sharpness)
    heatmaps = torch.conv2d(features, weight[:, :, None, None], bias)
    joints = soft_argmax(heatmaps, sharpness)
    return joints, peak_confidence(heatmaps), sample_features(features, joints).contiguous()


def _heatmaps_launched(features: Tensor, weight: Tensor, bias: Tensor, sharpness: Tensor) -> _Found:
    _check_heatmaps(features, weight, bias, sharpness)
    library = loaded_library(features.device.index)
    if library is None:
        return _heatmaps_by_parts(features, weight, bias, sharpness)
    features = features.contiguous(memory_format=torch.channels_last)
    weight, bias = weight.contiguous(), bias.contiguous()
    count, channels, height, width = features.shape
    parts = features.new_empty((count, JOINTS, heatmap_parts(height, width), 4))
    joints, confidence, samples = _heatmaps_memory(features)
    library.heatmaps(
        torch.cuda.current_stream(features.device).cuda_stream,
        features.data_ptr(),
        weight.data_ptr(),
        bias.data_ptr(),
        sharpness.data_ptr(),
        parts.data_ptr(),
        joints.data_ptr(),
        confidence.data_ptr(),
        samples.data_ptr(),
        count=count,
        channels=channels,
        height=height,
        width=width,
    )
    return joints, confidence, samples


torch.library.register_fake("usthand::heatmap_joints", _heatmaps_fake)
torch.library.impl("usthand::heatmap_joints", "CPU", _heatmaps_by_parts)
torch.library.impl("usthand::heatmap_joints", "CUDA", _heatmaps_launched)


def _check_samples(maps: Tensor, places: Tensor) -> None:
    check_maps("usthand::sample_maps", maps)
    count, channels, height, width = maps.shape[0], *maps.shape[-3:]
    check_shapes(
        "usthand::sample_maps",
        maps=(maps, (count, channels, height, width)),
        places=(places, (count, places.shape[1], 2)),
    )


def _samples_fake(maps: Tensor, places: Tensor) -> Tensor:
    _check_samples(maps, places)
    return maps.new_empty((maps.shape[0], places.shape[1], maps.shape[1]))


def _samples_by_parts(maps: Tensor, places: Tensor) -> Tensor:
    _check_samples(maps, places)
    return sample_features(maps, places).contiguous()


def _samples_launched(maps: Tensor, places: Tensor) -> Tensor:
    _check_samples(maps, places)
    library = loaded_library(maps.device.index)
    if library is None:
        return _samples_by_parts(maps, places)
    maps, places = maps.contiguous(memory_format=torch.channels_last), places.contiguous()
    count, channels, height, width = maps.shape
    samples = maps.new_empty((count, places.shape[1], channels))
    library.sample_maps(
        torch.cuda.current_stream(maps.device).cuda_stream,
        maps.data_ptr(),
        places.data_ptr(),
        samples.data_ptr(),
        count=count,
        channels=channels,
        height=height,
        width=width,
        places_count=places.shape[1],
    )
    return samples


torch.library.register_fake("usthand::sample_maps", _samples_fake)
torch.library.impl("usthand::sample_maps", "CPU", _samples_by_parts)
torch.library.impl("usthand::sample_maps", "CUDA", _samples_launched)


def _check_points(
    maps: Tensor,
    across: Tensor,
    down: Tensor,
    projections: Tensor,
    points: Tensor,
    confidence: Tensor,
    mask: Tensor,
    rows: Tensor,
) -> None:
    check_maps("usthand::see_points", maps)
    batch, views, count = confidence.shape
    channels, height, width = maps.shape[-3:]
    check_shapes(
        "usthand::see_points",
        maps=(maps, (batch, views, channels, height, width)),
        across=(across, (width, channels)),
        down=(down, (height, channels)),
        projections=(projections, (batch, views, 3, 4)),
        points=(points, (batch, count, 3)),
        confidence=(confidence, (batch, views, count)),
        mask=(mask, (batch, views)),
        rows=(rows, (3, channels)),
    )


def _points_fake(*given: Tensor) -> Tensor:
    _check_points(*given)
    maps, points = given[0], given[4]
    return maps.new_empty((*points.shape[:2], maps.shape[2]))


def _points_by_parts(*given: Tensor) -> Tensor:
    _check_points(*given)
    maps, across, down, projections, points, confidence, mask, rows = given
    batch, views, count = confidence.shape
    encoding = (across + down[:, None]).permute(2, 0, 1)
    places, _ = project(projections, points)
    places = places.flatten(0, 1).clamp(-_FARTHEST, _FARTHEST)
    sampled = sample_features((maps + encoding).flatten(0, 1), places).reshape(batch, views, count, -1)
    seen = torch.relu(sampled + confidence[..., None] * rows[0] + rows[1])
    logits = (seen * rows[2]).sum(dim=-1) + ((1.0 - mask) * MASKED_LOGIT)[..., None]
    return (torch.softmax(logits, dim=1)[..., None] * seen).sum(dim=1)


def _points_launched(*given: Tensor) -> Tensor:
    _check_points(*given)
    maps, points = given[0], given[4]
    batch, views, channels, height, width = maps.shape
    library = loaded_library(maps.device.index)
    if library is None or views > MOST_POINT_VIEWS:
        return _points_by_parts(*given)
    read = [maps.permute(0, 1, 3, 4, 2).contiguous(), *(tensor.contiguous() for tensor in given[1:])]
    features = maps.new_empty((batch, points.shape[1], channels))
    library.see_points(
        torch.cuda.current_stream(maps.device).cuda_stream,
        *(tensor.data_ptr() for tensor in (*read, features)),
        batch=batch,
        channels=channels,
        height=height,
        width=width,
        views=views,
        points_count=points.shape[1],
    )
    return features


torch.library.register_fake("usthand::see_points", _points_fake)
torch.library.impl("usthand::see_points", "CPU", _points_by_parts)
torch.library.impl("usthand::see_points", "CUDA", _points_launched)
