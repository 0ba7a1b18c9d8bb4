"""Calibration files: reading every format that is known, and writing those that others read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from calibration.errors import CalibrationError
from calibration.formats import (
    anipose,
    caliscope,
    colmap,
    dexycb,
    easymocap,
    hanco,
    handpose3d,
    kalibr,
    multical,
    opencv,
    usthand,
)
from calibration.formats.reading import MAX_BYTES, decoded, read_bytes, read_text
from calibration.formats.recognition import mismatch
from calibration.rig import Rig
from calibration.units import confirm_metres, require_units

__all__ = [
    "FILE_FORMATS",
    "MAX_BYTES",
    "WRITTEN_FORMATS",
    "CalibrationFormat",
    "WrittenFormat",
    "calibration_to_dict",
    "load_calibration",
    "parse_calibration",
    "save_calibration",
    "write_calibration",
]

CalibrationFormat = Literal[
    "usthand",
    "anipose",
    "caliscope",
    "colmap",
    "dexycb",
    "easymocap",
    "handpose3d",
    "hanco",
    "kalibr",
    "multical",
    "opencv",
]
WrittenFormat = Literal["usthand", "anipose", "colmap", "kalibr", "multical", "opencv"]

WRITTEN_FORMATS: Final = get_args(WrittenFormat)
"""What can be written."""

FILE_FORMATS: Final = ("usthand", "anipose", "caliscope", "hanco", "kalibr", "multical", "opencv")
"""What is one file, and so can be uploaded."""

_MODEL_BYTES: Final = 64 << 20
_TO_UNITS: Final = "--to-units"


def load_calibration(
    path: Path, format: str = "usthand", units: str | float | None = None, *, size: tuple[int, int] | None = None
) -> Rig:
    """Read a rig from a file, or from a folder where the format is one.

    Args:
        path: File or folder.
        format: One of `CalibrationFormat`.
        units: Unit of length in the file (`m`, `cm`, `mm`, `in` or metres per unit). Demanded by formats that do not
            state theirs; for the others it must agree.
        size: Image width and height in pixels. Demanded by formats that do not state it; for the others it must agree.

    Raises:
        CalibrationError: With the path and every reason, by camera id, if the calibration cannot be read or used.
    """
    _check_format(format)
    try:
        return _load(path, format, units, size)
    except CalibrationError as error:
        # Who has several rigs is to know whose file it is.
        raise CalibrationError(error.reasons, str(path)) from error


def _load(path: Path, format: str, units: str | float | None, size: tuple[int, int] | None) -> Rig:
    match format:
        case "handpose3d":
            return handpose3d.rig_from_folder(path, require_units(units, format), _demanded(size, format))
        case "colmap":
            scale = require_units(units, format)
            if not path.is_dir():
                raise CalibrationError({"": [f"{path} is not a folder; give the one with cameras.txt and images.txt"]})
            # Real models carry every point of every picture.
            cameras, images = read_text(path / colmap.CAMERAS), read_text(path / colmap.IMAGES, _MODEL_BYTES)
            rig = colmap.rig_from_texts(cameras, images, scale)
        case "easymocap":
            return easymocap.rig_from_folder(path, require_units(units, format), size)
        case "dexycb":
            confirm_metres(units, format)
            return dexycb.rig_from_files(path, size)
        case _:
            return parse_calibration(read_bytes(path), format, units, size=size)
    _confirm_size(rig, size)
    return rig


def parse_calibration(
    data: bytes, format: str = "usthand", units: str | float | None = None, *, size: tuple[int, int] | None = None
) -> Rig:
    """Read a rig from bytes that anybody may have sent.

    Args:
        data: Content of one file, at most `MAX_BYTES`.
        format: One of `FILE_FORMATS`.
        units: As in `load_calibration`.
        size: As in `load_calibration`.

    Raises:
        CalibrationError: With every reason, by camera id, if the calibration cannot be read or used.
    """
    _check_format(format)
    if format not in FILE_FORMATS:
        raise CalibrationError(
            {"": [f"{format} is more than one file; convert it: usthand rig convert SRC --format {format} ..."]}
        )
    text = decoded(data)
    try:
        rig = _parsed(text, format, units, size)
    except CalibrationError as error:
        # Every value of a file is wrong to a reader of another format: that alone is worth saying then.
        if (why := mismatch(text, format)) is not None:
            raise CalibrationError({"": [why]}) from error
        raise
    _confirm_size(rig, size)
    return rig


def _parsed(text: str, format: str, units: str | float | None, size: tuple[int, int] | None) -> Rig:
    match format:
        case "anipose":
            return anipose.rig_from_toml(text, require_units(units, format))
        case "multical":
            return multical.rig_from_json(text, require_units(units, format))
        case "opencv":
            return opencv.rig_from_yaml(text, units)
        case "caliscope":
            confirm_metres(units, format)
            return caliscope.rig_from_toml(text)
        case "kalibr":
            confirm_metres(units, format)
            return kalibr.rig_from_yaml(text)
        case "hanco":
            confirm_metres(units, format)
            return hanco.rig_from_json(text, _demanded(size, format))
        case _:
            confirm_metres(units, format)
            return usthand.rig_from_json(text)


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
    _write(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a format keeps of what changes no projection."""

    rig_name: bool = False
    rms_px: bool = False


