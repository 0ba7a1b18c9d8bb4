"""Hands that the hand's kernels are tried on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.hand_model import HandModel
from engine.network.config import NetworkConfig
from engine.network.mano_head import ManoHead


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
