from __future__ import annotations

import numpy as np
import pytest

from calibration import Camera, Rig
from calibration.overview import axes_meeting_point, baselines_m, field_of_view_rad


def looking_at(target: list[float], center: list[float], camera_id: str) -> Camera:
    forward = np.subtract(target, center) / np.linalg.norm(np.subtract(target, center))
    right = np.cross(forward, [0.3, 0.5, 0.8])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = [right, np.cross(forward, right), forward]
    T[:3, 3] = -T[:3, :3] @ center
    return Camera(camera_id, 640, 480, [[320, 0, 319.5], [0, 240, 239.5], [0, 0, 1]], T_camera_world=T)


def test_a_pinhole_with_half_its_width_as_focal_length_sees_a_right_angle() -> None:
    camera = looking_at([0, 0, 1], [0, 0, 0], "c")
    np.testing.assert_allclose(np.degrees(field_of_view_rad(camera)), [90, 90])


def test_a_lens_that_folds_inside_the_image_has_no_field_of_view() -> None:
    camera = Camera("c", 1280, 720, [[500, 0, 640], [0, 500, 360], [0, 0, 1]], [-0.33, 0, 0, 0, 0])
    assert np.isnan(field_of_view_rad(camera)).all()


def test_the_axes_meet_where_the_cameras_look() -> None:
    target = [0.1, 0.2, 0.3]
    rig = Rig(tuple(looking_at(target, c, f"c{i}") for i, c in enumerate([[1, 0, 0], [0, 1, 0], [0, 0, 2.0]])))
    meeting = axes_meeting_point(rig)
    assert meeting is not None
    np.testing.assert_allclose(meeting.point_world, target, atol=1e-12)
    assert meeting.miss_m == pytest.approx(0, abs=1e-12)


def test_axes_that_pass_each_other_miss_by_half_their_distance() -> None:
    one, other = looking_at([0, 0, 0], [1, 0, 0], "a"), looking_at([0, 0, 0.2], [0, 1, 0.2], "b")
    meeting = axes_meeting_point(Rig((one, other)))
    assert meeting is not None
    np.testing.assert_allclose(meeting.point_world, [0, 0, 0.1], atol=1e-12)
    assert meeting.miss_m == pytest.approx(0.1)


def test_one_camera_and_parallel_ones_meet_nowhere() -> None:
    one, other = looking_at([0, 0, 1], [0, 0, 0], "a"), looking_at([1, 0, 1], [1, 0, 0], "b")
    assert axes_meeting_point(Rig((one,))) is None
    assert axes_meeting_point(Rig((one, other))) is None


def test_baselines_are_distances_between_the_centres() -> None:
    rig = Rig((looking_at([0, 0, 1], [0, 0, 0], "a"), looking_at([0, 0, 1], [3, 4, 0], "b")))
    np.testing.assert_allclose(baselines_m(rig), [[0, 5], [5, 0]], atol=1e-12)
