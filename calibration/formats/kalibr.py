"""Kalibr's `camchain.yaml`: metres; each camera relative to the one before it, so that the first one is the world."""

from __future__ import annotations

import re
import reprlib

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count
from calibration.formats.fields import Fields
from calibration.formats.lenses import shortest
from calibration.formats.writing import numbers, refuse_unless_held, skew_problem
from calibration.formats.yaml_text import parse_yaml
from calibration.lens import CameraModel
from calibration.rig import Rig

_CAMERA = re.compile(r"cam(0|[1-9][0-9]{0,3})")
_MODELS: dict[str, CameraModel] = {"radtan": "brown-conrady", "equidistant": "fisheye", "none": "brown-conrady"}


def rig_from_yaml(text: str) -> Rig:
    """Read a camera chain; the world is the frame of `cam0`.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    data = parse_yaml(text)
    entries = data if isinstance(data, dict) else {}
    numbered = sorted((int(match[1]), key) for key in entries if (match := _CAMERA.fullmatch(key)))
    check_camera_count(len(numbered))
    if [number for number, _ in numbered] != list(range(len(numbered))) or not numbered:
        raise CalibrationError(
            {"": [f"cameras are {[key for _, key in numbered][:8]}; a camchain has cam0, cam1, ... without a gap"]}
        )
    drafts = []
    T_camera_world: NDArray[np.float64] | None = np.eye(4)
    for number, key in numbered:
        draft = _draft(key, entries[key])
        if number > 0:
            entry = entries[key] if isinstance(entries[key], dict) else {}
            T_camera_previous = Fields(entry, draft.problems).array("T_cn_cnm1", (4, 4))
            if T_camera_world is not None and T_camera_previous is not None:
                T_camera_world = T_camera_previous @ T_camera_world
            else:
                T_camera_world = None
        draft.T_camera_world = T_camera_world
        drafts.append(draft)
    return assemble_rig(drafts)


def rig_to_yaml(rig: Rig) -> str:
    """Return the file.

    Raises:
        CalibrationError: If the format cannot hold something: names other than cam0, cam1, ..., a world that is not
            the first camera, a skew, more than radtan's four coefficients.
    """
    refuse_unless_held(rig, lambda camera: _problem(rig, camera))
    lines = []
    previous: Camera | None = None
    for camera in rig:
        lines += [f"{camera.id}:", "  camera_model: pinhole"]
        K = camera.K
        lines += [
            f"  intrinsics: {numbers((K[0, 0], K[1, 1], K[0, 2], K[1, 2]))}",
            f"  distortion_model: {'equidistant' if camera.model == 'fisheye' else 'radtan'}",
            f"  distortion_coeffs: {numbers(shortest(camera))}",
            f"  resolution: [{camera.width}, {camera.height}]",
            f"  rostopic: /{camera.id}/image_raw",
        ]
        if previous is not None:
            T = camera.T_camera_world @ np.linalg.inv(previous.T_camera_world)
            T[3] = (0, 0, 0, 1)
            lines += ["  T_cn_cnm1:", *(f"  - {numbers(row)}" for row in T)]
        previous = camera
    return "\n".join(lines) + "\n"


def _problem(rig: Rig, camera: Camera) -> str | None:
    number = rig.camera_ids.index(camera.id)
    if camera.id != f"cam{number}":
        return (
            f"kalibr has no names of its own: this camera would be cam{number}; renumber the cameras to write it "
            "(--renumber)"
        )
    if number == 0 and not np.allclose(camera.T_camera_world, np.eye(4), rtol=0, atol=1e-12):
        return (
            "kalibr knows no world but the first camera; make the first camera the world to write it "
            "(--first-camera-world)"
        )
    coefficients = shortest(camera)
    if coefficients.size > 4:
        return (
            f"it has {coefficients.size} distortion coefficients that are not zero, kalibr's radtan has 4; calibrate "
            "with k1, k2, p1, p2"
        )
    return skew_problem(camera, "kalibr")


def _draft(key: str, entry: object) -> CameraDraft:
    if not isinstance(entry, dict):
        return CameraDraft(key, problems=[f"it is {reprlib.repr(entry)}; give a mapping"])
    draft = CameraDraft(key)
    fields = Fields(entry, draft.problems)
    fields.text("camera_model", ("pinhole",))
    model = fields.text("distortion_model", tuple(_MODELS))
    draft.model = _MODELS.get(model) if model is not None else None
    draft.size = fields.size("resolution")
    intrinsics = fields.array("intrinsics", (4,))
    if intrinsics is not None:
        fx, fy, cx, cy = intrinsics
        draft.K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    if model == "none":
        draft.distortion = np.zeros(5)
    elif model is not None:
        coefficients = fields.array("distortion_coeffs", (4,))
        if coefficients is not None:
            draft.distortion = coefficients if model == "equidistant" else np.append(coefficients, 0.0)
    return draft
