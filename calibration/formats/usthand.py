"""This project's own calibration file, schema `usthand.calibration/1`: JSON, metres, world to camera."""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from typing import Any, cast, get_args

from calibration.errors import CalibrationError
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count
from calibration.formats.fields import Fields, camera_id_problem, name_keys
from calibration.formats.nesting import check_json_nesting
from calibration.lens import CameraModel
from calibration.rig import Rig

SCHEMA = "usthand.calibration/1"

# `id` is what the service adds when it gives its calibration out; it is computed anew from the cameras.
_TOP_KEYS = ("schema", "units", "cameras", "name", "created", "source", "id")
_CAMERA_KEYS = ("id", "width", "height", "model", "K", "distortion", "T_camera_world", "rms_px")


def rig_from_json(text: str) -> Rig:
    """Read `calibration.json`.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    check_json_nesting(text)
    doubled: dict[str, list[str]] = {}

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            owner = mapping.get("id")
            doubled.setdefault(owner if isinstance(owner, str) else "", []).append(
                f"{name_keys([key for key in counts if counts[key] > 1])} given more than once; keep one"
            )
        return mapping

    try:
        data = json.loads(text, object_pairs_hook=once)
    except ValueError as error:
        raise CalibrationError(
            {"": [f"not JSON: {error}; export it again, or, if it is another format, name it (format=...)"]}
        ) from error
    if not isinstance(data, dict):
        raise CalibrationError({"": [f"the file holds {reprlib.repr(data)}; give an object with the key 'cameras'"]})
    return _rig_from_dict(data, doubled)


def rig_to_dict(rig: Rig) -> dict[str, Any]:
    """Return what `calibration.json` holds; its numbers come back unchanged."""
    top: dict[str, Any] = {"schema": SCHEMA, "units": "m"}
    if rig.name:
        top["name"] = rig.name
    top["cameras"] = [
        {
            "id": camera.id,
            "width": camera.width,
            "height": camera.height,
            "model": camera.model,
            "K": camera.K.tolist(),
            "distortion": camera.distortion.tolist(),
            "T_camera_world": camera.T_camera_world.tolist(),
        }
        | ({} if camera.rms_px is None else {"rms_px": camera.rms_px})
        for camera in rig
    ]
    return top


def _rig_from_dict(data: dict[str, object], doubled: dict[str, list[str]]) -> Rig:
    problems = doubled.pop("", [])
    top = Fields(data, problems)
    top.refuse_unknown(_TOP_KEYS)
    top.text("schema", (SCHEMA,))
    top.in_metres()
    name = (top.text("name") if top.has("name") else None) or ""
    for key in ("created", "source", "id"):
        if top.has(key):
            top.text(key)
    entries = data.get("cameras")
    if not isinstance(entries, list) or not entries:
        problems.append("cameras is not a list of cameras; give at least one")
        entries = []
    check_camera_count(len(entries))
    drafts = [_draft(entry, f"cameras[{index}]") for index, entry in enumerate(entries)]
    for draft in drafts:
        draft.problems += doubled.pop(draft.id, [])
    problems += [why for whys in doubled.values() for why in whys]
    return assemble_rig(drafts, problems, name)


def _draft(entry: object, place: str) -> CameraDraft:
    if not isinstance(entry, dict):
        return CameraDraft(
            place, problems=[f"it is {reprlib.repr(entry)}; give an object with {', '.join(_CAMERA_KEYS)}"]
        )
    camera_id = entry.get("id")
    id_problem = camera_id_problem(camera_id)
    draft = CameraDraft(place if id_problem else str(camera_id), problems=[id_problem] if id_problem else [])
    fields = Fields(entry, draft.problems)
    fields.refuse_unknown(_CAMERA_KEYS)
    width, height = fields.count("width"), fields.count("height")
    draft.size = None if width is None or height is None else (width, height)
    draft.model = cast("CameraModel | None", fields.text("model", get_args(CameraModel)))
    draft.K = fields.array("K", (3, 3))
    draft.distortion = fields.array("distortion", (5,), (8,), (4,))
    draft.T_camera_world = fields.array("T_camera_world", (4, 4))
    draft.rms_px = fields.number("rms_px") if fields.has("rms_px") else None
    if draft.rms_px is not None and draft.rms_px < 0:
        draft.problems.append(f"rms_px is {draft.rms_px:g}; an error cannot be negative")
    return draft
