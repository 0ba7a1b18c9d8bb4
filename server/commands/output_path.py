"""Whether a file can be written, asked before the work that would be lost."""

from __future__ import annotations

import os
from pathlib import Path


def require_file_place(path: Path, example: str) -> None:
    """Refuse a path that no file could be written to.

    Args:
        path: The file.
        example: What such a file may be called.

    Raises:
        ValueError: If it is a folder itself, or lies in none that is there and may be written to.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the name of a file in it, such as {path / example}")
    if not folder.is_dir():
        raise ValueError(f"{path.parent} is not a folder that {path.name} could be written to; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{path.parent} may not be written to; choose another folder for {path.name}")


def require_folder(path: Path) -> None:
    """Make a folder for what is to be written, if it is not there yet.

    Raises:
        ValueError: If it is something else.
        OSError: If it cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; give a folder, which is made if it is not there")
    path.mkdir(parents=True, exist_ok=True)
