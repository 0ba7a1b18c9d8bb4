"""DexYCB's calibration: `extrinsics.yml` (camera to world, the master camera's frame) and `intrinsics/`, metres."""

from __future__ import annotations

import re
import reprlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count, rigid_transform
from calibration.formats.fields import Fields, camera_id_problem
from calibration.formats.reading import read_text
from calibration.formats.yaml_text import parse_yaml
from calibration.rig import Rig

# The tag on the table stands among the cameras.
_NOT_CAMERAS = frozenset({"apriltag"})


def rig_from_files(path: Path, size: tuple[int, int] | None) -> Rig:
    """Read a recording's cameras, named by their serial numbers.

    Args:
        path: `extrinsics.yml`, or the folder `extrinsics_...` that holds it; `intrinsics/SERIAL_WIDTHxHEIGHT.yml` lie
            in a folder beside that one.
        size: Which of several sizes of pictures; None where there is one a camera.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    file = path / "extrinsics.yml" if path.is_dir() else path
    data = parse_yaml(read_text(file))
    transforms = data.get("extrinsics") if isinstance(data, dict) else None
    if not isinstance(transforms, dict):
        raise CalibrationError({"": [f"{file.name} has no mapping 'extrinsics'; is it DexYCB's?"]})
    serials = [serial for serial in transforms if serial not in _NOT_CAMERAS]
    check_camera_count(len(serials))
    folder = file.parent.parent / "intrinsics"
    if not folder.is_dir():
        raise CalibrationError(
            {"": [f"{folder} is no folder; DexYCB keeps intrinsics beside the folder of extrinsics"]}
        )
    return assemble_rig([_draft(serial, transforms, folder, size) for serial in serials])


def _draft(serial: str, transforms: dict[str, object], folder: Path, size: tuple[int, int] | None) -> CameraDraft:
    id_problem = camera_id_problem(serial)
    if id_problem:
        return CameraDraft(reprlib.repr(serial)[1:-1], problems=[id_problem])
    draft = CameraDraft(serial, model="brown-conrady", distortion=np.zeros(5))
    T_world_camera = Fields(transforms, draft.problems).array(serial, (12,))
    if T_world_camera is not None:
        draft.T_camera_world = _inverse(T_world_camera.reshape(3, 4))
    named = re.compile(re.escape(serial) + r"_(\d{1,5})x(\d{1,5})\.yml")
    found = {(int(m[1]), int(m[2])): folder / m[0] for p in folder.iterdir() if (m := named.fullmatch(p.name))}
    chosen = found.get(size) if size is not None else (next(iter(found.values())) if len(found) == 1 else None)
    if chosen is None:
        sizes = ", ".join(f"{width}x{height}" for width, height in found) or "none"
        draft.problems.append(
            f"{folder.name}/ has intrinsics for {sizes}; there must be one for the size, or give size"
        )
        return draft
    draft.size = next(key for key, value in found.items() if value == chosen)
    content = parse_yaml(read_text(chosen))
    colour = content.get("color") if isinstance(content, dict) else None
    if not isinstance(colour, dict):
        draft.problems.append(f"{chosen.name} has no mapping 'color'; is it DexYCB's?")
        return draft
    fields = Fields(colour, draft.problems)
    fx, fy, cx, cy = (fields.number(key) for key in ("fx", "fy", "ppx", "ppy"))
    if None not in (fx, fy, cx, cy):
        draft.K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64)
    if fields.has("coeffs") and (coefficients := fields.array("coeffs", (5,))) is not None and coefficients.any():
        draft.problems.append(f"{chosen.name} has distortion, which DexYCB's pictures are free of; is it another file?")
    return draft


def _inverse(T: NDArray[np.float64]) -> NDArray[np.float64] | None:
    R = T[:, :3]
    # A transpose, not an inverse: what is no rotation stays none, and is refused as such.
    return rigid_transform(R.T, -R.T @ T[:, 3])
