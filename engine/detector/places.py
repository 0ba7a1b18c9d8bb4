"""Where hands are, compared: whether two answers are one hand, and which of them is wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from calibration import Camera
from engine.crops import CropCamera


def same_place(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether two sets of joints lie on one hand: nearer to each other than half a palm."""
    palm = max(float(np.linalg.norm(a[9] - a[0])), float(np.linalg.norm(b[9] - b[0])))
    return float(np.median(np.linalg.norm(a - b, axis=1))) < 0.4 * palm


def is_another_hand(
    keypoints_crop_px: NDArray[np.float64],
    crop: CropCamera,
    camera: Camera,
    track_id: int,
    predicted: Mapping[int, NDArray[np.float64]],
) -> bool:
    """Whether the joints that were found for one track lie on another track's hand.

    Args:
        keypoints_crop_px: What was found `(21, 2)`, crop pixels.
        crop: Where it was found.
        camera: The crop's camera.
        track_id: The track that was looked for.
        predicted: Where each track's joints were expected `(21, 3)`, world, metres.
    """
    if len(predicted) < 2:
        return False
    projection = crop.projection(camera)
    distances = {}
    palm_px = 0.0
    for other, joints in predicted.items():
        moved = joints @ projection[:, :3].T + projection[:, 3]
        if (moved[:, 2] <= 0).any():
            # A hand beside or behind the camera is far from whatever it sees.
            distances[other] = np.inf
            continue
        place = crop.pixels(moved[:, :2] / moved[:, 2:])
        distances[other] = float(np.linalg.norm(place - keypoints_crop_px, axis=1).mean())
        if other == track_id:
            palm_px = float(np.linalg.norm(place[9] - place[0]))
    return any(
        distance < 0.5 * distances[track_id] and distances[track_id] > 0.5 * palm_px
        for other, distance in distances.items()
        if other != track_id
    )


def strayed(joints_world: NDArray[np.float64], predicted: NDArray[np.float64] | None) -> float:
    """How far a track left its own path, metres: of two tracks on one hand, the stray one is wrong."""
    return np.inf if predicted is None else float(np.linalg.norm(predicted.mean(axis=0) - joints_world.mean(axis=0)))
