"""The Spatiotemporal Point Transformer of a network, replaced by the project's own kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.kernels.layouts import STPT_PAST, stpt_layout
from engine.kernels.library import MOST_POINTS, STPT_CHANNELS, STPT_NEIGHBORS
from engine.kernels.stpt_op import STPT_HEADS, STPT_SPATIAL, stpt
from engine.kernels.weights import packed
from engine.network.config import JOINTS, NetworkConfig
from engine.network.network import UstHandNetwork
from engine.network.point_transformer import PointTransformer, StptBlock


def fits(config: NetworkConfig) -> bool:
    """Whether the kernels take the transformer of a network."""
    return (
        config.blocks > 0
        and config.point_channels in STPT_CHANNELS
        and config.attention_heads == STPT_HEADS
        and (config.past, config.lookahead) == (STPT_PAST, 0)
        and (config.spatial_neighbors, config.anchor_neighbors) == (STPT_SPATIAL, STPT_NEIGHBORS)
        and config.hypotheses * JOINTS <= MOST_POINTS
        and config.use_spatial_attention
        and config.use_temporal_attention
        and config.use_cross_attention
    )


def refine_by_kernels(network: UstHandNetwork) -> None:
    """Replace the transformer of a network, in place, if the kernels take it."""
    if fits(network.config):
        network.transformer = KernelTransformer(network.transformer)  # type: ignore[assignment] # it is called as that is


class KernelTransformer(nn.Module):
    """A `PointTransformer` for single frames, by kernels.

    Args:
        transformer: The transformer; `fits` its network.
    """

    weights: Tensor
    key_value_weight: Tensor
    key_value_bias: Tensor

    def __init__(self, transformer: PointTransformer) -> None:
        super().__init__()
        self.anchor_norm = transformer.anchor_norm
        blocks = [block for block in transformer.blocks if isinstance(block, StptBlock)]
        self.register_buffer("weights", torch.stack([_packed_block(block) for block in blocks]))
        # All blocks look at the same anchors: one product makes what they read of them.
        products = [block.cross.to_key_value for block in blocks if block.cross is not None]
        self.register_buffer("key_value_weight", torch.cat([product.weight for product in products]))
        self.register_buffer("key_value_bias", torch.cat([product.bias for product in products]))

    def forward(
        self,
        places: Tensor,
        features: Tensor,
        anchor_places: Tensor,
        anchor_features: Tensor,
        valid: Tensor,
        state: Tensor,
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Refine the query points of one frame; as `PointTransformer`, but of the places only the last are returned."""
        normed = self.anchor_norm(anchor_features)
        keys_values = functional.linear(normed, self.key_value_weight, self.key_value_bias)
        keys_values = keys_values.reshape(*normed.shape[:-1], len(self.weights), 2, features.shape[-1])
        places, features, state = stpt(places, features, anchor_places, keys_values, valid, state, self.weights)
        return [places], features, state


def _packed_block(block: StptBlock) -> Tensor:
    """A block's weights `(N,)`, as the kernels read them."""
    spatial, temporal, cross = block.spatial, block.temporal, block.cross
    if spatial is None or temporal is None or cross is None:
        raise ValueError("a block without one of its attentions has no kernel; see `fits`")
    step_norm, step = block.step[0], block.step[1]
    modules: dict[str, nn.Module] = {
        "spatial.norm": spatial.norm,
        "spatial.position_in": spatial.position[0],
        "spatial.position_out": spatial.position[2],
        "spatial.weight_in": spatial.weight[0],
        "spatial.weight_out": spatial.weight[2],
        "spatial.out": spatial.to_out,
        "temporal.norm": temporal.norm,
        "temporal.query_key_value": temporal.to_qkv,
        "temporal.out": temporal.to_out,
        "cross.norm": cross.norm,
        "cross.query": cross.to_query,
        "cross.position_in": cross.position[0],
        "cross.position_out": cross.position[2],
        "cross.weight_in": cross.weight[0],
        "cross.weight_out": cross.weight[2],
        "cross.out": cross.to_out,
        "step.norm": step_norm,
        "step": step,
    }
    pieces: dict[str, Tensor] = {}
    for name, module in modules.items():
        weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
        pieces |= {f"{name}.weight": weight.T if weight.ndim == 2 else weight, f"{name}.bias": bias}
    asks = spatial.to_query, spatial.to_key_value
    pieces["spatial.query_key_value.weight"] = torch.cat([ask.weight for ask in asks]).T
    pieces["spatial.query_key_value.bias"] = torch.cat([ask.bias for ask in asks])
    pieces["temporal.frame_embedding"] = temporal.frame_embedding
    pieces["move.weight"] = block.to_move.weight
    pieces["move.bias"] = functional.pad(block.to_move.bias, (0, 1))
    return packed(pieces, stpt_layout(block.to_move.in_features))
