"""The disk under a recording: how much is free, and what its errors mean."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from server.recording.status import RecordingState

RESERVE_BYTES: Final = 512 << 20
"""What a recording leaves free: a full disk would hurt more than the recording."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MIB: Final = 1 << 20


class DiskFile:
    """A file whose bytes are with the system when `write` returns; says when it is no longer where it was made.

    Args:
        path: Must not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb", buffering=0)
        self._size = 0

    def write(self, data: bytes) -> int:
        """Write all of it."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self._size += written
            view = view[written:]
        return len(data)

    def tell(self) -> int:
        """Return how much was written."""
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def free_bytes(self) -> int:
        """Return what is free on its disk.

        Raises:
            OSError: If its folder is gone, or the file no longer in it.
        """
        if self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino:
            raise FileNotFoundError(errno.ENOENT, "another file took its place", str(self._path))
        return free_bytes(self._path.parent)

    def close(self, *, sync: bool) -> None:
        """Close it.

        Args:
            sync: Whether to wait until it is on the disk itself.
        """
        try:
            if sync:
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


def free_bytes(folder: Path) -> int:
    """Return what is free on the disk of a folder."""
    return shutil.disk_usage(folder).free


def too_little(folder: Path, free: int, reserve: int) -> str:
    """Say that a disk is full."""
    return (
        f"{folder} has {free // _MIB} MiB free and {reserve // _MIB} MiB are kept free; delete what is not needed, "
        "or record to another disk"
    )


def judge(error: OSError, folder: Path) -> tuple[RecordingState, str]:
    """Name the state that an error of the disk leaves a recording in, and say it."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return "disk_full", f"{folder}: {reason}; delete what is not needed, or record to another disk"
    return "unwritable", f"{folder} cannot be written: {reason}; check that its disk is there and may be written"
