"""How far hands lie from where a calibration puts them: pixels and millimetres, view by view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.drift.evidence import meet
from calibration.drift.sighting import Sighting
from calibration.rig import Rig


@dataclass(frozen=True, slots=True)
class Reprojection:
    """One camera's error on hands whose joints were placed by all views.

    Args:
        joints: How many joints.
        rms_px: Root mean square distance, pixels of its picture.
        median_px: Median distance.
        rms_mm: The same at the joints' depth, millimetres.
    """

    joints: int
    rms_px: float
    median_px: float
    rms_mm: float


def reprojection(rig: Rig, sightings: Sequence[Sighting]) -> dict[str, Reprojection]:
    """Judge a calibration on hands, by camera; cameras that saw none are left out."""
    distances: dict[str, list[NDArray[np.float64]]] = {}
    metres: dict[str, list[NDArray[np.float64]]] = {}
    for sighting in sightings:
        met = meet(rig, sighting)
        if met is None:
            continue
        points, joints = met
        for view, camera in enumerate(rig):
            away = np.linalg.norm(camera.project(points) - sighting.keypoints_px[view, joints], axis=-1)
            seen = np.isfinite(away)
            if seen.any():
                depth = camera.to_camera(points)[seen, 2]
                distances.setdefault(camera.id, []).append(away[seen])
                metres.setdefault(camera.id, []).append(away[seen] * depth / np.sqrt(camera.K[0, 0] * camera.K[1, 1]))
    return {
        camera_id: _summary(np.concatenate(away), np.concatenate(metres[camera_id]))
        for camera_id, away in distances.items()
    }


def _summary(away_px: NDArray[np.float64], away_m: NDArray[np.float64]) -> Reprojection:
    return Reprojection(
        joints=len(away_px),
        rms_px=_trimmed_rms(away_px),
        median_px=float(np.median(away_px)),
        rms_mm=1e3 * _trimmed_rms(away_m),
    )


def _trimmed_rms(values: NDArray[np.float64]) -> float:
    """Without the worst twentieth: a hand taken for another is no calibration error."""
    kept = np.sort(values)[: max(1, int(np.ceil(0.95 * len(values))))]
    return float(np.sqrt((kept**2).mean()))
