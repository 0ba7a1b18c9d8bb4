"""Inputs for a network that nobody filmed: to compare runtimes with each other, and to time them."""

from __future__ import annotations

import numpy as np

from engine.backends.base import NetworkInputs
from engine.model_card import ModelCard
from engine.synthetic.rigs import look_at

_CELL_PX = 8
_JOINTS = 21
# The crop's edge is so far from the hand's middle.
_REACH_M = 0.13


def trial_inputs(card: ModelCard, hands: int, views: int, *, seed: int = 0) -> NetworkInputs:
    """Make up inputs: crops of coarse noise, cameras on a ring about the hand, a state of noise.

    Args:
        card: Whose sizes they have.
        hands: B.
        views: V, all of them usable.
        seed: Equal seeds give equal inputs.

    Returns:
        The inputs.
    """
    rng = np.random.default_rng(seed)
    side = card.input_px
    projections = np.empty((hands, views, 3, 4), np.float32)
    for hand in range(hands):
        for view in range(views):
            angle = 2 * np.pi * (view + rng.uniform(0.0, 0.4)) / max(views, 3)
            center_m = np.array([np.cos(angle), np.sin(angle), rng.uniform(0.2, 0.8)]) * rng.uniform(0.5, 0.9)
            focal = np.linalg.norm(center_m) / _REACH_M
            projections[hand, view] = np.diag([focal, focal, 1.0]) @ look_at(center_m, np.zeros(3))[:3]
    coarse = rng.integers(0, 256, size=(hands, views, side // _CELL_PX, side // _CELL_PX, 3), dtype=np.uint8)
    return NetworkInputs(
        crops=coarse.repeat(_CELL_PX, axis=2).repeat(_CELL_PX, axis=3),
        projections=projections,
        view_mask=np.ones((hands, views), np.float32),
        noise=rng.standard_normal((hands, views, card.hypotheses, _JOINTS, 2), dtype=np.float32),
        state=rng.standard_normal((hands, card.blocks, 2, card.past, _JOINTS, card.channels), dtype=np.float32),
        state_valid=np.ones((hands, card.past), np.float32),
    )
