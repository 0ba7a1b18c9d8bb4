"""`usthand::stpt`: a frame's pass through the Spatiotemporal Point Transformer, on a GPU one kernel a block.

Importing this registers the operator. On a CPU, and on a GPU that the kernels cannot be loaded on, it is made of
PyTorch's operators. What it computes is `engine.network.point_transformer.PointTransformer` for single frames, but for
the product that makes the anchors' keys and values, which all blocks share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from engine.kernels.knn_op import knn
from engine.kernels.layouts import STPT_PAST, size_of, stpt_layout
from engine.kernels.library import STPT_CHANNELS, STPT_NEIGHBORS
from engine.kernels.operators import check_shapes, loaded_library
from engine.kernels.weights import unpacked

_NAME: Final = "usthand::stpt"

STPT_HEADS: Final = 4
"""Heads of temporal attention."""

STPT_SPATIAL: Final = 8
"""Query points that a query point looks at, itself included."""

_JOINTS: Final = 21
_MASKED_LOGIT: Final = -1e9

torch.library.define(
    _NAME,
    "(Tensor places, Tensor features, Tensor anchor_places, Tensor anchor_keys_values, Tensor valid, Tensor state, "
    "Tensor weights) -> (Tensor, Tensor, Tensor)",
)


def stpt(
    places: Tensor,
    features: Tensor,
    anchor_places: Tensor,
    anchor_keys_values: Tensor,
    valid: Tensor,
    state: Tensor,
    weights: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Refine the query points of one frame of B hands in K blocks.

    Args:
        places: C_Q `(B, 21, 3)` float32, the hand's frame.
        features: F_Q `(B, 21, D)`; D is 96 or 128.
        anchor_places: C_A `(B, A, 3)`, A in 16..1344.
        anchor_keys_values: `(B, A, K, 2, D)`.
        valid: `(B, 5)`: 1 where a frame may be looked at by others; this one last.
        state: Keys and values of the frames before `(B, K, 2, 4, 21, D)`.
        weights: `(K, N)`: of each block one after the other, as `engine.kernels.layouts.stpt_layout` says.

    Returns:
        Places, features, and the state after this frame.

    Raises:
        ValueError: If a shape or a type is another.
    """
    refined: tuple[Tensor, Tensor, Tensor] = torch.ops.usthand.stpt(
        places, features, anchor_places, anchor_keys_values, valid, state, weights
    )
    return refined


def _check(
    places: Tensor,
    features: Tensor,
    anchor_places: Tensor,
    anchor_keys_values: Tensor,
    valid: Tensor,
    state: Tensor,
    weights: Tensor,
) -> None:
    """Refuse what the kernels would not take."""
    hands, _, channels = features.shape
    blocks, anchors = weights.shape[0], anchor_places.shape[1]
    size = size_of(stpt_layout(channels))
    check_shapes(
        _NAME,
        places=(places, (hands, _JOINTS, 3)),
        features=(features, (hands, _JOINTS, channels)),
        anchor_places=(anchor_places, (hands, anchors, 3)),
        anchor_keys_values=(anchor_keys_values, (hands, anchors, blocks, 2, channels)),
        valid=(valid, (hands, STPT_PAST + 1)),
        state=(state, (hands, blocks, 2, STPT_PAST, _JOINTS, channels)),
        weights=(weights, (blocks, size)),
    )
    if channels not in STPT_CHANNELS or anchors < STPT_NEIGHBORS:
        raise ValueError(f"{_NAME} takes {STPT_CHANNELS} channels and {STPT_NEIGHBORS} anchors or more")


