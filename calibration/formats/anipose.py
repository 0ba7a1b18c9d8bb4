"""anipose's and FreeMoCap's `calibration.toml`: world to camera, rotation vectors, no unit of length in the file."""

from __future__ import annotations

import json
import reprlib
import tomllib

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count, rigid_transform
from calibration.formats.fields import Fields, camera_id_problem
from calibration.formats.lenses import OPENCV_COUNTS, opencv_distortion
from calibration.formats.nesting import check_toml_nesting
from calibration.formats.rotations import matrix_from_vector, vector_from_matrix
from calibration.formats.writing import numbers, refuse_unless_held, rotation_problem, rows, translation_in
from calibration.rig import Rig

_METADATA = "metadata"


def rig_from_toml(text: str, metres_per_unit: float) -> Rig:
    """Read a camera group: one table a camera, in the file's order, named by its `name`.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    check_toml_nesting(text)
    try:
        data = tomllib.loads(text)
    except ValueError as error:
        raise CalibrationError({"": [f"not TOML: {error}; export it again"]}) from error
    entries = {key: entry for key, entry in data.items() if key != _METADATA}
    check_camera_count(len(entries))
    if not entries:
        raise CalibrationError({"": ["there is no table [cam_0]; is this anipose's calibration.toml?"]})
    return assemble_rig([_draft(key, entry, metres_per_unit) for key, entry in entries.items()])


def rig_to_toml(rig: Rig, metres_per_unit: float) -> str:
    """Return the file.

    Raises:
        CalibrationError: If a rotation would change by being written as a vector.
    """
    refuse_unless_held(rig, lambda camera: rotation_problem(camera, "anipose"))
    tables = [_table(number, camera, metres_per_unit) for number, camera in enumerate(rig)]
    return "\n".join([*tables, f"[{_METADATA}]\nadjusted = false\n"])


def _table(number: int, camera: Camera, metres_per_unit: float) -> str:
    lines = [
        # aniposelib takes its tables sorted by name: without zeros in front the tenth camera would come second.
        f"[cam_{number:03d}]",
        f"name = {json.dumps(camera.id)}",
        f"size = [{camera.width}, {camera.height}]",
        f"matrix = {rows(camera.K)}",
        f"distortions = {numbers(camera.distortion)}",
        f"rotation = {numbers(vector_from_matrix(camera.T_camera_world[:3, :3]))}",
        f"translation = {numbers(translation_in(camera, metres_per_unit))}",
    ]
    if camera.model == "fisheye":
        lines.append("fisheye = true")
    return "\n".join(lines) + "\n"


def _draft(key: str, entry: object, metres_per_unit: float) -> CameraDraft:
    place = reprlib.repr(key)[1:-1]
    if not isinstance(entry, dict):
        return CameraDraft(place, problems=[f"it is {reprlib.repr(entry)}; give a table"])
    name = entry.get("name")
    id_problem = camera_id_problem(name)
    draft = CameraDraft(place if id_problem else str(name), problems=[id_problem] if id_problem else [])
    fields = Fields(entry, draft.problems)
    draft.model = "fisheye" if fields.flag("fisheye", default=False) else "brown-conrady"
    draft.size = fields.size("size")
    draft.K = fields.array("matrix", (3, 3))
    draft.distortion = opencv_distortion(fields.array("distortions", *OPENCV_COUNTS), draft.model, draft.problems)
    rotation = fields.array("rotation", (3,))
    translation = fields.array("translation", (3,))
    draft.T_camera_world = rigid_transform(
        None if rotation is None else matrix_from_vector(rotation),
        None if translation is None else translation * metres_per_unit,
    )
    return draft
