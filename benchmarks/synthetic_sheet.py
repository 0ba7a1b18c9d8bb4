"""A picture of what synthetic scenes look like, drawn with the project's open hand: `docs/synthetic-scenes.jpg`.

    python -m benchmarks.synthetic_sheet --out docs/synthetic-scenes.jpg

From the top: each kind of held thing from four sides; second hands from eight sides; each activity at eight moments;
windows as training gets them, one a row, in eight views.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera
from engine.hand_model import Side
from engine.synthetic import HandScene, SceneVariety, make_rig
from engine.synthetic.activities import ACTIVITIES, FREE, Activity
from engine.synthetic.props import PropKind
from engine.synthetic.staging import Staging
from training.rendering import bench_plan
from training.synthetic import synthetic_windows

Picture = NDArray[np.uint8]

_CELL_PX: Final = 112
_COLUMNS: Final = 8
_MARGIN: Final = 1.8
_SECOND_HANDS: Final = 2
_WINDOWS: Final = 4
_QUALITY: Final = 84
# Not a seed of any split.
_WINDOWS_SEED: Final = 20
_HELD: Final = SceneVariety(turned=0.0, acting=0.0, holding=1.0, obstacle=0.0, partner=0.0)
_MET: Final = SceneVariety(turned=0.6, acting=0.6, holding=0.4, obstacle=0.0, partner=1.0)
_ACTING: Final = SceneVariety(turned=0.0, acting=1.0, holding=0.0, obstacle=0.0, partner=0.0)


def sheet() -> Picture:
    """Draw the picture `(H, W, 3)`, BGR."""
    four, eight = (make_rig(views, 3, 480, 480, kind="ring").cameras for views in (4, _COLUMNS))
    cells: list[Picture] = []
    for number, kind in enumerate(get_args(PropKind)):
        scene = _scene(_HELD, number, partial(_holds, kind))
        cells += [_cut(scene, camera, 20) for camera in four]
    for number in range(_SECOND_HANDS):
        scene = _scene(_MET, number, _meets)
        cells += [_cut(scene, camera, 20) for camera in eight]
    for number, activity in enumerate(ACTIVITIES):
        if activity is not FREE:
            scene = _scene(_ACTING, number, partial(_does, activity))
            step = activity.key_s * scene.rate_hz
            cells += [_cut(scene, eight[2], round(10 + step * moment)) for moment in range(_COLUMNS)]
    config = bench_plan("bench-2").config
    for window, _ in synthetic_windows(config, _WINDOWS, _WINDOWS_SEED):
        cells += [_small(crop[..., ::-1]) for crop in window.crops[2]]
    rows = [np.concatenate(cells[first : first + _COLUMNS], axis=1) for first in range(0, len(cells), _COLUMNS)]
    return np.concatenate(rows).astype(np.uint8)


def _scene(variety: SceneVariety, number: int, wanted: Callable[[Staging], bool]) -> HandScene:
    """The first scene that has what is wanted; right and left hands take turns."""
    side: Side = "left" if number % 2 else "right"
    scenes = (HandScene(seed=seed, side=side, variety=variety) for seed in count(1000 * number + 1))
    return next(scene for scene in scenes if scene.staging is not None and wanted(scene.staging))


def _holds(kind: PropKind, staging: Staging) -> bool:
    return staging.grip is not None and staging.grip.prop.kind == kind


def _meets(staging: Staging) -> bool:
    return staging.partner is not None and staging.partner.gap_m < 0.0


def _does(activity: Activity, staging: Staging) -> bool:
    return staging.activity is activity


def _cut(scene: HandScene, camera: Camera, index: int) -> Picture:
    """One view about the tracked hand."""
    pixels = camera.project(scene.truth(index)[0].joints_world)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    scale = _CELL_PX / (_MARGIN * float((high - low).max()))
    shift = 0.5 * _CELL_PX - 0.5 * scale * (low + high)
    moved = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    border = cv2.BORDER_REPLICATE
    cut = cv2.warpAffine(
        scene.render(camera, index), moved, (_CELL_PX, _CELL_PX), flags=cv2.INTER_LINEAR, borderMode=border
    )
    return np.asarray(cut, dtype=np.uint8)


def _small(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, (_CELL_PX, _CELL_PX), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a JPEG file")
    out: Path = parser.parse_args().out
    if not cv2.imwrite(str(out), sheet(), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]):
        raise OSError(f"{out} cannot be written; give the path of a .jpg file in a folder that is there")


if __name__ == "__main__":
    main()
