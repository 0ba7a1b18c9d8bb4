"""The arrays of a step, brought into one buffer that a GPU copies in one go, and where it finds the pixels.

Of each picture only the rectangle that a crop is sampled from is taken: a crop of a hand is a small part of a picture,
and the way to the GPU is what the pixels cost. Rectangles of pictures in locked memory stay where they are; the GPU
reads them there. Others are copied to where it can.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.backends.base import NetworkInputs
from engine.backends.packing import Upload, aligned
from engine.backends.pictures import PictureInputs
from engine.kernels.places import PLACE_RECORD, SOURCE_ALIGNMENT, rows_apart, rows_room

_ARRAYS = ("projections", "view_mask", "noise", "state", "state_valid")
# Bilinear sampling reads the pixel before and the one after; float32 rounds on the way. A rectangle's end is behind it.
_MARGINS_PX = np.array([[-1], [-1], [3], [3]], np.float32)
_FAR_PX = 1e6
# The place of a crop that is not valid.
_BLACK: Final = PLACE_RECORD.unpack(bytes(PLACE_RECORD.size))
# One thread copies about 10 GB a second, and the rectangles of eight views are 4 MB: a fifth of a frame's time.
_COPIERS: Final = 4
_MANY_BYTES: Final = 1 << 20

Locked: TypeAlias = Callable[[NDArray[np.uint8]], int | None]
"""Where the GPU reads the first pixel of a picture; None for one that it cannot read where it lies."""


class Stager:
    """Writes steps into a buffer, one after the other.

    What a step's work needs of the buffer is found once: a frame's time is spent on calls, more than on bytes.

    Args:
        upload: Where everything lies, of as many hands and views.
        buffer: `upload.size` bytes, page-locked.
        address: Where the GPU reads the buffer.
        locked: Which pictures it reads where they are.
    """

    def __init__(self, upload: Upload, buffer: NDArray[np.uint8], address: int, locked: Locked) -> None:
        self._upload, self._buffer, self._address, self._locked = upload, buffer, address, locked
        arrays = upload.arrays.of(buffer)
        self._places = arrays["places"].view(np.uint8).data
        self._arrays = [(arrays[name], name) for name in _ARRAYS]
        self._nodes = arrays["nodes"]
        self._points = self._nodes.reshape(arrays["places"].size, -1, 2)
        # All x, then all y `(2, B V, G G)`: of numbers that lie together numpy finds the least many times as fast.
        self._coordinates = np.empty((2, *self._points.shape[:2]), np.float32)
        self._by_point = np.moveaxis(self._coordinates, 0, -1)
        self._bounds = np.empty((4, len(self._points)), np.float32)
        self._low, self._high = self._bounds[:2], self._bounds[2:]

    def stage(self, inputs: PictureInputs | NetworkInputs) -> None:
        """Write a step into the buffer: its arrays, and behind them its crops, or what of its pictures is not locked.

        Args:
            inputs: The step, checked by `checked_form`.
        """
        for place, name in self._arrays:
            place[...] = getattr(inputs, name)
        if isinstance(inputs, PictureInputs):
            self._stage_pictures(inputs)
        else:
            end = self._upload.arrays.size + inputs.crops.size
            self._buffer[self._upload.arrays.size : end].reshape(inputs.crops.shape)[...] = inputs.crops

    def _stage_pictures(self, inputs: PictureInputs) -> None:
        """Write where the pixels of each crop lie, and those rectangles of pictures that are not locked."""
        self._nodes[...] = inputs.nodes
        views = len(inputs.pictures)
        # Of each picture, which many hands may share.
        sources = [_source(picture, self._locked) for picture in inputs.pictures]
        shown, mirrored = inputs.view_mask.ravel().tolist(), inputs.mirrored.tolist()
        capacity = self._upload.crop_capacity
        # Where the next rectangle begins: in the buffer, and in the pixels on the GPU.
        end = offset = self._upload.arrays.size
        cuts: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        for number, (left, top, right, bottom) in enumerate(self._rectangles()):
            place, (hand, view) = number * PLACE_RECORD.size, divmod(number, views)
            picture_width, picture_height, start, stride = sources[view]
            width, height = min(right, picture_width) - left, min(bottom, picture_height) - top
            if not shown[number] or width <= 0 or height <= 0:
                PLACE_RECORD.pack_into(self._places, place, *_BLACK)
                continue
            source = start + top * stride + 3 * left
            large = rows_room(height, 3 * width) > capacity
            if large or not start:
                picture = inputs.pictures[view]
                assert picture is not None  # noqa: S101 - one that is missing has no width
                cut = picture[top : top + height, left : left + width]
                if large:
                    cut = _shrunk(cut, self._nodes[hand, view], left, top, capacity)
                    left = top = 0
                height, width = cut.shape[:2]
                source, stride = self._address + end, 3 * width
                cuts.append((self._buffer[end : end + cut.size].reshape(cut.shape), cut))
                end += aligned(cut.size)
            apart = rows_apart(3 * width, stride)
            # Each crop begins a piece of its own, and its first pixel has the place in it that it has in the source.
            phase = source % SOURCE_ALIGNMENT
            PLACE_RECORD.pack_into(
                self._places, place, offset + phase, apart, width, height, left, top, mirrored[hand], 1, stride, source
            )
            offset += aligned(phase + height * apart)
        if cuts:
            _copy(cuts, end - self._upload.arrays.size)

    def _rectangles(self) -> list[list[int]]:
        """Left, top, right and bottom of what each crop is sampled from, as if pictures had no right and no bottom."""
        self._by_point[...] = self._points
        np.minimum.reduce(self._coordinates, axis=-1, out=self._low)
        np.maximum.reduce(self._coordinates, axis=-1, out=self._high)
        bounds = np.floor(self._bounds, out=self._bounds)
        bounds += _MARGINS_PX
        # Nodes may lie anywhere; what no picture reaches does not fit an integer.
        np.maximum(bounds, 0, out=bounds)
        np.minimum(bounds, _FAR_PX, out=bounds)
        rectangles: list[list[int]] = bounds.T.astype(np.int64).tolist()
        return rectangles


def _source(picture: NDArray[np.uint8] | None, locked: Locked) -> tuple[int, int, int, int]:
    """Width and height of a picture, where the GPU reads it, and the bytes from row to row.

    Zeros for what is not there; the last two also for what the GPU cannot read where it is.
    """
    if picture is None:
        return 0, 0, 0, 0
    height, width, _ = picture.shape
    row, pixel, channel = picture.strides
    if pixel == 3 and channel == 1 and row >= 3 * width:
        address = locked(picture)
        if address is not None:
            return width, height, address, row
    return width, height, 0, 0


def _copy(cuts: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]], size: int) -> None:
    """Copy rectangles, in several threads where they are many bytes and there are cores for it."""
    copiers = min(_COPIERS, cores() // 2, len(cuts))
    if copiers < 2 or size < _MANY_BYTES:
        _copy_each(cuts)
        return
    others = [_pool().submit(_copy_each, cuts[first::copiers]) for first in range(1, copiers)]
    _copy_each(cuts[::copiers])
    wait(others)
    for other in others:
        other.result()


def _copy_each(cuts: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> None:
    for place, cut in cuts:
        place[...] = cut


@cache
def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads that help; they wait for the next frame, and end with the process."""
    return ThreadPoolExecutor(_COPIERS - 1, thread_name_prefix="staging")


def _shrunk(
    cut: NDArray[np.uint8], nodes: NDArray[np.float32], left: int, top: int, capacity: int
) -> NDArray[np.uint8]:
    """Shrink a rectangle that is far finer than its crop to what there is room for; its nodes move along, in place."""
    height, width = cut.shape[:2]
    # The largest scale at which its rows, with what lies between them, have room; see rows_room.
    pixels, gaps = 3 * width * height, 2 * SOURCE_ALIGNMENT * height
    scale = (math.sqrt(gaps**2 + 4 * pixels * (capacity - SOURCE_ALIGNMENT)) - gaps) / (2 * pixels)
    size = np.maximum(np.floor(np.array([width, height]) * scale), 1)
    # Pixel centres lie half a pixel from the edges, which stay where they are.
    nodes[...] = (nodes - np.array([left, top], np.float32) + 0.5) * (size / (width, height)).astype(np.float32) - 0.5
    shrunk = cv2.resize(cut, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, dtype=np.uint8)
