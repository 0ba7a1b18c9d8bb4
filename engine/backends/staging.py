"""The pixels and arrays of a step, brought into one buffer that a GPU copies in one go.

Of each picture only the rectangle that a crop is sampled from is taken: a crop of a hand is a small part of a picture,
and the copy to the GPU is what the pixels cost.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.backends.base import NetworkInputs
from engine.backends.packing import Upload, aligned
from engine.backends.pictures import PictureInputs

_ARRAYS = ("projections", "view_mask", "noise", "state", "state_valid")
# Bilinear sampling reads the pixel before and the one after; float32 rounds on the way.
_MARGIN_PX = 1
_FAR_PX = 1e6
# The size of the copy changes in steps: most frames then copy as many bytes as the one before.
_STEP_BYTES: Final = 1 << 16
# One thread copies about 10 GB a second, and the rectangles of eight views are 4 MB: a fifth of a frame's time.
_COPIERS: Final = 4
_MANY_BYTES: Final = 1 << 20


def stage_step(inputs: PictureInputs | NetworkInputs, upload: Upload, buffer: NDArray[np.uint8]) -> int:
    """Write a step of either form into a buffer.

    Returns:
        How many bytes of the buffer are to be copied, a little more than there are.
    """
    used = stage(inputs, upload, buffer) if isinstance(inputs, PictureInputs) else stage_crops(inputs, upload, buffer)
    return min(-(-used // _STEP_BYTES) * _STEP_BYTES, upload.size)


def stage(inputs: PictureInputs, upload: Upload, buffer: NDArray[np.uint8]) -> int:
    """Write a step into a buffer.

    Args:
        inputs: The step, checked by `check_pictures`.
        upload: Where everything lies, of as many hands and views.
        buffer: `upload.size` bytes.

    Returns:
        How many bytes of the buffer are to be copied; what lies behind is of earlier steps.
    """
    _stage_arrays(inputs, upload, buffer)
    views = len(inputs.pictures)
    nodes = upload.arrays.sections["nodes"].of(buffer)
    nodes[...] = inputs.nodes
    places = upload.arrays.sections["places"].of(buffer)
    end = upload.arrays.size
    cuts: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    for number, (left, top, right, bottom) in enumerate(_rectangles(inputs).reshape(-1, 4).tolist()):
        hand, view = divmod(number, views)
        mirrored = bool(inputs.mirrored[hand])
        picture = inputs.pictures[view]
        if picture is None or left >= right or top >= bottom:
            places[number] = (0, 0, 0, 0, 0, 0, mirrored, False, 0)
            continue
        cut = picture[top:bottom, left:right]
        if cut.size > upload.crop_capacity:
            cut = _shrunk(cut, nodes[hand, view], left, top, upload.crop_capacity)
            left = top = 0
        rows, columns = cut.shape[:2]
        places[number] = (end, 3 * columns, columns, rows, left, top, mirrored, True, 0)
        cuts.append((buffer[end : end + cut.size].reshape(cut.shape), cut))
        end += aligned(cut.size)
    _copy(cuts, end - upload.arrays.size)
    return end


def stage_crops(inputs: NetworkInputs, upload: Upload, buffer: NDArray[np.uint8]) -> int:
    """The same of a step whose crops are there already; they lie where the pixels begin, `(B, V, S, S, 3)`."""
    _stage_arrays(inputs, upload, buffer)
    end = upload.arrays.size + inputs.crops.size
    buffer[upload.arrays.size : end].reshape(inputs.crops.shape)[...] = inputs.crops
    return end


def _rectangles(inputs: PictureInputs) -> NDArray[np.int64]:
    """Left, top, right and bottom of what each crop is sampled from `(B, V, 4)`; empty where none is."""
    hands, views = inputs.view_mask.shape
    sizes = [(0, 0) if picture is None else (picture.shape[1], picture.shape[0]) for picture in inputs.pictures]
    # All x, then all y: of numbers that lie together numpy finds the least many times as fast.
    nodes = np.ascontiguousarray(np.moveaxis(inputs.nodes.reshape(hands, views, -1, 2), -1, 0))
    # Nodes may lie anywhere; what no picture reaches does not fit an integer.
    low, high = np.clip(np.floor([nodes.min(axis=-1), nodes.max(axis=-1)]), -_FAR_PX, _FAR_PX)
    high = np.minimum(high + 2 + _MARGIN_PX, np.transpose(sizes)[:, None]) * (inputs.view_mask != 0)
    return np.concatenate([np.maximum(low - _MARGIN_PX, 0), high]).transpose(1, 2, 0).astype(np.int64)


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
    scale = (capacity / cut.size) ** 0.5
    size = np.maximum(np.floor(np.array([width, height]) * scale), 1)
    # Pixel centres lie half a pixel from the edges, which stay where they are.
    nodes[...] = (nodes - np.array([left, top], np.float32) + 0.5) * (size / (width, height)).astype(np.float32) - 0.5
    shrunk = cv2.resize(cut, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, dtype=np.uint8)
