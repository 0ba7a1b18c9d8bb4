"""Where the network looks for one hand in one frame set: a crop a view, and the frame in which it answers.

Crop coordinates u, v run from -1 to 1 between the outer edges of a crop's first and last pixel. The local frame has the
world's axes and its origin in the middle of the hand where it is expected. The network knows right hands only: a left
one is shown to it in the mirror, crops flipped left to right and the local frame mirrored across x.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from capture.frames import FrameSet
from engine.crops import CropCamera
from engine.detector.frame_sets import crops_at
from engine.hand_model.model import Side

NO_CAMERA = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
"""The projection of a masked view: a metre before the origin. Anything finite would do; this divides by no zero."""

_MIRROR_ROWS = np.array([[-1.0], [1.0], [1.0]])
_MIRROR_COLUMNS = np.array([-1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False, slots=True)
class Aim:
    """Where one hand is looked for.

    Args:
        joints_world: Where its joints are expected `(21, 3)`, metres.
        rig: The cameras, for which the frames are of one instant; see `engine.detector.instant`.
        crops: One entry a view of the rig; None where the view is missing or cannot see the place: it is masked.
        mirrored: Whether it is a left hand, which the network sees in the mirror.
    """

    joints_world: NDArray[np.float64]
    rig: Rig
    crops: tuple[CropCamera | None, ...]
    mirrored: bool

    @property
    def origin_world(self) -> NDArray[np.float64]:
        """Origin of the local frame `(3,)`, metres."""
        origin: NDArray[np.float64] = self.joints_world.mean(axis=0)
        return origin

    @property
    def views(self) -> list[int]:
        """The views that look."""
        return [view for view, crop in enumerate(self.crops) if crop is not None]

    @property
    def mask(self) -> NDArray[np.float32]:
        """`(V,)`: 1 for the views that look."""
        return np.array([crop is not None for crop in self.crops], dtype=np.float32)

    def without(self, views: Collection[int]) -> Aim:
        """The same with these views masked, too."""
        return replace(self, crops=tuple(None if view in views else crop for view, crop in enumerate(self.crops)))

    def projections(self) -> NDArray[np.float32]:
        """Matrices `(V, 3, 4)` that take homogeneous points of the local frame to `(u d, v d, d)`, d the depth."""
        origin = self.origin_world
        matrices = np.stack(
            [
                NO_CAMERA if crop is None else crop_projection(camera, crop, origin)
                for camera, crop in zip(self.rig, self.crops, strict=True)
            ]
        )
        if self.mirrored:
            matrices = _MIRROR_ROWS * matrices * _MIRROR_COLUMNS
        return matrices.astype(np.float32)


def aim_at(frame_set: FrameSet, rig: Rig, joints_world: NDArray[np.float64], side: Side, size_px: int) -> Aim:
    """Aim at a hand in every view that can see its place.

    Args:
        frame_set: The frames.
        rig: Their cameras, for which they are of one instant.
        joints_world: Where the hand is expected `(21, 3)`, metres.
        side: Which hand it is.
        size_px: Side of the crops.
    """
    crops: list[CropCamera | None] = [None] * len(rig)
    for view, crop in crops_at(frame_set, rig, joints_world, size_px):
        crops[view] = crop
    return Aim(joints_world, rig, tuple(crops), side == "left")


def crop_projection(camera: Camera, crop: CropCamera, origin_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix `(3, 4)` that takes homogeneous points of a local frame to `(u d, v d, d)`, d the depth in metres.

    Args:
        camera: The camera.
        crop: A crop of its picture.
        origin_world: Origin of the local frame `(3,)`, metres; its axes are the world's.
    """
    matrix = crop.projection(camera)
    unit = 2 * crop.focal_px / crop.size_px
    moved = np.column_stack([matrix[:, :3], matrix[:, 3] + matrix[:, :3] @ origin_world])
    scaled: NDArray[np.float64] = np.array([[unit], [unit], [1.0]]) * moved
    return scaled
