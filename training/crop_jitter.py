"""How far crops are off: a live tracker aims at joints that it believes to know, and training must not know better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.crops import CropCamera


@dataclass(frozen=True, slots=True)
class CropJitter:
    """How far a crop is off (sec. 4.2); drawn evenly for each window and view, the same in all frames.

    Args:
        center: Shift along each side, as a share of the crop's side.
        scale: Change of the side, as a share.
        rotation_deg: Turn about the optical axis.
        origin_m: Standard deviation of the local frame's origin about the hand's middle, along each axis.
    """

    center: float = 0.05
    scale: float = 0.06
    rotation_deg: float = 10.0
    origin_m: float = 0.01

    def draw(self, rng: np.random.Generator) -> CropOff:
        """Draw how one view's crops are off."""
        x, y, scale, turn = rng.uniform(-1.0, 1.0, 4)
        return CropOff(
            center=(float(x) * self.center, float(y) * self.center),
            scale=1.0 + float(scale) * self.scale,
            angle_rad=float(np.radians(turn * self.rotation_deg)),
        )


@dataclass(frozen=True, slots=True)
class CropOff:
    """How one view's crops are off.

    Args:
        center: Shift, as shares of the side.
        scale: Factor on the side.
        angle_rad: Turn about the optical axis.
    """

    center: tuple[float, float]
    scale: float
    angle_rad: float

    def moved(self, crop: CropCamera) -> CropCamera:
        """The same crop moved, grown and turned."""
        side = crop.size_px / crop.focal_px
        forward = np.array([self.center[0] * side, self.center[1] * side, 1.0])
        up = np.array([np.sin(self.angle_rad), -np.cos(self.angle_rad), 0.0])
        z = forward / np.linalg.norm(forward)
        x = np.cross(z, up)
        x /= np.linalg.norm(x)
        turn = np.stack([x, np.cross(z, x), z])
        return CropCamera(crop.focal_px / self.scale, crop.size_px, turn @ crop.R_crop_camera)
