"""Looking at a rig's sources without starting them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration import Camera
from capture.errors import CaptureError
from capture.grabbers import MonotonicClock, make_grabber
from capture.rig_config import CameraConfig, FileSource, ImagesSource, OpenCVSource, RecordingSource, SyntheticSource


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What was found of one camera's source.

    Args:
        camera_id: The camera.
        source: The source, in words.
        size: Image width and height, pixels; None where it is not known before the camera is opened.
        problem: Why it cannot be used, with the remedy; empty if nothing is wrong.
        notes: What else a person should know.
    """

    camera_id: str
    source: str
    size: tuple[int, int] | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()


def check_source(entry: CameraConfig, camera: Camera | None) -> SourceReport:
    """Look at a camera's source.

    Args:
        entry: The camera in the rig file.
        camera: The calibrated camera; None where the calibration cannot be used.
    """
    source = entry.source
    match source:
        case SyntheticSource():
            size = None if camera is None else (camera.width, camera.height)
            return SourceReport(entry.id, "synthetic", size, notes=("rendered",))
        case OpenCVSource():
            return _check_device(entry.id, source)
        case FileSource() | ImagesSource() | RecordingSource():
            return _check_recording(entry.id, source, camera)


def _check_recording(
    camera_id: str, source: FileSource | ImagesSource | RecordingSource, camera: Camera | None
) -> SourceReport:
    what = f"{source.type} {source.path.name}"
    stand_in = camera or Camera(camera_id, 1, 1, np.eye(3))
    grabber = make_grabber(source, stand_in, "lossless", MonotonicClock(), scene=None)
    try:
        info = grabber.open()
    except CaptureError as error:
        return SourceReport(camera_id, what, problem=str(error))
    finally:
        grabber.close()
    notes = (f"{info.fps:.3g} frames/s", *info.warnings)
    report = SourceReport(camera_id, what, (info.width, info.height), notes=notes)
    if camera is None or report.size == (camera.width, camera.height):
        return report
    problem = (
        f"{source.path} is {info.width}x{info.height}, but the calibration is for {camera.width}x{camera.height}; "
        "calibrate at the size that is recorded"
    )
    return SourceReport(camera_id, what, report.size, problem, notes)


def _check_device(camera_id: str, source: OpenCVSource) -> SourceReport:
    """Look at a device's file only: opening it could take it away from a service that runs."""
    device = source.device
    path = Path(f"/dev/video{device}") if isinstance(device, int) else Path(device)
    what = f"opencv {source.shown}"
    if isinstance(device, str) and not device.startswith("/"):
        return SourceReport(camera_id, what, notes=("not looked at: it is no device of this machine",))
    if not path.exists():
        return SourceReport(
            camera_id, what, problem=f"{path} does not exist; plug the camera in or correct source.device"
        )
    if not os.access(path, os.R_OK | os.W_OK):
        return SourceReport(
            camera_id, what, problem=f"{path} may not be opened by this user; add the user to its group (video)"
        )
    size = None if source.width is None or source.height is None else (source.width, source.height)
    return SourceReport(camera_id, what, size, notes=("not opened",))
