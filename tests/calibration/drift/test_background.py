"""A camera's turn, by what stands still in its pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from calibration import Rig
from calibration.drift.background import find_landmarks, picture_motion
from calibration.drift.config import DriftConfig
from calibration.drift.pictures import ReferencePictures
from engine.synthetic import HandScene
from engine.synthetic.rigs import make_rig
from tests.calibration.drift.support import picture

CAMERA = make_rig(1, 4).cameras[0]


def _turned(image, turn_rad):
    rows, columns = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width].astype(np.float64)
    rays = np.dstack([CAMERA.unproject(np.dstack([columns, rows])), np.ones(rows.shape)])
    source = CAMERA.project_camera(rays @ cv2.Rodrigues(turn_rad)[0]).astype(np.float32)
    return cv2.remap(image, source[..., 0], source[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("turn_deg", [(1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (-2.0, 3.0, 1.0)])
def test_a_turn_is_found_with_its_uncertainty(turn_deg):
    turn = np.radians(turn_deg)
    before = picture(1)
    motion = picture_motion(CAMERA, find_landmarks(before), find_landmarks(_turned(before, turn)))
    assert motion is not None
    assert np.degrees(np.abs(np.array(motion.turn_rad) - turn)).max() < 0.15
    assert 0 < np.degrees(motion.sigma_rad).max() < 0.1


def test_something_that_moves_through_the_picture_is_outvoted():
    before, after = picture(2), picture(2)
    after[120:360, 200:420] = picture(7)[120:360, 200:420]
    motion = picture_motion(CAMERA, find_landmarks(before), find_landmarks(after))
    assert motion is not None
    assert motion.turned_deg < 0.05
    assert motion.share < 1.0


def test_brighter_light_is_no_turn():
    before = picture(3)
    after = np.clip(before.astype(np.float64) * 1.25 + 10, 0, 255).astype(np.uint8)
    motion = picture_motion(CAMERA, find_landmarks(before), find_landmarks(after))
    assert motion is not None
    assert motion.turned_deg < 0.05


def test_another_room_and_an_empty_one_tell_nothing():
    here, elsewhere = find_landmarks(picture(4)), find_landmarks(picture(5))
    dark = find_landmarks(np.zeros((480, 640, 3), np.uint8))
    assert picture_motion(CAMERA, here, elsewhere) is None
    assert picture_motion(CAMERA, here, dark) is None
    assert picture_motion(CAMERA, dark, dark) is None


def test_an_arm_before_a_plain_wall_is_no_background():
    scene = HandScene(hands=1, seed=7)
    for camera in make_rig(3, 7):
        before, after = (find_landmarks(scene.render(camera, index)) for index in (24, 27))
        # It has corners enough, and they agree on a turn of half a degree to two; but they do not span the picture.
        assert picture_motion(camera, before, after) is None


def test_pictures_that_differ_on_the_turn_do_not_say_that_a_camera_was_moved():
    pictures = ReferencePictures(Rig((CAMERA,)), DriftConfig())
    before = picture(1)
    pictures.look(0, before)
    said = []
    for turn_deg in (1.0, -2.0, -2.0):
        pictures.look(0, _turned(before, np.radians((turn_deg, 0.0, 0.0))))
        said.append(pictures.moved(0))
    assert said == [False, False, True]
