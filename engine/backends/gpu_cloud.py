"""The point cloud on a GPU: two kernels, for the flow's conditions, and for its joints, triangulation and hand's frame.

On a CPU, and where the kernels do not load, the operators compute the same by PyTorch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from engine.kernels.library import MOST_VIEWS
from engine.kernels.torch_op import loaded_library
from engine.network.cloud import Cloud, make_cloud
from engine.network.config import JOINTS
from engine.network.flow import ConditionalRealNvp
from engine.network.hand_frame import HandFrame
from engine.network.network import UstHandNetwork

_CONDITIONS: Final = "usthand::flow_conditions"
_CLOUD: Final = "usthand::flow_cloud"
_LAYERS: Final = 4
_HIDDEN: Final = 64
_MIDDLE: Final = 9
# Of F_fuse; a thread has a sixteenth of them.
_CHANNEL_MULTIPLE: Final = 16
_MOST_CHANNELS: Final = 256
# The kernel reads four numbers at a time.
_ALIGNMENT: Final = 16

_Answer: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
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


@dataclass(frozen=True, eq=False, slots=True)
class _PlacedCloud(Cloud):
    """A cloud whose places in the hand's frame are known already."""

    R_local_hand: Tensor
    start_in_hand: Tensor
    anchors_in_hand: Tensor

    def frame(self) -> HandFrame:
        """The frame of the hand that starts there."""
        return HandFrame(self.R_local_hand, self.start[:, _MIDDLE])

    def start_in(self, frame: HandFrame) -> Tensor:  # noqa: ARG002 # there is one frame
        """The start in `frame()`."""
        return self.start_in_hand

    def anchors_in(self, frame: HandFrame) -> Tensor:  # noqa: ARG002 # there is one frame
        """The anchors in `frame()`."""
        return self.anchors_in_hand


def kernel_takes(flow: ConditionalRealNvp) -> bool:
    """Whether the kernel can do a flow's work."""
    return (flow.layers, flow.hidden) == (_LAYERS, _HIDDEN)


def gpu_cloud(
    flow: ConditionalRealNvp,
    fused: Tensor,
    center: Tensor,
    confidence: Tensor,
    projections: Tensor,
    noise: Tensor,
    view_mask: Tensor,
) -> Cloud:
    """As `make_cloud`, by the operator, for a flow that `kernel_takes`; more views than it takes stay with PyTorch."""
    if fused.shape[1] > MOST_VIEWS:
        return make_cloud(flow, fused, center, confidence, projections, noise, view_mask)
    answer: _Answer = torch.ops.usthand.flow_cloud(
        flow.condition(fused),
        center,
        noise,
        confidence,
        view_mask,
        projections,
        flow.from_coordinate,
        flow.to_scale_shift,
    )
    keypoints, points, axes, start_in_hand, anchors_in_hand = answer
    return _PlacedCloud(keypoints, points, points[:, :JOINTS], points[:, JOINTS:], axes, start_in_hand, anchors_in_hand)


def kernel_takes_conditions(flow: ConditionalRealNvp) -> bool:
    """Whether the kernel can make a flow's conditions."""
    channels = int(flow.condition[0].state_dict()["weight"].shape[1])
    return kernel_takes(flow) and channels % _CHANNEL_MULTIPLE == 0 and channels <= _MOST_CHANNELS


def make_cloud_by_kernels(network: UstHandNetwork) -> None:
    """Let kernels make a network's cloud, in place, as far as they take it."""
    flow = network.flow
    if kernel_takes(flow):
        network.make_cloud = gpu_cloud
    if kernel_takes_conditions(flow):
        flow.condition = GpuConditions(flow.condition)  # type: ignore[assignment] # it is called as the layers are


class GpuConditions(nn.Module):
    """The two layers that make a flow's conditions.

    Args:
        layers: The flow's `condition`, for which `kernel_takes_conditions` holds.
    """

    first_weight: Tensor
    first_bias: Tensor
    second_weight: Tensor
    second_bias: Tensor

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        for name, layer in (("first", layers[0].state_dict()), ("second", layers[2].state_dict())):
            self.register_buffer(f"{name}_weight", layer["weight"].T.contiguous())
            self.register_buffer(f"{name}_bias", layer["bias"])

    def forward(self, fused: Tensor) -> Tensor:
        """Conditions `(..., 4 * 64 + 4)` of F_fuse `(..., C)`."""
        made: Tensor = torch.ops.usthand.flow_conditions(
            fused, self.first_weight, self.first_bias, self.second_weight, self.second_bias
        )
        return made


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


def _cloud_fake(conditions: Tensor, _: Tensor, noise: Tensor, *__: Tensor) -> _Answer:
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
) -> _Answer:
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


def _cloud_launched(conditions: Tensor, center: Tensor, noise: Tensor, *others: Tensor) -> _Answer:
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
