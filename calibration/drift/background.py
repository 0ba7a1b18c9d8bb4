"""Whether a camera moved, by its own picture: what stands still in the world moves in the picture of a bumped camera.

This names the camera whatever the number of views, and needs no hands. Corners of the background are matched with those
of a reference picture and the camera's turn is what most of them agree on, so hands and people are outvoted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera

_WIDTH_PX: Final = 420
_MOST_CORNERS: Final = 260
_RATIO: Final = 0.8
_LEAST_MATCHES: Final = 25
_LEAST_AGREEING: Final = 20
_LEAST_SHARE: Final = 0.4
_LEAST_CELLS: Final = 4
# Of the picture's area, within the corners that agree: an arm before a plain wall reaches 0.12, and it moves.
_LEAST_SPAN: Final = 0.13
# Of the small picture, pixels.
_AGREES_PX: Final = 1.5
_TRIALS: Final = 60
_POLISHING: Final = 3


@dataclass(frozen=True, slots=True)
class PictureMotion:
    """How a camera turned since its reference picture.

    Args:
        turn_rad: `(3,)`: rays of the background turned by that rotation vector, in the camera's axes: the correction
            that `T_camera_world` lacks, as far as the camera only turned.
        sigma_rad: Standard deviation of each of its parts.
        shift_px: Median way of the background in the camera's picture, pixels.
        agreeing: How many corners agree on it.
        share: Of all that were matched.
    """

    turn_rad: tuple[float, float, float]
    sigma_rad: tuple[float, float, float]
    shift_px: float
    agreeing: int
    share: float

    @property
    def turned_deg(self) -> float:
        """The angle, degrees."""
        return float(np.degrees(np.linalg.norm(self.turn_rad)))


@dataclass(frozen=True, eq=False, slots=True)
class Landmarks:
    """The corners of one picture.

    Args:
        pixels: `(N, 2)`, the camera's own pixels.
        descriptors: `(N, 32)` uint8.
    """

    pixels: NDArray[np.float64]
    descriptors: NDArray[np.uint8]

    @property
    def telling(self) -> bool:
        """Whether there are enough to compare another picture with."""
        return len(self.pixels) >= _LEAST_MATCHES


def find_landmarks(image_bgr: NDArray[np.uint8]) -> Landmarks:
    """Find the corners of a picture `(H, W, 3)`, some in every part of it."""
    height, width = image_bgr.shape[:2]
    scale = min(1.0, _WIDTH_PX / width)
    size = (round(width * scale), round(height * scale))
    grey = cv2.cvtColor(cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    # Dim pictures have corners, too; few scales are enough for a camera that was bumped.
    detector = cv2.ORB.create(nfeatures=_MOST_CORNERS, nlevels=3, fastThreshold=8)
    found, descriptors = detector.detectAndCompute(grey, None)
    if not found:
        return Landmarks(np.empty((0, 2)), np.empty((0, 32), dtype=np.uint8))
    small = np.array([corner.pt for corner in found], dtype=np.float64).reshape(-1, 2)
    pixels = (small + 0.5) * (width / size[0], height / size[1]) - 0.5
    return Landmarks(pixels, np.asarray(descriptors, dtype=np.uint8))


def picture_motion(camera: Camera, reference: Landmarks, now: Landmarks) -> PictureMotion | None:
    """Compare two pictures of one camera.

    Args:
        camera: Its lens.
        reference: Corners of the earlier picture.
        now: Corners of the later one.

    Returns:
        How it turned; None where the pictures have too little in common to tell.
    """
    before, after = _matches(reference, now)
    if len(before) < _LEAST_MATCHES:
        return None
    rays_before, rays_after = _unit_rays(camera, before), _unit_rays(camera, after)
    finite = np.isfinite(rays_before).all(axis=1) & np.isfinite(rays_after).all(axis=1)
    before, after, rays_before, rays_after = (part[finite] for part in (before, after, rays_before, rays_after))
    if len(before) < _LEAST_MATCHES:
        return None
    focal_px = float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]))
    tolerance = _AGREES_PX * max(1.0, camera.width / _WIDTH_PX) / focal_px
    agreeing = _consensus(rays_before, rays_after, tolerance)
    R = np.eye(3)
    for _ in range(_POLISHING):
        if np.count_nonzero(agreeing) < 3:
            return None
        R = _rotation(rays_before[agreeing], rays_after[agreeing])
        agreeing = _away(R, rays_before, rays_after) < tolerance
    count = int(np.count_nonzero(agreeing))
    share = count / len(before)
    if count < _LEAST_AGREEING or share < _LEAST_SHARE or not _is_spread(before[agreeing], camera):
        return None
    turn = cv2.Rodrigues(R)[0].ravel()
    spread = np.linalg.norm(np.cross(rays_before[agreeing] @ R.T, rays_after[agreeing]), axis=1).std() + 1e-6
    rays = rays_after[agreeing]
    information = (np.eye(3)[None] - rays[:, :, None] * rays[:, None, :]).sum(axis=0) / spread**2
    sigma = np.sqrt(np.diag(np.linalg.inv(information)))
    shift = float(np.median(np.linalg.norm(after[agreeing] - before[agreeing], axis=1)))
    return PictureMotion(
        turn_rad=(float(turn[0]), float(turn[1]), float(turn[2])),
        sigma_rad=(float(sigma[0]), float(sigma[1]), float(sigma[2])),
        shift_px=shift,
        agreeing=count,
        share=share,
    )


def _matches(reference: Landmarks, now: Landmarks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not (reference.telling and now.telling):
        return np.empty((0, 2)), np.empty((0, 2))
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(reference.descriptors, now.descriptors, k=2)
    good = [
        best for best, second in (pair for pair in pairs if len(pair) == 2) if best.distance < _RATIO * second.distance
    ]
    return (
        reference.pixels[[match.queryIdx for match in good]].reshape(-1, 2),
        now.pixels[[match.trainIdx for match in good]].reshape(-1, 2),
    )


def _unit_rays(camera: Camera, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = camera.unproject(pixels)
    rays = np.column_stack([flat, np.ones(len(flat))])
    unit: NDArray[np.float64] = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return unit


def _consensus(before: NDArray[np.float64], after: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
    """Corners that agree with the turn of the pair of them that most agree with."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(before), (2, _TRIALS))
    pairs = np.stack([first, second], axis=1)
    tried = np.concatenate([np.eye(3)[None], _rotation(before[pairs], after[pairs])])
    agreeing = np.linalg.norm(before @ tried.transpose(0, 2, 1) - after, axis=-1) < tolerance
    best: NDArray[np.bool_] = agreeing[int(np.argmax(agreeing.sum(axis=1)))]
    return best


def _rotation(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations `(..., 3, 3)` that turn directions `(..., N, 3)` into others best, in the least squares (Kabsch)."""
    u, _, v = np.linalg.svd(after.swapaxes(-1, -2) @ before)
    # A mirror image would fit as well where the directions lie in a plane.
    u[..., 2] *= np.sign(np.linalg.det(u @ v))[..., None]
    rotation: NDArray[np.float64] = u @ v
    return rotation


def _away(R: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each direction is from where the turn puts it, radians."""
    away: NDArray[np.float64] = np.linalg.norm(before @ R.T - after, axis=1)
    return away


def _is_spread(pixels: NDArray[np.float64], camera: Camera) -> bool:
    """Whether corners lie in enough of the picture's nine parts, and span enough of it, to be its background."""
    columns = np.clip(pixels[:, 0] * 3 // camera.width, 0, 2)
    rows = np.clip(pixels[:, 1] * 3 // camera.height, 0, 2)
    cells = set(zip(columns.tolist(), rows.tolist(), strict=True))
    span_px2 = cv2.contourArea(cv2.convexHull(pixels.astype(np.float32)))
    return len(cells) >= _LEAST_CELLS and span_px2 >= _LEAST_SPAN * camera.width * camera.height
