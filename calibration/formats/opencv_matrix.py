"""Matrices as OpenCV's FileStorage writes them into YAML."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.formats.fields import Fields

_MOST_NUMBERS = 10_000
_TYPE = re.compile(r"([2-9]?)[ucwsifdh]")


def matrix(
    mapping: dict[str, object], key: str, problems: list[str], *shapes: tuple[int, ...]
) -> NDArray[np.float64] | None:
    """Read `!!opencv-matrix` (`rows`, `cols`, `data`) or `!!opencv-nd-matrix` (`sizes`, `data`).

    Args:
        mapping: Where the matrix stands.
        key: Its name there.
        problems: Reasons are appended here.
        shapes: Which shapes it may have; any if none is given.

    Returns:
        The matrix, or None, with a note, if it is something else.
    """
    node = mapping.get(key)
    if node is None:
        problems.append(f"{key} is missing; add it")
        return None
    if not isinstance(node, dict):
        problems.append(f"{key} is {reprlib.repr(node)}; give an OpenCV matrix with rows, cols, dt and data")
        return None
    inner: list[str] = []
    shape = _shape(node, inner)
    data = node.get("data")
    numbers = None
    if shape is not None and math.prod(shape) > _MOST_NUMBERS:
        inner.append(f"it has {'x'.join(map(str, shape))} numbers; a calibration's matrices are small")
    elif shape is not None and isinstance(data, list) and len(data) == math.prod(shape):
        numbers = Fields({"data": data}, inner).array("data", (len(data),)) if data else np.zeros(0)
    elif shape is not None:
        inner.append(f"data is {reprlib.repr(data)}; give {'x'.join(map(str, shape))} numbers")
    problems += [f"{key}: {why}" for why in inner]
    if numbers is None or shape is None:
        return None
    if shapes and shape not in shapes:
        wanted = " or ".join("x".join(map(str, wanted)) for wanted in shapes)
        problems.append(f"{key} has {'x'.join(map(str, shape))} numbers; give {wanted}")
        return None
    return numbers.reshape(shape)


def _shape(node: dict[str, object], problems: list[str]) -> tuple[int, ...] | None:
    dt = _TYPE.fullmatch(str(node.get("dt")))
    if dt is None:
        problems.append(f"dt is {reprlib.repr(node.get('dt'))}; give OpenCV's letter for a type, such as d")
        return None
    sizes = node["sizes"] if "sizes" in node else [node.get("rows"), node.get("cols")]
    if not isinstance(sizes, Sequence) or not 1 <= len(sizes) <= 4:
        problems.append(f"its size is {reprlib.repr(sizes)}; give rows and cols, or up to 4 sizes")
        return None
    shape = tuple(s for s in sizes if isinstance(s, int) and not isinstance(s, bool) and 0 < s <= _MOST_NUMBERS)
    if len(shape) != len(sizes):
        problems.append(f"its size is {reprlib.repr(sizes)}; give whole numbers from 1")
        return None
    # OpenCV takes a last axis of up to four for the channels of its elements.
    return (*shape, int(dt[1])) if dt[1] else shape
