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
from engine.kernels.places import PLACE, SOURCE_ALIGNMENT, rows_apart, rows_room

_ARRAYS = ("projections", "view_mask", "noise", "state", "state_valid")
# Bilinear sampling reads the pixel before and the one after; float32 rounds on the way.
_MARGIN_PX = 1
_FAR_PX = 1e6
# One thread copies about 10 GB a second, and the rectangles of eight views are 4 MB: a fifth of a frame's time.
_COPIERS: Final = 4
_MANY_BYTES: Final = 1 << 20

Locked: TypeAlias = Callable[[NDArray[np.uint8]], int | None]
"""Where the GPU reads the first pixel of a picture; None for one that it cannot read where it lies."""


def stage_step(
    inputs: PictureInputs | NetworkInputs, upload: Upload, buffer: NDArray[np.uint8], address: int, locked: Locked
) -> None:
    """Write a step of either form into a buffer; see `stage` and `stage_crops`."""
    if isinstance(inputs, PictureInputs):
        stage(inputs, upload, buffer, address, locked)
    else:
        stage_crops(inputs, upload, buffer)


def stage(inputs: PictureInputs, upload: Upload, buffer: NDArray[np.uint8], address: int, locked: Locked) -> None:
    """Write a step into a buffer: its arrays, and behind them those rectangles of pictures that are not locked.

    Args:
        inputs: The step, checked by `check_pictures`.
        upload: Where everything lies, of as many hands and views.
        buffer: `upload.size` bytes, page-locked.
        address: Where the GPU reads the buffer.
        locked: Which pictures it reads where they are.
    """
    _stage_arrays(inputs, upload, buffer)
    hands, views = inputs.view_mask.shape
    nodes = upload.arrays.sections["nodes"].of(buffer)
    nodes[...] = inputs.nodes
    left, top, right, bottom = rectangles = _rectangles(inputs).reshape(4, -1)
    valid = (left < right) & (top < bottom)
    rectangles *= valid
    width, height = right - left, bottom - top
    # From here on of each crop, whose picture many hands may share.
    start, stride = np.tile(np.transpose([_source(picture, locked) for picture in inputs.pictures]), hands)
    source = start + top * stride + 3 * left
    large = rows_room(height, 3 * width) > upload.crop_capacity
    cuts: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    end = upload.arrays.size
    for number in np.flatnonzero(valid & ((start == 0) | large)).tolist():
        picture = inputs.pictures[number % views]
        assert picture is not None  # noqa: S101 - where there is none, the mask says so
        x, y, x_end, y_end = rectangles[:, number].tolist()
        cut = picture[y:y_end, x:x_end]
        if large[number]:
            cut = _shrunk(cut, nodes[divmod(number, views)], x, y, upload.crop_capacity)
            left[number] = top[number] = 0
        height[number], width[number] = cut.shape[:2]
        source[number], stride[number] = address + end, 3 * cut.shape[1]
        cuts.append((buffer[end : end + cut.size].reshape(cut.shape), cut))
        end += aligned(cut.size)
    _copy(cuts, end - upload.arrays.size)
    apart = rows_apart(3 * width, stride)
    # Each crop begins a piece of its own, and its first pixel has the place in it that it has in the source.
    phase = source % SOURCE_ALIGNMENT
    ends = np.cumsum(aligned(phase + height * apart))
    offset = upload.arrays.size + np.concatenate([[0], ends[:-1]]) + phase
    mirrored = np.repeat(inputs.mirrored, views)
    places = upload.arrays.sections["places"].of(buffer)
    columns = (offset, apart, width, height, left, top, mirrored, valid, stride, source)
    for name, column in zip(PLACE.names or (), columns, strict=True):
        places[name] = column


def stage_crops(inputs: NetworkInputs, upload: Upload, buffer: NDArray[np.uint8]) -> None:
    """The same of a step whose crops are there already; they lie behind the arrays, `(B, V, S, S, 3)`."""
    _stage_arrays(inputs, upload, buffer)
    end = upload.arrays.size + inputs.crops.size
    buffer[upload.arrays.size : end].reshape(inputs.crops.shape)[...] = inputs.crops


def _source(picture: NDArray[np.uint8] | None, locked: Locked) -> tuple[int, int]:
    """Where the GPU reads a picture, and the bytes from row to row; zeros for what it cannot read where it is."""
    if picture is None or picture.strides[1:] != (3, 1) or picture.strides[0] < 3 * picture.shape[1]:
        return 0, 0
    address = locked(picture)
    return (0, 0) if address is None else (address, picture.strides[0])


def _rectangles(inputs: PictureInputs) -> NDArray[np.int64]:
    """Left, top, right and bottom of what each crop is sampled from `(4, B, V)`; empty where none is."""
    hands, views = inputs.view_mask.shape
    sizes = [(0, 0) if picture is None else (picture.shape[1], picture.shape[0]) for picture in inputs.pictures]
    # All x, then all y: of numbers that lie together numpy finds the least many times as fast.
    nodes = np.ascontiguousarray(np.moveaxis(inputs.nodes.reshape(hands, views, -1, 2), -1, 0))
    # Nodes may lie anywhere; what no picture reaches does not fit an integer.
    low, high = np.clip(np.floor([nodes.min(axis=-1), nodes.max(axis=-1)]), -_FAR_PX, _FAR_PX)
    high = np.minimum(high + 2 + _MARGIN_PX, np.transpose(sizes)[:, None]) * (inputs.view_mask != 0)
    return np.concatenate([np.maximum(low - _MARGIN_PX, 0), high]).astype(np.int64)


def _stage_arrays(inputs: PictureInputs | NetworkInputs, upload: Upload, buffer: NDArray[np.uint8]) -> None:
    for name in _ARRAYS:
        upload.arrays.sections[name].of(buffer)[...] = getattr(inputs, name)


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
