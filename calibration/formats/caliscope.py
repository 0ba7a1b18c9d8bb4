"""caliscope's `camera_array.toml`: metres, world to camera, rotation as a matrix or a Rodrigues vector."""

from __future__ import annotations

import reprlib
import tomllib

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count, rigid_transform
from calibration.formats.fields import Fields
from calibration.formats.nesting import check_toml_nesting
from calibration.rig import Rig


def rig_from_toml(text: str) -> Rig:
    """Read a camera array; camera `n` becomes `cam_n`, as caliscope names its videos, and ignored ones are left out.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    check_toml_nesting(text)
    try:
        data = tomllib.loads(text)
    except ValueError as error:
        raise CalibrationError({"": [f"not TOML: {error}; export it again"]}) from error
    entries = data.get("cameras")
    if not isinstance(entries, dict):
        raise CalibrationError({"": ["there is no table [cameras.0]; is this caliscope's camera_array.toml?"]})
    check_camera_count(len(entries))
    drafts = [draft for key, entry in entries.items() if (draft := _draft(key, entry)) is not None]
    return assemble_rig(
        drafts, [] if drafts else ["every camera is ignored or missing; caliscope must keep at least one"]
    )


def _draft(key: str, entry: object) -> CameraDraft | None:
    place = f"cameras.{reprlib.repr(key)[1:-1]}"
    if not isinstance(entry, dict):
        return CameraDraft(place, problems=[f"it is {reprlib.repr(entry)}; give a table"])
    draft = CameraDraft(place)
    fields = Fields(entry, draft.problems)
    if fields.flag("ignore", default=False):
        return None
    number = entry.get("cam_id")
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 10_000:
        draft.id = f"cam_{number}"
    else:
        draft.problems.append(f"cam_id is {reprlib.repr(number)}; give a whole number from 0")
    draft.model = "fisheye" if fields.flag("fisheye", default=False) else "brown-conrady"
    draft.size = fields.size("size")
    draft.K = fields.array("matrix", (3, 3))
    draft.distortion = fields.array("distortions", (5,), (8,), (4,))
    draft.T_camera_world = rigid_transform(_rotation(fields), fields.array("translation", (3,)))
    draft.rms_px = fields.number("error") if fields.has("error") else None
    return draft


def _rotation(fields: Fields) -> NDArray[np.float64] | None:
    rotation = fields.array("rotation", (3, 3), (3,))
    if rotation is not None and rotation.shape == (3,):
        rotation = np.asarray(cv2.Rodrigues(rotation)[0], dtype=np.float64)
    return rotation
