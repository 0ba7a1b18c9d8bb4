"""The point cloud of a network, replaced by the project's own kernels: the flow's conditions, joints, triangulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from engine.kernels.flow_op import CloudAnswer
from engine.kernels.library import MOST_VIEWS
from engine.network.cloud import Cloud, make_cloud
from engine.network.config import JOINTS
from engine.network.flow import ConditionalRealNvp
from engine.network.hand_frame import HandFrame
from engine.network.network import UstHandNetwork

_LAYERS: Final = 4
_HIDDEN: Final = 64
_MIDDLE: Final = 9
# Of F_fuse; a thread has a sixteenth of them.
_CHANNEL_MULTIPLE: Final = 16
_MOST_CHANNELS: Final = 256


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
    answer: CloudAnswer = torch.ops.usthand.flow_cloud(
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
