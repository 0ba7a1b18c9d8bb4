"""Encoded pictures, which anybody may have written."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def decoded_bgr(data: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Decode a picture: `(H, W, 3)`, BGR; None if it is none.

    Args:
        data: The file's bytes, in one row.
    """
    if not data.size:
        return None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        # A size that cannot be, as a broken header has.
        return None
    return None if image is None else np.asarray(image, dtype=np.uint8)
