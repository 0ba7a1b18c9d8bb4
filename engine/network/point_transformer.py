"""The Spatiotemporal Point Transformer, STPT (sec. 3.5, eq. 9-12), batch-wise or frame by frame.

Temporal attention is a band: a frame sees itself, `past` frames before it and `lookahead` after it, in every block.
Without lookahead, what a frame needs of earlier ones are the keys and values that its blocks made then. They are the
state: fed back frame by frame they give what the whole sequence at once would give, and no frame is computed twice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.kernels.knn_op import kernel_fits, knn
from engine.network.config import JOINTS, NetworkConfig
from engine.network.feature_interaction import MASKED_LOGIT


def nearest(queries: Tensor, points: Tensor, count: int) -> Tensor:
    """Find each query's nearest points.

    Args:
        queries: `(B, Q, 3)`.
        points: `(B, P, 3)`.
        count: So many of them.

    Returns:
        Indices `(B, Q, count)` among the points, nearest first.
    """
    if kernel_fits(queries, points, count):
        return knn(queries, points, count)
    # On a CPU, and what is exported.
    squared = (queries[:, :, None] - points[:, None]).square().sum(dim=-1)
    return squared.topk(count, dim=-1, largest=False).indices


def gather_points(values: Tensor, indices: Tensor, first: Tensor) -> Tensor:
    """Pick rows of `(B, P, C)` by indices `(B, Q, k)`: `(B, Q, k, C)`.

    Args:
        values: The rows.
        indices: Which of them.
        first: Where each batch's rows begin when all lie in one list `(B, 1, 1)`; see `first_rows`.
    """
    picked = values.flatten(0, 1).index_select(0, (indices + first).flatten())
    return picked.reshape(*indices.shape, values.shape[-1])


def first_rows(values: Tensor) -> Tensor:
    """Where the rows of each batch of `(B, P, C)` begin in one list `(B, 1, 1)`."""
    batch, count = values.shape[:2]
    return torch.arange(batch, device=values.device)[:, None, None] * count


class VectorAttention(nn.Module):
    """Point Transformer's vector attention over neighbours (ref. 66), with relative position encoding.

    For a query i and its neighbours j: y_i = sum_j softmax_j(gamma(q_i - k_j + delta_ij)) * (v_j + delta_ij), with
    delta_ij = theta(C_i - C_j).

    Args:
        channels: Width.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.to_query = nn.Linear(channels, channels)
        self.to_key_value = nn.Linear(channels, 2 * channels)
        self.position = nn.Sequential(nn.Linear(3, channels), nn.ReLU(), nn.Linear(channels, channels))
        self.weight = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels))
        self.to_out = nn.Linear(channels, channels)

    def forward(
        self,
        queries: Tensor,
        query_places: Tensor,
        points: Tensor,
        point_places: Tensor,
        indices: Tensor,
        first: Tensor,
    ) -> Tensor:
        """Let queries look at their neighbours; residual.

        Args:
            queries: Features `(B, Q, D)`.
            query_places: Coordinates `(B, Q, 3)`.
            points: Features `(B, P, D)`; normalised already if they are not the queries themselves.
            point_places: Coordinates `(B, P, 3)`.
            indices: Each query's neighbours `(B, Q, k)`.
            first: `first_rows(points)`.

        Returns:
            Features `(B, Q, D)`.
        """
        key_value = gather_points(torch.cat([self.to_key_value(points), point_places], dim=-1), indices, first)
        channels = queries.shape[-1]
        key, value, places = key_value.split([channels, channels, 3], dim=-1)
        delta = self.position(query_places[:, :, None] - places)
        weight = torch.softmax(self.weight(self.to_query(self.norm(queries))[:, :, None] - key + delta), dim=2)
        return queries + self.to_out((weight * (value + delta)).sum(dim=2))


