"""The kernels on awkward sizes, without PyTorch, for NVIDIA's compute-sanitizer.

    compute-sanitizer --tool memcheck --error-exitcode 1 python -m benchmarks.sanitize_kernels

`racecheck` and `initcheck` are the other tools that tell something of them. Whether answers are right is asked by
`pytest -m gpu tests/engine/kernels`.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from cuda.bindings import driver
from numpy.typing import NDArray

from engine.kernels.library import KernelLibrary, checked
from engine.kernels.places import PLACE, SOURCE_ALIGNMENT, nodes_along, rows_apart, rows_room

# Hands, queries, points and k: each kernel with few, many and all the points that it holds.
_KNN = (
    (1, 21, 21, 8),
    (2, 21, 336, 16),
    (1, 21, 672, 16),
    (4, 1, 1344, 32),
    (3, 5, 33, 32),
    (1, 1, 1, 1),
    (2, 7, 31, 31),
    (1, 21, 353, 32),
)
_SIZES_PX = (32, 96, 224, 256)
_CROPS = 5
_WIDTH, _HEIGHT = 37, 29


def on_gpu(array: NDArray[Any]) -> int:
    """Copy an array to the GPU; its address there."""
    array = np.ascontiguousarray(array)
    address = checked(driver.cuMemAlloc(array.nbytes), "cuMemAlloc")
    checked(driver.cuMemcpyHtoD(address, array.ctypes.data, array.nbytes), "cuMemcpyHtoD")
    return int(address)


def locked(size: int) -> int:
    """Page-locked memory of the host, of noise; its address, which is the GPU's too."""
    address = int(checked(driver.cuMemHostAlloc(size, 0), "cuMemHostAlloc"))
    noise = np.random.default_rng(2).integers(0, 256, size, dtype=np.uint8)
    ctypes.memmove(address, noise.ctypes.data, size)
    return address


def main() -> None:
    """Launch the kernels."""
    checked(driver.cuInit(0), "cuInit")
    context = checked(driver.cuDevicePrimaryCtxRetain(checked(driver.cuDeviceGet(0), "cuDeviceGet")), "retaining")
    checked(driver.cuCtxSetCurrent(context), "cuCtxSetCurrent")
    kernels = KernelLibrary()
    rng = np.random.default_rng(1)
    for batch, queries, points, k in _KNN:
        for wide in (False, True):
            kernels.knn(
                0,
                on_gpu(rng.normal(size=(batch, queries, 3)).astype(np.float32)),
                on_gpu(rng.normal(size=(batch, points, 3)).astype(np.float32)),
                on_gpu(np.full((batch, queries, k), -9, np.int64 if wide else np.int32)),
                batch=batch,
                queries_count=queries,
                points_count=points,
                k=k,
                wide=wide,
            )
    for size_px in _SIZES_PX:
        places = np.zeros(_CROPS, PLACE)
        stride = 3 * _WIDTH + 7
        source, bytes_each = locked(stride * _HEIGHT * _CROPS), stride * _HEIGHT
        apart = int(rows_apart(np.array(3 * _WIDTH), np.array(stride)))
        room = -(-rows_room(_HEIGHT, 3 * _WIDTH) // 256) * 256
        for number in range(_CROPS):
            # The last one is black, every other one is mirrored; each row begins somewhere else.
            start = source + number * bytes_each
            offset = number * room + start % SOURCE_ALIGNMENT
            place = (offset, apart, _WIDTH, _HEIGHT, 10, -3, number % 2, number < _CROPS - 1, stride, start)
            places[number] = place
        along = nodes_along(size_px)
        pixels, records = on_gpu(np.full(_CROPS * room, 7, np.uint8)), on_gpu(places.view(np.uint8))
        kernels.gather_pixels(0, records, pixels, count=_CROPS)
        kernels.sample_crops(
            0,
            pixels,
            records,
            on_gpu(rng.uniform(-60, 120, size=(_CROPS, along, along, 2)).astype(np.float32)),
            on_gpu(np.full(_CROPS * size_px * size_px * 3, 7, np.uint8)),
            count=_CROPS,
            size_px=size_px,
        )
    checked(driver.cuCtxSynchronize(), "cuCtxSynchronize")
    print("all kernels ran on all sizes", flush=True)


if __name__ == "__main__":
    main()
