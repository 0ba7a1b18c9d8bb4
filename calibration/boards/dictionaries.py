"""The marker dictionaries that boards draw from: OpenCV's, by their names."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.errors import BoardError

_SIZES = (50, 100, 250, 1000)
DICTIONARIES: Final = MappingProxyType(
    {
        f"DICT_{bits}X{bits}_{count}": getattr(cv2.aruco, f"DICT_{bits}X{bits}_{count}")
        for bits in (4, 5, 6, 7)
        for count in _SIZES
    }
    | {
        name: getattr(cv2.aruco, name)
        for name in (
            "DICT_ARUCO_ORIGINAL",
            "DICT_ARUCO_MIP_36h12",
            "DICT_APRILTAG_16h5",
            "DICT_APRILTAG_25h9",
            "DICT_APRILTAG_36h10",
            "DICT_APRILTAG_36h11",
        )
    }
)
"""OpenCV's number of each dictionary, by its name."""


@cache
def dictionary(name: str) -> cv2.aruco.Dictionary:
    """Return OpenCV's dictionary of that name.

    Raises:
        BoardError: If there is none.
    """
    if name not in DICTIONARIES:
        raise BoardError(f"dictionary {name!r} is not known; use one of {', '.join(DICTIONARIES)}")
    return cv2.aruco.getPredefinedDictionary(DICTIONARIES[name])


def marker_count(name: str) -> int:
    """Return how many markers the dictionary has."""
    return len(dictionary(name).bytesList)


@cache
def marker_cells(name: str, marker_id: int, border: int) -> NDArray[np.bool_]:
    """Return which cells of a marker are black `(N, N)`, its border of so many cells included."""
    bits = dictionary(name).markerSize
    side = bits + 2 * border
    picture = cv2.aruco.generateImageMarker(dictionary(name), marker_id, side, borderBits=border)
    return np.asarray(picture) < 128
