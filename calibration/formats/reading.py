"""Reading files within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from calibration.errors import CalibrationError

MAX_BYTES: Final = 1 << 20


def read_bytes(path: Path, limit_bytes: int = MAX_BYTES) -> bytes:
    """Read a file, at most one byte more than the limit: whoever takes it sees that it is too large.

    Raises:
        CalibrationError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(limit_bytes + 1)
    except OSError as error:
        raise CalibrationError({"": [f"{path} cannot be read: {error.strerror}; check the path"]}) from error


def decoded(data: bytes, limit_bytes: int = MAX_BYTES) -> str:
    """Decode a file's content.

    Raises:
        CalibrationError: If it is too large, or not UTF-8.
    """
    if len(data) > limit_bytes:
        raise CalibrationError({"": [f"the file is larger than {limit_bytes} bytes; a calibration is a few kilobytes"]})
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        pickled = data[:1] == b"\x80" or data[:2] in (b"PK", b"\x93N")
        hint = "; pickles and numpy files are never read, export text" if pickled else "; export it again"
        raise CalibrationError({"": [f"the file is not UTF-8 text (byte {error.start}){hint}"]}) from error


def read_text(path: Path, limit_bytes: int = MAX_BYTES) -> str:
    """Read a file as text.

    Raises:
        CalibrationError: If it cannot be read, is too large, or not UTF-8.
    """
    return decoded(read_bytes(path, limit_bytes), limit_bytes)
