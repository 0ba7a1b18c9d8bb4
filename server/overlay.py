"""The hand drawn on a picture: outline of the mesh, skeleton by finger, id and side."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera
from engine.hand_model.model import PARENTS_21
from engine.types import HandPose
from server.outline import EdgeTable

FINGER_COLOURS_BGR: Final = ((84, 112, 255), (60, 190, 255), (110, 210, 100), (255, 170, 70), (230, 120, 200))
"""Thumb, index, middle, ring, little."""

_WRIST_BGR: Final = (240, 240, 240)
_OUTLINE_BGR: Final = {"left": (255, 220, 160), "right": (160, 230, 255)}
_SUBPIXEL_BITS: Final = 4
_FARTHEST_PX: Final = 20_000


class OverlayPainter:
    """Draws hands on pictures; it keeps the edges of the meshes that it has met."""

    def __init__(self) -> None:
        self._edges: dict[tuple[str, str], EdgeTable] = {}

    def draw(self, image_bgr: NDArray[np.uint8], camera: Camera, hands: tuple[HandPose, ...]) -> None:
        """Draw hands onto a picture.

        Args:
            image_bgr: The camera's picture, of any size with its proportions; it is drawn on in place.
            camera: The camera that took it.
            hands: What to draw.
        """
        scale = np.array([image_bgr.shape[1] / camera.width, image_bgr.shape[0] / camera.height])
        thickness = max(1, round(image_bgr.shape[1] / 400))
        for hand in hands:
            seeing = hand.as_seen_by(camera)
            vertices_px = _scaled(seeing.project(hand.vertices_world), scale)
            segments = _fixed(self._edge_table(hand).outline(vertices_px))
            cv2.polylines(image_bgr, segments, False, _OUTLINE_BGR[hand.side], 1, cv2.LINE_AA, _SUBPIXEL_BITS)  # type: ignore[call-overload]
            _draw_skeleton(image_bgr, _scaled(seeing.project(hand.joints_world), scale), thickness)
            _draw_label(image_bgr, f"{hand.side} {hand.id}", vertices_px, thickness)

    def _edge_table(self, hand: HandPose) -> EdgeTable:
        model = hand.posed.shaped.model
        key = (model.sha256, model.side)
        if key not in self._edges:
            self._edges[key] = EdgeTable(model.faces)
        return self._edges[key]


def _scaled(pixels: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Follow a resized picture; integer coordinates are pixel centres before and after."""
    scaled: NDArray[np.float64] = (pixels + 0.5) * scale - 0.5
    # Points far outside would overflow the drawing's fixed-point numbers.
    return np.where(np.abs(scaled) < _FARTHEST_PX, scaled, np.nan)


def _fixed(points_px: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points_px * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _draw_skeleton(image_bgr: NDArray[np.uint8], joints_px: NDArray[np.float64], thickness: int) -> None:
    drawable = np.asarray(np.isfinite(joints_px).all(axis=1))
    fixed: list[Any] = [tuple(map(int, point)) for point in _fixed(np.nan_to_num(joints_px))]
    for joint, parent in enumerate(PARENTS_21):
        if parent >= 0 and drawable[joint] and drawable[parent]:
            colour = _colour(joint)
            cv2.line(image_bgr, fixed[parent], fixed[joint], colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    radius = round(1.5 * thickness * (1 << _SUBPIXEL_BITS))
    for joint in np.flatnonzero(drawable).tolist():
        cv2.circle(image_bgr, fixed[joint], radius, _colour(joint), -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _colour(joint: int) -> tuple[int, int, int]:
    return FINGER_COLOURS_BGR[(joint - 1) // 4] if joint else _WRIST_BGR


def _draw_label(image_bgr: NDArray[np.uint8], text: str, vertices_px: NDArray[np.float64], thickness: int) -> None:
    visible = vertices_px[np.isfinite(vertices_px).all(axis=1)]
    if not len(visible):
        return
    height, width = image_bgr.shape[:2]
    size = 0.35 * thickness + 0.15
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thickness)
    x = int(np.clip(visible[:, 0].min(), 0, max(0, width - text_width)))
    y = int(np.clip(visible[:, 1].min() - 4, text_height, height - 1))
    for colour, width_px in (((0, 0, 0), thickness + 2), ((255, 255, 255), thickness)):
        cv2.putText(image_bgr, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, width_px, cv2.LINE_AA)
