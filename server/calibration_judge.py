"""Whether an uploaded calibration fits the running service, and what it would change. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from calibration import CalibrationError, Camera, Rig
from calibration.plausibility import suspicions


class SuspicionError(CalibrationError):
    """A calibration that could be used, and looks like a mistake."""


@dataclass(frozen=True, slots=True)
class CameraChange:
    """How one camera differs from before.

    Args:
        moved_mm: Distance between the optical centres.
        turned_deg: Angle between the orientations.
        focal_change_percent: Change of the horizontal focal length.
    """

    moved_mm: float
    turned_deg: float
    focal_change_percent: float


@dataclass(frozen=True, eq=False, slots=True)
class Judgement:
    """An upload that may be used.

    Args:
        rig: The running cameras in their order, with the new calibration.
        changes: By camera id.
        ignored: Cameras of the upload that the service does not run.
        suspicions: What looks like a mistake, where it was to be used all the same.
    """

    rig: Rig
    changes: Mapping[str, CameraChange]
    ignored: tuple[str, ...]
    suspicions: tuple[str, ...] = ()


def judge(
    uploaded: Rig,
    running: Rig,
    sizes: Mapping[str, tuple[int, int]],
    *,
    ignore_unknown: bool = False,
    force: bool = False,
) -> Judgement:
    """Compare an uploaded calibration with the running cameras.

    Args:
        uploaded: The upload; each camera in itself is a possible one already.
        running: The calibration in use.
        sizes: Width and height of the pictures by camera id, in pixels, as far as they are known.
        ignore_unknown: Leave out cameras of the upload that do not run, instead of refusing it.
        force: Use it although it looks like a mistake. What cannot be used at all is refused still.

    Raises:
        CalibrationError: With reasons per camera if a running camera is missing, one is unknown, has pictures of
            another size.
        SuspicionError: If the whole looks like a mistake of unit or direction, and `force` does not say otherwise.
    """
    by_id = {camera.id: camera for camera in uploaded}
    reasons: dict[str, list[str]] = {}
    for old in running:
        new = by_id.get(old.id)
        if new is None:
            reasons[old.id] = [f"is not in the upload, which names {', '.join(by_id)}; name every running camera"]
            continue
        width, height = sizes.get(old.id, (old.width, old.height))
        if (new.width, new.height) != (width, height):
            reasons[old.id] = [
                f"the upload is for pictures of {new.width}x{new.height}, the camera gives {width}x{height}; "
                "calibrate at the size that runs"
            ]
    unknown = tuple(sorted(set(by_id) - set(running.camera_ids)))
    if not ignore_unknown:
        for camera_id in unknown:
            reasons[camera_id] = [
                f"the service runs no such camera, only {', '.join(running.camera_ids)}; leave it out, or send "
                "ignore_unknown=1"
            ]
    if reasons:
        raise CalibrationError(reasons)
    rig = Rig(tuple(by_id[old.id] for old in running), uploaded.name or running.name)
    suspected = tuple(suspicions(rig, running))
    if suspected and not force:
        raise SuspicionError({"": [f"{why}. If it is right as it is, send force=1" for why in suspected]})
    return Judgement(
        rig=rig,
        changes={old.id: _change(old, by_id[old.id]) for old in running},
        ignored=unknown,
        suspicions=suspected,
    )


def _change(old: Camera, new: Camera) -> CameraChange:
    turn = new.T_camera_world[:3, :3] @ old.T_camera_world[:3, :3].T
    axis_angle, _ = cv2.Rodrigues(turn)
    return CameraChange(
        moved_mm=round(float(np.linalg.norm(new.center_world - old.center_world)) * 1e3, 3),
        turned_deg=round(float(np.degrees(np.linalg.norm(axis_angle))), 3),
        focal_change_percent=round(float(new.K[0, 0] / old.K[0, 0] - 1) * 100, 3),
    )
