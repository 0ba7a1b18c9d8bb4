"""Small fixed tensors where a network runs: a GPU gets each once, not with a wait in every pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Numbers: TypeAlias = Sequence[float] | Sequence[Sequence[float]]

_kept: dict[tuple[int, torch.device, torch.dtype], tuple[Numbers, Tensor]] = {}


def constant(numbers: Numbers, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return numbers of a module as a tensor on a device, to be read only.

    Making one on a GPU waits until all that was asked of it before is done, and cannot be captured in a CUDA graph. So
    it is made once for each device and kept. What traces the network gets a new one: its tensors are not real ones.

    Args:
        numbers: A module's constant, which lives as long as the program: the object is the key, not what it holds.
        device: Where.
        dtype: As what.
    """
    if device.type != "cuda" or torch.compiler.is_compiling():
        return torch.tensor(numbers, device=device, dtype=dtype)
    key = (id(numbers), device, dtype)
    if key not in _kept:
        # Gradients must be able to flow past it, also when the first who asks wants none.
        with torch.inference_mode(False):
            made = torch.tensor(numbers, device=device, dtype=dtype)
        if type(made) is not Tensor:
            return made
        _kept[key] = (numbers, made)
    return _kept[key][1]
