"""How fast a hand moves, so that it is looked for where it will be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NEW_SHARE = 0.6
_KEPT_WHEN_MISSED = 0.5
_MAX_SPEED_M_S = 4.0
_FURTHEST_S = 0.2


class Velocity:
    """The velocity of one hand as a whole, smoothed over its frame sets."""

    def __init__(self) -> None:
        self._velocity_m_s = np.zeros(3)

    @property
    def now_m_s(self) -> NDArray[np.float64]:
        """The velocity `(3,)`, metres a second."""
        return self._velocity_m_s

    def way(self, elapsed_s: float) -> NDArray[np.float64]:
        """How far the hand will have moved `(3,)`, metres; it is not trusted to keep on for long."""
        way: NDArray[np.float64] = self._velocity_m_s * min(elapsed_s, _FURTHEST_S)
        return way

    def after(self, moved_m: NDArray[np.float64], elapsed_s: float) -> NDArray[np.float64]:
        """What it is once it is known that the hand moved by `moved_m` `(3,)` in some time above 0."""
        velocity = moved_m / elapsed_s
        speed = float(np.linalg.norm(velocity))
        velocity *= min(1.0, _MAX_SPEED_M_S / max(speed, 1e-9))
        after: NDArray[np.float64] = self._velocity_m_s + _NEW_SHARE * (velocity - self._velocity_m_s)
        return after

    def update(self, moved_m: NDArray[np.float64], elapsed_s: float) -> None:
        """Take in that the hand moved by `moved_m` `(3,)` in some time above 0."""
        self._velocity_m_s = self.after(moved_m, elapsed_s)

    def missed(self) -> None:
        """Note that the hand was not seen."""
        self._velocity_m_s *= _KEPT_WHEN_MISSED
