"""The network engine follows what its network sees: with a network that knows the truth, its answers are the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration import Rig
from capture.frames import FrameSet
from engine.detector.roster import RosterConfig
from engine.errors import EngineError
from engine.smoothing import OneEuroConfig
from engine.synthetic import HandScene, make_rig
from engine.tracker.config import TrackerConfig
from engine.tracker.engine import NetworkEngine
from tests.engine.detector.scripted import ScriptedEyes, Shown
from tests.engine.detector.support import model
from tests.engine.tracker.conftest import MakeShow
from tests.engine.tracker.support import (
    CARD,
    MIRROR,
    PERIOD_NS,
    RIG,
    WORLD_COVARIANCE_MM2,
    Array,
    Oracle,
    Show,
    assert_is,
    card,
    pattern,
    truth_at,
)

# Following


@pytest.mark.parametrize(("side", "seed"), [("right", 3), ("left", 4)])
def test_a_hand_is_followed_exactly(side: str, seed: int, show: Show) -> None:
    scene = HandScene(hands=1, seed=seed, side="left" if side == "left" else "right")
    for index in range(25):
        (truth,) = scene.truth(index)
        (pose,) = show.hands(truth)
        assert pose.id == 0
        assert_is(pose, truth)
        np.testing.assert_allclose(pose.covariance_mm2, np.tile(WORLD_COVARIANCE_MM2, (21, 1, 1)))
        assert (pose.reprojection_px < 0.01).all()
        assert (pose.view_weight > 0.999).all()
        assert pose.confidence == pytest.approx(0.8, abs=1e-3)
        (row,) = show.last_rows
        assert row.mirrored == (side == "left")
    # One run a frame set, the first one's right after the hand was found.
    assert len(show.oracle.rows) == 25


def test_each_view_counts_at_its_own_exposure(show: Show) -> None:
    step_m = np.array([0.01, 0.0, 0.004])
    late_ns = (-16_000_000, 16_000_000, -9_000_000, 9_000_000)
    # A hand that goes on stands before a camera as before one that goes back: the network must be told so.
    moved = [camera.moved(-late / PERIOD_NS * step_m) for camera, late in zip(RIG, late_ns, strict=True)]
    for index in range(20):
        truth = truth_at("right", *(step_m * (index - 10)))
        late = index >= 15
        show.oracle.rig = Rig(tuple(moved)) if late else RIG
        (pose,) = show.hands(truth, late_ns=late_ns if late else (0, 0, 0, 0))
        assert_is(pose, truth, 2e-4)
        assert (pose.reprojection_px < 0.2).all()


def test_two_hands_go_through_the_network_together(show: Show) -> None:
    scene = HandScene(hands=2, seed=8)
    for index in range(12):
        truth = scene.truth(index)
        poses = show.hands(*truth)
        assert sorted(pose.side for pose in poses) == ["left", "right"]
        for pose in poses:
            assert_is(pose, next(hand for hand in truth if hand.side == pose.side))
        assert len(show.oracle.rows) == index + 1
        assert len(show.last_rows) == 2
        assert sum(row.mirrored for row in show.last_rows) == 1
    assert {pose.id for pose in poses} == {0, 1}


def test_no_more_hands_than_asked_for(make_show: MakeShow) -> None:
    show = make_show(TrackerConfig(roster=RosterConfig(max_hands=1)))
    for index in range(4):
        poses = show.hands(*HandScene(hands=2, seed=8).truth(index))
        assert [pose.id for pose in poses] == [0]


def test_equal_frames_make_equal_answers(make_show: MakeShow) -> None:
    scene = HandScene(hands=2, seed=8)

    def run(show: Show) -> tuple[list[Array], list[Array]]:
        answered = []
        for index in range(8):
            poses = show.hands(*scene.truth(index), missing=(index % 4,) if index > 4 else ())
            answered += [getattr(pose, name) for pose in poses for name in ("joints_world", "pose", "view_weight")]
        shown = [array for step in show.oracle.inputs for array in (step.crops, step.projections, step.noise)]
        return answered, shown

    for first, second in zip(run(make_show()), run(make_show()), strict=True):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_card_says_what_runs(show: Show) -> None:
    show.hands(truth_at("right"))
    engine = show.engine
    assert engine.card.model_id == CARD.model_id
    assert engine.card.kind == "network"
    assert engine.card.backend == "oracle 1.0"
    assert engine.card.hand_model == model().name
    assert engine.hand_model("left").side == "left"
    assert list(engine.stages_s) == ["crops", "network", "poses", "new hands"]
    assert all(seconds >= 0 for seconds in engine.stages_s.values())
    engine.close()
    assert show.oracle.closed


def test_a_frame_set_of_nothing_and_one_of_another_rig(show: Show) -> None:
    show.hands(truth_at("right"))
    assert show.engine.process(FrameSet(1, (None,) * 4, 0.0), RIG) == ()
    with pytest.raises(ValueError, match="3 views and the rig 4"):
        show.engine.process(FrameSet(2, (None,) * 3, 0.0), RIG)


# Views


def test_a_view_that_drops_out_is_masked_and_comes_back(show: Show) -> None:
    scene = HandScene(hands=1, seed=3)
    for index in range(16):
        (truth,) = scene.truth(index)
        missing = (index // 4,) if index % 4 else ()
        (pose,) = show.hands(truth, missing=missing)
        assert pose.id == 0
        assert_is(pose, truth)
        there = np.isin(np.arange(4), missing, invert=True)
        np.testing.assert_array_equal(show.last_rows[0].mask, there)
        np.testing.assert_array_equal(pose.view_weight > 0.9, there)
        np.testing.assert_array_equal(np.isfinite(pose.reprojection_px), there)
        np.testing.assert_array_equal(np.isfinite(pose.keypoints_px).all(axis=(1, 2)), there)
        np.testing.assert_array_equal((pose.view_confidence > 0).all(axis=1), there)
        # It is the mask that changes, not the stream.
        assert np.isfinite(show.last_rows[0].state[: min(index, 3)]).all()


def test_a_view_that_cannot_see_the_place_is_masked(show: Show) -> None:
    # Far to the side, the hand has left the picture of some cameras.
    for step in range(40):
        truth = truth_at("right", x=0.01 * step)
        poses = show.hands(truth)
        if not poses:
            break
        inside = [int(camera.contains(camera.project(truth.joints_world)).sum()) for camera in RIG]
        for view, count in enumerate(inside):
            if count == 21:
                assert show.last_rows[0].mask[view] == 1
            if count == 0:
                assert show.last_rows[0].mask[view] == 0
    assert step > 5
    assert show.last_rows[0].mask.sum() < 4


def test_a_hand_that_one_view_sees_is_not_shown_nor_run(show: Show) -> None:
    truth = truth_at("right")
    show.hands(truth)
    assert show.hands(truth, missing=(0, 2, 3)) == ()
    assert len(show.oracle.rows) == 1
    (pose,) = show.hands(truth, missing=(0, 3))
    assert pose.id == 0
    np.testing.assert_array_equal(np.isfinite(pose.reprojection_px), [False, True, True, False])


def test_a_view_that_disagrees_weighs_little_and_says_by_how_much(show: Show) -> None:
    truth = truth_at("right")
    show.hands(truth)
    show.oracle.off_px = {1: np.array([4.0, 0.0]), 2: np.array([0.0, 40.0])}
    (pose,) = show.hands(truth)
    assert_is(pose, truth)
    assert (pose.view_weight[[0, 3]] > 0.999).all()
    assert 0.5 < pose.view_weight[1] < 0.95
    assert pose.view_weight[2] < 0.05
    assert (pose.view_confidence[2] < 0.05).all()
    # Four pixels of the crop, in the camera's own pixels.
    camera = RIG.cameras[1]
    expected = np.linalg.norm(pose.keypoints_px[1] - camera.project(truth.joints_world), axis=1)
    assert pose.reprojection_px[1] == pytest.approx(np.median(expected), abs=1e-3)
    palm_px = float(np.linalg.norm(np.subtract(*camera.project(truth.joints_world[[0, 9]]))))
    assert 0.05 * palm_px < pose.reprojection_px[1] < 0.3 * palm_px
    # What it saw is told all the same, but it was not used.
    assert np.isfinite(pose.keypoints_px[2]).all()
    assert np.isnan(pose.reprojection_px[2])
    # A left hand's joints are told where they were seen, too, not in the mirror.
    show.engine.reset()
    left = truth_at("left", x=-0.05)
    (pose,) = show.hands(left)
    seen = camera.project(left.joints_world)
    assert np.linalg.norm(pose.keypoints_px[0] - RIG.cameras[0].project(left.joints_world), axis=1).max() < 0.01
    moved = pose.keypoints_px[1] - seen
    assert np.linalg.norm(moved, axis=1).min() > 0.03 * palm_px


def test_a_blind_view_is_not_counted(show: Show) -> None:
    truth = truth_at("right")
    show.hands(truth)
    show.oracle.blind_views = {0, 1}
    (pose,) = show.hands(truth)
    np.testing.assert_array_equal(pose.view_weight > 0, [False, False, True, True])
    assert np.isnan(pose.keypoints_px[:2]).all()
    show.oracle.blind_views = {0, 1, 2}
    assert show.hands(truth) == ()


def test_a_view_that_shows_another_hand_is_left_out(show: Show) -> None:
    right, left = truth_at("right", x=0.06), truth_at("left", x=-0.06)
    show.hands(right, left)
    show.hands(right, left)
    runs = len(show.oracle.rows)
    show.oracle.drawn_to = {(2, "right"): left}
    poses = show.hands(right, left)
    # Once for both, and once more for the one with the view that went astray.
    assert [len(rows) for rows in show.oracle.rows[runs:]] == [2, 1]
    np.testing.assert_array_equal(show.last_rows[0].mask, [1, 1, 0, 1])
    for pose in poses:
        assert_is(pose, right if pose.side == "right" else left)
        assert (pose.view_weight[2] == 0) == (pose.side == "right")
    # Both runs began with the same memory, and only one is remembered.
    assert show.oracle.rows[runs][0].state == show.last_rows[0].state
    show.oracle.drawn_to = {}
    show.hands(right, left)
    row = next(row for row in show.last_rows if not row.mirrored)
    assert row.state == (runs + 2, runs, runs - 1)


# Memory


def _marks(show: Show) -> tuple[float, ...]:
    (row,) = show.last_rows
    return row.state


def test_the_memory_is_handed_on(show: Show) -> None:
    nan = pytest.approx(np.nan, nan_ok=True)
    truth = truth_at("right")
    expected = [(nan, nan, nan), (1, nan, nan), (2, 1, nan), (3, 2, 1), (4, 3, 2)]
    for marks in expected:
        show.hands(truth)
        assert _marks(show) == marks


def test_a_missed_frame_is_a_gap_in_the_memory(show: Show) -> None:
    nan = pytest.approx(np.nan, nan_ok=True)
    truth = truth_at("right")
    for _ in range(3):
        show.hands(truth)
    # Not seen by the network: what it made of that frame is not remembered.
    show.oracle.blind_views = {0, 1, 2, 3}
    assert show.hands(truth, unseen_by_eyes=True) == ()
    show.oracle.blind_views = set()
    show.hands(truth)
    assert _marks(show) == (nan, 3, 2)
    # Not run at all.
    assert show.hands(truth, missing=(0, 1, 2)) == ()
    show.hands(truth)
    assert _marks(show) == (nan, 5, nan)


def test_the_memory_ends_with_a_gap_in_time(show: Show) -> None:
    truth = truth_at("right")
    show.hands(truth)
    show.hands(truth, wait_ns=249_000_000)
    show.hands(truth, wait_ns=251_000_000)
    assert np.isfinite(_marks(show)[:2]).all()
    (pose,) = show.hands(truth)
    assert pose.id == 0
    assert np.isnan(_marks(show)).all()
    # And when time goes back.
    show.now_ns -= 3 * PERIOD_NS
    (pose,) = show.hands(truth)
    assert pose.id == 0
    assert np.isnan(_marks(show)).all()


def test_the_memory_ends_with_the_calibration(show: Show) -> None:
    truth = truth_at("right")
    for _ in range(3):
        (before,) = show.hands(truth)
    show.move_to(make_rig(4, seed=9, width=480, height=360))
    (after,) = show.hands(truth)
    assert after.id != before.id
    assert np.isnan(_marks(show)).all()
    assert_is(after, truth)
    # Another number of cameras.
    show.move_to(make_rig(3, seed=9, width=480, height=360))
    (after,) = show.hands(truth)
    assert_is(after, truth)
    show.engine.reset()
    show.hands(truth)
    assert np.isnan(_marks(show)).all()


def test_a_network_without_a_memory_is_followed_too(make_show: MakeShow) -> None:
    show = make_show(card=card(past=0))
    for index in range(3):
        (truth,) = HandScene(hands=1, seed=3).truth(index)
        (pose,) = show.hands(truth)
        assert_is(pose, truth)
        show.hands(truth, missing=(0, 1, 2))


# Coming and going


def test_a_blink_keeps_the_id(show: Show) -> None:
    truth = truth_at("right")
    for index in range(12):
        poses = show.hands() if index in (4, 5, 8) else show.hands(truth)
        assert [pose.id for pose in poses] == ([] if index in (4, 5, 8) else [0])


def test_a_lost_hand_is_found_elsewhere_and_remembers_nothing(show: Show) -> None:
    for _ in range(4):
        show.hands(truth_at("right"))
    assert show.hands() == ()
    moved = truth_at("right", x=0.2)
    (pose,) = show.hands(moved)
    assert pose.id == 0
    assert_is(pose, moved)
    assert np.isnan(_marks(show)).all()


def test_a_hand_that_left_is_gone_and_comes_back_as_another(show: Show) -> None:
    truth = truth_at("right")
    show.hands(truth)
    for _ in range(15):
        assert show.hands() == ()
    for _ in range(3):
        (pose,) = show.hands(truth)
        assert pose.id == 1
        assert_is(pose, truth)


def test_a_hand_that_the_network_does_not_see_waits_for_it(show: Show) -> None:
    truth = truth_at("right")
    show.oracle.blind_views = {0, 1, 2, 3}
    for _ in range(5):
        assert show.hands(truth) == ()
    show.oracle.blind_views = set()
    (pose,) = show.hands(truth)
    assert_is(pose, truth)
    for _ in range(30):
        (same,) = show.hands(truth)
        assert same.id == pose.id


def test_of_two_tracks_on_one_hand_one_goes(show: Show) -> None:
    right = truth_at("right")
    start = 0.16
    poses = show.hands(truth_at("left"), truth_at("right", x=start))
    poses = show.hands(truth_at("left"), truth_at("right", x=start))
    (expected,) = [pose.id for pose in poses if pose.side == "right"]
    # The left hand is gone at once, and the right one comes to its place and stops there.
    for index in range(1, 12):
        truth = truth_at("right", x=max(start - 0.04 * index, 0.0))
        (pose,) = show.hands(truth)
        assert (pose.id, pose.side) == (expected, "right"), index
        assert_is(pose, truth)
    assert_is(pose, right)


@pytest.mark.parametrize(
    "instead",
    [
        {"joints": np.full((21, 3), np.nan)},
        {"rotations": np.full((16, 3, 3), np.inf)},
        {"valid": np.array(0.0)},
        {"joints": np.zeros((21, 3))},
        {"mano_joints": np.random.default_rng(1).normal(0.0, 0.5, (21, 3))},
        {"reprojection_px": np.full((4, 21), 20.0)},
        {"view_confidence": np.full((4, 21), 0.05)},
        {"state": np.full((2, 2, 3, 21, 4), np.nan)},
    ],
)
def test_what_is_no_hand_is_not_shown(instead: dict[str, Array], show: Show) -> None:
    truth = truth_at("right")
    show.hands(truth)
    show.oracle.instead = instead
    assert show.hands(truth) == ()
    assert show.hands(truth) == ()
    show.oracle.instead = {}
    (pose,) = show.hands(truth)
    assert pose.id == 0
    assert_is(pose, truth)


def test_a_failure_of_the_runtime_is_not_swallowed(show: Show) -> None:
    truth = truth_at("right")
    for _ in range(3):
        show.hands(truth)
    show.oracle.failure = EngineError("the accelerator is gone")
    with pytest.raises(EngineError, match="gone"):
        show.hands(truth)
    show.oracle.failure = None
    (pose,) = show.hands(truth)
    assert pose.id == 0
    assert _marks(show) == (3, 2, 1)


# Second opinions


def test_a_side_that_was_wrong_is_put_right(show: Show) -> None:
    truth = truth_at("left")
    for _ in range(3):
        show.hands(truth, said_right=0.99)
    sides = []
    for _ in range(45):
        sides += [pose.side for pose in show.hands(truth)]
    assert sides[0] == "right"
    assert sides[-1] == "left"
    assert sides == sorted(sides, reverse=True)
    (pose,) = show.hands(truth)
    assert_is(pose, truth)


@pytest.mark.parametrize("gap", [1, 6])
def test_another_hand_where_one_was_lost_soon_has_its_own_side(gap: int, show: Show) -> None:
    for _ in range(100):
        show.hands(truth_at("left"))
    for _ in range(gap):
        assert show.hands() == ()
    truth = truth_at("right")
    sides = [pose.side for _ in range(40) for pose in show.hands(truth)]
    # The network takes it for the left one, and has no say in the side; who has is asked at once.
    assert sides.index("right") < 25
    assert sides == sorted(sides)
    (pose,) = show.hands(truth)
    assert_is(pose, truth)


def test_what_the_network_makes_up_where_a_hand_was_lost_is_not_shown(show: Show) -> None:
    truth = truth_at("right")
    for _ in range(30):
        show.hands(truth)
    show.oracle.blind_views = {0, 1, 2, 3}
    assert show.hands(truth, unseen_by_eyes=True) == ()
    # The network sees a hand again, and nobody else does.
    show.oracle.blind_views = set()
    for _ in range(20):
        assert show.hands(truth, unseen_by_eyes=True) == ()
    # Given up by now: it comes back as another.
    (pose,) = show.hands(truth)
    assert pose.id == 1


def test_a_lost_hand_that_any_view_still_sees_comes_back(show: Show) -> None:
    truth = truth_at("right")
    for _ in range(30):
        show.hands(truth)
    show.oracle.blind_views = {0, 1, 2, 3}
    assert show.hands(truth, unseen_by_eyes=True) == ()
    show.oracle.blind_views = set()
    # One view is too few to find it anew.
    show.eyes.shown = [Shown("right", truth.joints_world, views=(3,))]
    show.oracle.hands = (truth,)
    (pose,) = show.frames([pattern(view) for view in range(4)])
    assert pose.id == 0
    assert_is(pose, truth)


def test_what_the_network_makes_up_is_given_up(show: Show) -> None:
    truth = truth_at("right")
    for _ in range(60):
        show.hands(truth)
    shown = [len(show.hands(truth, unseen_by_eyes=True)) for _ in range(100)]
    # A hand that the landmark network overlooks once or twice stays.
    assert all(shown[:10])
    assert not any(shown[90:])


def test_a_settled_track_is_rarely_asked_about(make_show: MakeShow, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = ScriptedEyes.look

    def counted(self: ScriptedEyes, *args: object) -> object:
        looks.append(show.number)
        return look(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(ScriptedEyes, "look", counted)
    truth = truth_at("right")
    show = make_show(TrackerConfig(roster=RosterConfig(max_hands=1)))
    for _ in range(181):
        show.hands(truth)
    asked = sorted({number for number in looks if number > 0})
    # Five times in the first second, after what was said when it was found; then every two seconds, two views each.
    assert asked[0] in (6, 7)
    assert 4 <= sum(number <= 31 for number in asked) <= 6
    assert 2 <= sum(number > 31 for number in asked) <= 3
    assert all(looks.count(number) == 2 for number in asked)


# Answers


def test_the_shape_settles_and_bones_keep_their_lengths(show: Show) -> None:
    shape = np.random.default_rng(5).normal(0.0, 0.8, 10)
    show.oracle.shape_noise = 0.5
    lengths = []
    for index in range(120):
        truth = truth_at("right", x=0.05 * np.sin(index / 10), shape=shape, curl=0.4 + 0.3 * np.sin(index / 7))
        (pose,) = show.hands(truth)
        joints = pose.posed.joints
        lengths.append(np.linalg.norm(joints[[5, 6, 7, 9, 10, 11]] - joints[[0, 5, 6, 0, 9, 10]], axis=1))
        palm = [0, 5, 9, 13, 17]
        np.testing.assert_allclose(joints[palm].mean(axis=0), truth.joints_world[palm].mean(axis=0), atol=1e-5)
    assert np.abs(pose.shape - shape).max() < 0.3
    # A shape that is 0.5 off in every element and frame moves a bone by a millimetre; what is settled hardly moves.
    assert np.ptp(lengths[60:], axis=0).max() < 3e-4
    # A hand of that side that comes back has it from the start.
    for _ in range(15):
        show.hands()
    (back,) = show.hands(truth)
    assert back.id == 1
    assert np.abs(back.shape - shape).max() < 0.5
    assert np.abs(back.shape - pose.shape).max() < 0.5


def test_the_joints_may_be_the_query_points(make_show: MakeShow) -> None:
    truth = truth_at("left")
    for chosen in ("mano", "queries"):
        show = make_show(TrackerConfig(answer_joints="queries" if chosen == "queries" else "mano"))
        show.oracle.query_offset_m = np.array([0.004, 0.0, -0.002])
        for _ in range(3):
            (pose,) = show.hands(truth)
        off = show.oracle.query_offset_m if chosen == "queries" else np.zeros(3)
        np.testing.assert_allclose(pose.joints_world, truth.joints_world + off, atol=1e-5)
        np.testing.assert_allclose(pose.posed.joints, truth.joints_world, atol=1e-5)


def test_smoothing_steadies_joints_and_mesh_alike(make_show: MakeShow) -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(0.0, 0.002, (40, 3))
    spread = []
    for smoothing in (None, OneEuroConfig()):
        show = make_show(TrackerConfig(smoothing=smoothing))
        joints, mesh = [], []
        for off in noise:
            truth = truth_at("right", off[0], off[1], off[2], curl=0.3 + 10 * off[0])
            (pose,) = show.hands(truth)
            again = pose.posed.shaped.posed(pose.pose, pose.translation)
            np.testing.assert_allclose(again.joints, pose.posed.joints, atol=1e-9)
            joints.append(pose.joints_world)
            mesh.append(pose.vertices_world)
        spread.append([np.std(points[10:], axis=0).mean() for points in (joints, mesh)])
    assert (np.array(spread[1]) < 0.6 * np.array(spread[0])).all()


# What cannot run


def test_another_hand_model_is_refused() -> None:
    oracle = Oracle(card=replace(CARD, hand_model="mano-right", hand_model_sha256="ab" * 32))
    with pytest.raises(EngineError, match=rf"mano-right \(abababababab\).*{model().name}.*without --hand-model"):
        NetworkEngine(oracle, model())


def test_a_network_that_waits_for_the_future_is_refused() -> None:
    with pytest.raises(EngineError, match="lookahead 0"):
        NetworkEngine(Oracle(card=card(lookahead=2)), model())


def test_more_cameras_than_the_network_takes_are_refused(show: Show) -> None:
    cameras = make_rig(8, seed=1, width=480, height=360).cameras
    rig = Rig((*cameras, replace(cameras[0], id="ninth")))
    show.move_to(rig)
    with pytest.raises(EngineError, match=r"9 cameras.*takes 8"):
        show.frames([pattern(view) for view in range(9)])


def test_the_mirror_of_a_right_hand_is_a_left_one() -> None:
    # The support's own hands, which all of the above leans on.
    right, left = truth_at("right", x=0.02), truth_at("left", x=-0.02)
    np.testing.assert_allclose(left.joints_world, right.joints_world * MIRROR, atol=1e-12)
