"""Capturing with cameras that are not calibrated yet."""

from __future__ import annotations

import numpy as np

from calibration import Camera, Rig
from capture.errors import CaptureError
from capture.grabbers import MonotonicClock, make_grabber
from capture.rig_config import CameraConfig, OpenCVSource, RigConfig, SyntheticSource


def stand_in_rig(config: RigConfig) -> Rig:
    """Make cameras of the size that a rig's footage has, for a session to capture with.

    Their lenses and places mean nothing: nothing may be projected with them.

    Args:
        config: The rig; it need not name a calibration, and one that it names is not read.

    Raises:
        CaptureError: If a source cannot be opened, or is not recorded footage.
    """
    return Rig(tuple(_stand_in(entry) for entry in config.cameras), config.name)


def _stand_in(entry: CameraConfig) -> Camera:
    source = entry.source
    match source:
        case SyntheticSource():
            raise CaptureError(f"camera {entry.id!r} is rendered: it films no calibration board; use recorded footage")
        case OpenCVSource():
            raise CaptureError(
                f"camera {entry.id!r} is live: record the board first and use the recording as its source "
                "({type: file, path: ...}), or calibrate live in the service's page"
            )
        case _:
            nothing = Camera(entry.id, 1, 1, np.eye(3))
            grabber = make_grabber(source, nothing, "lossless", MonotonicClock(), scene=None)
            try:
                info = grabber.open()
            except CaptureError as error:
                raise CaptureError(f"camera {entry.id!r}: {error}") from error
            finally:
                grabber.close()
    width, height = info.width, info.height
    K = np.array([[width, 0.0, (width - 1) / 2], [0.0, width, (height - 1) / 2], [0.0, 0.0, 1.0]])
    return Camera(entry.id, width, height, K)
