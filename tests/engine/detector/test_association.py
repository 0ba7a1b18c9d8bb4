"""Detections of different views become hands, and hands are not mixed up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import Rig
from engine.detector.association import Candidate, associate, plausible_hand
from engine.detector.views import HandView, observe
from engine.synthetic import HandScene, make_rig
from engine.triangulation import triangulate
from tests.engine.detector.support import hand_view

Array = NDArray[np.float64]

MAX_COST_PX = 16.0
SCENE = HandScene(hands=2, seed=2)


def _probability(right: bool, sure: bool, rng: np.random.Generator) -> float:
    """How a network says a side: mostly right, now and then quite wrong."""
    says_right = right if sure or rng.random() > 0.15 else not right
    return float(rng.uniform(0.8, 0.99) if says_right else rng.uniform(0.01, 0.2))


def _detections(
    rig: Rig, joints: list[Array], rng: np.random.Generator, noise_px: float = 3.0, sure: bool = False
) -> tuple[list[HandView], dict[int, int]]:
    """A detection of each hand in each view, in any order, and which hand each is of."""
    owner: dict[int, int] = {}
    views = []
    for view in range(len(rig)):
        for hand, points in enumerate(joints):
            seen = hand_view(
                rig, view, points, right_probability=_probability(hand == 0, sure, rng), noise_px=noise_px, rng=rng
            )
            views.append(seen)
            owner[id(seen)] = hand
    order = rng.permutation(len(views))
    return [views[i] for i in order], owner


def _two_hands(index: int) -> list[Array]:
    return [truth.joints_world for truth in SCENE.truth(index)]


def _believed(hand: Candidate) -> set[int]:
    """Views of a hand whose joints lie where it is."""
    median = np.nanmedian(hand.triangulated.residual_px[[v.view for v in hand.views]], axis=1)
    return {hand.views[i].view for i in np.flatnonzero(median <= MAX_COST_PX)}


@pytest.mark.parametrize("views", [2, 3, 4, 8])
def test_two_hands_are_told_apart(views: int) -> None:
    rng = np.random.default_rng(views)
    rig = make_rig(views, seed=views)
    for index in range(0, 300, 60 if views == 8 else 15):
        joints = _two_hands(index)
        detections, owner = _detections(rig, joints, rng, sure=True)
        hands = associate(detections, rig, MAX_COST_PX)
        assert sorted(owner[id(hand.views[0])] for hand in hands) == [0, 1], index
        for hand in hands:
            (which,) = {owner[id(view)] for view in hand.views}
            assert sorted(view.view for view in hand.views) == list(range(views))
            assert np.median(np.linalg.norm(hand.triangulated.joints_world - joints[which], axis=1)) < 0.008
            assert hand.cost_px < 8.0


@pytest.mark.parametrize("views", [3, 4, 8])
def test_views_that_mistake_the_side_do_not_mix_hands_up(views: int) -> None:
    rng = np.random.default_rng((views, 2))
    rig = make_rig(views, seed=views)
    ghosts = mixed = 0
    indices = range(0, 300, 30 if views == 8 else 10)
    for index in indices:
        joints = _two_hands(index)
        detections, owner = _detections(rig, joints, rng)
        hands = associate(detections, rig, MAX_COST_PX)
        away = [min(np.median(np.linalg.norm(h.triangulated.joints_world - j, axis=1)) for j in joints) for h in hands]
        ghosts += len(hands) != 2 or max(away) > 0.01
        mixed += any(len({owner[id(view)] for view in hand.views}) > 1 for hand in hands)
    # With three views a pair of different hands can by chance agree better than any right one.
    assert ghosts <= (0.1 * len(indices) if views == 3 else 0)
    assert mixed <= 0.1 * len(indices), f"{mixed} of {len(indices)}"


@pytest.mark.parametrize("views", [3, 4, 8])
def test_the_views_of_a_hand_all_agree_with_it(views: int) -> None:
    rng = np.random.default_rng((views, 3))
    rig = make_rig(views, seed=views)
    for index in range(0, 300, 30 if views == 8 else 10):
        detections, _ = _detections(rig, _two_hands(index), rng)
        for hand in associate(detections, rig, MAX_COST_PX):
            assert _believed(hand) == {view.view for view in hand.views}, index


@pytest.mark.parametrize("views", [3, 4])
def test_false_detections_stay_alone(views: int) -> None:
    rng = np.random.default_rng((views, 1))
    rig = make_rig(views, seed=views)
    wrong = 0
    indices = range(0, 300, 10)
    for index in indices:
        joints = _two_hands(index)
        detections, owner = _detections(rig, joints, rng, sure=True)
        # A face, a sleeve: something hand-like in two views, each somewhere else.
        for view in rng.choice(views, 2, replace=False):
            place = rng.normal((0.0, 0.1, 0.05), 0.1)
            stray = hand_view(rig, int(view), rng.normal(0.0, 0.03, (21, 3)) + place, right_probability=0.5)
            detections.insert(int(rng.integers(len(detections) + 1)), stray)
            owner[id(stray)] = 2 + int(view)
        hands = associate(detections, rig, MAX_COST_PX)
        wrong += sorted(sorted({owner[id(view)] for view in hand.views}) for hand in hands) != [[0], [1]]
    assert wrong == 0, f"{wrong} of {len(indices)}"


def test_a_hand_that_some_views_miss_is_joined_from_the_others() -> None:
    rng = np.random.default_rng(5)
    rig = make_rig(4, seed=4)
    for index in range(0, 200, 20):
        detections, owner = _detections(rig, _two_hands(index), rng, sure=True)
        # The right hand in views 0 and 2 only, the left one in 1, 2 and 3.
        kept = [d for d in detections if (d.view in (0, 2) if owner[id(d)] == 0 else d.view in (1, 2, 3))]
        hands = associate(kept, rig, MAX_COST_PX)
        assert sorted((owner[id(h.views[0])], sorted(v.view for v in h.views)) for h in hands) == [
            (0, [0, 2]),
            (1, [1, 2, 3]),
        ]


def test_hands_of_single_views_are_none() -> None:
    rng = np.random.default_rng(6)
    rig = make_rig(4, seed=4)
    assert associate([], rig, MAX_COST_PX) == []
    right, left = _two_hands(0)
    alone = [hand_view(rig, 0, right, rng=rng), hand_view(rig, 1, left, right_probability=0.05, rng=rng)]
    assert associate(alone, rig, MAX_COST_PX) == []
    doubled = [hand_view(rig, 2, right, rng=rng), hand_view(rig, 2, right, rng=rng)]
    assert associate(doubled, rig, MAX_COST_PX) == []


def test_a_doubled_detection_does_not_make_a_second_hand_of_its_own_view() -> None:
    rng = np.random.default_rng(7)
    rig = make_rig(3, seed=4)
    right, _ = _two_hands(40)
    detections = [hand_view(rig, view, right, noise_px=2.0, rng=rng) for view in (0, 1, 2, 1)]
    hands = associate(detections, rig, MAX_COST_PX)
    assert len(hands) == 1
    assert sorted(view.view for view in hands[0].views) == [0, 1, 2]


def test_a_hand_of_no_human_size_is_none() -> None:
    rig = make_rig(3, seed=4)
    right, _ = _two_hands(40)
    middle = right.mean(axis=0)
    for scale in (0.3, 2.5):
        scaled = middle + (right - middle) * scale
        detections = [hand_view(rig, view, scaled) for view in range(3)]
        triangulated = triangulate(observe(detections, rig))
        assert triangulated is not None
        assert not plausible_hand(triangulated.joints_world)
        assert associate(detections, rig, MAX_COST_PX) == []


def test_what_a_view_says_is_observed_in_its_place() -> None:
    rig = make_rig(4, seed=4)
    right, _ = _two_hands(40)
    seen = [hand_view(rig, view, right, presence=0.7 + 0.1 * view) for view in (3, 1)]
    observed = observe(seen, rig)
    assert (observed.confidence[[0, 2]] == 0).all()
    assert (observed.confidence[1] == 0.7 + 0.1).all()
    for view in (1, 3):
        homogeneous = np.column_stack([right, np.ones(21)]) @ observed.projections[view].T
        np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], observed.points[view], atol=1e-9)
    for view in seen:
        camera = rig.cameras[view.view]
        np.testing.assert_allclose(view.keypoints_px(camera), camera.project(right), atol=1e-6)
        directions = view.joint_directions()
        np.testing.assert_allclose(directions[:, 2], 1.0)
        np.testing.assert_allclose(np.cross(directions, camera.to_camera(right)), 0.0, atol=1e-9)
