"""Weights of a kernel: arrays that lie one after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from engine.kernels.layouts import Layout


def packed(pieces: Mapping[str, Tensor], layout: Layout) -> Tensor:
    """All arrays as one row of float32.

    Raises:
        ValueError: If one has another shape.
    """
    for name, shape in layout.items():
        if tuple(pieces[name].shape) != shape:
            raise ValueError(f"{name} has {tuple(pieces[name].shape)}, where the kernels read {shape}")
    return torch.cat([pieces[name].detach().reshape(-1) for name in layout]).float()


def unpacked(row: Tensor, layout: Layout) -> dict[str, Tensor]:
    """The arrays of a row, in place."""
    pieces = torch.split(row, [math.prod(shape) for shape in layout.values()])
    return {name: piece.view(shape) for (name, shape), piece in zip(layout.items(), pieces, strict=True)}
