"""A crop is a camera: a virtual pinhole camera that looks at the hand, and the pixels it would see.

The crop is resampled through the real camera's lens model, so that what is found in it needs no undistortion, and it
never travels without its camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera
from engine.kernels.places import NODE_SPACING_PX, nodes_along

# No pixel: far outside of every picture, and a number that can be reckoned with.
_NOWHERE_PX = -1e4
# The palm and the lower finger joints: a box around them hardly changes with the fingers' flexion.
_BOX_JOINTS = np.array([0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18])
_KNUCKLES = np.array([5, 9, 13])
_BOX_SCALE = 2.0
_BOX_SHIFT = 0.1
_ALONG_STEP = np.arange(NODE_SPACING_PX, dtype=np.float32) / NODE_SPACING_PX
# Shares of a step's two ends in each of its pixels `(step, 2)`; and for x and y of both ends at once `(4, 2 step)`.
_SHARES = np.stack([1 - _ALONG_STEP, _ALONG_STEP], axis=1)
_SHARES_OF_BOTH = np.kron(_SHARES.T, np.eye(2, dtype=np.float32))


@dataclass(frozen=True, eq=False, slots=True)
class CropCamera:
    """A square pinhole camera at a real camera's optical centre.

    Args:
        focal_px: Focal length in crop pixels; the principal point is the crop's centre.
        size_px: Side of the crop.
        R_crop_camera: Rotation `(3, 3)` from the real camera's axes to the crop's.
    """

    focal_px: float
    size_px: int
    R_crop_camera: NDArray[np.float64]

    @property
    def principal_px(self) -> float:
        """Both coordinates of the principal point, pixel centres."""
        return (self.size_px - 1) / 2

    def rays(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn crop pixels `(..., 2)` into normalised crop coordinates `(..., 2)`."""
        return (pixels - self.principal_px) / self.focal_px

    def pixels(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn normalised crop coordinates `(..., 2)` into crop pixels `(..., 2)`."""
        return rays * self.focal_px + self.principal_px

    def to_camera(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn crop pixels `(..., 2)` into directions `(..., 3)` in the real camera's axes."""
        directions: NDArray[np.float64] = self.rays(pixels) @ self.R_crop_camera[:2] + self.R_crop_camera[2]
        return directions

    def projection(self, camera: Camera) -> NDArray[np.float64]:
        """Matrix `(3, 4)` that takes homogeneous world points to normalised crop coordinates."""
        matrix: NDArray[np.float64] = self.R_crop_camera @ camera.T_camera_world[:3]
        return matrix


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross products `(..., 3)`; written out, since numpy's own mostly moves axes about."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _look_along(forward: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations `(N, 3, 3)` to axes with z along `forward` `(N, 3)` and -y towards `up` `(N, 3)`."""
    z = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    x = _cross(z, up)
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    if (length < 1e-9).any():
        aside = np.where(np.abs(z[:, 1:2]) < 0.9, [0.0, 1.0, 0.0], [1.0, 0.0, 0.0])
        x = np.where(length < 1e-9, _cross(z, aside), x)
        length = np.linalg.norm(x, axis=-1, keepdims=True)
    x = x / length
    return np.stack([x, _cross(z, x), z], axis=1)


def crops_around_joints(joints_camera: NDArray[np.float64], size_px: int) -> list[CropCamera | None]:
    """Aim crops at hands whose joints are known, all at once: most of the work is numpy's, by the call.

    Args:
        joints_camera: The 21 joints of each hand `(N, 21, 3)` in the coordinates of the camera that sees it, metres.
        size_px: Side of the crops.

    Returns:
        For each hand a crop with the fingers up, twice as wide as the palm and lower fingers; None when it is not
        wholly in front of its camera.
    """
    ahead = (joints_camera[:, :, 2] >= 0.02).all(axis=1)
    crops: list[CropCamera | None] = [None] * len(joints_camera)
    if not ahead.any():
        return crops
    joints = joints_camera if ahead.all() else joints_camera[ahead]
    directions = joints / joints[..., 2:]
    box = directions[:, _BOX_JOINTS]
    up = directions[:, _KNUCKLES].mean(axis=1) - directions[:, 0]
    rotations = _look_along(box.mean(axis=1), up)
    aimed = _box_crops(rotations, box @ rotations.transpose(0, 2, 1), _BOX_SCALE, _BOX_SHIFT, size_px)
    for index, crop in zip(np.flatnonzero(ahead), aimed, strict=True):
        crops[index] = crop
    return crops


def crop_around_joints(joints_camera: NDArray[np.float64], size_px: int) -> CropCamera | None:
    """Aim a crop at one hand; see `crops_around_joints`.

    Args:
        joints_camera: The 21 joints `(21, 3)` in the camera's coordinates, metres.
        size_px: Side of the crop.
    """
    return crops_around_joints(joints_camera[None], size_px)[0]


def crop_around_palm(
    camera: Camera,
    center_px: NDArray[np.float64],
    palm_size_px: float,
    wrist_px: NDArray[np.float64],
    middle_knuckle_px: NDArray[np.float64],
    size_px: int,
) -> CropCamera | None:
    """Aim a crop at a palm that was found in the picture.

    Args:
        camera: The camera of the picture.
        center_px: Centre of the palm's box `(2,)`, distorted pixels.
        palm_size_px: Longer side of the box.
        wrist_px: Wrist `(2,)`, distorted pixels.
        middle_knuckle_px: Base of the middle finger `(2,)`, distorted pixels.
        size_px: Side of the crop.

    Returns:
        A crop with the fingers up that holds the whole hand; None where the lens model has no rays.
    """
    towards = middle_knuckle_px - wrist_px
    length = float(np.linalg.norm(towards))
    if length < 1e-6:
        return None
    unit = towards / length
    side = np.array([-unit[1], unit[0]]) * palm_size_px / 2
    ahead = unit * palm_size_px / 2
    corners = np.stack([center_px + a + b for a in (side, -side) for b in (ahead, -ahead)])
    normalized = camera.unproject(np.concatenate([corners, [wrist_px, middle_knuckle_px]]))
    if np.isnan(normalized).any():
        return None
    directions = np.concatenate([normalized, np.ones((6, 1))], axis=1)[None]
    rotation = _look_along(directions[:, :4].mean(axis=1), directions[:, 5] - directions[:, 4])
    return _box_crops(rotation, directions[:, :4] @ rotation.transpose(0, 2, 1), 2.6, 0.5, size_px)[0]


def _box_crops(
    R_crop_camera: NDArray[np.float64], points: NDArray[np.float64], scale: float, shift: float, size_px: int
) -> list[CropCamera]:
    """Centre crops on the boxes of points in their own axes, grown by `scale` and moved up by `shift` box heights.

    Args:
        R_crop_camera: Their axes `(N, 3, 3)`.
        points: The points `(N, P, 3)`.
        scale: By how much a box's longer side is grown.
        shift: How far a box is moved.
        size_px: Side of the crops.
    """
    flat = points[..., :2] / points[..., 2:]
    low, high = flat.min(axis=1), flat.max(axis=1)
    extent = high - low
    forward = np.ones((len(flat), 1, 3))
    forward[:, 0, :2] = (low + high) / 2
    forward[:, 0, 1] -= shift * extent[:, 1]
    focals_px = size_px / np.maximum(extent.max(axis=1) * scale, 1e-6)
    rotations = _look_along((forward @ R_crop_camera)[:, 0], -R_crop_camera[:, 1])
    return [CropCamera(focal, size_px, rotation) for focal, rotation in zip(focals_px.tolist(), rotations, strict=True)]


def crop_nodes(camera: Camera, crop: CropCamera) -> NDArray[np.float32]:
    """Say where a crop's pixels lie in its camera's picture, on a grid of nodes 16 pixels apart.

    The lens model is evaluated at the nodes and interpolated between: over a hand's crop it is smooth to well below a
    tenth of a pixel.

    Args:
        camera: The camera.
        crop: The crop.

    Returns:
        x and y of each node `(G, G, 2)` in the picture, distorted pixels, integers being pixel centres; far outside
        where the lens model has no pixel. G is `engine.kernels.places.nodes_along(crop.size_px)`.
    """
    places = camera.project_camera(crop.to_camera(_grid(crop.size_px))).astype(np.float32)
    places[np.isnan(places)] = _NOWHERE_PX
    return places


def sample_crop(image_bgr: NDArray[np.uint8], camera: Camera, crop: CropCamera) -> NDArray[np.uint8]:
    """Resample a picture as the crop camera would see it.

    Where its pixels lie is interpolated between the nodes of `crop_nodes`.

    Args:
        image_bgr: The camera's picture `(H, W, 3)`.
        camera: The camera that took it.
        crop: The crop.

    Returns:
        Pixels `(size_px, size_px, 3)` uint8 BGR, black outside the picture.
    """
    places = _between(crop_nodes(camera, crop))[: crop.size_px, : crop.size_px]
    # Both coordinates are in the one map; the stubs know of two only.
    sampled = cv2.remap(image_bgr, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)  # type: ignore[call-overload]
    return np.asarray(sampled, dtype=np.uint8)


def _between(nodes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate nodes `(G, G, 2)`: one of each pixel up to the last node `(S, S, 2)`, S being (G - 1) steps.

    First down, then across, as products with the shares of both ends of a step; OpenCV's warping takes seven times as
    long.
    """
    steps = len(nodes) - 1
    side = steps * NODE_SPACING_PX
    across = np.concatenate([nodes[:, :-1], nodes[:, 1:]], axis=2).reshape(steps + 1, -1)
    down = np.stack([across[:-1], across[1:]], axis=1)
    places: NDArray[np.float32] = (_SHARES @ down).reshape(side, steps, 4) @ _SHARES_OF_BOTH
    return places.reshape(side, side, 2)


@cache
def _grid(size_px: int) -> NDArray[np.float64]:
    """Crop pixels of the nodes of a crop `(G, G, 2)`."""
    along = np.arange(nodes_along(size_px), dtype=np.float64) * NODE_SPACING_PX
    grid = np.stack(np.meshgrid(along, along), axis=-1)
    grid.flags.writeable = False
    return grid
