"""OpenXR and its relatives, by values worked out by hand and by laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from engine.hand_model import HandModel
from engine.hand_model.anatomy import joint_axes, joint_limits
from engine.hand_model.rotations import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    matrix_from_quaternion,
    quaternion_from_axis_angle,
    quaternion_from_matrix,
)
from server.dialects import DEFAULT_UP, DIALECTS, UPS, XrDialect, read_up
from server.dialects.axes import AxisChange
from server.dialects.up import up_rotation
from server.dialects.xr import OPENXR, UNITY, UNREAL, WEBXR
from server.dialects.xr_joints import smallest_rotation, xr_joints
from server.dialects.xr_rest import BLEND, SYNTHESISED, TIPS, XR_OF_CANONICAL, xr_rest

LAYOUTS = (OPENXR, WEBXR, UNITY, UNREAL)
HALF = np.sqrt(0.5)
# To which joint each of OpenXR's 26 points: the next of its finger; the wrist at the middle metacarpal.
NEXT = {1: 11, 2: 3, 3: 4, 4: 5} | {b + i: b + i + 1 for b in (6, 11, 16, 21) for i in range(4)}


@pytest.fixture
def flat_hand(hand_of):
    """A right hand, flat, palm down, fingers along -z, thumb to -x: as OpenXR's picture shows it, in a y-up world."""
    shaped = HandModel.load(side="right").with_shape(np.zeros(10))
    # MANO's fingers (-x) to -z, its back (y) to y, its thumb (z) to -x.
    R = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    pose = np.zeros(48)
    pose[:3] = axis_angle_from_matrix(R)
    posed = shaped.posed(pose, np.zeros(3))
    joints = np.zeros((21, 3))
    joints[1:5] = [(-0.03, 0, -0.02), (-0.05, 0, -0.04), (-0.06, 0, -0.06), (-0.06, 0, -0.09)]
    for finger, x in enumerate((-0.03, -0.01, 0.01, 0.03)):
        joints[5 + 4 * finger : 9 + 4 * finger] = [(x, 0, z) for z in (-0.09, -0.13, -0.15, -0.17)]
    return replace(hand_of(posed, pose, np.zeros(3)), joints_world=joints)


def random_hand(seed, side, hand_of, noise_m=0.003):
    """A hand within anatomical limits, anyhow turned, with joints measured a little beside the model's."""
    rng = np.random.default_rng(seed)
    shaped = HandModel.load(side=side).with_shape(rng.normal(0, 0.7, 10))
    limits, axes = joint_limits(), joint_axes(shaped.model)
    angles = rng.uniform(0.7 * limits.lower, 0.7 * limits.upper)
    local = np.eye(3)
    for column, axis in enumerate((axes.abduction, axes.flexion, axes.twist)):
        local = local @ matrix_from_axis_angle(angles[:, [(1, 0, 2)[column]]] * axis)
    pose = np.concatenate([rng.normal(0, 2, 3), axis_angle_from_matrix(local).ravel()])
    translation = rng.normal(0, 0.3, 3)
    posed = shaped.posed(pose, translation)
    hand = hand_of(posed, pose, translation)
    return replace(hand, joints_world=posed.joints + rng.normal(0, noise_m, (21, 3)))


# Positions, metres: wrist, knuckles and finger joints are those of the hand above; the metacarpals of index and middle
# finger begin 27 % and 30 % on the way to (0, 0, -0.09), the knuckles' middle, half as far apart as the knuckles; the
# palm is halfway from the middle one, (-0.005, 0, -0.027), to its knuckle, (-0.01, 0, -0.09).
BY_HAND = {
    "wrist": (0, 0, 0),
    "palm": (-0.0075, 0, -0.0585),
    "index_metacarpal": (-0.015, 0, -0.0243),
    "middle_metacarpal": (-0.005, 0, -0.027),
    "index_proximal": (-0.03, 0, -0.09),
    "little_distal": (0.03, 0, -0.15),
    "thumb_proximal": (-0.05, 0, -0.04),
}


@pytest.mark.parametrize(
    ("dialect", "name_of", "moved"),
    [
        ("openxr", lambda name: name, lambda x, y, z: (x, y, z)),
        ("unity", lambda name: "".join(map(str.capitalize, name.split("_"))), lambda x, y, z: (x, y, -z)),
        (
            "unreal",
            lambda name: "".join(map(str.capitalize, name.split("_"))),
            lambda x, y, z: (-100 * z, 100 * x, 100 * y),
        ),
    ],
)
def test_positions_are_those_worked_out_by_hand(dialect, name_of, moved, flat_hand, rig):
    chosen = replace(DIALECTS[dialect], up="+y")
    names = chosen.skeleton(rig).joint_names
    joints = chosen.hand(flat_hand, rig).joints
    for name, position in BY_HAND.items():
        assert_allclose(joints[names.index(name_of(name))], moved(*position), atol=1e-9, err_msg=name)


