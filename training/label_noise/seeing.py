"""How hard each joint is to see in each crop: what the errors of a detector go with.

All of it follows from the hand's joints, the cameras and the picture alone, so that it is known wherever truth is:
fingers in the way (bones as capsules), bones that point at the camera, and how sharp and rich the picture is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.detector.networks import LANDMARK_INPUT_PX
from engine.hand_model.model import PARENTS_21
from training.joint_definition import bone_frames, moved
from training.samples import JOINTS, Window

Array = NDArray[np.float64]

_PALM: Final = ((5, 9), (9, 13), (13, 17), (0, 5), (0, 17), (2, 5))
_BONES: Final = (*((PARENTS_21[child], child) for child in range(1, JOINTS)), *_PALM)
_POINTS_A_BONE: Final = 5
# A bone covers what its middle line passes nearer than this, and fully where it lies upon it.
_REACH_M: Final = 0.03
# A finger's own thickness: what is nearer to the camera by less is no obstacle.
_BEFORE_M: Final = 0.008
_PATCH_PX: Final = 25


@dataclass(frozen=True, eq=False, slots=True)
class Seeing:
    """One window's joints, as they are to be seen.

    Args:
        places: Where the joints lie `(T, V, 21, 2)`, crop coordinates.
        axes: The picture's axes to the right and down `(T, V, 2, 3)`, local frame.
        hidden: How far the hand's own bones cover each `(T, V, 21)`, 0 to 1.
        endwise: How far each joint's bone points at the camera or away `(T, V, 21)`: the cosine's fourth power.
        detail: Logarithm of the picture's gradients about each joint `(T, V, 21)`.
        sharpness: Logarithm of the picture's finest detail on the hand `(T, V)`.
        contrast: Logarithm of its gradients there `(T, V)`.
    """

    places: Array
    axes: Array
    hidden: Array
    endwise: Array
    detail: Array
    sharpness: Array
    contrast: Array

    @property
    def of_crops(self) -> Array:
        """What makes a whole crop hard `(T, V, 4)`."""
        means = (self.hidden.mean(axis=-1), self.endwise.mean(axis=-1))
        return np.stack([*means, -self.sharpness, self.contrast], axis=-1)

    @property
    def of_joints(self) -> Array:
        """What makes a joint harder than the others of its crop `(T, V, 21, 3)`."""
        told = np.stack([self.hidden, self.endwise, -self.detail], axis=-1)
        return np.asarray(told - told.mean(axis=-2, keepdims=True))


def seeing(window: Window, joints_local: Array, offsets_m: Array) -> Seeing:
    """Look at a window.

    Args:
        window: Its crops and cameras count, its labels do not.
        joints_local: The hand's joints `(T, 21, 3)`, metres, local frame.
        offsets_m: Where the labels' joints lie instead `(21, 3)` (`training.joint_definition`).
    """
    projections = _of_seen_views(window)
    centers = -np.linalg.solve(projections[..., :3], projections[..., 3:])[..., 0]
    places = _projected(projections, moved(joints_local, offsets_m))
    rays = joints_local[:, None] - centers[:, :, None]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    along = bone_frames(joints_local)[..., 0]
    detail, sharpness, contrast = _pictures(window, places)
    return Seeing(
        places=places,
        axes=_axes(projections),
        hidden=_hidden(joints_local, rays),
        endwise=np.einsum("tvji,tji->tvj", rays, along) ** 4,
        detail=detail,
        sharpness=sharpness,
        contrast=contrast,
    )


def to_palm(vectors: Array, places: Array) -> Array:
    """Turn vectors `(..., 21, 2)` of pictures into the axes of the palm's picture; `from_palm` turns them back."""
    return _turned(vectors, np.conj(_palm_directions(places)))


def from_palm(vectors: Array, places: Array) -> Array:
    """See `to_palm`."""
    return _turned(vectors, _palm_directions(places))


def _turned(vectors: Array, by: NDArray[np.complex128]) -> Array:
    turned = (vectors[..., 0] + 1j * vectors[..., 1]) * by[..., None]
    return np.stack([turned.real, turned.imag], axis=-1)


