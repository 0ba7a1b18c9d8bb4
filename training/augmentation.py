"""Augmentation of batches; that of geometry is made where crops are cut (`training.crop_jitter.CropJitter`)."""

from __future__ import annotations

from dataclasses import replace

import torch

from training.devices import sent
from training.distributed import drawn
from training.samples import Batch


def jitter_colors(batch: Batch, amount: float, generator: torch.Generator) -> Batch:
    """Scale each colour channel of each view by a factor of its own, the same in all frames (sec. 4.2).

    Args:
        batch: The batch.
        amount: Factors are drawn evenly from 1 - amount to 1 + amount; 0 changes nothing, nor does anything
            where a fixed trunk has seen the crops already.
        generator: Where chance comes from, on the CPU.

    Returns:
        The batch with other crops.
    """
    if amount == 0.0 or batch.levels is not None:
        return batch
    hands, _, views = batch.view_mask.shape
    chance = sent(drawn(generator, (hands, 1, views, 1, 1, 3), normal=False), batch.crops.device)
    gain = 1.0 + amount * (2.0 * chance - 1.0)
    return replace(batch, crops=(batch.crops * gain).round_().clamp_(0.0, 255.0).to(torch.uint8))