_KEPT: Final[Mapping[str, _Kept]] = {"usthand": _Kept(rig_name=True, rms_px=True), "opencv": _Kept(rms_px=True)}


def write_calibration(
    rig: Rig, path: Path, format: str, *, units: str | float | None = None, source: str | None = None
) -> tuple[str, ...]:
    """Write a rig for another program.

    Args:
        rig: What to write; it is read back with the same projections.
        path: A file, or for `colmap` a folder, which is made if it is absent.
        format: One of `WRITTEN_FORMATS`.
        units: Unit to write lengths in. Demanded by formats that do not state theirs; the others are in metres.
        source: Where the calibration comes from, for people; `usthand` alone keeps it.

    Returns:
        What was left out, in words: the name and the errors of a rig, where the format has no place for them.

    Raises:
        CalibrationError: With every reason, by camera id, if the format cannot hold what changes a projection.
    """
    match format:
        case "usthand":
            confirm_metres(units, format, reading=False)
            save_calibration(rig, path, source=source)
        case "anipose":
            _write(path, anipose.rig_to_toml(rig, require_units(units, format, option=_TO_UNITS)))
        case "multical":
            _write(path, multical.rig_to_json(rig, require_units(units, format, option=_TO_UNITS)))
        case "colmap":
            texts = colmap.rig_to_texts(rig, require_units(units, format, option=_TO_UNITS))
            path.mkdir(exist_ok=True)
            for name, text in texts.items():
                _write(path / name, text)
        case "kalibr":
            confirm_metres(units, format, reading=False)
            _write(path, kalibr.rig_to_yaml(rig))
        case "opencv":
            confirm_metres(units, format, reading=False)
            _write(path, opencv.rig_to_yaml(rig))
        case _:
            _check_format(format)
            raise CalibrationError(
                {"": [f"format {format} can be read but not written; write one of {', '.join(WRITTEN_FORMATS)}"]}
            )
    kept = _KEPT.get(format, _Kept())
    left_out = []
    if rig.name and not kept.rig_name:
        left_out.append(f"the rig's name {rig.name!r}")
    if not kept.rms_px and (with_error := [camera.id for camera in rig if camera.rms_px is not None]):
        left_out.append(f"rms_px of {', '.join(with_error)}")
    return tuple(left_out)


def _write(path: Path, text: str) -> None:
    try:
        _replace(path, text)
    except OSError as error:
        # What people asked for is not the file beside it.
        raise error if error.errno is None else OSError(error.errno, error.strerror, str(path)) from error


def _replace(path: Path, text: str) -> None:
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


def _demanded(size: tuple[int, int] | None, format: str) -> tuple[int, int]:
    if size is None:
        raise CalibrationError({"": [f"{format} files carry no image size; give size: WIDTHxHEIGHT in pixels"]})
    return size


def _confirm_size(rig: Rig, size: tuple[int, int] | None) -> None:
    if wrong := {
        camera.id: [f"size {size[0]}x{size[1]} was asked for, but the file says {camera.width}x{camera.height}"]
        for camera in rig
        if size is not None and size != (camera.width, camera.height)
    }:
        raise CalibrationError(wrong)
