"""The crops' kernel, its core on the host, against what a CPU samples."""

from __future__ import annotations

import ctypes

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Camera
from engine.crops import CropCamera, crop_nodes, sample_crop
from engine.kernels.places import PLACE

SIZE_PX = 96
GREY_LEVELS = 1 if int(cv2.__version__.split(".")[0]) >= 5 else 4
"""So far may a pixel be from OpenCV's. OpenCV 5 differs in the last rounding alone. OpenCV 4 rounds places to a
thirty-second of a pixel, which is 4 grey levels where the picture ends in black, and 1 inside of this smooth one."""


def a_camera() -> Camera:
    K = np.array([[310.0, 0.0, 160.0], [0.0, 310.0, 120.0], [0.0, 0.0, 1.0]])
    return Camera("cam", 320, 240, K, np.array([-0.25, 0.08, 0.001, -0.002, 0.0]), np.eye(4))


def a_picture() -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def cpu_crop(picture: NDArray[np.uint8], camera: Camera, crop: CropCamera, *, mirrored: bool) -> NDArray[np.uint8]:
    """A crop as the tracker samples it without a GPU."""
    rgb = cv2.cvtColor(sample_crop(picture, camera, crop), cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    return rgb[:, ::-1] if mirrored else rgb


def by_host(
    kernels: ctypes.CDLL, pixels: NDArray[np.uint8], places: NDArray[np.void], nodes: NDArray[np.float32], size: int
) -> NDArray[np.uint8]:
    crops = np.full((len(places), size, size, 3), 77, np.uint8)
    addresses = (array.ctypes.data_as(ctypes.c_void_p) for array in (pixels, places, nodes, crops))
    kernels.host_crops(*addresses, len(places), size)
    return crops


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    "direction", [(0.0, 0.0, 1.0), (0.45, -0.3, 1.0), (-0.6, 0.4, 1.0)], ids=["inside", "edge", "corner"]
)
def test_a_crop_is_what_a_cpu_samples(
    host_kernels: ctypes.CDLL, direction: tuple[float, float, float], mirrored: bool
) -> None:
    camera, picture = a_camera(), a_picture()
    z = np.array(direction) / np.linalg.norm(direction)
    x = np.cross([0.2, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    crop = CropCamera(focal_px=240.0, size_px=SIZE_PX, R_crop_camera=np.stack([x, np.cross(z, x), z]))
    place = np.zeros(1, PLACE)
    place["stride"], place["width"], place["height"] = 3 * 320, 320, 240
    place["mirrored"], place["valid"] = mirrored, True
    (got,) = by_host(host_kernels, picture, place, crop_nodes(camera, crop)[None], SIZE_PX)
    wanted = cpu_crop(picture, camera, crop, mirrored=mirrored)
    difference = np.abs(got.astype(int) - wanted)
    assert difference.max() <= GREY_LEVELS
    assert difference.mean() < 0.3
    assert wanted.std() > 20
    if direction[0] != 0:
        assert (wanted == 0).all(axis=-1).any()


def test_a_crop_of_no_view_is_black(host_kernels: ctypes.CDLL) -> None:
    along = SIZE_PX // 16 + 1
    nodes = np.full((1, along, along, 2), 50.0, np.float32)
    got = by_host(host_kernels, a_picture(), np.zeros(1, PLACE), nodes, SIZE_PX)
    assert not got.any()
    # Nodes that lie nowhere sample nothing, whatever the place says.
    place = np.zeros(1, PLACE)
    place["stride"], place["width"], place["height"], place["valid"] = 3 * 320, 320, 240, True
    nodes[:] = np.array([-1e4, 3e9], np.float32)
    assert not by_host(host_kernels, a_picture(), place, nodes, SIZE_PX).any()
