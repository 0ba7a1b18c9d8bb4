"""One-Euro smoothing of joints: steady at rest, quick in motion.

After Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems", CHI 2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class OneEuroConfig:
    """How much to smooth.

    Args:
        min_cutoff_hz: Cut-off frequency at rest; lower is steadier.
        beta_per_m: How fast the cut-off rises with speed, Hz per m/s; higher lags less.
        speed_cutoff_hz: Cut-off frequency of the speed's own smoothing.
    """

    min_cutoff_hz: float = 1.5
    beta_per_m: float = 20.0
    speed_cutoff_hz: float = 1.0


class OneEuroFilter:
    """Smooths points over time, each with a cut-off of its own.

    Args:
        config: How much to smooth.
    """

    def __init__(self, config: OneEuroConfig) -> None:
        self._config = config
        self._timestamp_ns = 0
        self._points: NDArray[np.float64] | None = None
        self._velocity: NDArray[np.float64] | None = None

    def smooth(self, points: NDArray[np.float64], timestamp_ns: int) -> NDArray[np.float64]:
        """Smooth points `(J, 3)`, metres, taken at a time later than the last."""
        if self._points is None or self._velocity is None:
            self._points, self._velocity = points.copy(), np.zeros_like(points)
        elif timestamp_ns <= self._timestamp_ns:
            return self._points
        else:
            elapsed_s = (timestamp_ns - self._timestamp_ns) * 1e-9
            raw = (points - self._points) / elapsed_s
            self._velocity += _share(self._config.speed_cutoff_hz, elapsed_s) * (raw - self._velocity)
            speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
            cutoff = self._config.min_cutoff_hz + self._config.beta_per_m * speed
            self._points = self._points + _share(cutoff, elapsed_s) * (points - self._points)
        self._timestamp_ns = timestamp_ns
        return self._points


def _share(cutoff_hz: NDArray[np.float64] | float, elapsed_s: float) -> NDArray[np.float64] | float:
    """How much of a new value a first-order low-pass takes in."""
    return 1 - 1 / (1 + 2 * np.pi * cutoff_hz * elapsed_s)
