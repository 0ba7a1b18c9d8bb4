"""All kernels on awkward sizes, without PyTorch, for NVIDIA's compute-sanitizer.

    compute-sanitizer --tool memcheck --error-exitcode 1 python -m benchmarks.sanitize_kernels

`racecheck` and `initcheck` are the other tools that tell something of them. Memory is as large as what lies in it, and
what a kernel writes is not written before. Whether answers are right is asked by `pytest -m gpu tests/engine/kernels`.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.kernels.driver import checked
from engine.kernels.layouts import STPT_PAST, last_layout, round_layout, size_of, stpt_layout
from engine.kernels.library import INTERACTION_CHANNELS, STPT_CHANNELS, KernelLibrary, heatmap_parts
from engine.kernels.places import PLACE, SOURCE_ALIGNMENT, nodes_along, rows_apart, rows_room

_JOINTS = 21
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
# Pictures, channels, height and width of maps; places in each.
_MAPS = ((8, 128, 32, 32, 21), (1, 64, 28, 28, 1), (3, 4, 1, 1, 5), (2, 60, 7, 9, 22), (1, 100, 5, 13, 3))
# Hands, views, channels, height and width of maps, and points.
_POINTS = (
    (1, 8, 128, 32, 32, 693),
    (2, 2, 64, 28, 28, 357),
    (1, 16, 4, 1, 1, 1),
    (2, 3, 100, 7, 9, 42),
    (1, 1, 32, 3, 2, 5),
)
# Hands and views.
_INTERACTIONS = ((1, 2), (2, 3), (1, 8))
_ROUNDS = 2
# Hands and anchors.
_STPT = ((1, 16), (2, 17), (2, 336), (1, 672), (1, 1344))
_BLOCKS = 2
# Joints of all views of all hands, and channels.
_CONDITIONS = ((42, 128), (336, 256), (1, 16), (5, 48))
# Hands, views and hypotheses.
_CLOUDS = ((1, 2, 16), (2, 8, 32), (1, 1, 1), (2, 3, 1), (1, 8, 32))
_FLOW_LAYERS, _FLOW_HIDDEN = 4, 64
_FLOW_CONDITIONS = _FLOW_LAYERS * _FLOW_HIDDEN + 4
_HANDS = (1, 2, 3)
_HEAD_CHANNELS = (32, 64, 96, 128)
_EMBEDDED = 32


class _Counting:
    """A CUDA driver that counts what is loaded and what is launched."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._names: dict[int, str] = {}
        self.launches: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def cuModuleGetFunction(self, module: Any, name: bytes) -> tuple[Any, ...]:  # noqa: N802
        code, function = self._driver.cuModuleGetFunction(module, name)
        if not int(code):
            self._names[int(function)] = name.decode()
            self.launches[name.decode()] = 0
        return code, function

    def cuLaunchKernel(self, function: Any, *rest: Any) -> tuple[Any, ...]:  # noqa: N802
        self.launches[self._names[int(function)]] += 1
        answer: tuple[Any, ...] = self._driver.cuLaunchKernel(function, *rest)
        return answer


class _Memory:
    """Memory of the GPU, each piece as large as what lies in it.

    Args:
        driver: `cuda.bindings.driver`, or something that answers as it does.
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._rng = np.random.default_rng(1)

    def room(self, *shape: int, of: Any = np.float32) -> int:
        """Memory that nobody wrote to; its address."""
        return int(checked(self._driver.cuMemAlloc(int(np.prod(shape)) * np.dtype(of).itemsize), "cuMemAlloc"))

    def holding(self, array: NDArray[Any]) -> int:
        """A copy of an array; its address."""
        array = np.ascontiguousarray(array)
        address = self.room(*array.shape, of=array.dtype)
        checked(self._driver.cuMemcpyHtoD(address, array.ctypes.data, array.nbytes), "cuMemcpyHtoD")
        return address

    def noise(self, *shape: int, least: float = -1.0, most: float = 1.0) -> int:
        """Random numbers; their address."""
        return self.holding(self._rng.uniform(least, most, size=shape).astype(np.float32))

    def locked(self, size: int) -> int:
        """Page-locked memory of the host, of noise; its address, which is the GPU's too."""
        address = int(checked(self._driver.cuMemHostAlloc(size, 0), "cuMemHostAlloc"))
        noise = self._rng.integers(0, 256, size, dtype=np.uint8)
        ctypes.memmove(address, noise.ctypes.data, size)
        return address


def nearest_points(kernels: KernelLibrary, memory: _Memory) -> None:
    """Launch the kernels of the nearest points."""
    for batch, queries, points, k in _KNN:
        for wide in (False, True):
            kernels.knn(
                0,
                memory.noise(batch, queries, 3),
                memory.noise(batch, points, 3),
                memory.room(batch, queries, k, of=np.int64 if wide else np.int32),
                batch=batch,
                queries_count=queries,
                points_count=points,
                k=k,
                wide=wide,
            )


