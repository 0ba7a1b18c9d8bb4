"""Colours change alike in all frames of a window, and differently from view to view."""

from __future__ import annotations

from dataclasses import replace

import torch

from training.augmentation import jitter_colors
from training.samples import Batch


def _batch() -> Batch:
    shape = (2, 3, 4)
    return Batch(
        crops=torch.full((*shape, 32, 32, 3), 100, dtype=torch.uint8),
        projections=torch.zeros((*shape, 3, 4)),
        view_mask=torch.ones(shape),
        labels=torch.zeros((*shape, 21, 2)),
        label_confidence=torch.ones((*shape, 21)),
    )


def test_each_channel_of_each_view_has_one_gain_for_all_frames() -> None:
    jittered = jitter_colors(_batch(), 0.3, torch.Generator().manual_seed(1)).crops
    assert jittered.dtype == torch.uint8
    flat = jittered.reshape(2, 3, 4, -1, 3)
    assert (flat == flat[:, :1, :, :1]).all()
    gains = flat[:, 0, :, 0].unique()
    assert len(gains) > 12
    assert 70 <= gains.min() < 80
    assert 120 < gains.max() <= 130


def test_bright_pixels_stay_bright_and_nothing_else_changes() -> None:
    batch = _batch()
    white = replace(batch, crops=torch.full_like(batch.crops, 255))
    jittered = jitter_colors(white, 0.3, torch.Generator().manual_seed(1))
    assert jittered.crops.min() >= 178
    assert jittered.crops.max() == 255
    assert jittered.labels is white.labels
    assert jitter_colors(batch, 0.0, torch.Generator()) is batch
