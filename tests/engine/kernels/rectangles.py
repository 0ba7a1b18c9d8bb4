"""Rectangles of pictures for the kernel that fetches them, and what it must make of them."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
from numpy.typing import NDArray

from engine.kernels.places import PLACE, SOURCE_ALIGNMENT, rows_apart, rows_room

ALIGNMENT = 256


def a_memory(size: int, seed: int) -> NDArray[np.uint8]:
    """Noise, in a mapping that no byte may be read before or behind."""
    memory = np.frombuffer(mmap.mmap(-1, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE), np.uint8)
    memory[:] = np.random.default_rng(seed).integers(0, 256, memory.size, dtype=np.uint8)
    return memory


def rectangles(memory: NDArray[np.uint8], start: int, count: int, *, seed: int, most_px: int = 90) -> NDArray[np.void]:
    """Places of rectangles of any size that begin anywhere; the first ends the memory, the second begins it.

    Args:
        memory: What they lie in.
        start: Its address for whoever reads it.
        count: So many; every fifth is not valid.
        seed: Equal seeds give equal ones.
        most_px: They are so wide and so high at most.
    """
    rng = np.random.default_rng(seed)
    places, end = np.zeros(count, PLACE), 0
    for number in range(count):
        width, height = (int(size) for size in rng.integers(1, most_px, 2))
        stride = 3 * width + int(rng.choice([0, 1, 7, 16, 128 - 3 * width % 128]))
        size = stride * (height - 1) + 3 * width
        first = (memory.size - size, 0)[number] if number < 2 else int(rng.integers(0, memory.size - size))
        source = start + first
        apart = int(rows_apart(np.array(3 * width), np.array(stride)))
        offset = end + source % SOURCE_ALIGNMENT
        places[number] = (offset, apart, width, height, 0, 0, 0, number % 5 != 4, stride, source)
        end += -(-rows_room(height, 3 * width) // ALIGNMENT) * ALIGNMENT
    return places


def room(places: NDArray[np.void]) -> int:
    """Bytes that all of them take, in whole pieces."""
    last = places[-1]
    return int(last["offset"]) + rows_room(int(last["height"]), 3 * int(last["width"])) + ALIGNMENT


def assert_fetched(
    places: NDArray[np.void], memory: NDArray[np.uint8], start: int, pixels: NDArray[np.uint8], poison: int
) -> None:
    """See that all rows are there, and that whatever is not in a piece of a row is as it was."""
    touched = np.zeros(pixels.size, bool)
    for place in places[places["valid"] != 0]:
        size = 3 * int(place["width"])
        for row in range(int(place["height"])):
            source = int(place["source"]) - start + row * int(place["source_stride"])
            target = int(place["offset"]) + row * int(place["stride"])
            np.testing.assert_array_equal(pixels[target : target + size], memory[source : source + size])
            touched[target // SOURCE_ALIGNMENT * SOURCE_ALIGNMENT : -(-(target + size) // SOURCE_ALIGNMENT) * 16] = True
    assert (pixels[~touched] == poison).all()


def pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    """For a function of C."""
    return array.ctypes.data_as(ctypes.c_void_p)
