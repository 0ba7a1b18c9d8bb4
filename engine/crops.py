"""A crop is a camera: a virtual pinhole camera that looks at the hand, and the pixels it would see.

The crop is resampled through the real camera's lens model, so that what is found in it needs no undistortion, and it
never travels without its camera.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        rays = self.rays(pixels)
        homogeneous = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)
        directions: NDArray[np.float64] = homogeneous @ self.R_crop_camera
        return directions

    def projection(self, camera: Camera) -> NDArray[np.float64]:
        """Matrix `(3, 4)` that takes homogeneous world points to normalised crop coordinates."""
        matrix: NDArray[np.float64] = self.R_crop_camera @ camera.T_camera_world[:3]
        return matrix


def _look_along(forward: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation to axes with z along `forward` and -y towards `up`."""
    z = forward / np.linalg.norm(forward)
    x = np.cross(z, up)
    if np.linalg.norm(x) < 1e-9:
        x = np.cross(z, [0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0])
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def crop_around_joints(joints_camera: NDArray[np.float64], size_px: int) -> CropCamera | None:
    """Aim a crop at a hand whose joints are known.

    Args:
        joints_camera: The 21 joints `(21, 3)` in the camera's coordinates, metres.
        size_px: Side of the crop.

    Returns:
        A crop with the fingers up, twice as wide as the palm and lower fingers; None when the hand is not wholly in
        front of the camera.
    """
    if (joints_camera[:, 2] < 0.02).any():
        return None
    directions = joints_camera / joints_camera[:, 2:]
    up = directions[_KNUCKLES].mean(axis=0) - directions[0]
    rotation = _look_along(directions[_BOX_JOINTS].mean(axis=0), up)
    return _box_crop(rotation, directions[_BOX_JOINTS] @ rotation.T, _BOX_SCALE, _BOX_SHIFT, size_px)


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
    directions = np.concatenate([normalized, np.ones((6, 1))], axis=1)
    rotation = _look_along(directions[:4].mean(axis=0), directions[5] - directions[4])
    return _box_crop(rotation, directions[:4] @ rotation.T, 2.6, 0.5, size_px)


def _box_crop(
    R_crop_camera: NDArray[np.float64], points: NDArray[np.float64], scale: float, shift: float, size_px: int
) -> CropCamera:
    """Centre a crop on the box of points in its own axes, grown by `scale` and moved up by `shift` box heights."""
    flat = points[:, :2] / points[:, 2:]
    low, high = flat.min(axis=0), flat.max(axis=0)
    center = (low + high) / 2
    center[1] -= shift * (high - low)[1]
    side = float((high - low).max()) * scale
    forward = np.array([center[0], center[1], 1.0]) @ R_crop_camera
    up = -R_crop_camera[1]
    return CropCamera(size_px / max(side, 1e-6), size_px, _look_along(forward, up))


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
    nodes = np.arange(nodes_along(crop.size_px), dtype=np.float64) * NODE_SPACING_PX
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1)
    return np.nan_to_num(camera.project_camera(crop.to_camera(grid)).astype(np.float32), nan=_NOWHERE_PX)


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
    to_nodes = np.array([[1 / NODE_SPACING_PX, 0, 0], [0, 1 / NODE_SPACING_PX, 0]])
    size = (crop.size_px, crop.size_px)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    places = cv2.warpAffine(crop_nodes(camera, crop), to_nodes, size, flags=flags)
    # Both coordinates are in the one map; the stubs know of two only.
    sampled = cv2.remap(image_bgr, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)  # type: ignore[call-overload]
    return np.asarray(sampled, dtype=np.uint8)
