"""The rig files of the real footage, checked against what the pictures show."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Rig
from capture.rig_config import load_rig, load_rig_config

RIGS = Path(__file__).resolve().parents[1] / "rigs"
SQUARE_M = 0.054

pytestmark = pytest.mark.footage


@pytest.fixture(scope="module")
def room4(footage_dir: Path) -> Rig:
    return load_rig(load_rig_config(RIGS / "room4.yaml"))


@pytest.fixture(scope="module")
def desk2(footage_dir: Path) -> Rig:
    return load_rig(load_rig_config(RIGS / "desk2.yaml"))


def picture(path: Path, index: int) -> NDArray[np.uint8]:
    video = cv2.VideoCapture(str(path))
    for _ in range(index):
        assert video.grab()
    there, image = video.read()
    video.release()
    assert there
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def triangulate(rig: Rig, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points `(N, 3)` from the pixels `(2, N, 2)` of two cameras, metres."""
    one, other = rig
    points = cv2.triangulatePoints(
        one.T_camera_world[:3], other.T_camera_world[:3], one.unproject(pixels[0]).T, other.unproject(pixels[1]).T
    )
    return np.asarray((points[:3] / points[3]).T)


def test_room4_measures_the_board_that_its_cameras_see(room4: Rig, footage_dir: Path) -> None:
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_1000)
    board = cv2.aruco.CharucoBoard((4, 5), SQUARE_M, 0.75 * SQUARE_M, dictionary)
    detector = cv2.aruco.CharucoDetector(board)
    corners_board = np.array(board.getChessboardCorners())
    # The skew in these two frame sets is 2 ms; the last one has every corner in all views.
    for index in (70, 110):
        seen: dict[str, dict[int, NDArray[np.float64]]] = {}
        for camera in room4:
            corners, ids, _, _ = detector.detectBoard(255 - picture(footage_dir / "room4" / f"{camera.id}.mp4", index))
            seen[camera.id] = (
                {} if ids is None else dict(zip(ids.ravel().tolist(), corners.reshape(-1, 2), strict=True))
            )
        pairs = [pair for pair in itertools.combinations(room4.camera_ids, 2) if all(len(seen[i]) == 12 for i in pair)]
        assert len(pairs) == {70: 3, 110: 6}[index]
        for pair in pairs:
            pixels = np.array([[seen[i][corner] for corner in range(12)] for i in pair])
            rig = room4.subset(pair)
            points = triangulate(rig, pixels)
            lengths, true_lengths = (
                np.linalg.norm(p[:, None] - p[None], axis=-1)[np.triu_indices(12, 1)] for p in (points, corners_board)
            )
            sides = lengths[np.isclose(true_lengths, SQUARE_M)]
            assert len(sides) == 17
            # Corners are found to about half a pixel, which is half a millimetre here, and a side has two of them.
            assert abs(np.median(sides) - SQUARE_M) < 1e-3
            assert np.abs(lengths / true_lengths - 1).max() < 0.06
            assert np.linalg.norm(rig.project(points) - pixels, axis=-1).mean() < 1.5


def test_desk2_agrees_with_the_transform_between_its_cameras_that_its_folder_also_holds(
    desk2: Rig, footage_dir: Path
) -> None:
    text = (footage_dir / "desk2" / "rot_trans_c1.dat").read_text().partition("#")[2]
    numbers = [float(word) for line in text.splitlines()[1:] for word in line.split() if word[0] in "-0123456789"]
    R, t = np.array(numbers[:9]).reshape(3, 3), np.array(numbers[9:12]) * 0.0435
    T_cam1_cam0 = desk2.cameras[1].T_camera_world @ np.linalg.inv(desk2.cameras[0].T_camera_world)
    np.testing.assert_allclose(T_cam1_cam0[:3, :3], R, atol=1e-7)
    np.testing.assert_allclose(T_cam1_cam0[:3, 3], t, atol=1e-7)


@pytest.mark.parametrize(("name", "size", "frames"), [("desk2", (720, 720), 252), ("room4", (1280, 720), 111)])
def test_the_videos_are_what_the_calibration_says(
    footage_dir: Path, name: str, size: tuple[int, int], frames: int
) -> None:
    config = load_rig_config(RIGS / f"{name}.yaml")
    rig = load_rig(config)
    for camera, entry in zip(rig, config.cameras, strict=True):
        assert entry.source.type == "file"
        video = cv2.VideoCapture(str(entry.source.path))
        assert (camera.width, camera.height) == size
        assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == size
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) == frames
        video.release()
