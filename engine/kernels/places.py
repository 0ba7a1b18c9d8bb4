"""Where the pixels of a crop lie: the record that the crops' kernel reads, as numpy writes it."""

from __future__ import annotations

from typing import Final

import numpy as np

PLACE: Final = np.dtype(
    [
        ("offset", "<i8"),
        ("stride", "<i4"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("x0", "<i4"),
        ("y0", "<i4"),
        ("mirrored", "<i4"),
        ("valid", "<i4"),
        ("unused", "<i4"),
    ]
)
"""One crop's rectangle of picture. `offset` is its first byte in the pixels and `stride` the bytes from row to row of
its `width` x `height` BGR pixels; `x0`, `y0` is its first pixel in the coordinates of the crop's nodes. What lies
outside of it is black: it holds all that the nodes ask for, unless the picture ends there. `mirrored` is 1 for a crop
that is flipped left to right, and `valid` 0 for one that is black."""

NODE_SPACING_PX: Final = 16
"""The nodes of a crop, at which its place in the picture is known exactly, are so many crop pixels apart."""


def nodes_along(size_px: int) -> int:
    """Nodes along a side of a crop: from its first pixel to the first node that is not before its last."""
    return -(-size_px // NODE_SPACING_PX) + 1
