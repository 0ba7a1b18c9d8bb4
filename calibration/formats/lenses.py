"""Distortion as other projects count it: fewer or more numbers of OpenCV's one model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.lens import CameraModel

OPENCV_COUNTS = ((5,), (8,), (4,), (12,), (14,))
"""Shapes of the distortion vectors that OpenCV's calibration returns."""


def opencv_distortion(
    numbers: NDArray[np.float64] | None, model: CameraModel, problems: list[str]
) -> NDArray[np.float64] | None:
    """Fit OpenCV's 4, 5, 8, 12 or 14 numbers to a camera's 5 or 8, or 4 where the lens is a fisheye.

    Fewer numbers mean that the others are zero; the thin prism and tilt of 12 and 14 can be used only if they are.
    """
    if numbers is None or model == "fisheye":
        return numbers
    if numbers.size == 4:
        return np.append(numbers, 0.0)
    if numbers.size > 8:
        if numbers[8:].any():
            problems.append(
                f"distortion has {numbers.size} numbers, with a thin prism or tilt of {np.abs(numbers[8:]).max():.3g}; "
                "calibrate with 5 or 8"
            )
            return None
        return numbers[:8]
    return numbers


def shortest(camera: Camera) -> NDArray[np.float64]:
    """Return the distortion without what is zero behind the fourth or fifth number."""
    for count in (4, 5):
        if not camera.distortion[count:].any():
            return camera.distortion[:count]
    return camera.distortion
