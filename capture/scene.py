"""The edge at which rendered cameras enter: a scene that can be looked at from any camera."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calibration import Camera


class Scene(Protocol):
    """Something to film without hardware. It must be picklable: grabber processes build their own copy."""

    @property
    def rate_hz(self) -> float:
        """Frames a second at which the scene is sampled."""

    def render(self, camera: Camera, index: int) -> NDArray[np.uint8]:
        """Render frame `index` (time `index / rate_hz`) as the camera sees it: `(H, W, 3)` uint8, BGR."""
