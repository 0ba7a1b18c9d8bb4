"""What every writer needs: refusing what a format cannot hold, by camera and by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.rig import Rig

_ORTHONORMAL = 1e-6


def refuse_unless_held(rig: Rig, problem: Callable[[Camera], str | None]) -> None:
    """Refuse to write a rig of which the format cannot hold something.

    Args:
        rig: What is to be written.
        problem: Says what of a camera cannot be held, and what to do; None if all can.

    Raises:
        CalibrationError: With the reason of each camera.
    """
    reasons = {camera.id: [why] for camera in rig if (why := problem(camera)) is not None}
    if reasons:
        raise CalibrationError(reasons)


def skew_problem(camera: Camera, format_name: str) -> str | None:
    """Say that a format has no place for a skew that the camera has."""
    if camera.K[0, 1] == 0:
        return None
    return f"K has a skew of {camera.K[0, 1]:g} px, for which {format_name} has no place; calibrate without skew"


def rotation_problem(camera: Camera, format_name: str) -> str | None:
    """Say that a rotation is too far from one to be written as a vector or quaternion, which always are one."""
    R = camera.T_camera_world[:3, :3]
    deviation = float(np.abs(R @ R.T - np.eye(3)).max())
    if deviation <= _ORTHONORMAL:
        return None
    return (
        f"the rotation is off by {deviation:.2g}, more than {_ORTHONORMAL:g}: as {format_name} writes it, it would "
        "change; export the source with more digits"
    )


def first(*problems: str | None) -> str | None:
    """Return the first problem that is one."""
    return next((problem for problem in problems if problem is not None), None)


def numbers(values: Iterable[float] | NDArray[np.float64]) -> str:
    """Write numbers so that they come back exactly, in brackets: TOML, JSON and YAML alike."""
    return "[" + ", ".join(repr(float(value) + 0.0) for value in values) + "]"


def rows(values: NDArray[np.float64]) -> str:
    """Write a matrix as a list of rows."""
    return "[" + ", ".join(numbers(row) for row in values) + "]"


def translation_in(camera: Camera, metres_per_unit: float) -> NDArray[np.float64]:
    """Return the translation `(3,)` from world to camera in a file's unit."""
    t: NDArray[np.float64] = camera.T_camera_world[:3, 3] / metres_per_unit
    return t
