"""UST-Hand without one of its parts: the paper's Tab. 1, 4 and 5 as settings of the network."""

from __future__ import annotations

from dataclasses import replace

from engine.network.config import NetworkConfig

FULL = "UST-Hand"
"""The whole method, as tables call it."""


def ablations(full: NetworkConfig) -> dict[str, NetworkConfig]:
    """Every variant of a network by the name that tables use; the whole one first.

    Args:
        full: The whole network; a variant that is the same as it (its own number of blocks, say) is not repeated.
    """
    variants = {
        "w/o heatmap": replace(full, use_heatmap=False),
        "w/o projection": replace(full, use_projection=False),
        "w/o STPT": replace(full, blocks=0),
        "w/o GCN": replace(full, use_gcn=False),
        "w/o CASA": replace(full, use_casa=False),
        "w/o SpatialAttn": replace(full, use_spatial_attention=False),
        "w/o TemporalAttn": replace(full, use_temporal_attention=False),
        "w/o CrossAttn": replace(full, use_cross_attention=False),
        "w/o trunk joints": replace(full, use_trunk_joints=False),
    }
    for frames in (1, 3, 5, 7):
        variants[f"t{frames}"] = replace(full, temporal_frames=frames, lookahead=min(full.lookahead, frames // 2))
    for blocks in (1, 2, 3, 4):
        variants[f"b{blocks}"] = replace(full, blocks=blocks)
    return {FULL: full, **{f"{FULL} {name}": config for name, config in variants.items() if config != full}}
