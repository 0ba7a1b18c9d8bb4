"""A GPU's context, streams and memory, by pycuda.

pycuda is imported when a context is opened, not with this module. The context is the GPU's primary one, which other
libraries in this process share, so that handles and addresses mean the same to all.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError


class CudaContext:
    """A GPU's primary context.

    Args:
        ordinal: Number of the GPU.

    Raises:
        EngineError: If pycuda is missing, or the GPU cannot be used.
    """

    def __init__(self, ordinal: int = 0) -> None:
        try:
            self._cuda: Any = importlib.import_module("pycuda.driver")
        except ImportError as error:
            raise EngineError(f"the package pycuda is missing ({error}); pip install 'usthand[gpu]'") from error
        try:
            self._cuda.init()
            self._context: Any = self._cuda.Device(ordinal).retain_primary_context()
        except self._cuda.Error as error:
            raise EngineError(f"GPU {ordinal} cannot be used ({error}); see nvidia-smi") from error

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it current in this thread; CUDA's failures become errors that say what to do.

        Raises:
            EngineError: If CUDA fails within.
        """
        try:
            self._context.push()
            try:
                yield
            finally:
                self._context.pop()
        except self._cuda.MemoryError as error:
            raise EngineError(
                f"the GPU's memory is full ({error}); end what else uses it (nvidia-smi), or use fewer views"
            ) from error
        except self._cuda.Error as error:
            raise EngineError(
                f"the GPU failed ({error}); if it goes on, restart the service, or use --backend onnxruntime"
            ) from error

    def stream(self) -> Any:
        """A new stream; `.handle` is its handle."""
        return self._cuda.Stream()

    def pinned(self, size: int) -> NDArray[np.uint8]:
        """Memory of this machine that the GPU copies from and to without help; zeros."""
        memory: NDArray[np.uint8] = self._cuda.pagelocked_zeros(size, np.uint8)
        return memory

    def memory(self, size: int) -> Any:
        """Memory of the GPU, zeros; `int()` of it is its address, `.free()` gives it back."""
        allocated = self._cuda.mem_alloc(size)
        self._cuda.memset_d8(allocated, 0, size)
        return allocated

    def poison(self, memory: Any, size: int) -> None:
        """Fill memory of the GPU with what is no number."""
        self._cuda.memset_d8(memory, 0xFF, size)

    def upload(self, address: int, source: NDArray[np.uint8], stream: Any) -> None:
        """Copy to the GPU, in the order of a stream."""
        self._cuda.memcpy_htod_async(address, source, stream)

    def download(self, target: NDArray[np.uint8], address: int, stream: Any) -> None:
        """Copy from the GPU, in the order of a stream."""
        self._cuda.memcpy_dtoh_async(target, address, stream)

    def mark(self, stream: Any) -> Any:
        """An event at this place of a stream; `after.time_since(before)` is in milliseconds."""
        event = self._cuda.Event()
        event.record(stream)
        return event

    def memory_in_use(self) -> int:
        """Bytes of the GPU's memory that are not free."""
        free, whole = self._cuda.mem_get_info()
        return int(whole) - int(free)

    def close(self) -> None:
        """Give the context back."""
        self._context.detach()
