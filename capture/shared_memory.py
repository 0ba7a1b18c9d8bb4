"""Shared memory without a name: it goes with the last process that holds it, however that process ends."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import tempfile
import time
from multiprocessing import reduction
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from capture.errors import CaptureError

SHARED_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - the kernel's shared memory, not a temporary file

_MIB = 1 << 20
_LOCK_POLL_S = 2e-5


def free_shared_memory_bytes() -> int | None:
    """Return what is free of the machine's shared memory; None where the system does not bound it."""
    try:
        stats = os.statvfs(SHARED_MEMORY_FOLDER)
    except FileNotFoundError:
        return None
    return stats.f_bavail * stats.f_frsize


def check_shared_memory(needed_bytes: int, remedy: str) -> None:
    """Refuse to start where frames would not fit.

    Args:
        needed_bytes: What all rings need together.
        remedy: What the user can change on his side, for the message.

    Raises:
        CaptureError: If less is free than is needed.
    """
    free = free_shared_memory_bytes()
    if free is not None and free < needed_bytes:
        raise CaptureError(_too_little(needed_bytes, free, remedy))


def _too_little(needed_bytes: int, free_bytes: int | None, remedy: str) -> str:
    has = "less" if free_bytes is None else f"{free_bytes / _MIB:.0f} MiB"
    wanted_mib = int(needed_bytes * 1.25 / _MIB) + 16
    return (
        f"the frame rings need {needed_bytes / _MIB:.0f} MiB of shared memory, but {SHARED_MEMORY_FOLDER} has {has} "
        f"free; {remedy}, or give it more: docker run --shm-size={wanted_mib}m, or on a host "
        f"mount -o remount,size={wanted_mib}m {SHARED_MEMORY_FOLDER}"
    )


class Segment:
    """A piece of shared memory that child processes inherit, with a lock that the kernel frees when its holder dies.

    The pages are allocated here, so that too little memory is an error now and not a bus error later. It can be
    pickled only into a process that is being spawned.

    Args:
        size: Bytes.
        remedy: What the user can change on his side if it does not fit, for the message.

    Raises:
        CaptureError: If the memory cannot be had.
    """

    def __init__(self, size: int, remedy: str) -> None:
        self.size = size
        self._fd = -1
        folder = SHARED_MEMORY_FOLDER if SHARED_MEMORY_FOLDER.is_dir() else None
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
                self._fd = os.dup(file.fileno())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                raise CaptureError(_too_little(size, free_shared_memory_bytes(), remedy)) from error
            if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise CaptureError(
                    f"the frame rings need shared memory, but {folder or tempfile.gettempdir()} cannot be written: "
                    f"{error.strerror}; mount it writable (docker: --tmpfs {SHARED_MEMORY_FOLDER})"
                ) from error
            raise

    def __getstate__(self) -> dict[str, Any]:
        return {"size": self.size, "fd": reduction.DupFd(self._fd)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.size = state["size"]
        self._fd = state["fd"].detach()

    def writable(self, offset: int, length: int) -> NDArray[np.uint8]:
        """Map bytes for writing; the array keeps its mapping alive, and `offset` is a multiple of the page size."""
        return np.frombuffer(mmap.mmap(self._fd, length, offset=offset), dtype=np.uint8)

    def readable(self, offset: int, length: int) -> NDArray[np.uint8]:
        """Map bytes to read; the array is read-only and keeps its mapping alive; `offset` is as for `writable`.

        The mapping itself is writable: a GPU's driver locks pages for its reading in no other (`engine.backends`).
        """
        mapping = mmap.mmap(self._fd, length, offset=offset)
        return np.frombuffer(memoryview(mapping).toreadonly(), dtype=np.uint8)

    def lock(self, timeout_s: float) -> bool:
        """Take the lock between processes; False if its holder keeps it for longer than the timeout."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(_LOCK_POLL_S)
            else:
                return True

    def unlock(self) -> None:
        """Give the lock back."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the memory; arrays that are mapped stay valid."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
