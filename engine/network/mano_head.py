"""The parametric output (sec. 3.5): MANO's rotations, shape and translation from the refined query points.

The paper gives MANO the refined joint positions and leaves open how. Here the positions do what they can by geometry:
the root turns with the palm, and each finger joint swings its bone towards the next refined point (analytic inverse
kinematics, as in HybrIK, Li et al. 2021). What geometry cannot see, the twist, and what the points have wrong, a small
network adds as a rotation of its own; untrained it adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.hand_model.model import SHAPE_SIZE, HandModel
from engine.network.config import JOINTS, NetworkConfig
from engine.network.hand_frame import cross, hand_frame, palm_rotation
from engine.network.hand_layer import HandLayer, PosedHands, RestHand

_ROTATIONS = 16
_JOINT_CHANNELS = 32
_HIDDEN = 256
_EPSILON = 1e-9
_MIN_SWING_COSINE = -0.5
_PALM = [0, 1, 5, 9, 13, 17]
# Canonical joints of MANO's fingers (index, middle, pinky, ring, thumb): three joints and the tip.
_CHAINS = [[5, 6, 7, 8], [9, 10, 11, 12], [17, 18, 19, 20], [13, 14, 15, 16], [1, 2, 3, 4]]
# MANO's finger order among the rest pose's tips (thumb, index, middle, ring, pinky).
_TIP_OF_FINGER = [1, 2, 4, 3, 0]


@dataclass(frozen=True, eq=False, slots=True)
class ManoOutput:
    """MANO parameters with the hand they make.

    Args:
        rotations: Relative to the parent `(N, 16, 3, 3)`; the root's in the local frame's axes.
        shape: `(N, 10)`.
        translation: `(N, 3)`, metres.
        rest: The shape's rest pose.
        posed: The posed hand.
    """

    rotations: Tensor
    shape: Tensor
    translation: Tensor
    rest: RestHand
    posed: PosedHands


class ManoHead(nn.Module):
    """MANO of refined query points.

    Args:
        config: Widths.
        hand_model: The right hand's model.
    """

    def __init__(self, config: NetworkConfig, hand_model: HandModel) -> None:
        super().__init__()
        self.layer = HandLayer(hand_model)
        self.embed = nn.Sequential(
            nn.LayerNorm(config.point_channels), nn.Linear(config.point_channels, _JOINT_CHANNELS), nn.ReLU()
        )
        self.mlp = nn.Sequential(
            nn.Linear(JOINTS * (_JOINT_CHANNELS + 3), _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU()
        )
        self.to_parameters = nn.Linear(_HIDDEN, _ROTATIONS * 6 + SHAPE_SIZE)
        nn.init.normal_(self.to_parameters.weight, std=1e-3)
        nn.init.zeros_(self.to_parameters.bias)

    def forward(self, joints: Tensor, features: Tensor) -> ManoOutput:
        """Pose MANO.

        Args:
            joints: Refined query points `(N, 21, 3)`, metres, local frame.
            features: F_Q `(N, 21, D)`.

        Returns:
            MANO in the local frame.
        """
        seen = torch.cat([self.embed(features), hand_frame(joints).to_hand(joints)], dim=-1)
        parameters = self.to_parameters(self.mlp(seen.flatten(1)))
        corrections = rotation_from_6d(parameters[:, :-SHAPE_SIZE].unflatten(-1, (_ROTATIONS, 6)))
        shape = parameters[:, -SHAPE_SIZE:]
        rest = self.layer.rest(shape)
        rotations = self._rotations(joints, rest, corrections)
        unmoved = self.layer.pose(rest, rotations, torch.zeros_like(joints[:, 0]))
        translation = (joints[:, _PALM] - unmoved.joints[:, _PALM]).mean(dim=1)
        posed = PosedHands(
            unmoved.joints + translation[:, None], unmoved.rotations, unmoved.mano_joints + translation[:, None]
        )
        return ManoOutput(rotations, shape, translation, rest, posed)

    def _rotations(self, joints: Tensor, rest: RestHand, corrections: Tensor) -> Tensor:
        """Swing the palm and the bones to the points, corrected: `(N, 16, 3, 3)`."""
        rest_joints = torch.cat([rest.joints, rest.tips], dim=1)[:, self.layer.canonical]
        root = palm_rotation(joints) @ corrections[:, 0] @ palm_rotation(rest_joints).transpose(-1, -2)
        fingers = corrections[:, 1:].unflatten(1, (5, 3))
        wanted = _directions(joints[:, _CHAINS])
        tips = rest.tips[:, _TIP_OF_FINGER, None]
        rest_chains = torch.cat([rest.joints[:, 1:].unflatten(1, (5, 3)), tips], dim=2)
        bones = _directions(rest_chains)
        turned = root[:, None]
        local = []
        for level in range(3):
            seen = (turned.transpose(-1, -2) @ wanted[:, :, level, :, None])[..., 0]
            rotation = swing(bones[:, :, level], seen) @ fingers[:, :, level]
            turned = turned @ rotation
            local.append(rotation)
        return torch.cat([root[:, None], torch.stack(local, dim=2).flatten(1, 2)], dim=1)


def _directions(chains: Tensor) -> Tensor:
    """Unit vectors `(N, 5, 3, 3)` from each joint of chains `(N, 5, 4, 3)` to the next."""
    bones = chains[:, :, 1:] - chains[:, :, :-1]
    return bones * (bones.square().sum(dim=-1, keepdim=True) + _EPSILON).rsqrt()


def swing(start: Tensor, end: Tensor) -> Tensor:
    """The least rotation `(..., 3, 3)` from unit vectors `start` to `end` `(..., 3)`, of 120 degrees at most.

    No finger joint bends further, and beyond it the axis becomes a matter of rounding.
    """
    along = (start * end).sum(dim=-1, keepdim=True)
    across = end - along * start
    limited = along.clamp_min(_MIN_SWING_COSINE)
    # Where nothing is limited this scales by one, also for bones that are straight.
    wanted = (1 - limited.square()).clamp_min(0.0) + _EPSILON
    across = across * (wanted / (across.square().sum(dim=-1, keepdim=True) + _EPSILON)).sqrt()
    axis = cross(start, across)
    zero = torch.zeros_like(axis[..., 0])
    x, y, z = axis.unbind(-1)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    eye = torch.eye(3, device=axis.device, dtype=axis.dtype)
    return eye + skew + skew @ skew / (1 + limited[..., None])


def rotation_from_6d(numbers: Tensor) -> Tensor:
    """Rotation matrices `(..., 3, 3)` from six numbers (Zhou et al. 2019), counted from the identity: zeros give it."""
    first, second = numbers.unflatten(-1, (2, 3)).unbind(-2)
    axes = torch.eye(3, device=numbers.device, dtype=numbers.dtype)
    x = first + axes[0]
    x = x * (x.square().sum(dim=-1, keepdim=True) + _EPSILON).rsqrt()
    y = second + axes[1]
    y = y - (x * y).sum(dim=-1, keepdim=True) * x
    y = y * (y.square().sum(dim=-1, keepdim=True) + _EPSILON).rsqrt()
    return torch.stack([x, y, cross(x, y)], dim=-1)
