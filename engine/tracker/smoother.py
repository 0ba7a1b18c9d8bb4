"""One-Euro smoothing of a whole pose, so that joints and mesh stay one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.smoothing import OneEuroConfig, OneEuroFilter

# A rotation is smoothed as the ends of its three axes, on levers about as long as what it moves, metres.
_ROOT_LEVER_M = 0.1
_FINGER_LEVER_M = 0.04
_LEVERS_M = np.array([_ROOT_LEVER_M] + 15 * [_FINGER_LEVER_M])[:, None, None]


class PoseSmoother:
    """Smooths the poses of one hand.

    Args:
        config: How much to smooth.
    """

    def __init__(self, config: OneEuroConfig) -> None:
        self._filter = OneEuroFilter(config)

    def smooth(
        self, rotations: NDArray[np.float64], points: NDArray[np.float64], timestamp_ns: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smooth a pose that was taken at a time later than the last.

        Args:
            rotations: `(16, 3, 3)`, MANO's order.
            points: Any points of the hand `(N, 3)`, metres; always as many.
            timestamp_ns: When.

        Returns:
            Rotations and points, smoothed.
        """
        ends = np.swapaxes(rotations, 1, 2) * _LEVERS_M
        smooth = self._filter.smooth(np.concatenate([ends.reshape(48, 3), points]), timestamp_ns)
        # The nearest rotation to what the smoothed axes have become.
        u, _, vt = np.linalg.svd(np.swapaxes(smooth[:48].reshape(16, 3, 3), 1, 2))
        u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
        return u @ vt, smooth[48:]
