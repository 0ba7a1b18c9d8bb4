"""Loads the compiled kernels into a CUDA context and launches them, by raw addresses on a raw stream.

Nothing here allocates or waits, so that launches can be captured in a CUDA graph, and nothing knows whose the context,
the stream and the memory are: PyTorch's, or PyCUDA's beside TensorRT.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from engine.errors import EngineError
from engine.kernels.build import DATA

MOST_NEIGHBORS: Final = 32
"""k of kNN at most: one for each lane of a warp."""

MOST_POINTS: Final = 42 * 32
"""Points that kNN chooses among at most: a hand's 21 joints from 64 hypotheses."""

OLDEST_CAPABILITY: Final = (7, 5)
"""Compute capability that the kernels need."""

_INSTALL: Final = "pip install usthand[gpu]"
# Points a lane: what the kernels of knn.cu are called by.
_SLOTS: Final = (1, 11, 21, 42)
_WARP: Final = 32
_CROP_COLUMNS, _CROP_ROWS = 32, 8
_CROP_THREADS: Final = 8


def bindings_reason() -> str | None:
    """Why the CUDA driver's Python bindings cannot be used here; None if they can."""
    try:
        from cuda.bindings import driver  # noqa: F401
    except ImportError as error:
        return f"the package cuda-bindings is missing ({error}); {_INSTALL}"
    return None


def gpu_reason() -> str | None:
    """Why the kernels cannot run on this machine's first GPU; None if they can."""
    reason = bindings_reason()
    if reason is not None:
        return reason
    from cuda.bindings import driver

    try:
        checked(driver.cuInit(0), "cuInit")
        count = checked(driver.cuDeviceGetCount(), "cuDeviceGetCount")
        if not count:
            return "there is no NVIDIA GPU that this process may use; see nvidia-smi and CUDA_VISIBLE_DEVICES"
        _check_capability(driver, checked(driver.cuDeviceGet(0), "cuDeviceGet"))
    except (EngineError, RuntimeError) as error:
        # Without a driver its bindings raise what is derived of RuntimeError, at the first call.
        return f"no NVIDIA GPU can be used: {error}"
    return None


def checked(answer: tuple[Any, ...], call: str) -> Any:
    """What a call of the CUDA driver gave, without its code.

    Args:
        answer: The code, then what was asked for.
        call: What was called, for the error.

    Raises:
        EngineError: If the code is not success.
    """
    code, *values = answer
    if code != 0:
        raise EngineError(f"{call} failed: {getattr(code, 'name', code)}; see what else uses the GPU (nvidia-smi)")
    return values[0] if len(values) == 1 else tuple(values)


class KernelLibrary:
    """The kernels, loaded into the CUDA context that is current when this is made and when they are launched.

    Raises:
        EngineError: If cuda-bindings is missing, no context is current, or the GPU is too old.
    """

    def __init__(self) -> None:
        reason = bindings_reason()
        if reason is not None:
            raise EngineError(reason)
        from cuda.bindings import driver

        self._driver: Any = driver
        _check_capability(driver, checked(driver.cuCtxGetDevice(), "cuCtxGetDevice"))
        # Kept: a module's code goes when nobody holds it.
        self._modules = {
            name: checked(
                driver.cuModuleLoadData((DATA / f"{name}.fatbin").read_bytes()), f"cuModuleLoadData of {name}"
            )
            for name in ("knn", "crops")
        }
        self._knn = {
            (slots, wide): self._function("knn", f"usthand_knn_{slots}_i{64 if wide else 32}")
            for slots in _SLOTS
            for wide in (False, True)
        }
        self._crops = self._function("crops", "usthand_sample_crops")

    def knn(
        self,
        stream: int,
        queries: int,
        points: int,
        indices: int,
        *,
        batch: int,
        queries_count: int,
        points_count: int,
        k: int,
        wide: bool,
    ) -> None:
        """Find each query's nearest points, nearest first, the lower index first among equals.

        Args:
            stream: Handle of the stream.
            queries: Address of `(B, Q, 3)` float32.
            points: Address of `(B, P, 3)` float32.
            indices: Address of `(B, Q, k)`, written.
            batch: B.
            queries_count: Q.
            points_count: P, at most `MOST_POINTS`.
            k: At most `MOST_NEIGHBORS` and P.
            wide: Indices are int64, else int32.

        Raises:
            EngineError: If a size is beyond what the kernels hold, or the launch fails.
        """
        if not 1 <= k <= min(MOST_NEIGHBORS, points_count):
            raise EngineError(
                f"kNN of k = {k} among {points_count} points; k lies in 1..{MOST_NEIGHBORS} and is no more"
            )
        if points_count > MOST_POINTS:
            raise EngineError(f"kNN among {points_count} points; the kernel holds {MOST_POINTS} at most")
        if not batch * queries_count:
            return
        slots = next(number for number in _SLOTS if number * _WARP >= points_count)
        values = (queries, points, indices, queries_count, points_count, k)
        types = (ctypes.c_void_p,) * 3 + (ctypes.c_int,) * 3
        self._launch(self._knn[slots, wide], (batch * queries_count, 1, 1), (_WARP, 1), stream, values, types)

    def sample_crops(
        self, stream: int, pixels: int, places: int, nodes: int, crops: int, *, count: int, size_px: int
    ) -> None:
        """Sample crops out of rectangles of pictures.

        Args:
            stream: Handle of the stream.
            pixels: Address of the bytes that the places' offsets count from.
            places: Address of `(count,)` of `engine.kernels.places.PLACE`.
            nodes: Address of the nodes `(count, G, G, 2)` float32, picture coordinates.
            crops: Address of the crops `(count, size_px, size_px, 3)` uint8 RGB, a multiple of 4, written.
            count: Crops.
            size_px: Side of a crop, a multiple of 32.

        Raises:
            EngineError: If the launch fails.
        """
        if not count:
            return
        grid = (size_px // _CROP_COLUMNS, size_px // _CROP_ROWS, count)
        values = (pixels, places, nodes, crops, size_px)
        types = (ctypes.c_void_p,) * 4 + (ctypes.c_int,)
        self._launch(self._crops, grid, (_CROP_THREADS, _CROP_ROWS), stream, values, types)

    def _function(self, module: str, name: str) -> Any:
        return checked(self._driver.cuModuleGetFunction(self._modules[module], name.encode()), f"loading {name}")

    def _launch(
        self,
        function: Any,
        grid: tuple[int, int, int],
        block: tuple[int, int],
        stream: int,
        values: tuple[int, ...],
        types: tuple[Any, ...],
    ) -> None:
        answer = self._driver.cuLaunchKernel(function, *grid, *block, 1, 0, stream, (values, types), 0)
        checked(answer, "launching a kernel")


def _check_capability(driver: Any, device: Any) -> None:
    """Refuse a GPU that the kernels were not compiled for."""
    attribute = driver.CUdevice_attribute
    wanted = (
        attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
        attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
    )
    found = tuple(checked(driver.cuDeviceGetAttribute(which, device), "cuDeviceGetAttribute") for which in wanted)
    if found < OLDEST_CAPABILITY:
        raise EngineError(
            f"the GPU has compute capability {found[0]}.{found[1]}, and the kernels need "
            f"{OLDEST_CAPABILITY[0]}.{OLDEST_CAPABILITY[1]}; use --backend onnxruntime"
        )
