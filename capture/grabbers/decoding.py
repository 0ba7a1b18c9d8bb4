"""What OpenCV hands over, held to where it was meant to go."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.errors import CaptureError


def settle(image: NDArray[Any], into: NDArray[np.uint8], source: str) -> None:
    """Make sure that a picture lies where it was asked to be written.

    OpenCV writes in place when size and type fit, and silently allocates another array when they do not.

    Args:
        image: The array that OpenCV returned.
        into: The array that it was given.
        source: Name of the source, for the message.

    Raises:
        CaptureError: If the picture has another size or type.
    """
    if image.shape != into.shape or image.dtype != into.dtype:
        size = "x".join(map(str, reversed(image.shape[:2])))
        raise CaptureError(
            f"{source} gave a picture of {size} ({image.dtype}, {image.ndim} axes) where {into.shape[1]}x"
            f"{into.shape[0]} was announced; a source must keep one size"
        )
    if image.__array_interface__["data"][0] != into.__array_interface__["data"][0]:
        np.copyto(into, image)
