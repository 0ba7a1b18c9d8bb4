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
from engine.network.constants import constant
from engine.network.hand_frame import HandFrame, hand_frame, palm_rotation, skew
from engine.network.hand_layer import HandLayer, PosedHands, RestHand

_ROTATIONS = 16
_JOINT_CHANNELS = 32
_HIDDEN = 256
_EPSILON = 1e-9
_MIN_SWING_COSINE = -0.5
_MOST_SHAPE = 3.0
"""No hand that was ever measured lies further from the average one, in standard deviations."""
_PALM = [0, 1, 5, 9, 13, 17]
# Canonical joints of MANO's fingers (index, middle, pinky, ring, thumb): three joints and the tip.
_CHAINS = [5, 6, 7, 8, 9, 10, 11, 12, 17, 18, 19, 20, 13, 14, 15, 16, 1, 2, 3, 4]


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
        frame = hand_frame(joints)
        seen = torch.cat([self.embed(features), frame.to_hand(joints)], dim=-1)
        parameters = self.to_parameters(self.mlp(seen.flatten(1)))
        return pose_hands(self.layer, joints, frame, parameters)


def pose_hands(layer: HandLayer, joints: Tensor, frame: HandFrame, parameters: Tensor) -> ManoOutput:
    """Pose hands by where their joints are seen, and by what the head's network says of them.

    Args:
        layer: The hand model.
        joints: Refined query points `(N, 21, 3)`, metres, local frame.
        frame: Theirs.
        parameters: Six numbers of each rotation's correction, then the shape before its bound `(N, 106)`.
    """
    corrections = rotation_from_6d(parameters[:, :-SHAPE_SIZE].unflatten(-1, (_ROTATIONS, 6)))
    shape = _MOST_SHAPE * torch.tanh(parameters[:, -SHAPE_SIZE:] / _MOST_SHAPE)
    rest = layer.rest(shape)
    rest_joints = torch.cat([rest.joints, rest.tips], dim=1).index_select(1, layer.canonical)
    root = frame.R_local_hand @ corrections[:, 0] @ palm_rotation(rest_joints).transpose(-1, -2)
    rotations, fingers = _follow(root, joints, rest_joints, corrections[:, 1:])
    unmoved = layer.pose_globally(rest, rotations, root, fingers, torch.zeros_like(joints[:, 0]))
    palm = constant(_PALM, joints.device, torch.int64)
    translation = (joints.index_select(1, palm) - unmoved.joints.index_select(1, palm)).mean(dim=1)
    posed = PosedHands(
        unmoved.joints + translation[:, None], unmoved.rotations, unmoved.mano_joints + translation[:, None]
    )
    return ManoOutput(rotations, shape, translation, rest, posed)


def _follow(root: Tensor, joints: Tensor, rest_joints: Tensor, corrections: Tensor) -> tuple[Tensor, Tensor]:
    """Swing each bone to where its joints are seen, corrected.

    Returns:
        All rotations relative to their parents `(N, 16, 3, 3)`; the fingers' global ones `(N, 5, 3, 3, 3)`.
    """
    seen, rest = _bone_directions(joints), _bone_directions(rest_joints)
    corrections = corrections.unflatten(1, (5, 3))
    turned = root[:, None]
    local, globally = [], []
    for level in range(3):
        here = slice(level, level + 1)
        wanted = turned.transpose(-1, -2) @ seen[..., here]
        rotation = swing(rest[..., here], wanted) @ corrections[:, :, level]
        turned = turned @ rotation
        local.append(rotation)
        globally.append(turned)
    rotations = torch.cat([root[:, None], torch.stack(local, dim=2).flatten(1, 2)], dim=1)
    return rotations, torch.stack(globally, dim=2)


def _bone_directions(joints: Tensor) -> Tensor:
    """Unit vectors along the fingers' bones of joints `(N, 21, 3)` as columns `(N, 5, 3, 3)`: finger, xyz, level."""
    chains = joints.index_select(1, constant(_CHAINS, joints.device, torch.int64)).reshape(-1, 5, 4, 3)
    bones = (chains[:, :, 1:] - chains[:, :, :-1]).transpose(-1, -2)
    return bones * (bones.square().sum(dim=-2, keepdim=True) + _EPSILON).rsqrt()


def swing(start: Tensor, end: Tensor) -> Tensor:
    """The least rotation `(..., 3, 3)` from unit columns `start` to `end` `(..., 3, 1)`, of 120 degrees at most.

    No finger joint bends further, and beyond it the axis becomes a matter of rounding.
    """
    along = (start * end).sum(dim=-2, keepdim=True)
    across = end - along * start
    limited = along.clamp_min(_MIN_SWING_COSINE)
    # Where nothing is limited this scales by one, also for bones that are straight.
    wanted = (1 - limited.square()).clamp_min(0.0) + _EPSILON
    across = across * (wanted / (across.square().sum(dim=-2, keepdim=True) + _EPSILON)).sqrt()
    turn = skew(skew(start) @ across)
    eye = torch.eye(3, device=turn.device, dtype=turn.dtype)
    return eye + turn + turn @ turn / (1 + limited)


def rotation_from_6d(numbers: Tensor) -> Tensor:
    """Rotation matrices `(..., 3, 3)` from six numbers (Zhou et al. 2019), counted from the identity: zeros give it."""
    first, second = numbers.unflatten(-1, (2, 3)).unbind(-2)
    axes = torch.eye(3, device=numbers.device, dtype=numbers.dtype)
    x = first + axes[0]
    x = x * (x.square().sum(dim=-1, keepdim=True) + _EPSILON).rsqrt()
    y = second + axes[1]
    y = y - (x * y).sum(dim=-1, keepdim=True) * x
    y = y * (y.square().sum(dim=-1, keepdim=True) + _EPSILON).rsqrt()
    columns = torch.stack([x, y], dim=-1)
    return torch.cat([columns, skew(columns[..., :1]) @ columns[..., 1:]], dim=-1)
