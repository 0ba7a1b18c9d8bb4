"""OpenCV's FileStorage YAML, in two layouts: one entry a camera, or what OpenCV's multi-view sample saves.

OpenCV names no layout for a rig. The first one is this project's: `cameras` is a list with the keys of OpenCV's own
calibration sample, and says its unit and the direction of its transforms. The second is that of OpenCV's
`multiview_calibration.py`: `Ks`, `distortions`, `rvecs` and `Ts` from the first camera to each, without a unit.
"""

from __future__ import annotations

import reprlib
from typing import cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count, rigid_transform
from calibration.formats.fields import Fields, camera_id_problem
from calibration.formats.lenses import opencv_distortion
from calibration.formats.opencv_matrix import matrix
from calibration.formats.rotations import matrix_from_vector
from calibration.formats.yaml_text import parse_yaml
from calibration.lens import CameraModel
from calibration.rig import Rig
from calibration.units import confirm_metres, require_units

_NAME = "opencv"


def rig_from_yaml(text: str, units: str | float | None) -> Rig:
    """Read either layout.

    Args:
        text: The file.
        units: Demanded by the multi-view layout, which has none; must agree with the other's metres.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    data = parse_yaml(text)
    if not isinstance(data, dict) or not ("cameras" in data or "Ks" in data):
        raise CalibrationError(
            {"": ["the file has neither 'cameras' nor 'Ks'; give what usthand or OpenCV's multi-view sample saves"]}
        )
    if "cameras" in data:
        confirm_metres(units, _NAME)
        return _from_list(data)
    return _from_multiview(data, require_units(units, "OpenCV's multi-view"))


def rig_to_yaml(rig: Rig) -> str:
    """Return the file, in the first layout; `cv::FileStorage` reads it."""
    storage = cv2.FileStorage(".yml", cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY | cv2.FILE_STORAGE_FORMAT_YAML)
    storage.write("units", "m")
    storage.startWriteStruct("cameras", cv2.FileNode_SEQ)
    for camera in rig:
        storage.startWriteStruct("", cv2.FileNode_MAP)
        storage.write("name", camera.id)
        storage.write("image_width", camera.width)
        storage.write("image_height", camera.height)
        storage.write("model", camera.model)
        storage.write("camera_matrix", np.array(camera.K))
        storage.write("distortion_coefficients", np.array(camera.distortion)[None])
        storage.write("T_camera_world", np.array(camera.T_camera_world))
        if camera.rms_px is not None:
            storage.write("avg_reprojection_error", float(camera.rms_px))
        storage.endWriteStruct()
    storage.endWriteStruct()
    return str(storage.releaseAndGetString())


def _from_list(data: dict[str, object]) -> Rig:
    problems: list[str] = []
    Fields(data, problems).in_metres()
    entries = data["cameras"]
    if not isinstance(entries, list) or not entries:
        problems.append("cameras is not a list of cameras; give at least one")
        entries = []
    check_camera_count(len(entries))
    return assemble_rig([_draft(entry, f"cameras[{index}]") for index, entry in enumerate(entries)], problems)


def _draft(entry: object, place: str) -> CameraDraft:
    if not isinstance(entry, dict):
        return CameraDraft(place, problems=[f"it is {reprlib.repr(entry)}; give a mapping"])
    # A name that is a number loses its quotes where others write it.
    name = entry.get("name")
    name = str(name) if isinstance(name, int) and not isinstance(name, bool) else name
    id_problem = camera_id_problem(name)
    draft = CameraDraft(place if id_problem else str(name), problems=[id_problem] if id_problem else [])
    fields = Fields(entry, draft.problems)
    width, height = fields.count("image_width"), fields.count("image_height")
    draft.size = None if width is None or height is None else (width, height)
    draft.model = cast("CameraModel | None", fields.text("model", get_args(CameraModel)))
    draft.K = matrix(entry, "camera_matrix", draft.problems, (3, 3))
    draft.distortion = _flat(entry, "distortion_coefficients", draft.model or "brown-conrady", draft.problems)
    draft.T_camera_world = matrix(entry, "T_camera_world", draft.problems, (4, 4))
    if fields.has("avg_reprojection_error"):
        draft.rms_px = fields.number("avg_reprojection_error")
        if draft.rms_px is not None and draft.rms_px < 0:
            draft.problems.append(f"avg_reprojection_error is {draft.rms_px:g}; an error cannot be negative")
    return draft


def _flat(entry: dict[str, object], key: str, model: CameraModel, problems: list[str]) -> NDArray[np.float64] | None:
    values = matrix(entry, key, problems)
    if values is not None and max(values.shape) != values.size:
        problems.append(f"{key} has the shape {'x'.join(map(str, values.shape))}; give one row or column")
        return None
    return opencv_distortion(None if values is None else values.ravel(), model, problems)


def _from_multiview(data: dict[str, object], metres_per_unit: float) -> Rig:
    problems: list[str] = []
    Ks = matrix(data, "Ks", problems)
    count = 0 if Ks is None or Ks.ndim != 3 or Ks.shape[1:] != (3, 3) else len(Ks)
    if Ks is not None and not count:
        problems.append("Ks is not one 3x3 matrix a camera")
    if problems or Ks is None:
        raise CalibrationError({"": problems})
    check_camera_count(count)
    arrays = {key: matrix(data, key, problems) for key in ("distortions", "rvecs", "Ts", "image_sizes", "is_fisheye")}
    for key, per_camera in (("rvecs", 3), ("Ts", 3), ("image_sizes", 2), ("is_fisheye", 1)):
        values = arrays[key]
        if values is not None and values.size != per_camera * count:
            problems.append(f"{key} has {values.size} numbers; {count} cameras need {per_camera * count}")
    distortions = arrays["distortions"]
    if distortions is not None and distortions.size % count:
        problems.append(f"distortions has {distortions.size} numbers, which is no equal share for {count} cameras")
    names = _names(data.get("cam_ids"), count, problems)
    if problems:
        raise CalibrationError({"": problems})
    split = {key: np.asarray(values).reshape(count, -1) for key, values in arrays.items()}
    drafts = []
    for index, name in enumerate(names):
        draft = CameraDraft(name, model="fisheye" if split["is_fisheye"][index, 0] else "brown-conrady")
        width, height = split["image_sizes"][index]
        if not (width.is_integer() and height.is_integer()):
            draft.problems.append(f"its image size is {width:g}x{height:g}; give whole numbers")
        draft.size = (int(width), int(height))
        draft.K = Ks[index]
        draft.distortion = opencv_distortion(
            split["distortions"][index], draft.model or "brown-conrady", draft.problems
        )
        draft.T_camera_world = rigid_transform(
            matrix_from_vector(split["rvecs"][index]), split["Ts"][index] * metres_per_unit
        )
        drafts.append(draft)
    return assemble_rig(drafts)


def _names(listed: object, count: int, problems: list[str]) -> list[str]:
    """Read `cam_ids`, one text with commas; `camN` without it."""
    if listed is None:
        return [f"cam{index}" for index in range(count)]
    names = str(listed).split(",") if isinstance(listed, str | int) and not isinstance(listed, bool) else []
    if len(names) != count:
        problems.append(f"cam_ids is {reprlib.repr(listed)}; give {count} names with commas between")
        return []
    named = [f"cam{name}" if name.isdigit() else name for name in (name.strip() for name in names)]
    problems += [problem for name in named if (problem := camera_id_problem(name)) is not None]
    return named
