"""Bringing data to where a method is, without waiting for what it does there."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on a device.

    To a GPU it goes through page-locked memory: the copy takes its place behind what was asked of the GPU before, and
    nobody waits for it.
    """
    if torch.device(device).type != "cuda" or tensor.device.type != "cpu" or not torch.cuda.is_available():
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
