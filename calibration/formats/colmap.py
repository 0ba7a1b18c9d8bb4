"""COLMAP's text model: `cameras.txt` and `images.txt` in a folder; world to camera, quaternions, no unit of length.

COLMAP counts pixels from the corner of the first one, half a pixel more than its centre: principal points are moved by
that.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count, rigid_transform
from calibration.formats.fields import camera_id_problem
from calibration.formats.lenses import shortest
from calibration.formats.rotations import matrix_from_quaternion, quaternion_from_matrix
from calibration.formats.writing import first, refuse_unless_held, rotation_problem, skew_problem, translation_in
from calibration.lens import CameraModel
from calibration.rig import Rig

CAMERAS: Final = "cameras.txt"
IMAGES: Final = "images.txt"
POINTS: Final = "points3D.txt"

_PIXEL_CENTRE = 0.5
_SUFFIX = ".png"


@dataclass(frozen=True, slots=True)
class _Model:
    """How a camera model's parameters are to be read: the first one or two are focal lengths, then the centre."""

    focals: int
    coefficients: int
    lens: CameraModel = "brown-conrady"


_MODELS: Final = {
    "SIMPLE_PINHOLE": _Model(1, 0),
    "PINHOLE": _Model(2, 0),
    "SIMPLE_RADIAL": _Model(1, 1),
    "RADIAL": _Model(1, 2),
    "OPENCV": _Model(2, 4),
    "FULL_OPENCV": _Model(2, 8),
    "OPENCV_FISHEYE": _Model(2, 4, "fisheye"),
    "SIMPLE_RADIAL_FISHEYE": _Model(1, 1, "fisheye"),
    "RADIAL_FISHEYE": _Model(1, 2, "fisheye"),
}


def rig_from_texts(cameras: str, images: str, metres_per_unit: float) -> Rig:
    """Read a model with one picture a camera; the picture's name without its suffix names the camera.

    Args:
        cameras: Content of `cameras.txt`.
        images: Content of `images.txt`.
        metres_per_unit: Length of the model's unit, metres.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    problems: list[str] = []
    lenses: dict[str, CameraDraft] = {}
    for line in _lines(cameras):
        words = line.split()
        lens = CameraDraft(words[0])
        _read_lens(lens, words)
        if words[0] in lenses:
            problems.append(f"camera {reprlib.repr(words[0])} stands twice in {CAMERAS}; keep one")
        lenses[words[0]] = lens
        check_camera_count(len(lenses))
    drafts = []
    for line in _image_lines(images):
        drafts.append(_draft(line, lenses, metres_per_unit))
        check_camera_count(len(drafts))
    if not drafts:
        problems.append(f"{IMAGES} lists no picture; a camera's place in the world stands there")
    return assemble_rig(drafts, problems)


def rig_to_texts(rig: Rig, metres_per_unit: float) -> dict[str, str]:
    """Return the three files by name; `points3D.txt` is empty.

    Raises:
        CalibrationError: If the format cannot hold a camera: a skew, a rotation that is not quite one.
    """
    refuse_unless_held(rig, lambda c: first(skew_problem(c, "colmap"), rotation_problem(c, "colmap")))
    cameras = [f"# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n# Number of cameras: {len(rig)}"]
    images = [
        "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n# POINTS2D[] as (X, Y, POINT3D_ID)\n"
        f"# Number of images: {len(rig)}"
    ]
    for number, camera in enumerate(rig, start=1):
        model, coefficients = _model_of(camera)
        K = camera.K
        values = (K[0, 0], K[1, 1], K[0, 2] + _PIXEL_CENTRE, K[1, 2] + _PIXEL_CENTRE, *coefficients)
        cameras.append(f"{number} {model} {camera.width} {camera.height} {_words(values)}")
        quaternion = quaternion_from_matrix(camera.T_camera_world[:3, :3])
        translation = translation_in(camera, metres_per_unit)
        images.append(f"{number} {_words(quaternion)} {_words(translation)} {number} {camera.id}{_SUFFIX}\n")
    return {CAMERAS: "\n".join(cameras) + "\n", IMAGES: "\n".join(images) + "\n", POINTS: "# Number of points: 0\n"}


def _model_of(camera: Camera) -> tuple[str, NDArray[np.float64]]:
    if camera.model == "fisheye":
        return "OPENCV_FISHEYE", camera.distortion
    coefficients = shortest(camera)
    if not coefficients.any():
        return "PINHOLE", np.zeros(0)
    if coefficients.size == 4:
        return "OPENCV", coefficients
    return "FULL_OPENCV", np.append(coefficients, np.zeros(8 - coefficients.size))


def _words(values: NDArray[np.float64] | tuple[float, ...]) -> str:
    return " ".join(repr(float(value) + 0.0) for value in values)


def _lines(text: str) -> Iterator[str]:
    return (line for raw in text.splitlines() if (line := raw.strip()) and not line.startswith("#"))


def _image_lines(text: str) -> Iterator[str]:
    """Yield each picture's line; the one behind it, often an empty one, holds its points and is left out."""
    lines = iter(text.splitlines())
    for raw in lines:
        if (line := raw.strip()) and not line.startswith("#"):
            yield line
            next(lines, None)


