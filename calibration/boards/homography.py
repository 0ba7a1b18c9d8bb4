"""The picture of a plane, as far as a lens without distortion would show it."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray


def fit_homography(points_m: NDArray[np.float64], points_px: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Fit the homography `(3, 3)` from the plane `(N, 2)` to the picture `(N, 2)`; None if there is none."""
    H = cast(Any, cv2.findHomography(points_m, points_px)[0])
    return None if H is None else np.asarray(H, dtype=np.float64)


def depths(H: NDArray[np.float64], points_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the third homogeneous coordinate `(N,)`: of one sign where the plane is on one side of the camera."""
    depth: NDArray[np.float64] = points_m @ H[2, :2] + H[2, 2]
    return depth


def transfer(H: NDArray[np.float64], points_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points of the plane `(N, 2)` into the picture."""
    there: NDArray[np.float64] = (points_m @ H[:2, :2].T + H[:2, 2]) / depths(H, points_m)[:, None]
    return there
