"""The fit finds the pose that the joints came from, and stays sane where they do not say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.hand_model import HandModel, ShapedHand, Side
from engine.hand_model.anatomy import joint_axes, joint_limits
from engine.hand_model.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from engine.pose_fit import FittedHand, PoseFitter, _inverse_right_jacobian, _joint_jacobian
from engine.synthetic.motion import HandMotion

Array = NDArray[np.float64]

MODELS: dict[Side, HandModel] = {"right": HandModel.load(side="right"), "left": HandModel.load(side="left")}
FITTERS = {side: PoseFitter(model) for side, model in MODELS.items()}
# What four views at a hand's distance make of a joint: about 1 mm.
SURE = np.tile(np.eye(3) / 0.001**2, (21, 1, 1))


def _shaped(side: Side, seed: int) -> ShapedHand:
    return MODELS[side].with_shape(np.clip(np.random.default_rng(seed).normal(0.0, 0.8, 10), -2.0, 2.0))


def _poses(side: Side, count: int) -> list[Array]:
    """Poses of moving hands, far apart in time, turned every way."""
    rng = np.random.default_rng((count, side == "left"))
    poses = []
    for index in range(count):
        pose = HandMotion(index, side).at(7.3 * index).pose.copy()
        pose[:3] = rng.normal(0.0, 1.0, 3)
        pose[:3] *= rng.uniform(0.0, np.pi) / np.linalg.norm(pose[:3])
        poses.append(pose)
    return poses


def _anatomical_pose(side: Side, rng: np.random.Generator) -> Array:
    """Angles drawn from within the limits, each joint on its own."""
    axes, limits = joint_axes(MODELS[side]), joint_limits()
    middle, half = (limits.lower + limits.upper) / 2, (limits.upper - limits.lower) / 2
    angles = middle + 0.8 * half * rng.uniform(-1.0, 1.0, (15, 3))
    vectors = np.einsum("ka,kai->ki", angles, np.stack([axes.flexion, axes.abduction, axes.twist], axis=1))
    return np.concatenate([rng.normal(0.0, 1.0, 3), vectors.ravel()])


def _rms_m(fitted: FittedHand, joints: Array) -> float:
    return float(np.sqrt(((fitted.posed.joints - joints) ** 2).sum(axis=1).mean()))


@pytest.mark.parametrize("side", ["right", "left"])
def test_exact_joints_give_the_hand_from_a_cold_start(side: Side) -> None:
    errors = []
    for index, pose in enumerate(_poses(side, 100)):
        shaped = _shaped(side, index)
        joints = shaped.posed(pose, np.random.default_rng(index).normal(0.0, 1.0, 3)).joints
        errors.append(_rms_m(FITTERS[side].fit(shaped, joints, SURE), joints))
    assert np.mean(np.array(errors) < 0.001) >= 0.95, np.percentile(errors, [50, 90, 95, 100])
    assert max(errors) < 0.004


@pytest.mark.parametrize("side", ["right", "left"])
def test_two_millimetres_of_noise_stay_below_three(side: Side) -> None:
    rng = np.random.default_rng(5)
    information = np.tile(np.eye(3) / 0.002**2, (21, 1, 1))
    errors = []
    for index, pose in enumerate(_poses(side, 60)):
        shaped = _shaped(side, index)
        joints = shaped.posed(pose, np.zeros(3)).joints
        noisy = joints + rng.normal(0.0, 0.002, (21, 3))
        errors.append(_rms_m(FITTERS[side].fit(shaped, noisy, information), joints))
    assert np.mean(np.array(errors) < 0.003) >= 0.95, np.percentile(errors, [50, 90, 95, 100])


def test_fingers_that_no_motion_shows_are_found_too() -> None:
    rng = np.random.default_rng(9)
    shaped = _shaped("right", 3)
    errors = []
    for _ in range(60):
        joints = shaped.posed(_anatomical_pose("right", rng), np.zeros(3)).joints
        errors.append(_rms_m(FITTERS["right"].fit(shaped, joints, SURE), joints))
    assert np.mean(np.array(errors) < 0.003) >= 0.9, np.percentile(errors, [50, 90, 95, 100])


@pytest.mark.parametrize("side", ["right", "left"])
def test_following_a_motion_stays_on_it(side: Side) -> None:
    shaped, motion = _shaped(side, 4), HandMotion(4, side)
    fitted: FittedHand | None = None
    errors, turns = [], []
    for index in range(120):
        sample = motion.at(index / 30)
        joints = shaped.posed(sample.pose, sample.translation(shaped)).joints
        fitted = FITTERS[side].fit(shaped, joints, SURE, fitted)
        errors.append(_rms_m(fitted, joints))
        truth = matrix_from_axis_angle(sample.pose.reshape(16, 3))
        turn = np.einsum("kii->k", np.swapaxes(truth, 1, 2) @ fitted.local_rotations)
        turns.append(np.degrees(np.arccos(np.clip((turn - 1) / 2, -1, 1))))
    assert max(errors) < 0.002
    assert np.median(errors) < 0.0007
    # The palm's turn is well seen; a joint's own turn about its bone is not.
    assert np.median(np.array(turns)[:, 0]) < 1.5


def test_following_recovers_from_another_pose() -> None:
    shaped = _shaped("right", 6)
    poses = _poses("right", 12)
    for before, after in pairwise(poses):
        start = FITTERS["right"].fit(shaped, shaped.posed(before, np.zeros(3)).joints, SURE)
        joints = shaped.posed(after, np.full(3, 0.1)).joints
        fitted = start
        for _ in range(8):
            fitted = FITTERS["right"].fit(shaped, joints, SURE, fitted)
        assert _rms_m(fitted, joints) < 0.002


def test_the_parameters_are_those_of_the_hand_that_is_returned() -> None:
    shaped = _shaped("left", 2)
    joints = shaped.posed(_poses("left", 3)[2], np.array([0.3, -0.2, 1.0])).joints
    fitted = FITTERS["left"].fit(shaped, joints, SURE)
    again = shaped.posed(fitted.pose, fitted.translation)
    np.testing.assert_allclose(again.joints, fitted.posed.joints, atol=1e-9)
    np.testing.assert_allclose(again.vertices(), fitted.posed.vertices(), atol=1e-9)
    assert fitted.error_m == pytest.approx(_rms_m(fitted, joints), rel=1e-6)


def test_the_jacobian_is_the_change_of_the_joints() -> None:
    shaped = _shaped("right", 1)
    rng = np.random.default_rng(1)
    rotations = matrix_from_axis_angle(rng.normal(0.0, 0.6, (16, 3)))
    translation = rng.normal(0.0, 0.3, 3)
    jacobian = _joint_jacobian(shaped.posed_from_rotations(rotations, translation))
    assert jacobian.shape == (63, 51)
    step = 1e-6
    for parameter in range(51):
        ends = []
        for sign in (1, -1):
            turns, shift = np.zeros((16, 3)), translation.copy()
            if parameter < 48:
                turns[divmod(parameter, 3)] = sign * step
            else:
                shift[parameter - 48] += sign * step
            ends.append(shaped.posed_from_rotations(rotations @ matrix_from_axis_angle(turns), shift).joints.ravel())
        numeric = (ends[0] - ends[1]) / (2 * step)
        # Tips move with skinning weights that are not quite one: a tenth of a millimetre a radian is let pass.
        np.testing.assert_allclose(jacobian[:, parameter], numeric, atol=3e-3)
        inner = np.setdiff1d(np.arange(21), [4, 8, 12, 16, 20])
        np.testing.assert_allclose(
            jacobian[:, parameter].reshape(21, 3)[inner], numeric.reshape(21, 3)[inner], atol=1e-7
        )


@pytest.mark.parametrize("angle", [0.0, 1e-6, 1e-3, 0.5, 2.0, 3.0])
def test_the_change_of_an_axis_angle_vector_is_its_derivative(angle: float) -> None:
    rng = np.random.default_rng(7)
    vectors = rng.normal(0.0, 1.0, (4, 3))
    vectors *= angle / np.linalg.norm(vectors, axis=1, keepdims=True)
    jacobian = _inverse_right_jacobian(vectors)
    matrices = matrix_from_axis_angle(vectors)
    for column in range(3):
        turn = np.zeros(3)
        turn[column] = 1e-5
        plus = axis_angle_from_matrix(matrices @ matrix_from_axis_angle(turn))
        minus = axis_angle_from_matrix(matrices @ matrix_from_axis_angle(-turn))
        np.testing.assert_allclose(jacobian[:, :, column], (plus - minus) / 2e-5, atol=1e-5)


def test_the_mirrored_hand_is_the_mirrored_fit() -> None:
    mirror = np.array([-1.0, 1.0, 1.0])
    shape = np.random.default_rng(3).normal(0.0, 0.8, 10)
    right, left = MODELS["right"].with_shape(shape), MODELS["left"].with_shape(shape)
    rng = np.random.default_rng(13)
    last: FittedHand | None = None
    mirrored_last: FittedHand | None = None
    for pose in _poses("right", 6):
        joints = right.posed(pose, np.array([0.1, 0.2, 0.3])).joints + rng.normal(0.0, 0.003, (21, 3))
        spread = rng.normal(0.0, 1.0, (21, 3, 3))
        information = (np.swapaxes(spread, 1, 2) @ spread + 0.1 * np.eye(3)) / 0.003**2
        mirrored = information * mirror[:, None] * mirror
        last = FITTERS["right"].fit(right, joints, information, last)
        mirrored_last = FITTERS["left"].fit(left, joints * mirror, mirrored, mirrored_last)
        np.testing.assert_allclose(mirrored_last.posed.joints, last.posed.joints * mirror, atol=1e-7)
        np.testing.assert_allclose(
            mirrored_last.local_rotations, last.local_rotations * np.outer(mirror, mirror), atol=1e-6
        )
        assert mirrored_last.error_m == pytest.approx(last.error_m, rel=1e-6)


def _seen_along(direction: Array, across_m: float, along_m: float) -> Array:
    """Information of a joint that is well seen across a direction and hardly along it."""
    unit = direction / np.linalg.norm(direction)
    along = np.outer(unit, unit)
    return (np.eye(3) - along) / across_m**2 + along / along_m**2


def test_two_nearly_parallel_views_still_give_a_hand() -> None:
    rng = np.random.default_rng(17)
    shaped = _shaped("right", 5)
    direction = np.array([0.2, 1.0, 0.1])
    information = np.tile(_seen_along(direction, 0.002, 0.1), (21, 1, 1))
    unit = direction / np.linalg.norm(direction)
    across, lengths = [], []
    for pose in _poses("right", 30):
        joints = shaped.posed(pose, np.zeros(3)).joints
        noisy = joints + rng.normal(0.0, 0.002, (21, 3)) + rng.normal(0.0, 0.03, (21, 1)) * unit
        fitted = FITTERS["right"].fit(shaped, noisy, information)
        assert np.isfinite(fitted.posed.joints).all()
        assert np.isfinite(fitted.pose).all()
        away = fitted.posed.joints - joints
        across.append(np.linalg.norm(away - np.outer(away @ unit, unit), axis=1).mean())
        lengths.append(np.linalg.norm(fitted.posed.joints[9] - fitted.posed.joints[0]))
    assert np.median(across) < 0.004
    # The model keeps its size, however far apart the joints were along the rays.
    np.testing.assert_allclose(lengths, np.linalg.norm(shaped.rest_joints_21[9] - shaped.rest_joints_21[0]), atol=1e-9)


@pytest.mark.parametrize("weak", [0.0, 1e-6, 1.0])
def test_joints_that_nobody_saw_are_left_to_the_prior(weak: float) -> None:
    shaped = _shaped("right", 8)
    information = SURE.copy()
    unseen = [6, 7, 8, 20]
    information[unseen] = weak * np.eye(3)
    for pose in _poses("right", 10):
        joints = shaped.posed(pose, np.zeros(3)).joints
        measured = joints.copy()
        measured[unseen] += (0.5, -0.3, 0.4)
        fitted = FITTERS["right"].fit(shaped, measured, information)
        assert np.isfinite(fitted.pose).all()
        seen = np.setdiff1d(np.arange(21), unseen)
        assert np.linalg.norm(fitted.posed.joints - joints, axis=1)[seen].max() < 0.004


def test_impossible_joints_stay_numbers() -> None:
    shaped = _shaped("right", 8)
    rng = np.random.default_rng(2)
    hands = [np.zeros((21, 3)), np.tile([0.1, 0.2, 0.3], (21, 1)), rng.normal(0.0, 1.0, (21, 3)), np.full((21, 3), 1e3)]
    last = FITTERS["right"].fit(shaped, shaped.rest_joints_21, SURE)
    for joints in hands:
        for before in (None, last):
            fitted = FITTERS["right"].fit(shaped, joints, SURE, before)
            assert np.isfinite(fitted.posed.joints).all()
            np.testing.assert_allclose(
                fitted.local_rotations @ np.swapaxes(fitted.local_rotations, 1, 2),
                np.tile(np.eye(3), (16, 1, 1)),
                atol=1e-9,
            )
            assert (np.linalg.det(fitted.local_rotations) > 0).all()


def test_limits_hold_where_the_views_do_not_insist() -> None:
    shaped = MODELS["right"].with_shape(np.zeros(10))
    axes, limits = joint_axes(MODELS["right"]), joint_limits()
    vectors = np.zeros((16, 3))
    # The index finger's middle joint bent backwards by 60 degrees.
    vectors[2] = -np.radians(60) * axes.flexion[1]
    joints = shaped.posed(vectors.ravel(), np.zeros(3)).joints
    unsure = np.tile(np.eye(3) / 0.02**2, (21, 1, 1))
    pose = FITTERS["right"].fit(shaped, joints, unsure).pose.reshape(16, 3)
    assert pose[2] @ axes.flexion[1] > limits.lower[1, 0] - np.radians(10)