def crops(kernels: KernelLibrary, memory: _Memory) -> None:
    """Launch the kernels that make crops of pictures."""
    for size_px in _SIZES_PX:
        places = np.zeros(_CROPS, PLACE)
        stride = 3 * _WIDTH + 7
        source, bytes_each = memory.locked(stride * _HEIGHT * _CROPS), stride * _HEIGHT
        apart = rows_apart(3 * _WIDTH, stride)
        room = rows_room(_HEIGHT, 3 * _WIDTH)
        room_apart = -(-room // 256) * 256
        for number in range(_CROPS):
            # The first one is black, every other one is mirrored; each row begins somewhere else.
            start = source + number * bytes_each
            offset = number * room_apart + start % SOURCE_ALIGNMENT
            places[number] = (offset, apart, _WIDTH, _HEIGHT, 10, -3, number % 2, number > 0, stride, start)
        along = nodes_along(size_px)
        pixels = memory.room((_CROPS - 1) * room_apart + room, of=np.uint8)
        records = memory.holding(places.view(np.uint8))
        kernels.gather_pixels(0, records, pixels, count=_CROPS)
        kernels.sample_crops(
            0,
            pixels,
            records,
            memory.noise(_CROPS, along, along, 2, least=-60, most=120),
            memory.room(_CROPS, size_px, size_px, 3, of=np.uint8),
            count=_CROPS,
            size_px=size_px,
        )


def maps(kernels: KernelLibrary, memory: _Memory) -> None:
    """Launch the kernels that read maps of crops."""
    for count, channels, height, width, places_count in _MAPS:
        sizes = {"count": count, "channels": channels, "height": height, "width": width}
        features = memory.noise(count, height, width, channels)
        kernels.heatmaps(
            0,
            features,
            memory.noise(_JOINTS, channels),
            memory.noise(_JOINTS),
            memory.noise(1, least=5, most=10),
            memory.room(count, _JOINTS, heatmap_parts(height, width), 4),
            memory.room(count, _JOINTS, 2),
            memory.room(count, _JOINTS),
            memory.room(count, _JOINTS, channels),
            **sizes,
        )
        places = memory.noise(count, places_count, 2, least=-1.5, most=1.5)
        samples = memory.room(count, places_count, channels)
        kernels.sample_maps(0, features, places, samples, places_count=places_count, **sizes)


def points(kernels: KernelLibrary, memory: _Memory) -> None:
    """Launch the kernel that looks points up in all views."""
    for batch, views, channels, height, width, points_count in _POINTS:
        kernels.see_points(
            0,
            memory.noise(batch, views, height, width, channels),
            memory.noise(width, channels),
            memory.noise(height, channels),
            memory.noise(batch, views, 3, 4),
            memory.noise(batch, points_count, 3),
            memory.noise(batch, views, points_count, least=0),
            memory.noise(batch, views, least=0),
            memory.noise(3, channels),
            memory.room(batch, points_count, channels),
            batch=batch,
            channels=channels,
            height=height,
            width=width,
            views=views,
            points_count=points_count,
        )


def interaction(kernels: KernelLibrary, memory: _Memory) -> None:
    """Launch the kernels of the feature interaction."""
    for channels in INTERACTION_CHANNELS:
        rounds = memory.noise(_ROUNDS, size_of(round_layout(channels)), least=-0.1, most=0.1)
        last = memory.noise(size_of(last_layout(channels)), least=-0.1, most=0.1)
        for hands, views in _INTERACTIONS:
            sizes = {"hands": hands, "views": views, "channels": channels}
            rows = hands * views * _JOINTS
            tokens, confidence = memory.noise(rows, channels), memory.noise(rows, least=0)
            mask = memory.noise(hands, views, least=0)
            for number in range(_ROUNDS):
                convolved, asked = memory.room(rows, channels), memory.room(rows, 3, channels)
                given = (rounds, tokens, confidence, convolved, asked)
                kernels.interaction_convolve(0, given, number=number, **sizes)
                tokens = memory.room(rows, channels)
                given = (rounds, convolved, asked, mask, tokens)
                kernels.interaction_attend(0, given, number=number, **sizes)
            kernels.interaction_finish(0, (last, tokens, memory.room(rows, channels)), **sizes)


def transformer(kernels: KernelLibrary, memory: _Memory) -> None:
    """Launch the kernels of STPT."""
    for channels in STPT_CHANNELS:
        weights = memory.noise(_BLOCKS, size_of(stpt_layout(channels)), least=-0.1, most=0.1)
        for hands, anchors in _STPT:
            points_count = hands * _JOINTS
            places, features = memory.noise(points_count, 3), memory.noise(points_count, channels)
            asked = memory.room(points_count, 3, channels)
            kernels.stpt_start(0, weights, features, asked, points_count=points_count, channels=channels)
            anchor_places = memory.noise(hands, anchors, 3)
            anchor_keys_values = memory.noise(hands, anchors, _BLOCKS, 2, channels)
            valid = memory.noise(hands, STPT_PAST + 1, least=0)
            state = memory.noise(hands, _BLOCKS, 2, STPT_PAST, _JOINTS, channels)
            kept = memory.room(hands, _BLOCKS, 2, STPT_PAST, _JOINTS, channels)
            for number in range(_BLOCKS):
                read = (weights, places, features, asked, anchor_places, anchor_keys_values, valid, state)
                places, features = memory.room(points_count, 3), memory.room(points_count, channels)
                asked = memory.room(points_count, 3, channels)
                kernels.stpt_refine(
                    0,
                    (*read, places, features, asked, kept),
                    points_count=points_count,
                    anchors_count=anchors,
                    number=number,
                    count=_BLOCKS,
                    channels=channels,
                )


def cloud(kernels: KernelLibrary, memory: _Memory) -> None:
    """Launch the kernels of the flow."""
    for rows, channels in _CONDITIONS:
        kernels.flow_conditions(
            0,
            memory.noise(rows, channels),
            memory.noise(channels, _FLOW_HIDDEN),
            memory.noise(_FLOW_HIDDEN),
            memory.noise(_FLOW_HIDDEN, _FLOW_CONDITIONS),
            memory.noise(_FLOW_CONDITIONS),
            memory.room(rows, _FLOW_CONDITIONS),
            rows=rows,
            channels=channels,
        )
    for hands, views, hypotheses in _CLOUDS:
        kernels.flow_cloud(
            0,
            memory.noise(hands, views, _JOINTS, _FLOW_CONDITIONS),
            memory.noise(hands, views, _JOINTS, 2),
            memory.noise(hands, views, hypotheses, _JOINTS, 2),
            memory.noise(hands, views, _JOINTS, least=0),
            memory.noise(hands, views, least=0),
            memory.noise(hands, views, 3, 4),
            memory.noise(_FLOW_LAYERS, _FLOW_HIDDEN),
            memory.noise(_FLOW_LAYERS, _FLOW_HIDDEN, 2),
            memory.room(hands, views, _JOINTS, 2),
            memory.room(hands, _JOINTS * (1 + hypotheses), 3),
            memory.room(hands, 3, 3),
            memory.room(hands, _JOINTS, 3),
            memory.room(hands, _JOINTS * hypotheses, 3),
            hands=hands,
            views=views,
            hypotheses=hypotheses,
        )


def hand(kernels: KernelLibrary, memory: _Memory) -> None:
    """Launch the kernels around MANO's head."""
    for hands in _HANDS:
        joints = memory.noise(hands, _JOINTS, 3)
        for channels in _HEAD_CHANNELS:
            kernels.mano_input(
                0,
                joints,
                memory.noise(hands, _JOINTS, channels),
                memory.noise(channels),
                memory.noise(channels),
                memory.noise(channels, _EMBEDDED),
                memory.noise(_EMBEDDED),
                memory.room(hands, _JOINTS, _EMBEDDED + 3),
                hands=hands,
                channels=channels,
            )
        for posed in (False, True):
            kernels.mano(
                0,
                joints,
                memory.noise(hands, 16 * 6 + 10),
                memory.noise(_JOINTS, 3),
                memory.noise(_JOINTS, 3, 10),
                memory.noise(5, 16),
                memory.noise(15, 135) if posed else 0,
                memory.room(hands, _JOINTS, 3),
                memory.room(hands, 16, 3, 3),
                memory.room(hands, 10),
                memory.room(hands, 3),
                memory.room(hands, _JOINTS, 3),
                memory.room(hands, 16, 3, 3),
                memory.room(hands, 16, 3),
                hands=hands,
                posed=posed,
            )


def launch_all(driver: Any) -> Counter[str]:
    """Launch the kernels in the context that is current.

    Args:
        driver: `cuda.bindings.driver`, or something that answers as it does.

    Returns:
        How often each that the library loads was launched.

    Raises:
        EngineError: If one was not, or the driver says that something went wrong.
    """
    counting = _Counting(driver)
    kernels, memory = KernelLibrary(counting), _Memory(driver)
    for launch in (nearest_points, crops, maps, points, interaction, transformer, cloud, hand):
        launch(kernels, memory)
        checked(driver.cuCtxSynchronize(), f"cuCtxSynchronize after {launch.__name__}")
    if missed := [name for name, times in counting.launches.items() if not times]:
        raise EngineError(f"{', '.join(missed)}: loaded, but not launched here; add a launch to {__name__}")
    return counting.launches


def main() -> None:
    """Launch the kernels on this machine's first GPU, and say which ran how often."""
    driver = import_module("cuda.bindings.driver")
    checked(driver.cuInit(0), "cuInit")
    context = checked(driver.cuDevicePrimaryCtxRetain(checked(driver.cuDeviceGet(0), "cuDeviceGet")), "retaining")
    checked(driver.cuCtxSetCurrent(context), "cuCtxSetCurrent")
    for name, times in sorted(launch_all(driver).items()):
        print(f"{times:4} {name}", flush=True)
    print("all kernels ran on all sizes", flush=True)


if __name__ == "__main__":
    main()
