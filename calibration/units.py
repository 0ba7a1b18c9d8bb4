"""Units of length and image sizes that people give along with foreign calibration files."""

from __future__ import annotations

import math
import re

from calibration.errors import CalibrationError

METRES_PER_UNIT: dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}

_KNOWN = f"use {', '.join(METRES_PER_UNIT)} or a number of metres per unit"


_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read an image size, `WIDTHxHEIGHT` in pixels; None stays None.

    Raises:
        CalibrationError: If it is something else.
    """
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise CalibrationError({"": [f"size {text[:40]!r} is not WIDTHxHEIGHT in pixels, such as 1280x720"]})
    return int(match[1]), int(match[2])


def metres_per_unit(units: str | float) -> float:
    """Return how many metres one unit is.

    Args:
        units: A name (`m`, `cm`, `mm`, `in`) or a positive number, which command lines and queries give as text.

    Raises:
        CalibrationError: If it is neither.
    """
    if isinstance(units, str) and units in METRES_PER_UNIT:
        return METRES_PER_UNIT[units]
    try:
        value = math.nan if isinstance(units, bool) else float(units)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not (math.isfinite(value) and 1e-9 < value < 1e9):
        raise CalibrationError({"": [f"units {str(units)[:40]!r} are not known; {_KNOWN}"]})
    return value


def require_units(units: str | float | None, format_name: str, *, option: str = "units") -> float:
    """Return metres per unit for a format whose files say nothing of their unit.

    Args:
        units: What was given.
        format_name: The format.
        option: What units are given with, for errors.

    Raises:
        CalibrationError: If no units are given.
    """
    if units is None:
        raise CalibrationError({"": [f"{format_name} files carry no unit of length; give {option}: {_KNOWN}"]})
    return metres_per_unit(units)


def confirm_metres(units: str | float | None, format_name: str, *, reading: bool = True) -> None:
    """Check that the units asked for, if any, are the metres that the format is written in.

    Args:
        units: What was given.
        format_name: The format.
        reading: Whether there is a file already, whose lengths may be something else all the same.

    Raises:
        CalibrationError: If they are something else.
    """
    if units is None or (metres := metres_per_unit(units)) == 1.0:
        return
    remedy = "leave units out or give m"
    if reading:
        remedy = f"leave units out, or, if this one is not, multiply its translations by {metres:g} first"
    raise CalibrationError({"": [f"units {units!r} were asked for, but {format_name} files are in metres; {remedy}"]})