def test_a_tip_is_its_radius_inside_the_end_of_the_finger(flat_hand, rig):
    said = replace(DIALECTS["openxr"], up="+y").hand(flat_hand, rig)
    assert_allclose(said.joints[10], (-0.03, 0, -0.17 + said.radii[10]), atol=1e-9)
    assert 0.004 < said.radii[10] < 0.009


@pytest.mark.parametrize(
    ("dialect", "towards_tip", "out_of_the_back"),
    [
        ("openxr", (0, 0, -1), (0, 1, 0)),
        ("webxr", (0, 0, -1), (0, 1, 0)),
        ("unity", (0, 0, 1), (0, 1, 0)),
        ("unreal", (1, 0, 0), (0, 0, 1)),
    ],
)
def test_a_flat_hand_faces_ahead_with_its_back_up(dialect, towards_tip, out_of_the_back, flat_hand, rig):
    """In each frame the same two axes mean ahead and up, of the world and of the joint: rotations are near identity."""
    chosen = replace(DIALECTS[dialect], up="+y")
    rotations = matrix_from_quaternion(chosen.hand(flat_hand, rig).orientations_xyzw)
    fingers = [i for i, name in enumerate(chosen.skeleton(rig).joint_names) if "thumb" not in name.lower()]
    for axis in (towards_tip, out_of_the_back):
        turned = rotations[fingers] @ np.array(axis)
        assert np.degrees(np.arccos(np.clip(turned @ np.array(axis), -1, 1))).max() < 20
    exact = [i for i in fingers if "middle" in chosen.skeleton(rig).joint_names[i].lower()][1:]
    assert_allclose(rotations[exact] @ np.array(towards_tip), np.tile(towards_tip, (len(exact), 1)), atol=1e-9)


@pytest.mark.parametrize(
    ("layout", "openxr_xyzw", "expected_xyzw"),
    [
        # A quarter turn to the left about +Y takes ahead (-Z) to the left (-X).
        # Unity, left-handed: ahead +Z to the left -X is minus a quarter turn about +Y.
        (UNITY, (0, HALF, 0, HALF), (0, -HALF, 0, HALF)),
        # Unreal, left-handed: ahead +X to the left -Y is minus a quarter turn about +Z.
        (UNREAL, (0, HALF, 0, HALF), (0, 0, -HALF, HALF)),
        # A quarter turn about +X lifts ahead (-Z) up (+Y). Unity: +Z to +Y is minus a quarter turn about +X.
        (UNITY, (HALF, 0, 0, HALF), (-HALF, 0, 0, HALF)),
        # Unreal: ahead +X to up +Z is minus a quarter turn about +Y (which takes +Z to +X).
        (UNREAL, (HALF, 0, 0, HALF), (0, -HALF, 0, HALF)),
        # A quarter turn about +Z takes right (+X) up (+Y). Unity: the same axes, seen from the other side.
        (UNITY, (0, 0, HALF, HALF), (0, 0, HALF, HALF)),
        # Unreal: right +Y to up +Z is plus a quarter turn about +X.
        (UNREAL, (0, 0, HALF, HALF), (HALF, 0, 0, HALF)),
    ],
)
def test_rotations_change_as_worked_out_by_hand(layout, openxr_xyzw, expected_xyzw):
    changed = layout.change.quaternions(np.array(openxr_xyzw, dtype=float))
    assert_allclose(changed, expected_xyzw, atol=1e-12)


quaternions = st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1)
vectors = st.lists(st.floats(-2, 2), min_size=3, max_size=3).map(np.array)


