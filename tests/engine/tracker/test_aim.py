"""Projections take the local frame's points to where they are in the crops."""

from __future__ import annotations

import numpy as np
import pytest

from capture.frames import Frame, FrameSet
from engine.hand_model import Side
from engine.tracker.aim import Aim, aim_at
from tests.engine.detector.support import START_NS
from tests.engine.tracker.support import MIRROR, RIG, Array, pattern, truth_at

SIZE_PX = 96


@pytest.fixture(scope="module")
def joints_world() -> Array:
    return truth_at("right", 0.02, -0.03, 0.01).joints_world


def _aimed(joints_world: Array, side: Side, missing: tuple[int, ...] = ()) -> Aim:
    frames = tuple(
        None if view in missing else Frame(camera.id, 0, START_NS, START_NS, pattern(view))
        for view, camera in enumerate(RIG)
    )
    return aim_at(FrameSet(0, frames, 0.0), RIG, joints_world, side, SIZE_PX)


def _crop_coordinates(aim: Aim, points_local: Array) -> Array:
    projections = aim.projections().astype(np.float64)
    moved = np.einsum("vik,nk->vni", projections[:, :, :3], points_local) + projections[:, None, :, 3]
    flat: Array = moved[..., :2] / moved[..., 2:]
    return flat


def test_a_point_is_where_its_crop_shows_it(joints_world: Array) -> None:
    aim = _aimed(joints_world, "right")
    assert aim.views == [0, 1, 2, 3]
    np.testing.assert_allclose(aim.origin_world, joints_world.mean(axis=0))
    seen = _crop_coordinates(aim, joints_world - aim.origin_world)
    for view, (camera, crop) in enumerate(zip(RIG, aim.crops, strict=True)):
        assert crop is not None
        turned = camera.to_camera(joints_world) @ crop.R_crop_camera.T
        pixels = crop.pixels(turned[:, :2] / turned[:, 2:])
        np.testing.assert_allclose(seen[view], (2 * pixels + 1) / SIZE_PX - 1, atol=1e-5)
        assert (np.abs(seen[view]) < 1).all()
    # The third row is the depth, in metres.
    depth = aim.projections()[:, 2, 3]
    expected = [camera.to_camera(aim.origin_world)[2] for camera in RIG]
    np.testing.assert_allclose(depth, expected, rtol=0.1)


def test_a_left_hand_is_seen_in_the_mirror(joints_world: Array) -> None:
    right, left = _aimed(joints_world, "right"), _aimed(joints_world, "left")
    points = joints_world - right.origin_world
    seen = _crop_coordinates(left, points * MIRROR)
    np.testing.assert_allclose(seen, _crop_coordinates(right, points) * (-1, 1), atol=1e-6)


def test_views_are_masked_that_are_missing_or_left_out(joints_world: Array) -> None:
    aim = _aimed(joints_world, "right", missing=(1,))
    np.testing.assert_array_equal(aim.mask, [1, 0, 1, 1])
    less = aim.without([3])
    assert less.views == [0, 2]
    assert aim.views == [0, 2, 3]
    projections = less.projections()
    assert projections.dtype == np.float32
    assert np.isfinite(_crop_coordinates(less, joints_world - less.origin_world)).all()
    np.testing.assert_array_equal(projections[[0, 2]], aim.projections()[[0, 2]])
