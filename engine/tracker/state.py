"""What the network remembers of one hand: the keys and values of its last frames, as explicit tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.model_card import ModelCard

_JOINTS = 21


@dataclass(frozen=True, eq=False, slots=True)
class StreamState:
    """The memory of one hand's stream; the oldest frame comes first.

    Args:
        values: Keys and values of K blocks in P past frames `(K, 2, P, 21, D)`, float32.
        valid: `(P,)` float32: 1 where that past frame is real.
    """

    values: NDArray[np.float32]
    valid: NDArray[np.float32]

    @classmethod
    def blank(cls, card: ModelCard) -> StreamState:
        """Nothing is remembered."""
        shape = (card.blocks, 2, card.past, _JOINTS, card.channels)
        return cls(np.zeros(shape, np.float32), np.zeros(card.past, np.float32))

    def skipped(self) -> StreamState:
        """The memory after a frame in which the hand was not seen: what was seen before is one frame older."""
        values = np.concatenate([self.values[:, :, 1:], np.zeros_like(self.values[:, :, :1])], axis=2)
        return StreamState(values, np.append(self.valid[1:], np.zeros_like(self.valid[:1])))
