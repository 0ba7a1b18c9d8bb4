"""Scenes with things, second hands, other lights and activities: the truth stays exact, and hands are hidden."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from engine.hand_model import HandModel, Side
from engine.hand_model.anatomy import joint_axes, joint_limits
from engine.synthetic import HandScene, SceneVariety, make_rig
from engine.synthetic.activities import ACTIVITIES, Activity
from engine.synthetic.motion import HandMotion

RIG = make_rig(3, seed=5, width=160, height=120)
AROUND = make_rig(6, seed=5, width=160, height=120, kind="ring")
SIDES: tuple[Side, ...] = ("right", "left")
NOTHING = SceneVariety(turned=0.0, acting=0.0, bare=0.0, holding=0.0, obstacle=0.0, partner=0.0)
HELD = SceneVariety(holding=1.0, partner=0.0)
MET = SceneVariety(holding=0.0, partner=1.0)
BLOCKED = SceneVariety(holding=0.0, partner=0.0, obstacle=1.0)


@pytest.mark.parametrize("activity", ACTIVITIES, ids=lambda activity: activity.name)
def test_what_hands_do_stays_inside_anatomical_limits(activity: Activity) -> None:
    axes, limits = joint_axes(HandModel.load()), joint_limits()
    motion = HandMotion(5, "right", activity=activity)
    fingers = np.stack([motion.at(0.13 * i).pose[3:].reshape(15, 3) for i in range(60)])
    flexion = np.einsum("nji,ji->nj", fingers, axes.flexion)
    slack = np.radians(8.0)
    assert (flexion[:, :12] > limits.lower[:12, 0] - slack).all()
    assert (flexion[:, :12] < limits.upper[:12, 0] + slack).all()
    # Something is done.
    assert flexion.std(axis=0).max() > np.radians(5.0)


@pytest.mark.parametrize("variety", [HELD, MET, BLOCKED], ids=["held", "met", "blocked"])
def test_equal_seeds_give_equal_pictures_anywhere(variety: SceneVariety) -> None:
    scene = HandScene(seed=9, side="left", variety=variety)
    before = scene.render(RIG.cameras[1], 4)
    copy = pickle.loads(pickle.dumps(scene))  # noqa: S301 - our own bytes
    assert copy == scene
    copy.render(RIG.cameras[1], 30)
    np.testing.assert_array_equal(copy.render(RIG.cameras[1], 4), before)
    assert not np.array_equal(before, HandScene(seed=10, side="left", variety=variety).render(RIG.cameras[1], 4))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("variety", [HELD, MET], ids=["held", "met"])
def test_the_truth_is_of_the_tracked_hand_which_is_hidden_in_part(variety: SceneVariety, side: Side) -> None:
    hidden = []
    for seed in range(2):
        scene = HandScene(seed=seed, side=side, variety=variety)
        (truth,) = scene.truth(40)
        posed = HandModel.load(side=side).with_shape(truth.shape).posed(truth.pose, truth.translation)
        np.testing.assert_allclose(posed.joints, truth.joints_world, atol=1e-12)
        assert truth.side == side
        for camera in AROUND:
            raster = scene.raster(camera, 40)
            ids, depth = raster.mesh_ids(), raster.depth()
            points = camera.to_camera(truth.vertices_world)
            pixels = np.round(camera.project_camera(points)).astype(int)
            inside = camera.contains(pixels)
            columns, rows = pixels[inside].T
            # The first mesh is just where the truth is: where it is seen, none of its skin lies before it.
            mine = ids[rows, columns] == 0
            assert mine.any()
            assert (depth[rows, columns][mine] < points[inside, 2][mine] + 0.006).mean() > 0.9
            in_front = depth[rows, columns] < points[inside, 2] - 0.006
            hidden.append(float((in_front & (ids[rows, columns] > 0)).mean()))
    # Other things lie before it, and not all of it in all views.
    assert max(hidden) > 0.1
    assert min(hidden) < 0.5


@pytest.mark.parametrize("side", SIDES)
def test_a_second_hand_touches_the_first_and_moves_smoothly(side: Side) -> None:
    scene = HandScene(seed=3, side=side, variety=MET)
    gaps, wrists = [], []
    for index in range(8):
        tracked, other = (surface.vertices_world for surface in scene._surfaces(index))
        gaps.append(float(np.linalg.norm(tracked[::5, None] - other[::5], axis=2).min()))
        wrists.append(other[:1609].mean(axis=0))
    # Points of two meshes that touch are some millimetres apart; those of meshes that cross, far less.
    assert min(gaps) > 0.0005
    assert max(gaps) < 0.065
    assert np.linalg.norm(np.diff(wrists, axis=0), axis=1).max() < 0.08


@pytest.mark.parametrize("side", SIDES)
def test_what_stands_in_the_way_is_never_in_the_hand(side: Side) -> None:
    for seed in range(3):
        scene = HandScene(seed=seed, side=side, variety=BLOCKED)
        for index in range(0, 600, 150):
            hand, thing = (surface.vertices_world for surface in scene._surfaces(index))
            count = len(scene.truth(index)[0].vertices_world)
            gaps = np.linalg.norm(hand[:count:4, None] - thing[::4], axis=2)
            assert gaps.min() > 0.005


def test_lights_differ_between_scenes_and_attitudes_too() -> None:
    varied = [HandScene(seed=seed, variety=SceneVariety()) for seed in range(6)]
    plain = [HandScene(seed=seed, variety=NOTHING) for seed in range(6)]

    def fingers_up(scenes: list[HandScene]) -> list[float]:
        (joints,) = zip(*(scene.truth(0) for scene in scenes), strict=True)
        ahead = [truth.joints_world[9] - truth.joints_world[0] for truth in joints]
        return [float(way[2] / np.linalg.norm(way)) for way in ahead]

    assert min(fingers_up(plain)) > 0.3
    assert min(fingers_up(varied)) < 0.0
    colours = [scene._surfaces(0)[0].diffuse_bgr.mean() for scene in varied]
    assert max(colours) > 1.5 * min(colours)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="no variety"):
        HandScene(hands=2, variety=SceneVariety())
    with pytest.raises(ValueError, match="no hands that leave"):
        HandScene(absent_every_s=8.0, variety=SceneVariety())