def _fake(*given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    _check(*given)
    places, features, _, _, _, state, _ = given
    return places.new_empty(places.shape), features.new_empty(features.shape), state.new_empty(state.shape)


def _by_parts(*given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    _check(*given)
    places, features, anchor_places, anchor_keys_values, valid, state, weights = given
    channels = features.shape[-1]
    shapes = stpt_layout(channels)
    kept = []
    for number, row in enumerate(weights):
        block = unpacked(row, shapes)

        def linear(name: str, rows: Tensor, block: Mapping[str, Tensor] = block) -> Tensor:
            return rows @ block[f"{name}.weight"] + block[f"{name}.bias"]

        def norm(name: str, rows: Tensor, block: Mapping[str, Tensor] = block) -> Tensor:
            return functional.layer_norm(rows, (rows.shape[-1],), block[f"{name}.weight"], block[f"{name}.bias"])

        def attend(
            name: str, query: Tensor, points: Tensor, keys_values: Tensor, count: int, origin: Tensor = places
        ) -> Tensor:
            around = knn(origin.contiguous(), points.contiguous(), count)
            hand = torch.arange(len(points), device=points.device)[:, None, None]
            key, value = keys_values[hand, around].unbind(-2)
            hidden = torch.relu(linear(f"{name}.position_in", origin[:, :, None] - points[hand, around]))
            delta = linear(f"{name}.position_out", hidden)
            hidden = torch.relu(linear(f"{name}.weight_in", query[:, :, None] - key + delta))
            weight = torch.softmax(linear(f"{name}.weight_out", hidden), dim=2)
            return linear(f"{name}.out", (weight * (value + delta)).sum(dim=2))

        asked = linear("spatial.query_key_value", norm("spatial.norm", features))
        keys_values = asked[..., channels:].reshape(*asked.shape[:2], 2, channels)
        features = features + attend("spatial", asked[..., :channels], places, keys_values, STPT_SPATIAL)

        asked = linear("temporal.query_key_value", norm("temporal.norm", features))
        present = asked[..., channels:].reshape(*asked.shape[:2], 2, channels).permute(0, 2, 1, 3)
        stacked = torch.cat([state[:, number], present[:, :, None]], dim=2)
        kept.append(stacked[:, :, 1:])
        band = stacked + block["temporal.frame_embedding"].transpose(0, 1)[:, :, None]
        heads = (STPT_HEADS, channels // STPT_HEADS)
        key, value = (part.reshape(*part.shape[:-1], *heads) for part in band.unbind(1))  # (B, band, 21, heads, width)
        query = asked[..., :channels].reshape(-1, 1, _JOINTS, *heads)
        usable = torch.cat([valid[:, :STPT_PAST], torch.ones_like(valid[:, :1])], dim=1)
        logits = (query * key).sum(dim=-1) * heads[1] ** -0.5 + ((1.0 - usable) * _MASKED_LOGIT)[:, :, None, None]
        attended = (torch.softmax(logits, dim=1)[..., None] * value).sum(dim=1).flatten(2)
        features = features + linear("temporal.out", attended)

        query = linear("cross.query", norm("cross.norm", features))
        features = features + attend("cross", query, anchor_places, anchor_keys_values[:, :, number], STPT_NEIGHBORS)

        moved = torch.relu(linear("step", norm("step.norm", features)))
        places = places + moved @ block["move.weight"].T + block["move.bias"][:3]
        features = features + moved
    return places.contiguous(), features.contiguous(), torch.stack(kept, dim=1)


def _launched(*given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    device = given[0].device
    library = loaded_library(device.index)
    if library is None:
        return _by_parts(*given)
    _check(*given)
    if any(tensor.device != device for tensor in given):
        raise ValueError(f"{_NAME}: its tensors are on {', '.join(sorted({str(tensor.device) for tensor in given}))}")
    places, features, anchor_places, anchor_keys_values, valid, state, weights = (
        tensor.contiguous() for tensor in given
    )
    stream = torch.cuda.current_stream(device).cuda_stream
    hands, _, channels = features.shape
    points = hands * _JOINTS
    asked = features.new_empty((hands, _JOINTS, 3, channels))
    kept = torch.empty_like(state)
    library.stpt_start(
        stream, weights.data_ptr(), features.data_ptr(), asked.data_ptr(), points_count=points, channels=channels
    )
    for number in range(len(weights)):
        # Others of the launch still read what was before: what is written lies elsewhere.
        written = torch.empty_like(places), torch.empty_like(features), torch.empty_like(asked), kept
        read = weights, places, features, asked, anchor_places, anchor_keys_values, valid, state
        library.stpt_refine(
            stream,
            [tensor.data_ptr() for tensor in (*read, *written)],
            points_count=points,
            anchors_count=anchor_places.shape[1],
            number=number,
            count=len(weights),
            channels=channels,
        )
        places, features, asked, _ = written
    return places, features, kept


torch.library.register_fake(_NAME, _fake)
torch.library.impl(_NAME, "CPU", _by_parts)
torch.library.impl(_NAME, "CUDA", _launched)
