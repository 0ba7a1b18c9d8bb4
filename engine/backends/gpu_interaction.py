"""The feature interaction of a network, replaced by the project's own kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.kernels.interaction_op import INTERACTION_HEADS, interaction
from engine.kernels.layouts import MIX_COLUMNS, last_layout, round_layout
from engine.kernels.library import INTERACTION_CHANNELS, INTERACTION_VIEWS
from engine.kernels.weights import packed
from engine.network.config import JOINTS, NetworkConfig
from engine.network.feature_interaction import AdaptiveGcn, ConfidenceAwareAttention, FeatureInteraction
from engine.network.network import UstHandNetwork


def fits(config: NetworkConfig) -> bool:
    """Whether the kernels take the interaction of a network."""
    return (
        config.fusion_channels in INTERACTION_CHANNELS
        and config.attention_heads == INTERACTION_HEADS
        and config.use_gcn
        and config.use_casa
    )


def interact_by_kernels(network: UstHandNetwork) -> None:
    """Replace the feature interaction of a network, in place, if the kernels take it."""
    if fits(network.config):
        network.interaction = KernelInteraction(network.interaction)  # type: ignore[assignment] # it is called as that is


class KernelInteraction(nn.Module):
    """A `FeatureInteraction`, by kernels.

    Args:
        plain: The interaction; `fits` its network.
    """

    rounds: Tensor
    last: Tensor

    def __init__(self, plain: FeatureInteraction) -> None:
        super().__init__()
        self.plain = plain
        if plain.gcns is None or plain.attentions is None:
            raise ValueError("an interaction without one of its parts has no kernels; see `fits`")
        channels = plain.embed.out_features
        rows = []
        for gcn, attention in zip(plain.gcns, plain.attentions, strict=True):
            if isinstance(gcn, AdaptiveGcn) and isinstance(attention, ConfidenceAwareAttention):
                rows.append(_packed_round(gcn, attention))
        self.register_buffer("rounds", torch.stack(rows))
        norm, hidden, _, out = plain.mlp
        pieces = {**_affine("norm", norm), **_affine("hidden", hidden), **_affine("out", out)}
        self.register_buffer("last", packed(pieces, last_layout(channels)))

    def forward(self, graph: Tensor, confidence: Tensor, view_mask: Tensor) -> Tensor:
        """Fuse the views' joint graphs; as `FeatureInteraction`."""
        if view_mask.shape[1] > INTERACTION_VIEWS:
            fused: Tensor = self.plain(graph, confidence, view_mask)
            return fused
        tokens = self.plain.embed(torch.cat([graph, confidence[..., None]], dim=-1)) + self.plain.joint_embedding
        return interaction(tokens, confidence, view_mask, self.rounds, self.last)


def _affine(name: str, module: nn.Module) -> dict[str, Tensor]:
    """A matrix as `(in, out)`, or a norm's scale, and what is added."""
    weight = module.get_parameter("weight")
    return {f"{name}.weight": weight.T if weight.ndim == 2 else weight, f"{name}.bias": module.get_parameter("bias")}


def _packed_round(gcn: AdaptiveGcn, attention: ConfidenceAwareAttention) -> Tensor:
    """A round's weights `(N,)`, as the kernels read them."""
    mix = gcn.adjacency + gcn.learned_adjacency
    to_qkv = attention.to_qkv
    pieces = {
        "mix": functional.pad(torch.cat([mix, mix.sum(dim=1, keepdim=True)], dim=1), (0, MIX_COLUMNS - JOINTS - 1)),
        **_affine("graph.norm", gcn.norm),
        **_affine("graph", gcn.linear),
        **_affine("norm", attention.norm),
        # Its last input is the confidence.
        "query_key_value.weight": to_qkv.weight[:, :-1].T,
        "query_key_value.bias": to_qkv.bias,
        "from_confidence": to_qkv.weight[:, -1],
        **_affine("out", attention.to_out),
    }
    return packed(pieces, round_layout(gcn.linear.in_features))
