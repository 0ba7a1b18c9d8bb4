"""Where the pixels of a crop lie: the record that the kernels of the crops read, as numpy writes it."""

from __future__ import annotations

import struct
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
        ("source_stride", "<i4"),
        ("source", "<i8"),
    ]
)
"""One crop's rectangle of picture. `offset` is its first byte in the pixels and `stride` the bytes from row to row of
its `width` x `height` BGR pixels; `x0`, `y0` is its first pixel in the coordinates of the crop's nodes. What lies
outside of it is black: it holds all that the nodes ask for, unless the picture ends there. `mirrored` is 1 for a crop
that is flipped left to right, and `valid` 0 for one that is black.

`source` is the address of that first byte in page-locked memory of the host, as the GPU names it, and `source_stride`
the bytes from row to row there. The pixels are brought to `offset` in pieces of `SOURCE_ALIGNMENT` bytes, so each row
has the same place in such a piece there as here, and no two rows share one; see `rows_apart`."""

PLACE_RECORD: Final = struct.Struct("<q8iq")
"""The same bytes, to write a record at a time: several times as fast as numpy, field by field."""

SOURCE_ALIGNMENT: Final = 16
"""Bytes that a thread brings at once."""

NODE_SPACING_PX: Final = 16
"""The nodes of a crop, at which its place in the picture is known exactly, are so many crop pixels apart."""


def rows_apart(row_bytes: int, source_stride: int) -> int:
    """Bytes from row to row on the GPU: like the source's modulo `SOURCE_ALIGNMENT`, and no piece is of two rows.

    Args:
        row_bytes: Bytes of a row.
        source_stride: Bytes from row to row in the source.

    Returns:
        Less than `row_bytes` and two pieces.
    """
    least = row_bytes + SOURCE_ALIGNMENT - 1
    return least + (source_stride - least) % SOURCE_ALIGNMENT


def rows_room(rows: int, row_bytes: int) -> int:
    """Bytes that rows take on the GPU at most, wherever and how far apart they lie in the source."""
    return rows * (row_bytes + 2 * SOURCE_ALIGNMENT) + SOURCE_ALIGNMENT


def nodes_along(size_px: int) -> int:
    """Nodes along a side of a crop: from its first pixel to the first node that is not before its last."""
    return -(-size_px // NODE_SPACING_PX) + 1
