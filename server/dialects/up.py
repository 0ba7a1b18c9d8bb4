"""Which way is up: how a calibration's world is turned into one with +Y up.

A calibration knows distances and directions, but not gravity: its world frame is what the lab chose, often the first
camera's own, in which y points down. Clients that need +Y up therefore say which axis of the calibration's world points
up, and the world is turned by the smallest rotation that brings this axis to +Y; for -y, where every half turn is as
small as the other, about x. So x stays x, except where x itself is up.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.up import Up

DEFAULT_UP: Final[Up] = "-y"
"""Up in a world whose axes are those of a camera that stands upright."""

_ROWS: Final[dict[Up, tuple[tuple[int, int, int], ...]]] = {
    "+x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "-x": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    "+y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-y": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "+z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}


def up_rotation(up: Up) -> NDArray[np.float64]:
    """Return the rotation `(3, 3)` from the calibration's world to one with +Y up."""
    return np.array(_ROWS[up], dtype=np.float64)
