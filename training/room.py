"""Files on disks that may be full: whole or not there, and what lacks room is said in place of a crash."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def told_if_full(path: Path) -> Iterator[None]:
    """Say which file could not be written because its disk is full.

    Args:
        path: What the block writes. A RuntimeError is taken for a failure to write it: torch says no more.

    Raises:
        OSError: If there is no room for it.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno not in _FULL:
            raise
        free_mb = shutil.disk_usage(path.parent).free / 1e6
        reason = error.strerror if isinstance(error, OSError) else str(error).split("\n", 1)[0]
        raise OSError(
            f"{path}: cannot be written ({reason}; {free_mb:.0f} MB are free there); make room, and give the same "
            "command again"
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Write a file; whoever looks finds what was there before or the new one, never a part.

    Raises:
        OSError: If there is no room for it.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with told_if_full(path):
            part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def reserve(path: Path) -> None:
    """Take a file's whole size of its disk: writing to a map of it where there is no room kills the process.

    Args:
        path: An existing file, which may have holes.

    Raises:
        OSError: If there is no room for it.
    """
    with told_if_full(path), path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
