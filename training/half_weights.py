"""Weights that half precision holds exactly: a GPU then computes with the very numbers that were measured.

Of what half precision moves joints by, rounded weights are the greater part, since they err alike in every frame.
"""

from __future__ import annotations

import torch
from torch import nn

from engine.network.backbones.base import Backbone, StagedBackbone


def round_to_half(trunk: Backbone) -> None:
    """Round a staged trunk's convolutions, but those of its first stage, to float16, in place.

    The first stage stays float32 on a GPU, too (`engine.backends.gpu_network`). Convolutions without a bias are left:
    the normalisation that follows is folded into them there, after which they would not be exact all the same.
    """
    if not isinstance(trunk, StagedBackbone):
        return
    with torch.no_grad():
        for stage in list(trunk.stages)[1:]:
            for part in stage.modules():
                if isinstance(part, nn.Conv2d) and part.bias is not None:
                    for weight in (part.weight, part.bias):
                        weight.copy_(weight.half())
