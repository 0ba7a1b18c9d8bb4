"""DexYCB: eight cameras, ten people who grasp things. The paper's DexYCB-MV: setup S0, right hands.

YYYYMMDD-subject-NN/TAKE/meta.yml                 serials, num_frames, extrinsics, mano_sides
YYYYMMDD-subject-NN/TAKE/pose.npz                 pose_m: the hand's pose of each frame, zero where there is none
YYYYMMDD-subject-NN/TAKE/SERIAL/color_FFFFFF.jpg
YYYYMMDD-subject-NN/TAKE/SERIAL/labels_FFFFFF.npz joint_3d: metres, that camera's axes
calibration/intrinsics/SERIAL_640x480.yml
calibration/extrinsics_NAME/extrinsics.yml        from each camera to the master camera, whose axes are the world's

S0: of each person's takes in order every fifth is held out: the first two people's for validation, the others' for
testing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from calibration import Camera
from training.datasets.published.layout import Moment, Scene, View, undistorted_camera

_SIZE: Final = (640, 480)
_EXPECTED: Final = {"train": 25_387, "validation": 1_412, "test": 4_951}
_FIFTH: Final = 5
_VALIDATION_SUBJECTS: Final = (1, 2)
_NO_HAND: Final = -1.0

DexYcbSplit = Literal["train", "validation", "test"]


class DexYcb:
    """One split of S0, right hands.

    Args:
        folder: The data set's, with `calibration` and a folder for each person.
        split: train, validation or test.

    Raises:
        ValueError: If it is not that data set, or has takes missing so that S0 cannot be told.
    """

    def __init__(self, folder: Path, split: DexYcbSplit) -> None:
        self._subjects = sorted(path for path in folder.glob("????????-subject-??") if path.is_dir())
        if not self._subjects or not (folder / "calibration").is_dir():
            raise ValueError(
                f"{folder}: is no DexYCB, it has no folders calibration and YYYYMMDD-subject-NN; unpack the data there"
            )
        self._folder = folder
        self.name = f"DexYCB-MV S0 {split}"
        self.expected = _EXPECTED[split]
        self._split = split
        self._known: tuple[Path, list[Camera]] | None = None

    def moments(self) -> Sequence[Moment]:
        """All frames with a right hand."""
        found = []
        for subject in self._subjects:
            takes = sorted(path for path in subject.iterdir() if path.is_dir())
            # Each person grasps each thing five times: whole things may be missing, single takes would shift S0.
            if len(takes) % _FIFTH:
                raise ValueError(
                    f"{subject}: has {len(takes)} takes, not five of each thing; unpack all of this person"
                )
            for index, take in enumerate(takes):
                if self._split == self._split_of(int(subject.name[-2:]), index):
                    found += self._frames(take)
        return found

    def scene(self, moment: Moment) -> Scene:
        """Read a moment."""
        take = self._folder / moment.take
        views: list[View | None] = []
        joints_world: NDArray[np.float64] | None = None
        for camera in self._cameras(take):
            picture = take / camera.id / f"color_{moment.frame:06d}.jpg"
            labels = take / camera.id / f"labels_{moment.frame:06d}.npz"
            name = f"{moment.take}/{camera.id}/{picture.stem}"
            views.append(View(camera, picture, name) if picture.is_file() else None)
            if joints_world is None and labels.is_file():
                with np.load(labels, allow_pickle=False) as content:
                    joints = content["joint_3d"][0].astype(np.float64)
                if not (joints == _NO_HAND).all():
                    T = camera.T_camera_world
                    joints_world = (joints - T[:3, 3]) @ T[:3, :3]
        if joints_world is None:
            raise ValueError(f"{take}: no camera has labels of a hand in frame {moment.frame}; unpack the labels too")
        return Scene(tuple(views), joints_world)

    @staticmethod
    def _split_of(subject: int, index: int) -> DexYcbSplit:
        if index % _FIFTH != _FIFTH - 1:
            return "train"
        return "validation" if subject in _VALIDATION_SUBJECTS else "test"

    def _frames(self, take: Path) -> list[Moment]:
        if _read(take / "meta.yml")["mano_sides"][0] != "right":
            return []
        with np.load(take / "pose.npz", allow_pickle=False) as content:
            there = (content["pose_m"][:, 0] != 0.0).any(axis=-1)
        name = take.relative_to(self._folder).as_posix()
        return [Moment(name, int(frame)) for frame in np.flatnonzero(there)]

    def _cameras(self, take: Path) -> list[Camera]:
        # Plain text is slow to read, and a take's frames are asked for one after the other.
        if self._known is None or self._known[0] != take:
            self._known = (take, self._read_cameras(take))
        return self._known[1]

    def _read_cameras(self, take: Path) -> list[Camera]:
        meta = _read(take / "meta.yml")
        folder = self._folder / "calibration"
        to_world = _read(folder / f"extrinsics_{meta['extrinsics']}" / "extrinsics.yml")["extrinsics"]
        cameras = []
        for serial in (str(serial) for serial in meta["serials"]):
            lens = _read(folder / "intrinsics" / f"{serial}_{_SIZE[0]}x{_SIZE[1]}.yml")["color"]
            K = np.array([[lens["fx"], 0.0, lens["ppx"]], [0.0, lens["fy"], lens["ppy"]], [0.0, 0.0, 1.0]])
            T_world_camera = np.eye(4)
            T_world_camera[:3] = np.array(to_world[serial], dtype=np.float64).reshape(3, 4)
            T_camera_world = np.linalg.inv(T_world_camera).astype(np.float64)
            cameras.append(undistorted_camera(serial, _SIZE, K, T_camera_world))
        return cameras


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
