"""A rendered scene shows what its truth says."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from capture.scene import Scene
from engine.hand_model import HandModel
from engine.synthetic import HandScene, make_rig
from engine.synthetic.arm import Arm

RIG = make_rig(3, seed=5, width=320, height=240)


def test_it_is_a_scene() -> None:
    scene: Scene = HandScene()
    image = scene.render(RIG.cameras[0], 0)
    assert image.shape == (240, 320, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("hands", [1, 2])
def test_a_pickled_scene_renders_the_same_elsewhere(hands: int) -> None:
    scene = HandScene(hands=2 if hands == 2 else 1, seed=9)
    before = scene.render(RIG.cameras[1], 4)
    data = pickle.dumps(scene)
    assert len(data) < 1000
    copy = pickle.loads(data)  # noqa: S301 - our own bytes
    assert copy == scene
    np.testing.assert_array_equal(copy.render(RIG.cameras[1], 4), before)
    # Whatever was rendered in between.
    for index in (30, 0, 4):
        again = scene.render(RIG.cameras[1], index)
    np.testing.assert_array_equal(again, before)
    assert not np.array_equal(before, HandScene(hands=scene.hands, seed=10).render(RIG.cameras[1], 4))


@pytest.mark.parametrize("side", ["left", "right"])
def test_true_joints_lie_in_the_silhouette(side: str) -> None:
    scene = HandScene(seed=4, side="left" if side == "left" else "right")
    for index in range(0, 300, 25):
        (truth,) = scene.truth(index)
        assert truth.side == side
        for camera in RIG:
            seen = scene.raster(camera, index).mesh_ids() == 0
            rows, columns = np.nonzero(seen)
            pixels = camera.project(truth.joints_world)
            inside = camera.contains(pixels)
            pixels = pixels[inside]
            assert len(pixels) >= 15
            assert (pixels >= (columns.min() - 1, rows.min() - 1)).all()
            assert (pixels <= (columns.max() + 1, rows.max() + 1)).all()
            # Joints are inside the flesh: from any side they are covered by it. Fingertips are on its surface.
            inner = np.round(camera.project(truth.joints_world[[0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 17]])).astype(
                int
            )
            inner = inner[camera.contains(inner)]
            assert seen[inner[:, 1], inner[:, 0]].mean() > 0.9


def test_truth_is_its_own_pose() -> None:
    scene = HandScene(seed=4, hands=2)
    for truth in scene.truth(17):
        posed = HandModel.load(side=truth.side).with_shape(truth.shape).posed(truth.pose, truth.translation)
        np.testing.assert_allclose(posed.joints, truth.joints_world, atol=1e-12)
        np.testing.assert_allclose(posed.vertices(), truth.vertices_world, atol=1e-12)


def test_depth_of_the_picture_is_depth_of_the_mesh() -> None:
    scene, camera = HandScene(seed=4), RIG.cameras[0]
    (truth,) = scene.truth(0)
    depth = scene.raster(camera, 0).depth()
    points = camera.to_camera(truth.vertices_world)
    pixels = np.round(camera.project_camera(points)).astype(int)
    inside = camera.contains(pixels)
    nearest = depth[pixels[inside, 1], pixels[inside, 0]]
    # No vertex lies before what the picture shows there, but where an edge runs through the pixel.
    assert np.isfinite(nearest).mean() > 0.9
    assert (nearest < points[inside, 2] + 0.005).mean() > 0.9
    # And many are just what it shows: the half that faces the camera, less what fingers hide.
    assert (np.abs(nearest - points[inside, 2]) < 0.005).mean() > 0.3


def test_two_hands_are_a_right_and_a_left_that_keep_apart() -> None:
    scene = HandScene(hands=2, seed=1)
    clearance = []
    for index in range(0, 600, 20):
        right, left = scene.truth(index)
        assert (right.side, left.side) == ("right", "left")
        gaps = np.linalg.norm(right.joints_world[:, None] - left.joints_world[None], axis=2)
        clearance.append(gaps.min())
    assert not np.allclose(right.shape, left.shape)
    # A finger is about 2 cm thick.
    assert np.mean(np.array(clearance) > 0.02) > 0.95


def test_absent_hands_leave_and_come_back() -> None:
    scene = HandScene(hands=2, seed=1, absent_every_s=8.0)
    counts = [len(scene.truth(i)) for i in range(240)]
    assert set(counts) == {1, 2}
    assert counts[0] == 2
    with pytest.raises(ValueError, match="at least 6"):
        HandScene(absent_every_s=1.0)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or 2"):
        HandScene(hands=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="above 0"):
        HandScene(rate_hz=0.0)
    with pytest.raises(ValueError, match="period_s is 0"):
        HandScene(period_s=0.0)
    with pytest.raises(ValueError, match="leave period_s out"):
        HandScene(period_s=9.0, absent_every_s=8.0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_forearm_closes_the_wrist_outwards(side: str) -> None:
    model = HandModel.load(side="left" if side == "left" else "right")
    arm = Arm.of(model)
    assert arm is not None
    posed = model.with_shape(np.zeros(10)).posed(np.zeros(48), np.zeros(3))
    hand = posed.vertices()
    vertices = np.concatenate([hand, arm.vertices(posed, hand, np.eye(3))])
    directed = {(int(a), int(b)) for face in arm.faces for a, b in zip(face, np.roll(face, -1), strict=True)}
    assert all((b, a) in directed for a, b in directed)
    # Signed volume of a closed surface is positive when its triangles face outwards.
    a, b, c = (vertices[arm.faces[:, i]] for i in range(3))
    assert np.einsum("ni,ni->n", a, np.cross(b, c)).sum() / 6.0 > 5e-4
