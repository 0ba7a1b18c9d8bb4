"""Small networks with weights that are far from their start, and inputs for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from engine.hand_model import HandModel
from engine.network.config import NetworkConfig
from engine.network.network import UstHandNetwork
from engine.synthetic.rigs import look_at

SMALL = NetworkConfig(
    name="small",
    backbone="mobilenetv4-conv-small",
    input_px=64,
    feature_channels=16,
    pose_channels=16,
    fusion_channels=32,
    flow_layers=4,
    flow_channels=16,
    hypotheses=4,
    point_channels=32,
    blocks=2,
    anchor_neighbors=8,
)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of `UstHandNetwork.forward_sequence`: B hands, T frames, V views."""

    crops: Tensor
    projections: Tensor
    view_mask: Tensor
    noise: Tensor

    def everything(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.crops, self.projections, self.view_mask, self.noise

    def frame(self, t: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        crops, projections, view_mask, noise = (x[:, t] for x in self.everything())
        return crops, projections, view_mask, noise

    def pick_views(self, views: list[int]) -> Inputs:
        return Inputs(*(x[:, :, views] for x in self.everything()))

    def moved(self, T_local_other: Tensor) -> Inputs:
        """The same crops with the local frame laid elsewhere."""
        return replace(self, projections=self.projections @ T_local_other)


def stirred_network(config: NetworkConfig = SMALL, seed: int = 0) -> UstHandNetwork:
    """A network whose every part has a say: what starts at zero or small is stirred up."""
    torch.manual_seed(seed)
    network = UstHandNetwork(config, HandModel.load(), pretrained=False)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith(("backbone", "decoder")):
                continue
            if float(parameter.std() if parameter.numel() > 1 else 1.0) < 0.02:
                parameter.add_(torch.randn_like(parameter) * 0.05)
        network.flow.condition[-1].bias[-4:] = torch.tensor([0.3, -0.4, 0.2, -0.1])
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
            part.running_mean.normal_(std=0.05)
            part.running_var.uniform_(0.5, 1.5)
    # Maps with peaks that differ from view to view, so that confidences do too.
    with torch.no_grad():
        features = network.decoder(network.backbone(torch.rand(4, 3, config.input_px, config.input_px)))
        maps = network.heatmap_head.to_heatmaps(features)
        network.heatmap_head.to_heatmaps.weight.mul_(0.15 / maps.std())
    return network.eval()


def random_inputs(
    config: NetworkConfig = SMALL, *, hands: int = 2, frames: int = 1, views: int = 4, seed: int = 0
) -> Inputs:
    """Crops of noise from cameras on a half sphere about the hand."""
    rng = np.random.default_rng(seed)
    side = config.input_px
    projections = np.zeros((hands, views, 3, 4))
    for hand in range(hands):
        for view in range(views):
            angle = 2 * np.pi * (view + rng.uniform(0, 0.4)) / max(views, 3)
            center = np.array([np.cos(angle), np.sin(angle), rng.uniform(0.2, 0.8)]) * rng.uniform(0.5, 0.9)
            focal = np.linalg.norm(center) / 0.13
            projections[hand, view] = np.diag([focal, focal, 1.0]) @ look_at(center, np.zeros(3))[:3]
    crops = rng.integers(0, 256, size=(hands, frames, views, side // 8, side // 8, 3), dtype=np.uint8)
    crops = crops.repeat(8, axis=3).repeat(8, axis=4)
    return Inputs(
        crops=torch.tensor(crops),
        projections=torch.tensor(projections, dtype=torch.float32)[:, None].expand(-1, frames, -1, -1, -1),
        view_mask=torch.ones(hands, frames, views),
        noise=torch.tensor(rng.normal(size=(hands, frames, views, config.hypotheses, 21, 2)), dtype=torch.float32),
    )
