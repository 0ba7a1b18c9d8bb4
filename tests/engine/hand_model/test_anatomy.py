"""Axes bend fingers the way fingers bend, on both hands."""

from __future__ import annotations

import numpy as np
import pytest

from engine.hand_model.anatomy import abduction_axes, flexion_axes, joint_axes, joint_limits
from engine.hand_model.model import HandModel, PosedHand


def bend(model: HandModel, joint: int, axis: np.ndarray, angle: float) -> tuple[PosedHand, np.ndarray]:
    hand = model.with_shape(np.zeros(10))
    pose = np.zeros((16, 3))
    pose[joint + 1] = angle * axis
    return hand.posed(pose.ravel(), np.zeros(3)), hand.rest_joints_21


def test_axes_are_right_handed_and_orthonormal(either_hand: HandModel) -> None:
    axes = joint_axes(either_hand)
    frames = np.stack([axes.twist, axes.flexion, axes.abduction], axis=2)
    np.testing.assert_allclose(np.swapaxes(frames, 1, 2) @ frames, np.broadcast_to(np.eye(3), (15, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(frames), 1.0)


def test_the_same_angles_pose_both_hands_as_mirror_images(open_hand: HandModel) -> None:
    axes, mirrored_axes = joint_axes(open_hand), joint_axes(open_hand.mirrored())
    for own, other in zip(
        (axes.flexion, axes.abduction, axes.twist),
        (mirrored_axes.flexion, mirrored_axes.abduction, mirrored_axes.twist),
        strict=True,
    ):
        for joint in range(15):
            posed, _ = bend(open_hand, joint, own[joint], 0.4)
            mirrored, _ = bend(open_hand.mirrored(), joint, other[joint], 0.4)
            np.testing.assert_allclose(mirrored.joints, posed.joints * [-1.0, 1.0, 1.0], atol=1e-9)


@pytest.mark.parametrize("joint", range(12))
def test_flexion_moves_a_fingertip_to_the_palm_side(either_hand: HandModel, joint: int) -> None:
    posed, rest = bend(either_hand, joint, flexion_axes(either_hand)[joint], 0.5)
    tip = (8, 12, 20, 16)[joint // 3]
    # The palm is on the -y side.
    assert posed.joints[tip, 1] < rest[tip, 1] - 0.005


@pytest.mark.parametrize("joint", range(12, 15))
def test_flexion_moves_the_thumb_towards_the_little_finger(either_hand: HandModel, joint: int) -> None:
    posed, rest = bend(either_hand, joint, flexion_axes(either_hand)[joint], 0.5)
    assert np.linalg.norm(posed.joints[4] - rest[17]) < np.linalg.norm(rest[4] - rest[17]) - 0.005


@pytest.mark.parametrize("joint", [0, 3, 6, 9])
def test_abduction_moves_a_finger_to_the_thumbs_side(either_hand: HandModel, joint: int) -> None:
    posed, rest = bend(either_hand, joint, abduction_axes(either_hand)[joint], 0.3)
    tip = (8, 12, 20, 16)[joint // 3]
    assert posed.joints[tip, 2] > rest[tip, 2] + 0.01


def test_a_fist_closes(either_hand: HandModel) -> None:
    hand = either_hand.with_shape(np.zeros(10))
    pose = np.zeros((16, 3))
    pose[1:13] = np.radians(np.tile([75.0, 90.0, 60.0], 4))[:, None] * flexion_axes(either_hand)[:12]
    joints = hand.posed(pose.ravel(), np.zeros(3)).joints
    reach = np.linalg.norm(joints[[8, 12, 16, 20]] - joints[0], axis=1)
    knuckles = np.linalg.norm(joints[[5, 9, 13, 17]] - joints[0], axis=1)
    assert np.all(reach < knuckles)
    assert np.all(joints[[8, 12, 16, 20], 1] < joints[[5, 9, 13, 17], 1])


def test_limits_hold_the_rest_pose() -> None:
    limits = joint_limits()
    assert limits.lower.shape == limits.upper.shape == (15, 3)
    assert np.all(limits.lower < 0.0)
    assert np.all(limits.upper > 0.0)
