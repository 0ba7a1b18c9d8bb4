"""OakInk's pictures: four cameras, people who use and hand over things. The paper's OakInk-MV: split SP2, by objects.

image/anno/split/split2/seq_train.json, seq_test.json  [take, person, frame, camera]
image/anno/general_info/KEY.pkl                        cam_extr: world to camera; KEY joins the four by __
image/anno/cam_intr/KEY.pkl, hand_j/KEY.pkl, hand_v/KEY.pkl   K; joints and mesh, metres, that camera's axes
image/stream_release_v2/TAKE/CAMERA_color_FRAME.png

The split leaves out pictures on which little of the hand is seen. A moment counts if any of its pictures is in it, and
has all four, as in the multi-view version of the split; in a handover each person's hand counts by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from training.datasets.published.layout import Moment, Scene, View, undistorted_camera
from training.datasets.published.plain_pickle import load_plain

_CAMERAS: Final = ("north_east", "south_east", "north_west", "south_west")
_SIZE: Final = (848, 480)
_EXPECTED: Final = {"train": 58_692, "test": 19_909}

OakInkSplit = Literal["train", "test"]


class OakInk:
    """One split of SP2.

    Args:
        folder: The data set's, with `image`, or that folder itself.
        split: train (with what its authors set apart for validation) or test.

    Raises:
        ValueError: If it is not that data set.
    """

    def __init__(self, folder: Path, split: OakInkSplit) -> None:
        root = folder / "image" if (folder / "image").is_dir() else folder
        self._index = root / "anno" / "split" / "split2" / f"seq_{split}.json"
        if not self._index.is_file():
            raise ValueError(f"{folder}: is no OakInk, {self._index} is missing; unpack its pictures and annotation")
        self._folder = root
        self.name = f"OakInk-MV SP2 {split}"
        self.expected = _EXPECTED[split]

    def moments(self) -> Sequence[Moment]:
        """All hands of the split."""
        entries = json.loads(self._index.read_text(encoding="utf-8"))
        return sorted({Moment(f"{take}#{person}", int(frame)) for take, person, frame, _ in entries})

    def scene(self, moment: Moment) -> Scene:
        """Read a moment."""
        take, person = moment.take.rsplit("#", 1)
        views: list[View | None] = []
        joints_world: NDArray[np.float64] | None = None
        vertices_world: NDArray[np.float64] | None = None
        for number, name in enumerate(_CAMERAS):
            key = f"{take.replace('/', '__')}__{person}__{moment.frame}__{number}"
            picture = self._folder / "stream_release_v2" / take / f"{name}_color_{moment.frame}.png"
            if not picture.is_file():
                views.append(None)
                continue
            T = _numbers(self._read("general_info", key)["cam_extr"])
            camera = undistorted_camera(name, _SIZE, _numbers(self._read("cam_intr", key)), T)
            views.append(View(camera, picture, f"{take}/{picture.stem}"))
            if joints_world is None:
                R, t = camera.T_camera_world[:3, :3], camera.T_camera_world[:3, 3]
                joints_world = (_numbers(self._read("hand_j", key)) - t) @ R
                vertices_world = (_numbers(self._read("hand_v", key)) - t) @ R
        if joints_world is None:
            raise ValueError(
                f"{self._folder}: {moment.take} has no picture of frame {moment.frame}; unpack all of them"
            )
        return Scene(tuple(views), joints_world, vertices_world)

    def _read(self, kind: str, key: str) -> Any:
        return load_plain(self._folder / "anno" / kind / f"{key}.pkl")


def _numbers(value: Any) -> NDArray[np.float64]:
    return np.asarray(value, dtype=np.float64)