class TemporalAttention(nn.Module):
    """Self-attention of each joint along time, over the band (eq. 10).

    The frame-wise positional embeddings are those of the distance in time, so that they mean the same wherever the
    frame stands in a sequence.

    Args:
        channels: Width.
        heads: Heads.
        past: Frames before the present one.
        lookahead: Frames after it.
    """

    def __init__(self, channels: int, heads: int, past: int, lookahead: int) -> None:
        super().__init__()
        self.heads, self.past, self.lookahead = heads, past, lookahead
        self.norm = nn.LayerNorm(channels)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.frame_embedding = nn.Parameter(torch.randn(past + 1 + lookahead, 2, channels) * 0.02)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, features: Tensor, valid: Tensor, past_keys_values: Tensor) -> tuple[Tensor, Tensor]:
        """Let each joint look along time; residual.

        Args:
            features: `(B, T, J, D)`.
            valid: `(B, past + T)`: 1 where a frame may be looked at by others; the past first.
            past_keys_values: `(B, 2, past, J, D)` of the frames before.

        Returns:
            Features `(B, T, J, D)`; keys and values of the last `past` frames.
        """
        batch, frames, joints, channels = features.shape
        query, keys, values = self.to_qkv(self.norm(features)).split(channels, dim=-1)
        stacked = torch.cat([past_keys_values, torch.stack([keys, values], dim=1)], dim=2)
        # (B, T, J, heads, band, channels of a head)
        band, usable = self._band(stacked, valid, frames)
        band = band + self.frame_embedding.transpose(0, 1)[:, None, :, None]
        key, value = band.reshape(batch, 2, frames, -1, joints, self.heads, channels // self.heads).unbind(1)
        key, value = key.permute(0, 1, 3, 4, 2, 5), value.permute(0, 1, 3, 4, 2, 5)
        query = query.reshape(batch, frames, joints, self.heads, 1, -1)
        logits = (query * key).sum(dim=-1) * (channels // self.heads) ** -0.5
        logits = logits + ((1.0 - usable) * MASKED_LOGIT)[:, :, None, None]
        attended = (torch.softmax(logits, dim=-1)[..., None] * value).sum(dim=-2).reshape(features.shape)
        return features + self.to_out(attended), stacked[:, :, stacked.shape[2] - self.past :]

    def _band(self, stacked: Tensor, valid: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """What each frame sees: keys and values `(B, 2, T, band, J, D)` and whether it may `(B, T, band)`."""
        width = self.past + 1 + self.lookahead
        if self.lookahead:
            stacked = torch.cat([stacked, torch.zeros_like(stacked[:, :, : self.lookahead])], dim=2)
            valid = torch.cat([valid, torch.zeros_like(valid[:, : self.lookahead])], dim=1)
        # A frame always sees itself, also when nobody else may look at it.
        itself = torch.zeros(width, device=valid.device)
        itself[self.past] = 1.0
        if frames == 1:
            return stacked[:, :, None, :width], torch.maximum(valid[:, None, :width], itself)
        steps = torch.arange(frames, device=valid.device)[:, None] + torch.arange(width, device=valid.device)
        return stacked[:, :, steps], torch.maximum(valid[:, steps], itself)


class StptBlock(nn.Module):
    """One refinement: spatial, temporal and cross attention, then a step of the query points.

    Args:
        config: Widths, neighbours and switches.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.point_channels
        self.spatial_neighbors = config.spatial_neighbors
        self.anchor_neighbors = config.anchor_neighbors
        self.spatial = VectorAttention(channels) if config.use_spatial_attention else None
        self.temporal = (
            TemporalAttention(channels, config.attention_heads, config.past, config.lookahead)
            if config.use_temporal_attention
            else None
        )
        self.cross = VectorAttention(channels) if config.use_cross_attention else None
        self.step = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels), nn.ReLU())
        self.to_move = nn.Linear(channels, 3)
        # Small: the first answer is the triangulation.
        nn.init.normal_(self.to_move.weight, std=1e-3)
        nn.init.zeros_(self.to_move.bias)

    def forward(
        self,
        places: Tensor,
        features: Tensor,
        anchor_places: Tensor,
        anchor_features: Tensor,
        valid: Tensor,
        past_keys_values: Tensor,
        first_queries: Tensor,
        first_anchors: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Refine the query points of T frames of B hands, hand by hand, N = B T.

        Args:
            places: C_Q `(N, 21, 3)`, the hand's frame.
            features: F_Q `(N, 21, D)`.
            anchor_places: C_A `(N, A, 3)`.
            anchor_features: F_A `(N, A, D)`.
            valid: `(B, past + T)`.
            past_keys_values: `(B, 2, past, 21, D)`.
            first_queries: `first_rows` of the query points.
            first_anchors: `first_rows` of the anchors.

        Returns:
            Places, features, and the keys and values of the last frames.
        """
        if self.spatial is not None:
            around = nearest(places, places, self.spatial_neighbors)
            features = self.spatial(features, places, self.spatial.norm(features), places, around, first_queries)
        if self.temporal is not None:
            sequence = features.reshape(past_keys_values.shape[0], -1, JOINTS, features.shape[-1])
            sequence, past_keys_values = self.temporal(sequence, valid, past_keys_values)
            features = sequence.reshape(features.shape)
        if self.cross is not None:
            around = nearest(places, anchor_places, self.anchor_neighbors)
            features = self.cross(features, places, anchor_features, anchor_places, around, first_anchors)
        moved = self.step(features)
        return places + self.to_move(moved), features + moved, past_keys_values


class PointTransformer(nn.Module):
    """K blocks of STPT.

    Args:
        config: Widths, blocks, neighbours and switches.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(StptBlock(config) for _ in range(config.blocks))
        self.anchor_norm = nn.LayerNorm(config.point_channels)

    def forward(
        self,
        places: Tensor,
        features: Tensor,
        anchor_places: Tensor,
        anchor_features: Tensor,
        valid: Tensor,
        state: Tensor,
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Refine the query points; arguments as in `StptBlock`, with the state `(B, K, 2, past, 21, D)` of all blocks.

        Returns:
            The places after each block `(N, 21, 3)`, the features F_Q `(N, 21, D)` and the new state.
        """
        anchor_features = self.anchor_norm(anchor_features)
        first = first_rows(places), first_rows(anchor_places)
        refined: list[Tensor] = []
        kept: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            places, features, keys_values = block(
                places, features, anchor_places, anchor_features, valid, state[:, index], *first
            )
            refined.append(places)
            kept.append(keys_values)
        return refined, features, torch.stack(kept, dim=1) if kept else state
