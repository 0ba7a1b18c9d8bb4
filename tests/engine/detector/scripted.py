"""Eyes that see what a test tells them to, in place of networks that look at pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from capture.frames import Frame
from engine.crops import CropCamera
from engine.detector.networks import LANDMARK_INPUT_PX, Landmarks, Palm
from engine.detector.views import HandView
from engine.hand_model import Side
from tests.engine.detector.support import model

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """A hand that the views see.

    Args:
        side: Which hand it is.
        joints_world: Where it is.
        said_right: What every view says of its side; None is the truth.
        views: The views that see it; None is all.
    """

    side: Side
    joints_world: Array
    said_right: float | None = None
    views: tuple[int, ...] | None = None


class ScriptedEyes:
    """Eyes that find the hands of a script to a pixel or so."""

    def __init__(self, rig: Rig) -> None:
        self.shown: list[Shown] = []
        self.rig = rig
        self._rng = np.random.default_rng(1)

    def attend(self, views: int) -> None:
        """Nothing to get ready."""

    def _seen_by(self, view: int) -> list[Shown]:
        return [hand for hand in self.shown if hand.views is None or view in hand.views]

    def find_palms(self, frame: Frame) -> list[Palm]:
        view = self.rig.camera_ids.index(frame.camera_id)
        palms = []
        for hand in self._seen_by(view):
            pixels = self.rig.cameras[view].project(hand.joints_world)
            if self.rig.cameras[view].contains(pixels).all():
                box = pixels[[0, 5, 9, 13, 17]]
                palms.append(Palm(0.9, box.mean(axis=0), float(np.ptp(box, axis=0).max()), pixels[0], pixels[9]))
        return palms

    def look(self, frame: Frame, camera: Camera, view: int, crop: CropCamera) -> HandView:  # noqa: ARG002
        best: tuple[float, Shown, Array] | None = None
        for hand in self._seen_by(view):
            turned = camera.to_camera(hand.joints_world) @ crop.R_crop_camera.T
            if (turned[:, 2] < 0.01).any():
                continue
            pixels = crop.focal_px * turned[:, :2] / turned[:, 2:] + crop.principal_px
            away = float(np.linalg.norm(pixels.mean(axis=0) - crop.principal_px))
            if away < 0.5 * LANDMARK_INPUT_PX and (best is None or away < best[0]):
                best = (away, hand, pixels)
        if best is None:
            return HandView(view, crop, Landmarks(np.zeros((21, 2)), 0.01, 0.5))
        _, hand, pixels = best
        right = (0.97 if hand.side == "right" else 0.03) if hand.said_right is None else hand.said_right
        return HandView(view, crop, Landmarks(pixels + self._rng.normal(0.0, 1.0, (21, 2)), 0.99, right))


def hand_at(side: Side, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
    """A hand with its fingers up and its palm to the cameras, its middle somewhere."""
    joints = model().with_shape(np.zeros(10)).rest_joints_21
    # Fingers (-x) up, palm (-y) to +y, thumb (+z) to -x.
    joints = joints @ np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]]).T
    joints = joints - joints.mean(axis=0)
    if side == "left":
        joints = joints * (-1.0, 1.0, 1.0)
    return joints + np.array([x, y, z])
