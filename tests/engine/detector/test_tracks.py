"""How tracks start, go on and end, with networks that say what the test tells them to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from calibration import Camera, Rig
from capture.frames import Frame, FrameSet
from engine.detector.engine import DetectorEngine
from engine.synthetic import make_rig
from engine.synthetic.rigs import look_at
from engine.types import HandPose
from tests.engine.detector.scripted import ScriptedEyes, Shown, hand_at
from tests.engine.detector.support import START_NS, model

RIG = make_rig(4, seed=8, width=480, height=360)
PERIOD_NS = 33_333_333
BLANK = np.zeros((360, 480, 3), np.uint8)


class ScriptedEngine(DetectorEngine):
    """The engine, with eyes that see a script."""

    def __init__(self) -> None:
        self._script = ScriptedEyes(RIG)
        super().__init__(model(), threads=1, eyes=self._script)
        self._clock = 0

    def show(self, *shown: Shown, rig: Rig = RIG, sets: int = 1) -> tuple[HandPose, ...]:
        """Process so many frame sets with these hands in them; the last one's poses."""
        self._script.shown, self._script.rig = list(shown), rig
        poses: tuple[HandPose, ...] = ()
        for _ in range(sets):
            stamp_ns = START_NS + self._clock * PERIOD_NS
            frames = tuple(Frame(camera.id, self._clock, stamp_ns, stamp_ns, BLANK) for camera in rig)
            poses = self.process(FrameSet(self._clock, frames, 0.0), rig)
            self._clock += 1
        return poses


@pytest.fixture
def tracker() -> Iterator[ScriptedEngine]:
    scripted = ScriptedEngine()
    yield scripted
    scripted.close()


def test_the_script_is_followed(tracker: ScriptedEngine) -> None:
    for index in range(10):
        joints = hand_at("right", x=0.01 * index)
        (pose,) = tracker.show(Shown("right", joints))
        assert (pose.id, pose.side) == (0, "right")
        assert np.median(np.linalg.norm(pose.joints_world - joints, axis=1)) < 0.004
        assert pose.confidence > 0.9


def test_hands_that_swap_places_keep_their_ids(tracker: ScriptedEngine) -> None:
    ids = set()
    for index in range(40):
        x = 0.12 * np.cos(np.pi * index / 39)
        right, left = hand_at("right", x=x, y=0.05), hand_at("left", x=-x, y=-0.09)
        poses = tracker.show(Shown("right", right), Shown("left", left))
        by_side = {pose.side: pose for pose in poses}
        for side, joints in (("right", right), ("left", left)):
            if side in by_side:
                away = np.median(np.linalg.norm(by_side[side].joints_world - joints, axis=1))
                assert away < 0.02, (index, side, away)
                ids.add((by_side[side].id, side))
    assert len(poses) == 2
    assert len(ids) == 2


@pytest.mark.parametrize("step_m", [0.03, 0.05])
def test_a_hand_stays_when_it_comes_to_where_another_was_lost(step_m: float, tracker: ScriptedEngine) -> None:
    # A left hand that shows its back has its joints where a right hand that shows its palm has them.
    right = hand_at("right")
    left = right * (1.0, -1.0, 1.0)
    start = 4 * step_m
    poses = tracker.show(Shown("left", left), Shown("right", right + np.array([start, 0.0, 0.0])), sets=3)
    (expected,) = {pose.id for pose in poses if pose.side == "right"}
    # The left hand is gone at once, and the right one comes to its place and stops there.
    for index in range(1, 12):
        (pose,) = tracker.show(Shown("right", right + np.array([max(start - step_m * index, 0.0), 0.0, 0.0])))
        assert (pose.id, pose.side) == (expected, "right"), index


@pytest.mark.parametrize("views", [3, 4, 8])
def test_one_frame_set_that_mistakes_the_side_changes_nothing(views: int, tracker: ScriptedEngine) -> None:
    rig = make_rig(views, seed=8, width=480, height=360)
    joints = hand_at("right")
    tracker.show(Shown("right", joints), rig=rig, sets=5)
    said = [0.01, None, None, 0.01, None]
    for right in said:
        (pose,) = tracker.show(Shown("right", joints, said_right=right), rig=rig)
        assert (pose.id, pose.side) == (0, "right")


def test_a_side_that_was_wrong_is_put_right(tracker: ScriptedEngine) -> None:
    joints = hand_at("left")
    tracker.show(Shown("left", joints, said_right=0.99), sets=3)
    for _ in range(30):
        poses = tracker.show(Shown("left", joints))
    (pose,) = poses
    assert pose.side == "left"


def test_a_lost_hand_is_not_shown_where_it_was(tracker: ScriptedEngine) -> None:
    tracker.show(Shown("right", hand_at("right")), sets=4)
    for _ in range(30):
        assert tracker.show() == ()


def test_a_hand_that_one_view_sees_is_not_shown(tracker: ScriptedEngine) -> None:
    joints = hand_at("right")
    tracker.show(Shown("right", joints), sets=4)
    assert tracker.show(Shown("right", joints, views=(2,)), sets=3) == ()
    (pose,) = tracker.show(Shown("right", joints, views=(1, 2)), sets=2)
    np.testing.assert_array_equal(np.isfinite(pose.reprojection_px), [False, True, True, False])


@pytest.mark.parametrize("seen", [(0,), (3,)])
def test_views_that_see_different_hands_make_none(seen: tuple[int, ...], tracker: ScriptedEngine) -> None:
    # Each hand shows in one view only: nothing confirms either.
    here, there = hand_at("right", x=0.05, z=0.05), hand_at("right", x=-0.08, z=-0.06)
    other = (1,) if seen == (0,) else (2,)
    for _ in range(3):
        assert tracker.show(Shown("right", here, views=seen), Shown("right", there, views=other)) == ()


def test_a_camera_with_a_hand_behind_it_sees_the_other(tracker: ScriptedEngine) -> None:
    near, far = hand_at("right", x=0.1), hand_at("left", x=-0.1, y=0.35)
    # Three cameras see both hands; the last one stands between the hands and looks at the right one.
    K = np.array([[300.0, 0.0, 240.0], [0.0, 300.0, 180.0], [0.0, 0.0, 1.0]])
    middle = np.array([0.0, 0.15, 0.0])
    poses_of_cameras = [look_at(np.array([x, 1.0, 0.2]), middle) for x in (-0.6, 0.0, 0.6)]
    poses_of_cameras.append(look_at(np.array([0.1, 0.26, 0.02]), np.array([0.1, 0.0, 0.0])))
    rig = Rig(tuple(Camera(f"c{i}", 480, 360, K, np.zeros(5), T) for i, T in enumerate(poses_of_cameras)))
    for _ in range(4):
        poses = tracker.show(Shown("right", near), Shown("left", far, views=(0, 1, 2)), rig=rig)
    assert sorted(pose.side for pose in poses) == ["left", "right"]


def test_a_frame_set_of_nothing_holds_no_hands(tracker: ScriptedEngine) -> None:
    tracker.show(Shown("right", hand_at("right")), sets=2)
    assert tracker.show(sets=1) == ()