def _palm_directions(places: Array) -> NDArray[np.complex128]:
    """The way from the wrist to the middle knuckle in the picture as complex units `(...)` of joints `(..., 21, 2)`."""
    way = places[..., 9, :] - places[..., 0, :]
    complex_way = way[..., 0] + 1j * way[..., 1]
    return np.asarray(complex_way / np.maximum(np.abs(complex_way), 1e-9))


def _of_seen_views(window: Window) -> Array:
    """Projections `(T, V, 3, 4)`, those of masked views replaced by any seen one's: nobody reads what they give."""
    projections = window.projections.astype(np.float64)
    seen = np.argwhere(window.view_mask)
    if len(seen):
        projections[window.view_mask == 0.0] = projections[tuple(seen[0])]
    else:
        projections[:] = np.eye(3, 4)
    return projections


def _projected(projections: Array, joints: Array) -> Array:
    points = np.einsum("tvik,tjk->tvji", projections[..., :3], joints) + projections[:, :, None, :, 3]
    return np.asarray(points[..., :2] / points[..., 2:])


def _axes(projections: Array) -> Array:
    across, ahead = projections[..., :2, :3], projections[..., 2:, :3]
    ahead = ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)
    across = across - np.sum(across * ahead, axis=-1, keepdims=True) * ahead
    return np.asarray(across / np.linalg.norm(across, axis=-1, keepdims=True))


def _hidden(joints: Array, rays: Array) -> Array:
    starts, ends = (joints[:, [bone[end] for bone in _BONES]] for end in (0, 1))
    shares = np.linspace(0.0, 1.0, _POINTS_A_BONE)
    points = starts[:, :, None] + (ends - starts)[:, :, None] * shares[:, None]
    away = points[:, None, :] - joints[:, :, None, None]
    nearer = -np.einsum("tjepi,tvji->tvjep", away, rays)
    squared = np.sum(away**2, axis=-1)[:, None]
    aside = np.sqrt(np.maximum(squared - nearer**2, 0.0))
    aside = np.where(nearer > _BEFORE_M, aside, _REACH_M).min(axis=-1)
    # A joint's own bones and the next one are no obstacle to it.
    near = [[joint in bone or PARENTS_21[joint] == bone[1] for bone in _BONES] for joint in range(JOINTS)]
    aside = np.where(np.array(near), _REACH_M, aside).min(axis=-1)
    return np.asarray(1.0 - np.minimum(aside, _REACH_M) / _REACH_M)


def _pictures(window: Window, places: Array) -> tuple[Array, Array, Array]:
    side = LANDMARK_INPUT_PX
    detail, sharpness, contrast = np.zeros(places.shape[:-1]), np.zeros(places.shape[:2]), np.zeros(places.shape[:2])
    pixels = np.clip(np.round((places + 1.0) * (side / 2) - 0.5), 0, side - 1).astype(int)
    for t, v in np.argwhere(window.view_mask):
        grey = cv2.cvtColor(window.crops[t, v], cv2.COLOR_RGB2GRAY).astype(np.float32)
        if grey.shape[0] != side:
            grey = np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_LINEAR))
        fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.CV_32F)
        squared = sum((cv2.Sobel(grey, cv2.CV_32F, *axis) / 8) ** 2 for axis in ((1, 0), (0, 1)))
        squared = np.asarray(squared, np.float32)
        around = np.asarray(cv2.blur(squared, (_PATCH_PX, _PATCH_PX)))
        at = pixels[t, v]
        detail[t, v] = np.log(around[at[:, 1], at[:, 0]] + 0.1)
        (left, top), (right, bottom) = at.min(axis=0), at.max(axis=0) + 1
        sharpness[t, v] = np.log(np.mean(fine[top:bottom, left:right] ** 2) + 0.01)
        contrast[t, v] = np.log(np.mean(squared[top:bottom, left:right]) + 0.1)
    return detail, sharpness, contrast
