"""MANO's head of a network, its geometry replaced by the project's own kernels."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from engine.kernels.mano_op import MANO_EMBEDDED, MANO_JOINTS, MANO_NORM_EPS, ManoAnswer
from engine.network.hand_layer import PosedHands, RestHand
from engine.network.mano_head import ManoHead, ManoOutput
from engine.network.network import UstHandNetwork

# The kernel has a thread for each channel, in whole warps.
_CHANNELS: Final = (32, 64, 96, 128)


def kernels_take(head: ManoHead) -> bool:
    """Whether the kernels can do a head's work."""
    norm, embedding = head.embed[0], head.embed[1]
    return (
        isinstance(norm, nn.LayerNorm)
        and isinstance(embedding, nn.Linear)
        and norm.eps == MANO_NORM_EPS
        and embedding.in_features in _CHANNELS
        and embedding.out_features == MANO_EMBEDDED
    )


def pose_by_kernels(network: UstHandNetwork) -> None:
    """Let kernels pose a network's hand, in place, where they take its head."""
    if kernels_take(network.mano_head):
        network.mano_head = GpuManoHead(network.mano_head)  # type: ignore[assignment] # it is called as the head is


class GpuManoHead(nn.Module):
    """MANO's head with its geometry in two kernels.

    Args:
        head: The head, for which `kernels_take` holds.
    """

    norm_weight: Tensor
    norm_bias: Tensor
    weight: Tensor
    bias: Tensor
    tip_directions: Tensor | None

    def __init__(self, head: ManoHead) -> None:
        super().__init__()
        self.layer, self.mlp, self.to_parameters = head.layer, head.mlp, head.to_parameters
        norm, embedding = head.embed[0].state_dict(), head.embed[1].state_dict()
        self.register_buffer("norm_weight", norm["weight"])
        self.register_buffer("norm_bias", norm["bias"])
        self.register_buffer("weight", embedding["weight"].T.contiguous())
        self.register_buffer("bias", embedding["bias"])
        directions = head.layer.tip_directions().T.contiguous() if head.layer.has_pose_directions else None
        self.register_buffer("tip_directions", directions)

    def forward(self, joints: Tensor, features: Tensor) -> ManoOutput:
        """Pose MANO; see `ManoHead`."""
        ops, layer = torch.ops.usthand, self.layer
        seen = ops.mano_input(joints, features, self.norm_weight, self.norm_bias, self.weight, self.bias)
        parameters = self.to_parameters(self.mlp(seen.flatten(1)))
        answer: ManoAnswer = ops.mano(
            joints, parameters, layer.joint_template, layer.joint_directions, layer.tip_weights, self.tip_directions
        )
        posed, rotations, shape, translation, rest, globally, own = answer
        return ManoOutput(
            rotations,
            shape,
            translation,
            RestHand(rest[:, :MANO_JOINTS], rest[:, MANO_JOINTS:]),
            PosedHands(posed, globally, own),
        )
