"""HanCo: eight cameras around one right hand, 1518 recordings at 5 Hz.

rgb/SSSS/camC/FFFFFFFF.jpg         before a green screen
rgb_merged/SSSS/camC/FFFFFFFF.jpg  before other backgrounds
xyz/SSSS/FFFFFFFF.json             21 joints, metres, world
calib/SSSS/FFFFFFFF.json           K and M (world to camera) of each camera

Recordings 0 to 1199 are trained on, before the green screen; the others are tested on before other backgrounds, which
is how HaMuCo, the method that the paper compares with, divides the data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from training.datasets.published.layout import Moment, Scene, View, undistorted_camera
from training.samples import JOINTS

CAMERAS: Final = 8
_SIZE: Final = (224, 224)
_FIRST_TEST: Final = 1200
# Of both splits together; the paper does not say how many each has.
_ALL: Final = 107_538

HanCoSplit = Literal["train", "test", "all"]


class HanCo:
    """One split.

    Args:
        folder: The data set's, with `xyz`, `calib` and the pictures.
        split: train, test or all.

    Raises:
        ValueError: If it is not that data set.
    """

    def __init__(self, folder: Path, split: HanCoSplit) -> None:
        if not (folder / "xyz").is_dir() or not (folder / "calib").is_dir():
            raise ValueError(f"{folder}: is no HanCo, it has no folders xyz and calib; unpack the data set there")
        self._folder = folder
        self.name = f"HanCo {split}"
        self.expected = _ALL if split == "all" else None
        self._split = split

    def moments(self) -> Sequence[Moment]:
        """All frames that have joints."""
        found = []
        for take in sorted((self._folder / "xyz").iterdir()):
            if self._split == "all" or self._in_training(take.name) == (self._split == "train"):
                found += [Moment(take.name, int(file.stem)) for file in sorted(take.glob("*.json"))]
        return found

    def scene(self, moment: Moment) -> Scene:
        """Read a moment."""
        file = f"{moment.take}/{moment.frame:08d}"
        calibration = _read(self._folder / "calib" / f"{file}.json")
        pictures = self._folder / ("rgb" if self._in_training(moment.take) else "rgb_merged") / moment.take
        views: list[View | None] = []
        for number in range(CAMERAS):
            picture = pictures / f"cam{number}" / f"{moment.frame:08d}.jpg"
            K, M = (np.array(calibration[name][number], dtype=np.float64) for name in ("K", "M"))
            camera = undistorted_camera(f"cam{number}", _SIZE, K, M)
            name = f"{moment.take}/cam{number}/{moment.frame:08d}"
            views.append(View(camera, picture, name) if picture.is_file() else None)
        joints: NDArray[np.float64] = np.array(_read(self._folder / "xyz" / f"{file}.json"), dtype=np.float64)
        return Scene(tuple(views), joints.reshape(JOINTS, 3))

    @staticmethod
    def _in_training(take: str) -> bool:
        return int(take) < _FIRST_TEST


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
