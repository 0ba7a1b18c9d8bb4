"""A hand's shape as the mean of what the network says of it, settling as answers come in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.hand_model.model import SHAPE_SIZE, HandModel, ShapedHand

_HISTORY = 150
_SETTLED = 60
_CARRIED = 5
# At first the shape follows every answer; then it moves in small steps, ever more rarely felt, and stops.
_EVERY_UP_TO = 10
# Once settled, only every so manyth answer counts: neighbouring frames say the same, other poses say more.
_SPARSE = 5


class SettlingShape:
    """Learns the shape of one hand.

    Args:
        model: The hand model of its side.
    """

    def __init__(self, model: HandModel) -> None:
        self._model = model
        self._mean = np.zeros(SHAPE_SIZE)
        self._seen = 0
        self._offered = 0
        self._shaped = model.with_shape(self._mean)

    @property
    def shaped(self) -> ShapedHand:
        """The hand model in the shape learnt so far."""
        return self._shaped

    @property
    def settled(self) -> bool:
        """Whether enough has been seen that the shape hardly changes any more."""
        return self._seen >= _SETTLED

    def carried(self) -> SettlingShape:
        """What the next hand of this side starts from: this shape, which new evidence soon outvotes."""
        heir = SettlingShape(self._model)
        heir._seen = min(self._seen, _CARRIED)
        heir._mean = self._mean.copy()
        heir._shaped = self._shaped
        return heir

    def add(self, shape: NDArray[np.float64]) -> None:
        """Take in the shape `(10,)` of one answer."""
        self._offered += 1
        if self._seen >= _HISTORY or (self.settled and self._offered % _SPARSE):
            return
        self._seen += 1
        self._mean = self._mean + (shape - self._mean) / self._seen
        if self._seen <= _EVERY_UP_TO or self._seen % _EVERY_UP_TO == 0:
            self._shaped = self._model.with_shape(self._mean)
