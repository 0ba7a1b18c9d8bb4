from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from engine.hand_model.rotations import matrix_from_quaternion
from server.dialects import DIALECTS
from server.dialects.mediapipe import image_landmarks


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_says_each_joint_once_and_all_about_it(dialect, rig, hands):
    said = dialect.hand(hands[0], rig)
    skeleton = dialect.skeleton(rig)
    assert skeleton.dialect == dialect.name
    count = len(skeleton.joint_names)
    assert len(set(skeleton.joint_names)) == len(skeleton.parents) == len(said.joints) == count
    assert said.orientations_xyzw.shape == (count, 4)
    assert said.covariance_mm2.shape == (count, 3, 3)
    assert said.radii.shape == said.tracked.shape == (count,)
    assert (said.radii > 0).all()
    # Every joint leads to the one root, the wrist.
    root = skeleton.parents.index(-1)
    assert "wrist" in skeleton.joint_names[root].lower()
    for joint in range(count):
        steps = 0
        while skeleton.parents[joint] >= 0:
            joint, steps = skeleton.parents[joint], steps + 1
            assert steps < 6
        assert joint == root


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_joint_that_no_view_saw_is_not_tracked(dialect, rig, hands):
    hand = hands[0]
    names = dialect.skeleton(rig).joint_names
    confidence = hand.view_confidence.copy()
    confidence[:, 7] = 0.02
    confidence[0, 8] = 0.0
    seen, unseen = (
        dialect.hand(replace(hand, view_confidence=each), rig).tracked for each in (np.ones((3, 21)), confidence)
    )
    lost = [
        name.lower().replace("-", "_") for name, was, now in zip(names, seen, unseen, strict=True) if was and not now
    ]
    assert len(lost) == 1
    assert lost[0] in ("index3", "index_distal", "index_finger_phalanx_distal", "indexdistal")


@pytest.mark.parametrize("dialect", [DIALECTS["mano"], DIALECTS["mediapipe"]], ids=lambda dialect: dialect.name)
def test_canonical_dialects_move_a_hand_rigidly_and_its_points_along(dialect, rig, hands):
    said = dialect.hand(hands[0], rig)
    before, after = (np.linalg.norm(j[:, None] - j[None], axis=2) for j in (hands[0].joints_world, said.joints))
    assert_allclose(after, before, atol=1e-12)
    assert_allclose(dialect.points(hands[0].joints_world, hands[0], rig), said.joints, atol=1e-12)


def test_mano_is_the_canonical_form(rig, hands):
    said = DIALECTS["mano"].hand(hands[0], rig)
    assert said.joints is hands[0].joints_world
    assert said.covariance_mm2 is hands[0].covariance_mm2
    assert said.extra == {}


def test_mediapipe_is_centred_and_seen_through_the_first_camera(rig, hands):
    hand, R = hands[0], rig.cameras[0].T_camera_world[:3, :3]
    said = DIALECTS["mediapipe"].hand(hand, rig)
    assert_allclose(said.joints.mean(axis=0), 0, atol=1e-12)
    assert_allclose(said.joints @ R + said.extra["origin_world"], hand.joints_world, atol=1e-12)
    assert_allclose(R.T @ said.covariance_mm2 @ R, hand.covariance_mm2, atol=1e-9)
    assert_allclose(
        R.T @ matrix_from_quaternion(said.orientations_xyzw),
        matrix_from_quaternion(hand.orientations_xyzw),
        atol=1e-9,
    )
    # y down: what is lower in the picture has the larger y.
    camera = rig.cameras[0]
    lower = np.argsort(camera.to_camera(hand.joints_world)[:, 1])
    assert (np.diff(said.joints[lower, 1]) >= 0).all()


def test_image_landmarks_are_fractions_of_the_picture(rig, hands):
    camera = rig.cameras[0]
    landmarks = image_landmarks(camera, hands[0].joints_world)
    pixels = camera.project(hands[0].joints_world)
    assert_allclose(landmarks[:, :2] * [camera.width, camera.height] - 0.5, pixels, atol=1e-9)
    assert landmarks[0, 2] == 0
    nearer = camera.to_camera(hands[0].joints_world)[:, 2] < camera.to_camera(hands[0].joints_world)[0, 2]
    assert ((landmarks[:, 2] < 0) == nearer).all()


def test_a_hand_out_of_the_picture_has_no_image_landmarks(rig, hands):
    camera = rig.cameras[0]
    behind = camera.center_world - 0.5 * camera.T_camera_world[2, :3]
    assert image_landmarks(camera, hands[0].joints_world - hands[0].joints_world.mean(axis=0) + behind) is None
    beside = hands[0].joints_world + 5 * camera.T_camera_world[0, :3]
    assert image_landmarks(camera, beside) is None
