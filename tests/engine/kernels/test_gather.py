"""The kernel that fetches pixels, its own source on the host: every row, and nothing of what lies between them."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from engine.kernels.places import PLACE
from tests.engine.kernels.rectangles import a_memory, assert_fetched, pointer, rectangles, room

POISON = 0x5A


@pytest.mark.parametrize(("blocks", "threads"), [(32, 128), (1, 8), (3, 16)])
def test_every_row_comes_to_its_place(host_gather: ctypes.CDLL, blocks: int, threads: int) -> None:
    memory = a_memory(60_000, 1)
    start = memory.ctypes.data
    for seed in range(3):
        places = rectangles(memory, start, 10, seed=seed)
        # At a multiple of a piece, as a GPU's memory is.
        held = np.full(room(places) + 16, POISON, np.uint8)
        pixels = held[-held.ctypes.data % 16 :][: room(places)]
        host_gather.host_gather(pointer(places), pointer(pixels), len(places), blocks, threads)
        assert_fetched(places, memory, start, pixels, POISON)


def test_nothing_is_read_of_crops_that_are_not_valid(host_gather: ctypes.CDLL) -> None:
    places = np.zeros(3, PLACE)
    places["width"], places["height"], places["stride"], places["source_stride"] = 9, 9, 43, 43
    # Reading there ends the process.
    places["source"] = 16
    pixels = np.full(1024, POISON, np.uint8)
    host_gather.host_gather(pointer(places), pointer(pixels), len(places), 2, 32)
    assert (pixels == POISON).all()
