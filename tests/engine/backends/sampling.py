"""What the kernels of the crops do, in numpy and slowly: to see that what is staged for them holds what they need."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kernels.places import NODE_SPACING_PX, PLACE


def sampled_crop(pixels: NDArray[np.uint8], place: Any, nodes: NDArray[np.float32], size_px: int) -> NDArray[np.uint8]:
    """One crop `(S, S, 3)` RGB of a buffer of pixels, its `PLACE` and its nodes `(G, G, 2)`."""
    if not place["valid"]:
        return np.zeros((size_px, size_px, 3), np.uint8)
    width, height, stride = (int(place[name]) for name in ("width", "height", "stride"))
    rows = pixels[int(place["offset"]) :][: stride * height].reshape(height, stride)[:, : 3 * width]
    rectangle = rows.reshape(height, width, 3).astype(np.float64)
    steps = np.arange(size_px) / NODE_SPACING_PX
    cell, part = np.divmod(steps, 1.0)
    cell = cell.astype(int)
    across = nodes[:, cell] * (1 - part)[:, None] + nodes[:, cell + 1] * part[:, None]
    places = across[cell] * (1 - part)[:, None, None] + across[cell + 1] * part[:, None, None]
    places = places - [int(place["x0"]), int(place["y0"])]
    first = np.floor(places).astype(int)
    share = places - first

    def at(dx: int, dy: int) -> NDArray[np.float64]:
        x, y = first[..., 0] + dx, first[..., 1] + dy
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return rectangle[y.clip(0, height - 1), x.clip(0, width - 1)] * inside[..., None]

    top = at(0, 0) * (1 - share[..., :1]) + at(1, 0) * share[..., :1]
    bottom = at(0, 1) * (1 - share[..., :1]) + at(1, 1) * share[..., :1]
    crop = np.rint(top * (1 - share[..., 1:]) + bottom * share[..., 1:]).astype(np.uint8)[..., ::-1]
    return crop[:, ::-1] if place["mirrored"] else crop


def gather(places: NDArray[np.void], pixels: NDArray[np.uint8]) -> None:
    """Bring all rectangles, by the addresses that their `PLACE` has, to where crops are sampled from."""
    for place in places[places["valid"] != 0]:
        for row in range(int(place["height"])):
            source = int(place["source"]) + row * int(place["source_stride"])
            target = int(place["offset"]) + row * int(place["stride"])
            size = 3 * int(place["width"])
            pixels[target : target + size] = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(source))


def records(address: int, count: int) -> NDArray[np.void]:
    """`PLACE`s at an address, in place."""
    return np.frombuffer((ctypes.c_uint8 * (count * PLACE.itemsize)).from_address(address), PLACE)