def _read_lens(lens: CameraDraft, words: list[str]) -> None:
    if len(words) < 5:
        lens.problems.append(f"its line in {CAMERAS} has {len(words)} words; give CAMERA_ID MODEL WIDTH HEIGHT PARAMS")
        return
    model = _MODELS.get(words[1])
    if model is None:
        lens.problems.append(f"model {reprlib.repr(words[1])} cannot be used; use one of {', '.join(_MODELS)}")
        return
    width, height, *values = [_number(word) for word in words[2:]]
    if not (width.is_integer() and height.is_integer() and 1 <= width <= 32768 and 1 <= height <= 32768):
        lens.problems.append(f"its size is {words[2]} x {words[3]}; give whole numbers of pixels, 1 to 32768")
        return
    expected = model.focals + 2 + model.coefficients
    if len(values) != expected or not all(map(math.isfinite, values)):
        lens.problems.append(f"{words[1]} takes {expected} finite numbers; its line has {' '.join(words[4:])[:200]!r}")
        return
    fx, fy = values[0], values[model.focals - 1]
    cx, cy = (value - _PIXEL_CENTRE for value in values[model.focals : model.focals + 2])
    lens.size = (int(width), int(height))
    lens.model = model.lens
    lens.K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    count = 4 if model.lens == "fisheye" else max(5, model.coefficients)
    lens.distortion = np.zeros(count)
    lens.distortion[: model.coefficients] = values[model.focals + 2 :]


def _draft(line: str, lenses: dict[str, CameraDraft], metres_per_unit: float) -> CameraDraft:
    words = line.split(maxsplit=9)
    if len(words) < 10:
        return CameraDraft(
            f"image {words[0]}"[:40],
            problems=[
                f"its line in {IMAGES} has {len(words)} words; give IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"
            ],
        )
    name = _camera_name(words[9])
    id_problem = camera_id_problem(name)
    draft = CameraDraft(f"image {words[0]}"[:40] if id_problem else name)
    if id_problem:
        draft.problems.append(f"{id_problem} (its picture is {reprlib.repr(words[9])})")
    lens = lenses.get(words[8])
    if lens is None:
        draft.problems.append(f"it uses camera {words[8][:20]!r}, which is not in {CAMERAS}; add it")
    else:
        draft.size, draft.model, draft.K, draft.distortion = lens.size, lens.model, lens.K, lens.distortion
        draft.problems += lens.problems
    values = np.array([_number(word) for word in words[1:8]])
    length = float(np.linalg.norm(values[:4])) if np.isfinite(values).all() else math.nan
    if not abs(length - 1) < 1e-3:
        draft.problems.append(
            f"its quaternion and translation are {' '.join(words[1:8])[:200]!r}; give a unit one, w first"
        )
    else:
        draft.T_camera_world = rigid_transform(
            matrix_from_quaternion(values[:4] / length), values[4:] * metres_per_unit
        )
    return draft


def _camera_name(picture: str) -> str:
    """Return the folder of a picture in one, as rigs are laid out, and the name without its suffix otherwise."""
    path = PurePosixPath(picture)
    return path.parts[0] if len(path.parts) > 1 else path.stem


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan
