"""Calibration files: reading every format that is known, and writing our own."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from calibration.errors import CalibrationError
from calibration.formats import caliscope, handpose3d, usthand
from calibration.rig import Rig
from calibration.units import confirm_metres, require_units

CalibrationFormat = Literal["usthand", "caliscope", "handpose3d"]

MAX_BYTES = 1 << 20


def load_calibration(
    path: Path, format: str = "usthand", units: str | float | None = None, *, size: tuple[int, int] | None = None
) -> Rig:
    """Read a rig from a file, or from a folder where the format is one.

    Args:
        path: File or folder.
        format: `usthand`, `caliscope` or `handpose3d`.
        units: Unit of length in the file (`m`, `cm`, `mm`, `in` or metres per unit). Demanded by formats that do not
            state theirs; for the others it must agree.
        size: Image width and height in pixels. Demanded by formats that do not state it; for the others it must agree.

    Raises:
        CalibrationError: With every reason, by camera id, if the calibration cannot be read or used.
    """
    _check_format(format)
    if format == "handpose3d":
        scale = require_units(units, format)
        if size is None:
            raise CalibrationError({"": ["handpose3d files carry no image size; give size: WIDTHxHEIGHT in pixels"]})
        return handpose3d.rig_from_folder(path, scale, size)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CalibrationError({"": [f"{path} cannot be read: {error.strerror}; check the path"]}) from error
    rig = parse_calibration(data, format, units)
    if wrong := {
        camera.id: [f"size {size[0]}x{size[1]} was asked for, but the file says {camera.width}x{camera.height}"]
        for camera in rig
        if size is not None and size != (camera.width, camera.height)
    }:
        raise CalibrationError(wrong)
    return rig


def parse_calibration(data: bytes, format: str = "usthand", units: str | float | None = None) -> Rig:
    """Read a rig from bytes that anybody may have sent.

    Args:
        data: Content of one file, at most `MAX_BYTES`.
        format: `usthand` or `caliscope`.
        units: As in `load_calibration`.

    Raises:
        CalibrationError: With every reason, by camera id, if the calibration cannot be read or used.
    """
    _check_format(format)
    if format == "handpose3d":
        raise CalibrationError(
            {"": ["handpose3d is a folder, not a file; convert it: usthand rig convert FOLDER --format handpose3d ..."]}
        )
    confirm_metres(units, format)
    if len(data) > MAX_BYTES:
        raise CalibrationError({"": [f"the file is larger than {MAX_BYTES} bytes; a calibration is a few kilobytes"]})
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CalibrationError({"": [f"the file is not UTF-8 text (byte {error.start}); export it again"]}) from error
    return caliscope.rig_from_toml(text) if format == "caliscope" else usthand.rig_from_json(text)


def calibration_to_dict(rig: Rig) -> dict[str, Any]:
    """Return the content of `calibration.json`, schema `usthand.calibration/1`."""
    return usthand.rig_to_dict(rig)


def save_calibration(rig: Rig, path: Path, *, source: str | None = None) -> None:
    """Write `calibration.json`; a reader sees the old file or the whole new one.

    Args:
        rig: What to write; it is read back with the same id.
        path: Where to; its folder must exist.
        source: Where the calibration comes from, for people.
    """
    content = calibration_to_dict(rig) | {"created": datetime.now(UTC).isoformat(timespec="seconds")}
    if source is not None:
        content["source"] = source
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _check_format(format: str) -> None:
    known = get_args(CalibrationFormat)
    if format not in known:
        raise CalibrationError({"": [f"format {str(format)[:40]!r} is not known; use one of {', '.join(known)}"]})
