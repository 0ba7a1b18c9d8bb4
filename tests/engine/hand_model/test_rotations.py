"""Rotations are tested by what must hold for all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.hand_model import rotations as rot

UNIT = st.floats(-1.0, 1.0, allow_subnormal=False)
ANGLES = st.one_of(
    st.floats(0.0, np.pi), st.sampled_from([0.0, 1e-12, 1e-8, 1e-4, np.pi - 1e-4, np.pi - 1e-8, np.pi - 1e-12, np.pi])
)


@st.composite
def axis_angles(draw: st.DrawFn) -> np.ndarray:
    axis = draw(arrays(np.float64, (3,), elements=UNIT).filter(lambda v: np.linalg.norm(v) > 1e-3))
    return draw(ANGLES) * axis / np.linalg.norm(axis)


@given(axis_angles())
def test_every_form_is_the_same_rotation(vector: np.ndarray) -> None:
    matrix = rot.matrix_from_axis_angle(vector)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    quaternion = rot.quaternion_from_axis_angle(vector)
    assert np.linalg.norm(quaternion) == pytest.approx(1.0)
    np.testing.assert_allclose(rot.matrix_from_quaternion(quaternion), matrix, atol=1e-14)
    np.testing.assert_allclose(rot.matrix_from_quaternion(-3.0 * quaternion), matrix, atol=1e-14)
    np.testing.assert_allclose(rot.matrix_from_quaternion(rot.quaternion_from_matrix(matrix)), matrix, atol=1e-14)
    back = rot.axis_angle_from_matrix(matrix)
    assert np.linalg.norm(back) <= np.pi + 1e-12
    np.testing.assert_allclose(rot.matrix_from_axis_angle(back), matrix, atol=1e-14)


@given(axis_angles().filter(lambda v: np.linalg.norm(v) < np.pi - 1e-6))
def test_axis_angles_below_a_half_turn_come_back(vector: np.ndarray) -> None:
    np.testing.assert_allclose(rot.axis_angle_from_matrix(rot.matrix_from_axis_angle(vector)), vector, atol=1e-9)
    np.testing.assert_allclose(
        rot.axis_angle_from_quaternion(rot.quaternion_from_axis_angle(vector)), vector, atol=1e-12
    )


@given(axis_angles(), arrays(np.float64, (3,), elements=UNIT))
def test_the_axis_stays_and_a_quarter_turn_is_the_right_hand_rule(vector: np.ndarray, point: np.ndarray) -> None:
    np.testing.assert_allclose(rot.matrix_from_axis_angle(vector) @ vector, vector, atol=1e-13)
    quarter = rot.matrix_from_axis_angle([0.0, 0.0, np.pi / 2])
    np.testing.assert_allclose(quarter @ point, [-point[1], point[0], point[2]], atol=1e-15)


@given(arrays(np.float64, (4, 3), elements=UNIT), arrays(np.float64, (4, 3), elements=UNIT))
def test_a_skew_matrix_makes_the_cross_product(vectors: np.ndarray, others: np.ndarray) -> None:
    made = (rot.skew_from_vector(vectors) @ others[..., None])[..., 0]
    np.testing.assert_allclose(made, np.cross(vectors, others), rtol=0, atol=1e-15)


def test_quaternions_are_x_y_z_w() -> None:
    np.testing.assert_allclose(rot.quaternion_from_axis_angle([np.pi, 0.0, 0.0]), [1.0, 0.0, 0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(rot.quaternion_from_matrix(np.eye(3)), [0.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("batch", [(), (1,), (4,), (2, 3), (0,)])
def test_batches_are_their_elements(batch: tuple[int, ...]) -> None:
    vectors = np.random.default_rng(3).normal(size=(*batch, 3))
    matrices = rot.matrix_from_axis_angle(vectors)
    assert matrices.shape == (*batch, 3, 3)
    assert rot.quaternion_from_matrix(matrices).shape == (*batch, 4)
    assert rot.axis_angle_from_matrix(matrices).shape == vectors.shape
    for index in np.ndindex(batch):
        np.testing.assert_allclose(matrices[index], rot.matrix_from_axis_angle(vectors[index]), atol=1e-15)


def test_what_is_no_rotation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        rot.matrix_from_axis_angle(np.zeros(4))
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        rot.quaternion_from_matrix(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="zero"):
        rot.matrix_from_quaternion(np.zeros((2, 4)))
