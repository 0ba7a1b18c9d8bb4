"""A hand model's pose from one view alone: what S2Hand is, and the first half of HaMuCo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from engine.hand_model.model import SHAPE_SIZE
from engine.network.config import JOINTS, NetworkConfig
from engine.network.hand_layer import HandLayer
from engine.network.joint_graph import JointGraph
from engine.network.mano_head import rotation_from_6d
from engine.network.triangulation import project
from training.baselines.learned import Views
from training.baselines.placement import camera_rotations
from training.losses import squared_distance, weighted_mean

_ROTATIONS: Final = 16
_JOINT_CHANNELS: Final = 32
_HIDDEN: Final = 256
# What a token is told beside its features: joint, confidence, and the trunk's joint and depth.
_TOLD: Final = 6


@dataclass(frozen=True, eq=False, slots=True)
class Hands:
    """Posed hands without a place.

    Args:
        rotations: `(M, 16, 3, 3)`, relative to the parent; the root's in the local frame's axes.
        shape: `(M, 10)`.
        joints: `(M, 21, 3)`, metres, about the model's own origin.
    """

    rotations: Tensor
    shape: Tensor
    joints: Tensor


class JointTokens(nn.Module):
    """A token for each joint of each view: the joint graph's features and what was read of the joint.

    Args:
        config: Widths.
        deepest_channels: Channels of F4.
    """

    def __init__(self, config: NetworkConfig, deepest_channels: int) -> None:
        super().__init__()
        self.graph = JointGraph(deepest_channels, (config.input_px // 32) ** 2, config.pose_channels)
        self.embed = nn.Linear(config.pose_channels + config.feature_channels + _TOLD, config.fusion_channels)

    def forward(self, views: Views) -> Tensor:
        """Tokens `(N, V, 21, C)`."""
        joints = views.joints.flatten(0, 1)
        graph = self.graph(views.deepest, views.features.flatten(0, 1), joints)
        told = [joints, views.confidence.flatten(0, 1)[..., None]]
        if views.sight is not None:
            told += [views.sight.joints, views.sight.depths[..., None]]
        else:
            told += [torch.zeros_like(joints), torch.zeros_like(joints[..., :1])]
        tokens: Tensor = self.embed(torch.cat([graph, *told], dim=-1))
        return tokens.unflatten(0, views.view_mask.shape)


class HandRegressor(nn.Module):
    """A hand model's pose and shape from the tokens of a view.

    Args:
        config: Widths.
        layer: The hand model.
    """

    def __init__(self, config: NetworkConfig, layer: HandLayer) -> None:
        super().__init__()
        self.layer = layer
        channels = config.fusion_channels
        self.narrow = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, _JOINT_CHANNELS), nn.ReLU())
        self.mlp = nn.Sequential(
            nn.Linear(JOINTS * _JOINT_CHANNELS, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU()
        )
        self.to_parameters = nn.Linear(_HIDDEN, _ROTATIONS * 6 + SHAPE_SIZE)
        nn.init.normal_(self.to_parameters.weight, std=1e-2)
        nn.init.zeros_(self.to_parameters.bias)

    def forward(self, tokens: Tensor, projections: Tensor) -> Hands:
        """Pose the hands of M views.

        Args:
            tokens: `(M, 21, C)`.
            projections: The views' `(M, 3, 4)`: the root turns in the camera's axes.
        """
        parameters = self.to_parameters(self.mlp(self.narrow(tokens).flatten(1)))
        turned = rotation_from_6d(parameters[:, :-SHAPE_SIZE].unflatten(-1, (_ROTATIONS, 6)))
        root = camera_rotations(projections).transpose(-1, -2) @ turned[:, 0]
        return self.posed(torch.cat([root[:, None], turned[:, 1:]], dim=1), parameters[:, -SHAPE_SIZE:])

    def posed(self, rotations: Tensor, shape: Tensor) -> Hands:
        """Hands of rotations `(M, 16, 3, 3)`, root in the local axes, and shape `(M, 10)`."""
        rest = self.layer.rest(shape)
        return Hands(rotations, shape, self.layer.pose(rest, rotations, torch.zeros_like(shape[:, :3])).joints)


def mesh(layer: HandLayer, hands: Hands, translation: Tensor) -> Tensor:
    """The mesh `(M, Nv, 3)` of hands moved by `(M, 3)`."""
    rest = layer.rest(hands.shape)
    posed = layer.pose(rest, hands.rotations, translation)
    return layer.vertices(rest, hands.shape, hands.rotations, posed)


def own_view_error(joints: Tensor, views: Views, labels: Tensor, weights: Tensor, counts: Tensor) -> Tensor:
    """Weighted mean squared distance of each view's own joints to that view's labels.

    Args:
        joints: `(N, V, 21, 3)`, metres, local frame.
        views: The views.
        labels: `(N, V, 21, 2)`.
        weights: `(N, V, 21)`.
        counts: What the mean is taken over `(N, V, 21)`.
    """
    places, _ = project(views.projections.flatten(0, 1)[:, None], joints.flatten(0, 1))
    return weighted_mean(squared_distance(places[:, 0].reshape(labels.shape), labels), weights, counts)


def implausibility(hands: Hands, view_mask: Tensor) -> Tensor:
    """How far shapes and finger rotations are from the model's mean, averaged over views that are there (a scalar).

    Args:
        hands: `(N V)` of them.
        view_mask: `(N, V)`.
    """
    eye = torch.eye(3, device=view_mask.device)
    bent = (hands.rotations[:, 1:] - eye).square().sum(dim=(-1, -2)).mean(dim=-1)
    each = hands.shape.square().mean(dim=-1) + 0.1 * bent
    mask = view_mask.flatten()
    return (each * mask).sum() / mask.sum().clamp_min(1.0)
