"""multical's `calibration.json`: world to camera, or relative to one master camera; no unit of length in the file."""

from __future__ import annotations

import json
import reprlib

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count, rigid_transform
from calibration.formats.fields import Fields, camera_id_problem
from calibration.formats.json_text import parse_json
from calibration.formats.lenses import opencv_distortion
from calibration.formats.writing import refuse_unless_held, translation_in
from calibration.rig import Rig

_LINK = "_to_"
# What its camera models are to OpenCV; all are its one polynomial with more or fewer numbers.
_MODELS = ("standard", "rational", "thin_prism", "tilted")
_SHAPES = tuple(shape for count in (4, 5, 8, 12, 14) for shape in ((count,), (1, count), (count, 1)))


def rig_from_json(text: str, metres_per_unit: float) -> Rig:
    """Read cameras and their poses.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    data = parse_json(text)
    problems: list[str] = []
    cameras, poses = data.get("cameras"), data.get("camera_poses")
    if not isinstance(cameras, dict) or not cameras:
        problems.append("cameras is no object of cameras; is this multical's calibration.json?")
        cameras = {}
    if not isinstance(poses, dict):
        problems.append("camera_poses is missing: this is a calibration of intrinsics only; calibrate the poses too")
        poses = {}
    check_camera_count(len(cameras))
    drafts = [_draft(key, entry) for key, entry in cameras.items()]
    for key, draft in zip(cameras, drafts, strict=True):
        draft.T_camera_world = _transform(key, poses, metres_per_unit, draft.problems)
    return assemble_rig(drafts, problems)


def rig_to_json(rig: Rig, metres_per_unit: float) -> str:
    """Return the file, with poses from world to camera.

    Raises:
        CalibrationError: If the format cannot hold a camera: a fisheye, a name with `_to_` in it.
    """
    refuse_unless_held(rig, _problem)
    content = {
        "cameras": {
            camera.id: {
                "model": "rational" if camera.distortion.size == 8 else "standard",
                "image_size": [camera.width, camera.height],
                "K": camera.K.tolist(),
                "dist": [camera.distortion.tolist()],
            }
            for camera in rig
        },
        "camera_poses": {
            camera.id: {
                "R": camera.T_camera_world[:3, :3].tolist(),
                "T": translation_in(camera, metres_per_unit).tolist(),
            }
            for camera in rig
        },
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _problem(camera: Camera) -> str | None:
    if camera.model == "fisheye":
        return "multical's file does not say which cameras are fisheyes; write another format"
    if _LINK in camera.id:
        return f"multical reads {_LINK!r} in a name as a relation between two cameras; rename the camera"
    return None


def _draft(key: str, entry: object) -> CameraDraft:
    id_problem = camera_id_problem(key)
    draft = CameraDraft(
        reprlib.repr(key)[1:-1] if id_problem else key,
        problems=[id_problem] if id_problem else [],
        model="brown-conrady",
    )
    if not isinstance(entry, dict):
        draft.problems.append(f"it is {reprlib.repr(entry)}; give an object")
        return draft
    fields = Fields(entry, draft.problems)
    if fields.has("model"):
        fields.text("model", _MODELS)
    draft.size = _size(entry, fields)
    draft.K = fields.array("K", (3, 3))
    distortion = fields.array("dist", *_SHAPES)
    draft.distortion = opencv_distortion(
        None if distortion is None else distortion.ravel(), "brown-conrady", draft.problems
    )
    return draft


def _size(entry: dict[str, object], fields: Fields) -> tuple[int, int] | None:
    """Read a size; its own documentation writes whole numbers as `2000.00`."""
    size = entry.get("image_size")
    if isinstance(size, list):
        whole = [int(side) if isinstance(side, float) and side.is_integer() else side for side in size]
        return Fields({**entry, "image_size": whole}, fields.problems).size("image_size")
    return fields.size("image_size")


def _transform(
    key: str, poses: dict[str, object], metres_per_unit: float, problems: list[str]
) -> NDArray[np.float64] | None:
    links = [name for name in poses if name.startswith(f"{key}{_LINK}")]
    if key in poses:
        return _pose(key, poses[key], metres_per_unit, problems)
    if len(links) != 1:
        problems.append(f"camera_poses has {len(links) or 'no'} pose of it; give {key!r}, or one relative to a master")
        return None
    master = links[0][len(key) + len(_LINK) :]
    T_master_world = _pose(master, poses[master], metres_per_unit, problems) if master in poses else None
    # Its writer and its reader put a chain together in different orders: they agree where the master is the world.
    if T_master_world is None or not np.allclose(T_master_world, np.eye(4), rtol=0, atol=1e-9):
        problems.append(
            f"{links[0]!r} is relative to a camera that is not the world itself; export with a master, or all absolute"
        )
        return None
    return _pose(links[0], poses[links[0]], metres_per_unit, problems)


def _pose(name: str, entry: object, metres_per_unit: float, problems: list[str]) -> NDArray[np.float64] | None:
    if not isinstance(entry, dict):
        problems.append(f"camera_poses.{name} is {reprlib.repr(entry)}; give an object with R and T")
        return None
    fields = Fields(entry, problems)
    R, t = fields.array("R", (3, 3)), fields.array("T", (3,))
    return rigid_transform(R, None if t is None else t * metres_per_unit)
