"""Confidence-aware feature interaction (sec. 3.2): adaptive GCN and CASA in turn, then F_fuse."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.hand_model.model import PARENTS_21
from engine.network.config import JOINTS, NetworkConfig

# Added to the logits of what must not be attended to. Finite, so that a row of nothing else stays a number.
MASKED_LOGIT = -1e9


def skeleton_adjacency() -> Tensor:
    """The hand's bones and the joints themselves as a symmetrically normalised adjacency `(21, 21)`."""
    adjacency = torch.eye(JOINTS)
    for joint, parent in enumerate(PARENTS_21):
        if parent >= 0:
            adjacency[joint, parent] = adjacency[parent, joint] = 1.0
    degree = adjacency.sum(dim=1).rsqrt()
    return adjacency * degree[:, None] * degree[None, :]


class AdaptiveGcn(nn.Module):
    """Graph convolution over a view's joints; its adjacency is the skeleton's plus one that is learned.

    Args:
        channels: Width.
    """

    adjacency: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.register_buffer("adjacency", skeleton_adjacency(), persistent=False)
        self.learned_adjacency = nn.Parameter(torch.zeros(JOINTS, JOINTS))
        self.linear = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Pass tokens `(..., 21, C)` along the bones; residual."""
        mixed = (self.adjacency + self.learned_adjacency) @ self.linear(self.norm(tokens))
        return tokens + torch.relu(mixed)


class ConfidenceAwareAttention(nn.Module):
    """CASA (eq. 4-5): self-attention over all joints of all views, whose Q, K and V see each token's confidence.

    Args:
        channels: Width.
        heads: Heads; they divide it.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.to_qkv = nn.Linear(channels + 1, 3 * channels)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, confidence: Tensor, logit_mask: Tensor) -> Tensor:
        """Let tokens look at each other; residual.

        Args:
            tokens: `(B, N, C)`, all joints of all views.
            confidence: `(B, N)` in [0, 1].
            logit_mask: `(B, 1, 1, N)`: 0, or `MASKED_LOGIT` for tokens of masked views.

        Returns:
            `(B, N, C)`.
        """
        batch, count, channels = tokens.shape
        augmented = torch.cat([self.norm(tokens), confidence[..., None]], dim=-1)
        q, k, v = self.to_qkv(augmented).reshape(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        logits = q @ k.transpose(-1, -2) * (channels // self.heads) ** -0.5 + logit_mask
        attended = torch.softmax(logits, dim=-1) @ v
        return tokens + self.to_out(attended.transpose(1, 2).reshape(batch, count, channels))


class FeatureInteraction(nn.Module):
    """Rounds of adaptive GCN and CASA over the joint graphs of all views, and the MLP that makes F_fuse.

    Args:
        graph_channels: D of G_init.
        config: Width, rounds and switches.
    """

    def __init__(self, graph_channels: int, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.fusion_channels
        self.embed = nn.Linear(graph_channels + 1, channels)
        self.joint_embedding = nn.Parameter(torch.randn(JOINTS, channels) * 0.02)
        rounds = range(config.fusion_rounds)
        self.gcns = nn.ModuleList(AdaptiveGcn(channels) for _ in rounds) if config.use_gcn else None
        self.attentions = (
            nn.ModuleList(ConfidenceAwareAttention(channels, config.attention_heads) for _ in rounds)
            if config.use_casa
            else None
        )
        self.rounds = config.fusion_rounds
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )

    def forward(self, graph: Tensor, confidence: Tensor, view_mask: Tensor) -> Tensor:
        """Fuse the views' joint graphs.

        Args:
            graph: G_init `(B, V, 21, D)`.
            confidence: `(B, V, 21)` in [0, 1].
            view_mask: `(B, V)`; masked views are seen by nobody.

        Returns:
            F_fuse `(B, V, 21, C)`.
        """
        tokens = self.embed(torch.cat([graph, confidence[..., None]], dim=-1)) + self.joint_embedding
        batch, views, joints, channels = tokens.shape
        masked = (1.0 - view_mask) * MASKED_LOGIT
        logit_mask = masked[:, None, None, :, None].expand(batch, 1, 1, views, joints).reshape(batch, 1, 1, -1)
        for index in range(self.rounds):
            if self.gcns is not None:
                tokens = self.gcns[index](tokens)
            if self.attentions is not None:
                flat = tokens.reshape(batch, views * joints, channels)
                flat = self.attentions[index](flat, confidence.reshape(batch, views * joints), logit_mask)
                tokens = flat.reshape(batch, views, joints, channels)
        fused: Tensor = self.mlp(tokens)
        return fused
