"""The picture that was looked at last, small, with the corners that were found in it: never on a newer one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH_PX: Final = 480
_JPEG_QUALITY: Final = 80
_CORNER_BGR: Final = (40, 110, 255)
_RING_BGR: Final = (255, 255, 255)
_RADIUS_PX: Final = 4
_SUBPIXEL_BITS: Final = 4


@dataclass(frozen=True, eq=False, slots=True)
class LookedAt:
    """A picture and what was found in it.

    Args:
        picture_bgr: The picture `(h, w, 3)`, at most `WIDTH_PX` wide.
        scale: How large it is against the camera's.
        corners_px: Corners `(N, 2)`, pixels of the camera's picture; none where the board was not found.
    """

    picture_bgr: NDArray[np.uint8]
    scale: float
    corners_px: NDArray[np.float64]

    def jpeg(self) -> bytes:
        """Return the picture with its corners, as a file."""
        drawn = self.picture_bgr.copy()
        # Integer coordinates are pixel centres before and after.
        for x, y in (self.corners_px + 0.5) * self.scale - 0.5:
            middle = (round(x * (1 << _SUBPIXEL_BITS)), round(y * (1 << _SUBPIXEL_BITS)))
            for radius, colour in ((_RADIUS_PX + 1, _RING_BGR), (_RADIUS_PX, _CORNER_BGR)):
                cv2.circle(drawn, middle, radius << _SUBPIXEL_BITS, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        return cv2.imencode(".jpg", drawn, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1].tobytes()


def small(image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a copy of a picture, at most `WIDTH_PX` wide."""
    height, width = image_bgr.shape[:2]
    if width <= WIDTH_PX:
        return image_bgr.copy()
    size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
    return np.asarray(cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
