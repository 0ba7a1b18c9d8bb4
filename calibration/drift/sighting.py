"""One hand as all views saw it at one instant: what the drift monitor and the refinement work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Sighting:
    """One tracked hand in one frame set.

    Args:
        hand_id: The track; sightings of one id follow one hand.
        keypoints_px: What each view saw `(V, 21, 2)`, distorted pixels of the camera's image; NaN where it did not.
        stamps_ns: When each view was exposed `(V,)`, one clock; anything where the view is missing.
    """

    hand_id: int
    keypoints_px: NDArray[np.float64]
    stamps_ns: NDArray[np.int64]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which views saw which joints `(V, 21)`."""
        return np.asarray(np.isfinite(self.keypoints_px).all(axis=-1))

    @property
    def time_s(self) -> float:
        """Mean exposure of the views that saw the hand, seconds; NaN where none did."""
        views = self.seen.any(axis=1)
        return float(self.stamps_ns[views].mean()) * 1e-9 if views.any() else np.nan
