"""EasyMocap's folder: `intri.yml` and `extri.yml`, OpenCV's YAML, world to camera, no unit of length in the files."""

from __future__ import annotations

import reprlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count, rigid_transform
from calibration.formats.fields import Fields, camera_id_problem
from calibration.formats.lenses import opencv_distortion
from calibration.formats.opencv_matrix import matrix
from calibration.formats.reading import read_text
from calibration.formats.rotations import matrix_from_vector
from calibration.formats.yaml_text import parse_yaml
from calibration.rig import Rig

_DISTORTION = tuple(shape for count in (4, 5, 8) for shape in ((1, count), (count, 1)))
_AGREE = 1e-3


def rig_from_folder(folder: Path, metres_per_unit: float, size: tuple[int, int] | None) -> Rig:
    """Read a folder; cameras keep their names.

    Args:
        folder: Where `intri.yml` and `extri.yml` are.
        metres_per_unit: Length of the folder's unit, metres.
        size: Width and height of the pictures, pixels: newer files state them as `W_` and `H_`, older ones do not.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    if not folder.is_dir():
        raise CalibrationError({"": [f"{folder} is not a folder; give the one that holds intri.yml and extri.yml"]})
    intrinsics, extrinsics = (_mapping(folder / name) for name in ("intri.yml", "extri.yml"))
    names = intrinsics.get("names")
    if not isinstance(names, list) or not names:
        raise CalibrationError({"": ["intri.yml lists no names of cameras; is it EasyMocap's?"]})
    check_camera_count(len(names))
    return assemble_rig([_draft(name, intrinsics, extrinsics, metres_per_unit, size) for name in names])


def _mapping(path: Path) -> dict[str, object]:
    data = parse_yaml(read_text(path))
    if not isinstance(data, dict):
        raise CalibrationError({"": [f"{path.name} holds {reprlib.repr(data)}; is it EasyMocap's?"]})
    return data


def _draft(
    name: object,
    intrinsics: dict[str, object],
    extrinsics: dict[str, object],
    metres_per_unit: float,
    size: tuple[int, int] | None,
) -> CameraDraft:
    # Names are often numbers, with quotes or without.
    key = str(name) if isinstance(name, int) and not isinstance(name, bool) else name
    id_problem = camera_id_problem(key)
    if id_problem:
        return CameraDraft(reprlib.repr(name), problems=[id_problem])
    draft = CameraDraft(str(key), model="brown-conrady")
    fields = Fields(intrinsics, draft.problems)
    if fields.has(f"W_{key}") and fields.has(f"H_{key}"):
        width, height = fields.count(f"W_{key}"), fields.count(f"H_{key}")
        draft.size = None if width is None or height is None else (width, height)
        if size is not None and draft.size is not None and draft.size != size:
            draft.problems.append(f"size {size[0]}x{size[1]} was asked for, but the file says {width}x{height}")
    elif size is not None:
        draft.size = size
    else:
        draft.problems.append(f"W_{key} and H_{key} are missing, as in older files; give size: WIDTHxHEIGHT in pixels")
    draft.K = matrix(intrinsics, f"K_{key}", draft.problems, (3, 3))
    where = f"dist_{key}" if f"dist_{key}" in intrinsics else f"D_{key}"
    distortion = matrix(intrinsics, where, draft.problems, *_DISTORTION)
    draft.distortion = opencv_distortion(
        None if distortion is None else distortion.ravel(), "brown-conrady", draft.problems
    )
    translation = matrix(extrinsics, f"T_{key}", draft.problems, (3, 1), (1, 3))
    draft.T_camera_world = rigid_transform(
        _rotation(str(key), extrinsics, draft.problems),
        None if translation is None else translation.ravel() * metres_per_unit,
    )
    return draft


def _rotation(key: str, extrinsics: dict[str, object], problems: list[str]) -> NDArray[np.float64] | None:
    """Read the rotation: its vector is what EasyMocap itself reads, the matrix beside it must agree."""
    vector = matrix(extrinsics, f"R_{key}", problems, (3, 1), (1, 3))
    if vector is None:
        return None
    R = matrix_from_vector(vector.ravel())
    if f"Rot_{key}" in extrinsics:
        beside = matrix(extrinsics, f"Rot_{key}", problems, (3, 3))
        if beside is not None and np.abs(beside - R).max() > _AGREE:
            problems.append(f"R_{key} and Rot_{key} are two different rotations; keep the right one")
    return R
