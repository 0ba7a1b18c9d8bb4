"""Parts of a network that read its maps, by operators that are kernels of the project's own on a GPU."""

from __future__ import annotations

import operator

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from engine.kernels.maps_op import HEATMAP_JOINTS, SAMPLE_MAPS, heatmap_joints, maps_fit, sample_maps, see_points
from engine.network.heatmaps import HeatmapHead
from engine.network.joint_graph import JointGraph
from engine.network.network import UstHandNetwork
from engine.network.point_cloud import PointFeatures


def read_maps_by_kernels(network: UstHandNetwork) -> None:
    """Replace a network's parts that read its maps, in place, where the kernels take their sizes."""
    head = network.heatmap_head
    if not maps_fit(network.config.feature_channels):
        return
    # The kernel takes a map's highest value for the highest of so many times it.
    if float(head.sharpness) > 0:
        network.heatmap_head = HeatmapsByKernel(head)  # type: ignore[assignment] # it is called as the head is
    network.joint_graph = JointGraphByKernel(network.joint_graph)  # type: ignore[assignment] # it is called as the graph is
    if network.point_features is not None:
        network.point_features = PointFeaturesByKernel(network.point_features)  # type: ignore[assignment] # the same


def sample_with_heatmaps(module: fx.GraphModule) -> None:
    """Take what maps show at the joints that were found in them from the operator that found them, in place."""
    graph = module.graph
    for sampled in graph.find_nodes(op="call_function", target=SAMPLE_MAPS):
        maps, places = sampled.args
        if places.target is not operator.getitem or places.args[0].target is not HEATMAP_JOINTS:
            continue
        found, number = places.args
        if number != 0 or found.args[0] is not maps:
            continue
        with graph.inserting_after(found):
            taken = graph.call_function(operator.getitem, (found, 2))
        taken.meta = sampled.meta
        sampled.replace_all_uses_with(taken)
        graph.erase_node(sampled)


class HeatmapsByKernel(nn.Module):
    """`HeatmapHead` without its heatmaps, which nobody reads in a step.

    Args:
        head: The one that it is made of.
    """

    weight: Tensor
    bias: Tensor
    sharpness: Tensor

    def __init__(self, head: HeatmapHead) -> None:
        super().__init__()
        convolution = head.to_heatmaps
        self.register_buffer("weight", convolution.weight.flatten(1).clone(memory_format=torch.contiguous_format))
        self.register_buffer("bias", convolution.get_parameter("bias").clone())
        self.register_buffer("sharpness", head.sharpness.clone())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find the joints of crops; the heatmaps are `(N, 21, 0, 1)`."""
        # As the decoder's convolutions leave them, so that nothing is copied.
        features = features.contiguous(memory_format=torch.channels_last)
        joints, confidence, _ = heatmap_joints(features, self.weight, self.bias, self.sharpness)
        return joints[:, :, :0, None], joints, confidence


class JointGraphByKernel(nn.Module):
    """`JointGraph`, whose features at joints a kernel samples.

    Args:
        graph: The one that it is made of.
    """

    def __init__(self, graph: JointGraph) -> None:
        super().__init__()
        self.saigb = graph.saigb

    def forward(self, deepest: Tensor, features: Tensor, joints: Tensor) -> Tensor:
        """Build the graph of F4, F_ms `(N, C, h, w)` and joints `(N, 21, 2)` in crop coordinates."""
        return torch.cat([self.saigb(deepest), sample_maps(features, joints)], dim=-1)


class PointFeaturesByKernel(nn.Module):
    """`PointFeatures` with the bottleneck before the sampling, which is the same, since both are linear.

    So the bottleneck is one product over the maps' cells, the encoding's part of it is constant, and all that follows
    it is one kernel.

    Args:
        part: The one that it is made of.
    """

    to_maps: Tensor
    across: Tensor
    down: Tensor
    rows: Tensor

    def __init__(self, part: PointFeatures) -> None:
        super().__init__()
        self.to_features = part.to_features
        bottleneck = part.bottleneck[0]
        weights = bottleneck.get_parameter("weight")
        to_maps, half = weights[:, :-1].contiguous(), part.encoding.shape[0] // 2
        self.register_buffer("to_maps", to_maps)
        # The first half of the encoding's channels is the same in all rows, the second in all columns.
        self.register_buffer("across", part.encoding[:half, 0].T @ to_maps[:, :half].T)
        self.register_buffer("down", part.encoding[half:, :, 0].T @ to_maps[:, half:].T)
        # The logits' own bias is the same for all views: a softmax over them does not see it.
        rows = (weights[:, -1], bottleneck.get_parameter("bias"), part.to_weight.weight[0])
        self.register_buffer("rows", torch.stack(rows))

    def forward(
        self, features: Tensor, projections: Tensor, points: Tensor, confidence: Tensor, view_mask: Tensor
    ) -> Tensor:
        """Look points up in all views; arguments and answer as those of `PointFeatures`."""
        maps = functional.linear(features.permute(0, 1, 3, 4, 2), self.to_maps).permute(0, 1, 4, 2, 3)
        seen = see_points(maps, self.across, self.down, projections, points, confidence, view_mask, self.rows)
        fused: Tensor = self.to_features(seen)
        return fused
