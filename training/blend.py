"""Weights between those that a network was started from and those that it learnt (Wortsman et al. 2022, WiSE-FT).

Fine-tuning on windows of one kind, rendered ones or those of one room, forgets some of what the start knew of others.
Both sets of weights lie in one basin of the loss, and on a line between them there are ones that have most of what was
learnt and most of what was known.
"""

from __future__ import annotations

import torch
from torch import nn


def blend(network: nn.Module, start: nn.Module, share: float) -> None:
    """Move a network's weights, and its normalisations' statistics, a part of the way back, in place.

    Args:
        network: What was learnt.
        start: What it was started from, of the same form.
        share: 0 leaves what was learnt, 1 is the start.
    """
    before = start.state_dict()
    network.load_state_dict(
        {
            name: torch.lerp(value, before[name].to(value), share) if value.is_floating_point() else value
            for name, value in network.state_dict().items()
        }
    )
