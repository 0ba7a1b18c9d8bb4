"""`usthand::flow_conditions` and `usthand::flow_cloud`: the flow, triangulation and the hand's frame, a kernel each.

Importing this registers the operators. On a CPU, and where the kernels do not load, they are the network's own code.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from engine.kernels.library import MOST_VIEWS
from engine.kernels.operators import loaded_library
from engine.network.cloud import make_cloud
from engine.network.config import JOINTS
from engine.network.flow import ConditionalRealNvp

_CONDITIONS: Final = "usthand::flow_conditions"
_CLOUD: Final = "usthand::flow_cloud"
# The kernel reads four numbers at a time.
_ALIGNMENT: Final = 16

CloudAnswer: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Keypoints, points, the hand's axes, start and anchors in its frame."""

torch.library.define(
    _CONDITIONS,
    "(Tensor fused, Tensor first_weight, Tensor first_bias, Tensor second_weight, Tensor second_bias) -> Tensor",
)
torch.library.define(
    _CLOUD,
    "(Tensor conditions, Tensor center, Tensor noise, Tensor confidence, Tensor view_mask, Tensor projections,"
    " Tensor from_coordinate, Tensor to_scale_shift) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


class _Couplings(ConditionalRealNvp):
    """The flow behind its conditions, of what the operator is given."""

    def __init__(self, from_coordinate: Tensor, to_scale_shift: Tensor) -> None:
        nn.Module.__init__(self)
        self.layers, self.hidden = from_coordinate.shape
        self.condition = nn.Sequential()
        self.from_coordinate = nn.Parameter(from_coordinate, requires_grad=False)
        self.to_scale_shift = nn.Parameter(to_scale_shift, requires_grad=False)


def _conditions_fake(fused: Tensor, *layers: Tensor) -> Tensor:
    return fused.new_empty((*fused.shape[:-1], layers[-1].shape[0]))


def _conditions_by_parts(
    fused: Tensor, first_weight: Tensor, first_bias: Tensor, second_weight: Tensor, second_bias: Tensor
) -> Tensor:
    return torch.relu(fused @ first_weight + first_bias) @ second_weight + second_bias


def _conditions_launched(fused: Tensor, *layers: Tensor) -> Tensor:
    library = loaded_library(fused.device.index)
    if library is None:
        return _conditions_by_parts(fused, *layers)
    given = [_as_read(one) for one in (fused, *layers)]
    conditions = _conditions_fake(*given)
    channels = fused.shape[-1]
    library.flow_conditions(
        torch.cuda.current_stream(fused.device).cuda_stream,
        *(one.data_ptr() for one in (*given, conditions)),
        rows=fused.numel() // channels,
        channels=channels,
    )
    return conditions


def _cloud_fake(conditions: Tensor, _: Tensor, noise: Tensor, *__: Tensor) -> CloudAnswer:
    hands, views, hypotheses = noise.shape[:3]
    if views > MOST_VIEWS:
        raise ValueError(f"{_CLOUD}: {views} views; it takes {MOST_VIEWS} at most")
    return (
        conditions.new_empty((hands, views, JOINTS, 2)),
        conditions.new_empty((hands, JOINTS * (1 + hypotheses), 3)),
        conditions.new_empty((hands, 3, 3)),
        conditions.new_empty((hands, JOINTS, 3)),
        conditions.new_empty((hands, JOINTS * hypotheses, 3)),
    )


def _cloud_by_parts(
    conditions: Tensor,
    center: Tensor,
    noise: Tensor,
    confidence: Tensor,
    view_mask: Tensor,
    projections: Tensor,
    from_coordinate: Tensor,
    to_scale_shift: Tensor,
) -> CloudAnswer:
    couplings = _Couplings(from_coordinate, to_scale_shift)
    cloud = make_cloud(couplings, conditions, center, confidence, projections, noise, view_mask)
    frame = cloud.frame()
    return (
        cloud.keypoints.contiguous(),
        cloud.points.contiguous(),
        frame.R_local_hand,
        cloud.start_in(frame),
        cloud.anchors_in(frame),
    )


def _cloud_launched(conditions: Tensor, center: Tensor, noise: Tensor, *others: Tensor) -> CloudAnswer:
    library = loaded_library(conditions.device.index)
    if library is None:
        confidence, view_mask, projections, from_coordinate, to_scale_shift = others
        return _cloud_by_parts(
            conditions, center, noise, confidence, view_mask, projections, from_coordinate, to_scale_shift
        )
    given = [_as_read(one) for one in (conditions, center, noise, *others)]
    answer = _cloud_fake(*given)
    hands, views, hypotheses = noise.shape[:3]
    library.flow_cloud(
        torch.cuda.current_stream(conditions.device).cuda_stream,
        *(one.data_ptr() for one in (*given, *answer)),
        hands=hands,
        views=views,
        hypotheses=hypotheses,
    )
    return answer


def _as_read(numbers: Tensor) -> Tensor:
    """Numbers one after the other, from where four can be read at a time."""
    numbers = numbers.contiguous()
    return numbers.clone() if numbers.data_ptr() % _ALIGNMENT else numbers


torch.library.register_fake(_CONDITIONS, _conditions_fake)
torch.library.impl(_CONDITIONS, "CPU", _conditions_by_parts)
torch.library.impl(_CONDITIONS, "CUDA", _conditions_launched)
torch.library.register_fake(_CLOUD, _cloud_fake)
torch.library.impl(_CLOUD, "CPU", _cloud_by_parts)
torch.library.impl(_CLOUD, "CUDA", _cloud_launched)
