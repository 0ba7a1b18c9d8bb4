"""Small changes solved from hands: found, judged on what was held out, and refused where nothing gets better."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from calibration.drift.background import find_landmarks
from calibration.refining import Before, CameraCorrection, Change, RefineError, find_change, refine
from engine.synthetic.rigs import make_rig
from tests.calibration.drift.support import apart_deg, hands, picture, turned

RIG = make_rig(4, 2, 1280, 960)
TURN = np.radians([0.7, 0.7, 0.0])
REAL = turned(RIG, "cam1", TURN)


@cache
def _sightings(bumped: bool):
    return [sighting for frame in hands(REAL if bumped else RIG, 16.0) for sighting in frame.sightings]


def test_a_bumped_camera_is_named_and_repaired():
    refined = refine(RIG, _sightings(True))
    (correction,) = refined.corrections
    assert correction.camera_id == "cam1"
    error = apart_deg(refined.rig, REAL, "cam1")
    assert error < 0.15
    assert error < 2 * np.linalg.norm(correction.turn_sigma_deg), "it knows how sure it is"
    assert correction.turn_deg == pytest.approx(np.degrees(TURN), abs=0.15)
    assert correction.beyond_chance
    assert refined.held_out >= 5
    assert correction.after.rms_px < 0.6 * correction.before.rms_px
    assert correction.after.rms_mm < 0.6 * correction.before.rms_mm
    # Gauge and scale are those of the cameras that stood still.
    assert all(
        np.array_equal(refined.rig.camera(i).T_camera_world, RIG.camera(i).T_camera_world)
        for i in ("cam0", "cam2", "cam3")
    )


def test_pictures_that_show_the_turn_make_it_sure():
    change = Change(0.0, -1.0, TURN, np.full(3, np.radians(0.03)))
    refined = refine(RIG, _sightings(True), changes={"cam1": change})
    (correction,) = refined.corrections
    assert correction.by_picture
    assert apart_deg(refined.rig, REAL, "cam1") < 0.06
    assert np.linalg.norm(correction.turn_sigma_deg) < 0.1


def test_cameras_that_fit_are_left_alone():
    with pytest.raises(RefineError, match="neither the pictures nor the hands say"):
        refine(RIG, _sightings(False))


def test_nothing_is_refined_that_does_not_predict_better():
    with pytest.raises(RefineError, match=r"not predicted better: \d+\.\d+ px before"):
        refine(RIG, _sightings(False), cameras=["cam3"])
    wrong = Change(0.0, -1.0, np.radians([0.0, 3.0, 0.0]), np.full(3, np.radians(0.03)))
    with pytest.raises(RefineError, match="not predicted better"):
        refine(RIG, _sightings(False), changes={"cam0": wrong})


def test_hands_at_rest_repair_nothing():
    rng = np.random.default_rng(0)
    first = {}
    still = [
        replace(s, keypoints_px=first.setdefault(s.hand_id, s).keypoints_px + rng.normal(0, 0.5, s.keypoints_px.shape))
        for s in _sightings(False)
    ]
    # Held-out moments of the same pose would approve: solved, a camera that stands right is turned by a degree.
    with pytest.raises(RefineError, match=r"the hands moved by \d mm only .* 20 are needed"):
        refine(RIG, still, cameras=["cam1"])


def test_what_cannot_be_refined_is_said():
    with pytest.raises(RefineError, match="record some ten seconds"):
        refine(RIG, _sightings(True)[:10])
    with pytest.raises(RefineError, match="one at least must stay"):
        refine(RIG, _sightings(True), cameras=RIG.camera_ids)
    with pytest.raises(KeyError, match="no camera 'cam9'"):
        refine(RIG, _sightings(True), cameras=["cam9"])


def test_the_moment_of_a_bump_is_found_in_the_pictures():
    camera = RIG.cameras[0]
    room = picture(1, camera.width, camera.height)
    still, moved = find_landmarks(room), find_landmarks(np.roll(room, 20, axis=0))
    pictures = [(float(t), still if t < 5 else moved) for t in range(9)]
    change = find_change(camera, pictures)
    assert change is not None
    assert (change.since_s, change.at_s) == (4.0, 5.0)
    assert np.degrees(np.linalg.norm(change.turn_rad)) == pytest.approx(np.degrees(20 / camera.K[1, 1]), abs=0.1)
    assert find_change(camera, pictures[:5]) is None
    assert find_change(camera, []) is None
    # Against a picture from before, all of a recording may be of after.
    assert find_change(camera, pictures[5:]) is None
    since_before = find_change(camera, pictures[5:], Before([still], camera))
    assert since_before is not None
    assert since_before.at_s == -np.inf
    assert since_before.turn_rad == pytest.approx(change.turn_rad, abs=1e-3)


def test_a_first_picture_that_somebody_fills_is_not_the_reference():
    camera = RIG.cameras[0]
    room, person = picture(1, camera.width, camera.height), picture(2, camera.width, camera.height)
    hidden = room.copy()
    hidden[:, : int(0.9 * camera.width)] = person[:, : int(0.9 * camera.width)]
    images = [hidden, room, room, room, *[np.roll(room, 20, axis=0)] * 4]
    pictures = [(float(t), find_landmarks(image)) for t, image in enumerate(images)]
    change = find_change(camera, pictures)
    assert change is not None
    assert (change.since_s, change.at_s) == (3.0, 4.0)
    turn_deg = np.degrees(20 / camera.K[1, 1])
    assert np.degrees(np.linalg.norm(change.turn_rad)) == pytest.approx(turn_deg, abs=0.1)
    # The same where an earlier recording begins with somebody in the picture.
    before = Before([landmarks for _, landmarks in pictures[:4]], camera)
    change = find_change(camera, pictures[4:], before)
    assert change is not None
    assert change.at_s == -np.inf
    assert np.degrees(np.linalg.norm(change.turn_rad)) == pytest.approx(turn_deg, abs=0.1)


def test_pictures_from_before_are_compared_by_way_of_one_that_shows_what_each_shows():
    camera = RIG.cameras[0]
    room, person = picture(1, camera.width, camera.height), picture(2, camera.width, camera.height)
    moved = np.roll(room, 20, axis=0)
    left, right = room.copy(), moved.copy()
    left[:, int(0.55 * camera.width) :] = person[:, int(0.55 * camera.width) :]
    right[:, : int(0.45 * camera.width)] = person[:, : int(0.45 * camera.width)]
    looks = [(float(t), find_landmarks(image)) for t, image in enumerate([right, right, moved, right])]
    before = Before([find_landmarks(left)], camera)
    assert find_change(camera, looks[:2], before) is None
    change = find_change(camera, looks, before)
    assert change is not None
    assert np.degrees(np.linalg.norm(change.turn_rad)) == pytest.approx(np.degrees(20 / camera.K[1, 1]), abs=0.1)


def test_an_odd_look_at_the_end_is_no_break():
    camera = RIG.cameras[0]
    room = picture(1, camera.width, camera.height)
    moved = np.roll(room, 20, axis=0)
    looks = [
        (float(t), find_landmarks(image)) for t, image in enumerate([moved, moved, moved, np.roll(room, 26, axis=0)])
    ]
    assert find_change(camera, looks) is None
    change = find_change(camera, looks, Before([find_landmarks(room)], camera))
    assert change is not None
    assert change.at_s == -np.inf
    assert np.degrees(np.linalg.norm(change.turn_rad)) == pytest.approx(np.degrees(20 / camera.K[1, 1]), abs=0.1)


def test_noise_in_the_pictures_is_no_break():
    camera = RIG.cameras[0]
    room = picture(1, camera.width, camera.height)
    rng = np.random.default_rng(1)
    shifted = np.roll(room, 20, axis=0)
    noisy = [np.clip(shifted + rng.normal(0, 6, room.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    pictures = [(float(t), find_landmarks(image)) for t, image in enumerate(noisy)]
    change = find_change(camera, pictures, Before([find_landmarks(room)], camera))
    assert change is not None
    assert change.at_s == -np.inf
    assert find_change(camera, pictures) is None


def test_a_calibration_that_was_turned_lacks_what_the_one_before_had():
    camera = RIG.cameras[0]
    still = find_landmarks(picture(1, camera.width, camera.height))
    pictures = [(float(t), still) for t in range(4)]
    wrong = turned(RIG, camera.id, TURN).cameras[0]
    assert find_change(camera, pictures, Before([still], camera)) is None
    change = find_change(wrong, pictures, Before([still], camera))
    assert change is not None
    assert change.turn_rad == pytest.approx(-TURN, abs=1e-4)
    assert change.move_m == pytest.approx(np.zeros(3), abs=1e-9)


@pytest.mark.parametrize(("turn_deg", "beyond"), [(0.5, True), (0.2, False)])
def test_what_may_be_chance_is_told_from_what_is_not(turn_deg, beyond):
    sigma_deg, sigma_mm = np.full(3, 0.1), np.full(3, 2.0)
    turn = np.array([turn_deg, 0.0, 0.0])
    found = CameraCorrection("cam2", turn, sigma_deg, np.array([2.0, -1.0, 3.0]), sigma_mm, False, None, None)
    assert found.beyond_chance is beyond
