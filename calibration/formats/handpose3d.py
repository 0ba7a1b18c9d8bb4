"""The folder of TemugeB/handpose3d: `cN.dat` (K, distortion), `rot_trans_cN.dat` (world to camera), without a unit."""

from __future__ import annotations

import math
import re
import reprlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count, rigid_transform
from calibration.rig import Rig

_INTRINSICS = re.compile(r"c(\d{1,4})\.dat")
_EXTRINSICS = re.compile(r"rot_trans_c(\d{1,4})\.dat")
_MAX_FILE_BYTES = 65536


def rig_from_folder(folder: Path, metres_per_unit: float, size: tuple[int, int]) -> Rig:
    """Read a folder; camera `N` becomes `camN`.

    Args:
        folder: Where the `.dat` files are.
        metres_per_unit: Length of the folder's unit, metres.
        size: Width and height of every camera's image, pixels: the files do not say.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    if not folder.is_dir():
        raise CalibrationError({"": [f"{folder} is not a folder; give the one that holds c0.dat and rot_trans_c0.dat"]})
    names = [path.name for path in folder.iterdir()]
    intrinsics, extrinsics = (
        {int(match[1]): folder / match[0] for match in map(pattern.fullmatch, names) if match}
        for pattern in (_INTRINSICS, _EXTRINSICS)
    )
    if not intrinsics and not extrinsics:
        raise CalibrationError({"": [f"{folder} holds no cN.dat and no rot_trans_cN.dat; is it a handpose3d folder?"]})
    numbers = sorted(intrinsics.keys() | extrinsics.keys())
    check_camera_count(len(numbers))
    return assemble_rig([_draft(n, intrinsics.get(n), extrinsics.get(n), metres_per_unit, size) for n in numbers])


def _draft(
    number: int, intrinsics: Path | None, extrinsics: Path | None, metres_per_unit: float, size: tuple[int, int]
) -> CameraDraft:
    draft = CameraDraft(f"cam{number}", size=size, model="brown-conrady")
    if intrinsics is None:
        draft.problems.append(f"c{number}.dat is missing beside rot_trans_c{number}.dat; add it")
    else:
        blocks = _blocks(intrinsics, draft.problems)
        draft.K = _matrix(blocks, "intrinsic", (3, 3), intrinsics.name, draft.problems)
        distortion = _matrix(blocks, "distortion", (1, 5), intrinsics.name, draft.problems)
        draft.distortion = None if distortion is None else distortion[0]
    if extrinsics is None:
        draft.problems.append(f"rot_trans_c{number}.dat is missing beside c{number}.dat; add it")
    else:
        blocks = _blocks(extrinsics, draft.problems)
        R = _matrix(blocks, "R", (3, 3), extrinsics.name, draft.problems)
        t = _matrix(blocks, "T", (3, 1), extrinsics.name, draft.problems)
        draft.T_camera_world = rigid_transform(R, None if t is None else t[:, 0] * metres_per_unit)
    return draft


def _blocks(path: Path, problems: list[str]) -> dict[str, list[list[str]]]:
    """Split a file into rows of words under `label:` lines.

    The second camera's file goes on with the transform between the two cameras under the same labels: the first block
    of a label is the one that counts.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path.name} cannot be read: {error}")
        return {}
    if len(text) > _MAX_FILE_BYTES:
        problems.append(f"{path.name} is larger than {_MAX_FILE_BYTES} bytes; is it another file?")
        return {}
    blocks: dict[str, list[list[str]]] = {}
    rows: list[list[str]] = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 1 and words[0].endswith(":"):
            rows = []
            blocks.setdefault(words[0][:-1], rows)
        elif words:
            rows.append(words)
    return blocks


def _matrix(
    blocks: dict[str, list[list[str]]], label: str, shape: tuple[int, int], name: str, problems: list[str]
) -> NDArray[np.float64] | None:
    rows = blocks.get(label)
    if rows is None:
        problems.append(f"{name} has no block '{label}:'; add it")
        return None
    if (len(rows), *{len(row) for row in rows}) != shape:
        problems.append(f"'{label}:' in {name} is not {shape[0]} rows of {shape[1]} numbers")
        return None
    words = [word for row in rows for word in row]
    numbers = [_number(word) for word in words]
    if wrong := [word for word, number in zip(words, numbers, strict=True) if not math.isfinite(number)]:
        problems.append(f"'{label}:' in {name} has {reprlib.repr(wrong[0])}, which is no finite number")
        return None
    return np.array(numbers).reshape(shape)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan
