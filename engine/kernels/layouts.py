"""How weights lie for the kernels that read them as one row: arrays one after the other, matrices as `(in, out)`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

Layout: TypeAlias = Mapping[str, tuple[int, ...]]
"""Names and shapes of arrays, in the order in which they lie."""

MIX_COLUMNS: Final = 24
"""A row of the mixing matrix: 21 joints, what they sum up to, and two that are not used."""

STPT_PAST: Final = 4
"""Frames before the present one that temporal attention sees."""

_JOINTS: Final = 21


def size_of(layout: Layout) -> int:
    """Numbers in all arrays."""
    return sum(math.prod(shape) for shape in layout.values())


def round_layout(channels: int) -> Layout:
    """The weights of a round of the feature interaction."""
    return MappingProxyType(
        {
            "mix": (_JOINTS, MIX_COLUMNS),
            "graph.norm.weight": (channels,),
            "graph.norm.bias": (channels,),
            "graph.weight": (channels, channels),
            "graph.bias": (channels,),
            "norm.weight": (channels,),
            "norm.bias": (channels,),
            "query_key_value.weight": (channels, 3 * channels),
            "query_key_value.bias": (3 * channels,),
            "from_confidence": (3 * channels,),
            "out.weight": (channels, channels),
            "out.bias": (channels,),
        }
    )


def last_layout(channels: int) -> Layout:
    """Those of the MLP at its end."""
    return MappingProxyType(
        {
            "norm.weight": (channels,),
            "norm.bias": (channels,),
            "hidden.weight": (channels, channels),
            "hidden.bias": (channels,),
            "out.weight": (channels, channels),
            "out.bias": (channels,),
        }
    )


def stpt_layout(channels: int) -> Layout:
    """Those of a block of STPT."""
    square, row = (channels, channels), (channels,)

    def linear(name: str, inner: int, outer: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (inner, outer), f"{name}.bias": (outer,)}

    def attention(name: str) -> dict[str, tuple[int, ...]]:
        return {
            **linear(f"{name}.position_in", 3, channels),
            **linear(f"{name}.position_out", *square),
            **linear(f"{name}.weight_in", *square),
            **linear(f"{name}.weight_out", *square),
            **linear(f"{name}.out", *square),
        }

    def norm(name: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": row, f"{name}.bias": row}

    return MappingProxyType(
        {
            **norm("spatial.norm"),
            **linear("spatial.query_key_value", channels, 3 * channels),
            **attention("spatial"),
            **norm("temporal.norm"),
            **linear("temporal.query_key_value", channels, 3 * channels),
            "temporal.frame_embedding": (STPT_PAST + 1, 2, channels),
            **linear("temporal.out", *square),
            **norm("cross.norm"),
            **linear("cross.query", *square),
            **attention("cross"),
            **norm("step.norm"),
            **linear("step", *square),
            "move.weight": (3, channels),
            "move.bias": (4,),
        }
    )
