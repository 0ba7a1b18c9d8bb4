"""Hands, and views of them, that the hand's kernels are tried on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.hand_model import HandModel
from engine.network.config import JOINTS, NetworkConfig
from engine.network.flow import ConditionalRealNvp
from engine.network.mano_head import ManoHead
from engine.network.triangulation import project
from engine.synthetic.rigs import look_at


def a_head(config: NetworkConfig, *, corrected: bool) -> ManoHead:
    """A head whose every part has a say; of a hand with made-up pose correctives, or of one without."""
    torch.manual_seed(3)
    model = HandModel.load()
    if corrected:
        directions = np.random.default_rng(5).normal(scale=1e-3, size=model.pose_directions.shape)
        model = replace(model, pose_directions=directions)
    head = ManoHead(config, model).eval()
    with torch.no_grad():
        head.embed[0].weight.normal_(1.0, 0.3)
        head.embed[0].bias.normal_(0.0, 0.3)
        head.to_parameters.weight.normal_(0.0, 0.5)
        head.to_parameters.bias.normal_(0.0, 0.3)
    return head


def seen_joints(hands: int, seed: int) -> Tensor:
    """Joints of posed hands `(hands, 21, 3)`, metres, a little off."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(hands):
        pose = np.concatenate([rng.normal(size=3), rng.normal(scale=0.4, size=45)])
        posed = HandModel.load().with_shape(rng.normal(size=10)).posed(pose, rng.normal(scale=0.1, size=3))
        made.append(posed.joints + rng.normal(scale=0.003, size=(21, 3)))
    return torch.tensor(np.stack(made), dtype=torch.float32)


def a_flow(config: NetworkConfig) -> ConditionalRealNvp:
    """A flow whose every layer has a say."""
    torch.manual_seed(4)
    flow = ConditionalRealNvp(config).eval()
    with torch.no_grad():
        flow.to_scale_shift.normal_(0.0, 0.08)
        flow.condition[2].weight[-4:].normal_(0.0, 0.05)
        flow.condition[2].bias[-4:] = torch.tensor([0.02, -0.01, -1.0, -1.2])
    return flow


def seen_hands(config: NetworkConfig, hands: int, views: int, seed: int) -> tuple[Tensor, ...]:
    """What the flow and triangulation read of hands about the origin, in views around them.

    F_fuse `(hands, views, 21, C)`, center, confidence, projections, noise and view mask; of three views and more one is
    masked.
    """
    rng = np.random.default_rng(seed)
    projections = np.empty((hands, views, 3, 4))
    for hand in range(hands):
        for view in range(views):
            angle = 2 * np.pi * (view + rng.uniform(0.0, 0.4)) / max(views, 3)
            place = np.array([np.cos(angle), np.sin(angle), rng.uniform(0.2, 0.8)]) * rng.uniform(0.5, 0.9)
            focal = np.linalg.norm(place) / 0.13
            projections[hand, view] = np.diag([focal, focal, 1.0]) @ look_at(place, np.zeros(3))[:3]
    matrices = torch.tensor(projections, dtype=torch.float32)
    joints = seen_joints(hands, seed)
    uv, _ = project(matrices, joints - joints.mean(dim=1, keepdim=True))

    def normal(*shape: int) -> Tensor:
        return torch.tensor(rng.normal(size=shape), dtype=torch.float32)

    mask = torch.ones(hands, views)
    if views > 2:
        mask[-1, views // 2] = 0.0
    return (
        normal(hands, views, JOINTS, config.fusion_channels),
        uv + 0.02 * normal(*uv.shape),
        torch.tensor(rng.uniform(0.0, 1.0, (hands, views, JOINTS)), dtype=torch.float32) * mask[..., None],
        matrices,
        normal(hands, views, config.hypotheses, JOINTS, 2),
        mask,
    )