@given(quaternions)
def test_the_formulas_of_the_conventions_are_the_same_change(q):
    """Unity (-x, -y, z, w), Unreal (-z, x, y, -w): up to the sign of the whole quaternion, which means nothing."""
    x, y, z, w = np.array(q) / np.linalg.norm(q)
    for layout, formula in ((UNITY, (-x, -y, z, w)), (UNREAL, (-z, x, y, -w))):
        changed = layout.change.quaternions(np.array([x, y, z, w]))
        assert abs(changed @ np.array(formula)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@given(q1=quaternions, q2=quaternions, v=vectors)
def test_a_change_of_axes_keeps_what_rotations_do(layout, q1, q2, v):
    change = layout.change
    first, second = (np.array(q) / np.linalg.norm(q) for q in (q1, q2))
    R1, R2 = matrix_from_quaternion(first), matrix_from_quaternion(second)
    S1, S2 = (matrix_from_quaternion(change.quaternions(q)) for q in (first, second))
    assert_allclose(S1 @ change.points(v), change.points(R1 @ v), atol=1e-9)
    product = change.quaternions(quaternion_from_matrix(R1 @ R2))
    assert_allclose(S1 @ S2, matrix_from_quaternion(product), atol=1e-9)
    back = change.inverse()
    assert_allclose(back.points(change.points(v)), v, atol=1e-12)
    assert_allclose(back.quaternions(change.quaternions(first)), first, atol=1e-12)


def test_right_handed_frames_are_rotated_to_and_left_handed_ones_mirrored():
    signs = {layout.name: np.linalg.det(layout.change.matrix) for layout in LAYOUTS}
    assert signs == pytest.approx({"openxr": 1, "webxr": 1, "unity": -1, "unreal": -1})
    assert UNREAL.change.scale == 100


@pytest.mark.parametrize("up", UPS)
def test_up_is_brought_to_plus_y_by_the_smallest_rotation(up):
    R = up_rotation(up)
    axis = np.zeros(3)
    axis["xyz".index(up[1])] = 1.0 if up[0] == "+" else -1.0
    assert_allclose(R @ axis, (0, 1, 0))
    assert np.linalg.det(R) == pytest.approx(1)
    angle = np.linalg.norm(axis_angle_from_matrix(R))
    assert angle == pytest.approx({"+y": 0, "-y": np.pi}.get(up, np.pi / 2))
    assert read_up(up) == up


def test_an_axis_whose_plus_became_a_blank_is_understood():
    assert read_up(" z") == read_up("z") == read_up("+z") == "+z"
    assert read_up("") is None
    assert read_up("zz") is None


@pytest.mark.parametrize("name", ["openxr", "webxr", "unity", "unreal"])
def test_the_axes_are_said_in_words(name, rig):
    said = {up: replace(DIALECTS[name], up=up).skeleton(rig) for up in UPS}
    assert said["-y"].up == DEFAULT_UP
    assert len({skeleton.axes for skeleton in said.values()}) == 6
    assert "up=-y" in said["-y"].axes
    assert "the calibration's world" in said["-y"].axes
    assert ("left-handed" in said["+y"].axes) == (name in ("unity", "unreal"))
    if name == "openxr":
        assert "x y z are +x -y -z of" in said["-y"].axes
        assert "x y z are +x +z -y of" in said["+z"].axes
    if name == "unreal":
        # Ahead is what OpenXR calls -z, which is the camera's +z.
        assert "x y z are +z +x -y of" in said["-y"].axes


def test_orders_and_names(rig):
    names = {layout.name: layout.joint_names for layout in LAYOUTS}
    assert {name: len(each) for name, each in names.items()} == {"openxr": 26, "webxr": 25, "unity": 26, "unreal": 26}
    assert names["openxr"][:7] == (
        "palm", "wrist", "thumb_metacarpal", "thumb_proximal", "thumb_distal", "thumb_tip", "index_metacarpal",
    )  # fmt: skip
    assert names["openxr"][25] == "little_tip"
    assert names["webxr"][:2] == ("wrist", "thumb-metacarpal")
    assert names["webxr"][2] == "thumb-phalanx-proximal"
    assert names["webxr"][6:8] == ("index-finger-phalanx-proximal", "index-finger-phalanx-intermediate")
    assert names["webxr"][24] == "pinky-finger-tip"
    # XRHandJointID: Wrist 1, Palm 2, ThumbMetacarpal 3, ..., LittleTip 26.
    assert names["unity"][:3] == ("Wrist", "Palm", "ThumbMetacarpal")
    assert names["unity"][25] == "LittleTip"
    assert names["unreal"][:2] == ("Palm", "Wrist")
    assert set(names["unity"]) == set(names["unreal"])


def test_webxr_is_openxr_without_the_palm(rig, hands):
    openxr, webxr = (DIALECTS[name].hand(hands[0], rig) for name in ("openxr", "webxr"))
    for part in ("joints", "orientations_xyzw", "covariance_mm2", "radii", "tracked"):
        assert_allclose(getattr(webxr, part), getattr(openxr, part)[1:])


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("up", UPS)
def test_joints_point_along_their_bones_and_out_of_the_back(side, up, hand_of, rig):
    for seed in range(8):
        hand = random_hand(seed, side, hand_of)
        said = XrDialect(OPENXR, up).hand(hand, rig)
        assert_allclose(np.linalg.norm(said.orientations_xyzw, axis=1), 1, atol=1e-12)
        rotations = matrix_from_quaternion(said.orientations_xyzw)
        ahead = -rotations[:, :, 2]
        for joint, after in NEXT.items():
            bone = said.joints[after] - said.joints[joint]
            assert ahead[joint] @ bone > np.cos(np.radians(1)) * np.linalg.norm(bone), (seed, joint)
        for tip in TIPS:
            assert_allclose(rotations[tip], rotations[tip - 1], atol=1e-9)
        assert_allclose(rotations[0], rotations[11], atol=1e-9)


@pytest.mark.parametrize("side", ["right", "left"])
def test_plus_y_leaves_the_back_of_the_hand(side, hand_of, rig):
    """The skin is nearer to the joints on the back, fingers curl away from it, and it is one way over all the palm."""
    shaped = HandModel.load(side=side).with_shape(np.zeros(10))
    axes = joint_axes(shaped.model)
    rng = np.random.default_rng(4)
    turn = rng.normal(0, 2, 3)

    def joints_of(flexion):
        pose = np.concatenate([turn, (flexion * axes.flexion).ravel()])
        return xr_joints(hand_of(shaped.posed(pose, np.zeros(3)), pose, np.zeros(3)))

    flat, curled = joints_of(0.0), joints_of(0.5)
    y = flat.rotations_world[:, :, 1]
    for tip in TIPS:
        moved = curled.positions_world[tip] - flat.positions_world[tip]
        assert y[tip - 2] @ moved < -0.5 * np.linalg.norm(moved), tip
    palm = [0, 1, 6, 11, 16, 21]
    assert (y[palm] @ y[0] > 0.99).all()
    # The thumb is on the left of a right hand whose back is up and whose fingers point away.
    across = flat.rotations_world[0, :, 0] @ (flat.positions_world[3] - flat.positions_world[0])
    assert across < 0 if side == "right" else across > 0


def test_left_and_right_hands_mirror_each_other(hand_of):
    mirror = np.diag([-1.0, 1.0, 1.0])
    for seed in range(4):
        right = random_hand(seed, "right", hand_of)
        pose = (right.pose.reshape(16, 3) * (1, -1, -1)).ravel()
        shaped = HandModel.load(side="left").with_shape(right.shape)
        left = hand_of(shaped.posed(pose, right.translation @ mirror), pose, right.translation @ mirror)
        left = replace(left, joints_world=right.joints_world @ mirror)
        mine, other = xr_joints(right), xr_joints(left)
        assert_allclose(other.positions_world, mine.positions_world @ mirror, atol=1e-6)
        assert_allclose(other.rotations_world, mirror @ mine.rotations_world @ mirror, atol=1e-6)
        assert_allclose(other.radii_m, mine.radii_m, atol=1e-6)


def test_a_turned_world_turns_all_joints_along(hand_of):
    rng = np.random.default_rng(2)
    for seed in range(4):
        here = random_hand(seed, "left", hand_of, noise_m=0.0)
        R, shift = matrix_from_axis_angle(rng.normal(0, 2, 3)), rng.normal(0, 1, 3)
        local = matrix_from_axis_angle(here.pose.reshape(16, 3))
        local[0] = R @ local[0]
        shaped = here.posed.shaped
        # The root turns about its own rest position.
        translation = R @ (here.translation + shaped.rest_joints[0]) + shift - shaped.rest_joints[0]
        there = hand_of(
            shaped.posed_from_rotations(local, translation), axis_angle_from_matrix(local).ravel(), translation
        )
        mine, other = xr_joints(here), xr_joints(there)
        assert_allclose(other.positions_world, mine.positions_world @ R.T + shift, atol=1e-9)
        assert_allclose(other.rotations_world, R @ mine.rotations_world, atol=1e-9)


def test_covariances_follow_the_joints(hands, rig):
    hand = hands[0]
    joints = xr_joints(hand)
    assert_allclose(joints.covariance_mm2[XR_OF_CANONICAL], hand.covariance_mm2)
    # A mean of joints is surer than the joints are.
    alike = xr_joints(replace(hand, covariance_mm2=np.tile(np.eye(3), (21, 1, 1))))
    expected = (BLEND**2).sum(axis=1)
    assert_allclose(np.trace(alike.covariance_mm2, axis1=1, axis2=2), 3 * expected)
    assert (expected[list(SYNTHESISED)] < 1).all()
    said = DIALECTS["unreal"].hand(hand, rig)
    assert_allclose(np.linalg.eigvalsh(said.covariance_mm2), np.linalg.eigvalsh(joints.covariance_mm2), atol=1e-9)


def test_synthesised_joints_are_never_tracked_and_the_others_are(hands):
    tracked = xr_joints(hands[0]).tracked
    assert set(np.flatnonzero(~tracked)) == set(SYNTHESISED)


def test_metacarpals_are_as_long_as_an_adults():
    joints = BLEND @ HandModel.load().with_shape(np.zeros(10)).rest_joints_21
    lengths_mm = [1e3 * np.linalg.norm(joints[base + 1] - joints[base]) for base in (6, 11, 16, 21)]
    assert_allclose(lengths_mm, (68, 65, 58, 54), atol=2)
    assert_allclose(BLEND.sum(axis=1), 1)


@pytest.mark.parametrize("side", ["right", "left"])
def test_radii_are_half_the_thickness_of_the_flesh(side):
    radii_mm = 1e3 * xr_rest(HandModel.load(side=side).with_shape(np.zeros(10))).radii_m
    assert 10 < radii_mm[0] < 18, "palm"
    assert 15 < radii_mm[1] < 25, "wrist"
    for first in (6, 11, 16, 21):
        metacarpal, knuckle, middle, end, tip = radii_mm[first : first + 5]
        assert metacarpal > knuckle > middle > end > tip
        assert 10 < knuckle < 17
        assert 4 < tip < 8
    assert radii_mm[2] > radii_mm[3] > radii_mm[4] > radii_mm[5] > 5


def test_radii_grow_with_the_hand_and_are_worked_out_once(monkeypatch):
    model = HandModel.load()
    big, small = (model.with_shape(np.array([size, *[0.0] * 9])) for size in (2.0, -2.0))
    ratio = np.ptp(big.rest_vertices[:, 0]) / np.ptp(small.rest_vertices[:, 0])
    assert (xr_rest(big).radii_m / xr_rest(small).radii_m).mean() == pytest.approx(ratio, rel=0.1)
    assert xr_rest(big) is xr_rest(big)


def test_a_joint_that_is_not_a_number_spoils_no_other_fingers(hands, rig):
    joints = hands[0].joints_world.copy()
    joints[8] = np.nan
    said = DIALECTS["openxr"].hand(replace(hands[0], joints_world=joints), rig)
    bad = np.flatnonzero(~np.isfinite(said.joints).all(axis=1))
    assert bad.tolist() == [10]
    assert (~np.isfinite(said.orientations_xyzw).all(axis=1)).nonzero()[0].tolist() == [9, 10]


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_the_smallest_rotation_takes_one_direction_to_the_other(a, b):
    start, end = (np.array([v]) for v in (a, b))
    if min(np.linalg.norm(start), np.linalg.norm(end)) < 0.1:
        return
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    R = smallest_rotation(start, end)
    assert_allclose((R @ start[..., None])[..., 0], end, atol=1e-6)
    assert_allclose(R[0] @ R[0].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R[0]) == pytest.approx(1)
    opposite = smallest_rotation(start, -start)[0]
    assert_allclose(opposite @ start[0], -start[0], atol=1e-9)


def test_the_default_dialects_take_minus_y_for_up(hands, rig):
    for name in ("openxr", "webxr", "unity", "unreal"):
        assert DIALECTS[name].skeleton(rig).up == "-y"
    joints = DIALECTS["openxr"].hand(hands[0], rig).joints
    assert_allclose(joints[1], hands[0].joints_world[0] * (1, -1, -1))


def test_points_go_where_the_joints_go(hands, rig):
    hand = hands[0]
    for layout in LAYOUTS:
        dialect = XrDialect(layout, "+z")
        moved = dialect.points(hand.joints_world, hand, rig)
        said = dialect.hand(hand, rig).joints
        names = dialect.skeleton(rig).joint_names
        wrist = [name.lower() for name in names].index("wrist")
        assert_allclose(said[wrist], moved[0])


def test_equal_dialects_are_one_key():
    assert XrDialect(UNITY, "+z") == XrDialect(UNITY, "+z")
    assert len({XrDialect(UNITY, "+z"), XrDialect(UNITY, "+z"), XrDialect(UNITY), XrDialect(UNREAL, "+z")}) == 3


def test_a_change_of_axes_after_another():
    quarter = AxisChange(matrix_from_quaternion(quaternion_from_axis_angle([0, 0, np.pi / 2])), 2.0)
    both = UNREAL.change.after(quarter)
    point = np.array([0.1, 0.2, 0.3])
    assert_allclose(both.points(point), UNREAL.change.points(quarter.points(point)))
    assert_allclose(both.covariances(np.diag([1.0, 2.0, 3.0])).trace(), 6)
