"""Memory of the host that the GPU reads where it lies: pictures in it are not copied to where the GPU can reach them.

CUDA locks memory for a process, not for whoever asked: two runtimes that read of the same cameras share one
registration, which ends with the last of them, or with the memory if that goes first.
"""

from __future__ import annotations

import importlib
import logging
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.kernels.driver import checked

# Of cuMemHostRegister: for every context of the process, and where a kernel can read it.
_PORTABLE: Final = 1
_DEVICE_MAP: Final = 2
_PAGE: Final = 4096
_LOG = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Registration:
    """An array whose memory is locked, or was found not to be lockable.

    Args:
        memory: The array, as long as somebody else holds it.
        shift: From an address of it on the host to the one that the GPU knows; None: it cannot be locked.
        end: Unlocks it, once.
        users: So many runtimes use it.
    """

    memory: weakref.ref[NDArray[np.uint8]]
    shift: int | None
    end: Any = None
    users: int = 0


# By the array's id, which another one may have once it is gone.
_ALL: dict[int, _Registration] = {}
# The one who lets go of an array may be in here already.
_GUARD = threading.RLock()


class LockedMemory:
    """What a runtime has locked, in the CUDA context that is current when this is made.

    Raises:
        EngineError: If cuda-bindings is missing, or no context is current.
    """

    def __init__(self) -> None:
        try:
            self._driver: Any = importlib.import_module("cuda.bindings.driver")
        except ImportError as error:
            raise EngineError(f"cuda-bindings is missing ({error}); run: pip install 'usthand[gpu]'") from error
        self._context = checked(self._driver.cuCtxGetCurrent(), "cuCtxGetCurrent")
        self._used: dict[int, _Registration] = {}
        self._told = False

    def lock(self, memory: NDArray[np.uint8]) -> bool:
        """Lock the memory of an array, if that is not done yet; the context must be current.

        It is unlocked when nobody holds the array any more, or at `close`. Memory that cannot be locked is left as it
        is, which the log says once.

        Args:
            memory: One row of bytes, from the start of a page on. Pictures that are to be read in place are views of
                this very array.

        Returns:
            Whether it is locked.

        Raises:
            EngineError: If it does not begin with a page.
        """
        used = self._used.get(id(memory))
        if used is not None and used.memory() is memory:
            return used.shift is not None
        with _GUARD:
            for key, gone in list(self._used.items()):
                if gone.memory() is None:
                    del self._used[key]
            registration = _ALL.get(id(memory))
            if registration is None or registration.memory() is not memory:
                registration = self._register(memory)
            registration.users += 1
            self._used[id(memory)] = registration
        return registration.shift is not None

    def address(self, picture: NDArray[np.uint8]) -> int | None:
        """Where the GPU reads the first pixel of a picture; None if the picture is not in memory that is locked."""
        base = picture.base
        used = self._used.get(id(base))
        if used is None or used.shift is None or used.memory() is not base:
            return None
        return int(picture.__array_interface__["data"][0]) + used.shift

    def close(self) -> None:
        """Unlock what no other runtime uses; the context must be current, and nothing may read of it any more."""
        with _GUARD:
            used, self._used = self._used, {}
            for registration in used.values():
                registration.users -= 1
                if registration.users == 0 and registration.end is not None:
                    registration.end()

    def _register(self, memory: NDArray[np.uint8]) -> _Registration:
        start = int(memory.__array_interface__["data"][0])
        if start % _PAGE:
            raise EngineError(f"memory at {start:#x} does not begin with a page; give a mapping of its own")
        try:
            shift = self._shift(start, memory.nbytes)
        except EngineError as error:
            if not self._told:
                self._told = True
                _LOG.warning(
                    "pictures cannot be read where they lie, %d MiB of them (%s): they are copied in each frame",
                    memory.nbytes >> 20,
                    error,
                )
            return _Registration(weakref.ref(memory), None)
        end = weakref.finalize(memory, _unlock, self._driver, self._context, id(memory), start)
        # The process ends with its memory.
        end.atexit = False
        registration = _Registration(weakref.ref(memory), shift, end)
        _ALL[id(memory)] = registration
        _LOG.info("%d MiB of pictures are read where they lie", memory.nbytes >> 20)
        return registration

    def _shift(self, start: int, size: int) -> int:
        """Lock memory; from its address to the one that the GPU knows, mostly none."""
        driver = self._driver
        checked(driver.cuMemHostRegister(start, size, _PORTABLE | _DEVICE_MAP), "cuMemHostRegister")
        try:
            return int(checked(driver.cuMemHostGetDevicePointer(start, 0), "cuMemHostGetDevicePointer")) - start
        except EngineError:
            driver.cuMemHostUnregister(start)
            raise


def _unlock(driver: Any, context: Any, key: int, start: int) -> None:
    """Unlock memory, from whichever thread let go of it last; it is mapped until this returns."""
    with _GUARD:
        _ALL.pop(key, None)
    (code,) = driver.cuCtxPushCurrent(context)
    if int(code):
        # The GPU is gone, and what it had locked with it.
        return
    try:
        (code,) = driver.cuMemHostUnregister(start)
        if int(code):
            _LOG.warning("cuMemHostUnregister: %s", getattr(code, "name", code))
    finally:
        driver.cuCtxPopCurrent()
