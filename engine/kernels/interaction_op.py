"""`usthand::interaction`: confidence-aware feature interaction, on a GPU two kernels a round and one for the MLP.

Importing this registers the operator. On a CPU, and on a GPU that the kernels cannot be loaded on, it is made of
PyTorch's operators. What it computes is `engine.network.feature_interaction.FeatureInteraction` from its tokens on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from engine.kernels.layouts import last_layout, round_layout, size_of
from engine.kernels.library import INTERACTION_CHANNELS, INTERACTION_VIEWS
from engine.kernels.operators import check_shapes, loaded_library
from engine.kernels.weights import unpacked

_NAME: Final = "usthand::interaction"

INTERACTION_HEADS: Final = 4
"""Heads of CASA."""

_JOINTS: Final = 21
_MASKED_LOGIT: Final = -1e9

torch.library.define(
    _NAME, "(Tensor tokens, Tensor confidence, Tensor view_mask, Tensor rounds, Tensor last) -> Tensor"
)


def interaction(tokens: Tensor, confidence: Tensor, view_mask: Tensor, rounds: Tensor, last: Tensor) -> Tensor:
    """Fuse the joints of all views.

    Args:
        tokens: `(B, V, 21, C)` float32; V is at most 8, C is 128 or 256.
        confidence: `(B, V, 21)` in [0, 1].
        view_mask: `(B, V)`; masked views are seen by nobody.
        rounds: `(R, N)`: the weights of each round, as `round_layout` says.
        last: Those of the MLP, as `last_layout` says.

    Returns:
        F_fuse `(B, V, 21, C)`.

    Raises:
        ValueError: If a shape or a type is another.
    """
    fused: Tensor = torch.ops.usthand.interaction(tokens, confidence, view_mask, rounds, last)
    return fused


def _check(tokens: Tensor, confidence: Tensor, view_mask: Tensor, rounds: Tensor, last: Tensor) -> None:
    """Refuse what the kernels would not take."""
    hands, views, _, channels = tokens.shape
    check_shapes(
        _NAME,
        tokens=(tokens, (hands, views, _JOINTS, channels)),
        confidence=(confidence, (hands, views, _JOINTS)),
        view_mask=(view_mask, (hands, views)),
        rounds=(rounds, (rounds.shape[0], size_of(round_layout(channels)))),
        last=(last, (size_of(last_layout(channels)),)),
    )
    if channels not in INTERACTION_CHANNELS or views > INTERACTION_VIEWS:
        raise ValueError(f"{_NAME} takes {INTERACTION_CHANNELS} channels and {INTERACTION_VIEWS} views at most")


def _fake(tokens: Tensor, confidence: Tensor, view_mask: Tensor, rounds: Tensor, last: Tensor) -> Tensor:
    _check(tokens, confidence, view_mask, rounds, last)
    return tokens.new_empty(tokens.shape)


def _by_parts(tokens: Tensor, confidence: Tensor, view_mask: Tensor, rounds: Tensor, last: Tensor) -> Tensor:
    _check(tokens, confidence, view_mask, rounds, last)
    hands, views, joints, channels = tokens.shape
    heads = (INTERACTION_HEADS, channels // INTERACTION_HEADS)
    hidden = ((1.0 - view_mask) * _MASKED_LOGIT).repeat_interleave(joints, dim=1)[:, None, None]

    def norm(name: str, rows: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        return functional.layer_norm(rows, (channels,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    for row in rounds:
        weights = unpacked(row, round_layout(channels))
        mixed = weights["mix"][:, :joints] @ norm("graph.norm", tokens, weights)
        all_weight = weights["mix"][:, joints, None]
        tokens = tokens + torch.relu(mixed @ weights["graph.weight"] + all_weight * weights["graph.bias"])
        flat = tokens.reshape(hands, views * joints, channels)
        asked = norm("norm", flat, weights) @ weights["query_key_value.weight"] + weights["query_key_value.bias"]
        asked = asked + confidence.reshape(hands, -1, 1) * weights["from_confidence"]
        query, key, value = asked.reshape(hands, -1, 3, *heads).permute(2, 0, 3, 1, 4).unbind(0)
        attended = torch.softmax(query @ key.transpose(-1, -2) * heads[1] ** -0.5 + hidden, dim=-1) @ value
        flat = flat + attended.transpose(1, 2).reshape(flat.shape) @ weights["out.weight"] + weights["out.bias"]
        tokens = flat.reshape(tokens.shape)
    weights = unpacked(last, last_layout(channels))
    inner = torch.relu(norm("norm", tokens, weights) @ weights["hidden.weight"] + weights["hidden.bias"])
    return (inner @ weights["out.weight"] + weights["out.bias"]).contiguous()


def _launched(tokens: Tensor, confidence: Tensor, view_mask: Tensor, rounds: Tensor, last: Tensor) -> Tensor:
    library = loaded_library(tokens.device.index)
    if library is None:
        return _by_parts(tokens, confidence, view_mask, rounds, last)
    _check(tokens, confidence, view_mask, rounds, last)
    if any(tensor.device != tokens.device for tensor in (confidence, view_mask, rounds, last)):
        raise ValueError(f"{_NAME}: all its tensors must be on {tokens.device}")
    tokens, confidence, view_mask = tokens.contiguous(), confidence.contiguous(), view_mask.contiguous()
    rounds, last = rounds.contiguous(), last.contiguous()
    stream = torch.cuda.current_stream(tokens.device).cuda_stream
    hands, views, _, channels = tokens.shape
    sizes = {"hands": hands, "views": views, "channels": channels}
    convolved, attended = torch.empty_like(tokens), torch.empty_like(tokens)
    asked = tokens.new_empty((hands, views, _JOINTS, 3, channels))
    for number in range(len(rounds)):
        library.interaction_convolve(
            stream,
            [tensor.data_ptr() for tensor in (rounds, tokens, confidence, convolved, asked)],
            number=number,
            **sizes,
        )
        library.interaction_attend(
            stream,
            [tensor.data_ptr() for tensor in (rounds, convolved, asked, view_mask, attended)],
            number=number,
            **sizes,
        )
        tokens = attended
    fused = torch.empty_like(tokens)
    library.interaction_finish(stream, [tensor.data_ptr() for tensor in (last, tokens, fused)], **sizes)
    return fused


torch.library.register_fake(_NAME, _fake)
torch.library.impl(_NAME, "CPU", _by_parts)
torch.library.impl(_NAME, "CUDA", _launched)
