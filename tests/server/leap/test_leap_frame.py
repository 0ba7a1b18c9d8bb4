"""Leap's frames, by values worked out by hand and by what leapjs makes of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from engine.synthetic.keyposes import KEYPOSES
from engine.synthetic.rigs import make_rig
from server.leap.frame import frame_bytes
from server.leap.space import LeapSpace
from server.motion import MotionHistory
from server.outgoing import Outgoing

EXTENDED = {
    "open": "TIMRL", "flat": "TIMRL", "spread": "TIMRL", "fist": "", "point": "I", "two": "IM", "three": "IMR",
    "four": "IMRL", "gun": "TI", "horns": "IL", "phone": "TL", "thumbs up": "T", "claw": "", "ok": "MRL",
}  # fmt: skip


@pytest.fixture
def frame_of(solved):
    def build(*hands, history=None, solved=solved):
        solved = replace(solved, hands=hands)
        return json.loads(frame_bytes(Outgoing(solved, (history or MotionHistory()).add(solved)), "+z", 30.0))

    return build


def vectors(pointable):
    names = ("carpPosition", "mcpPosition", "pipPosition", "dipPosition", "btipPosition")
    return np.array([pointable[name] for name in names])


def test_a_frame_has_the_keys_that_leapjs_reads(frame_of, shaped_hand):
    frame = frame_of(shaped_hand("open"))
    assert set(frame) == {
        "currentFrameRate", "hands", "id", "interactionBox", "pointables", "r", "s", "t", "timestamp",
    }  # fmt: skip
    assert set(frame["hands"][0]) == {
        "armBasis", "armWidth", "confidence", "direction", "elbow", "grabAngle", "grabStrength", "id", "palmNormal",
        "palmPosition", "palmVelocity", "palmWidth", "pinchDistance", "pinchStrength", "r", "s", "sphereCenter",
        "sphereRadius", "stabilizedPalmPosition", "t", "timeVisible", "type", "wrist",
    }  # fmt: skip
    assert set(frame["pointables"][0]) == {
        "bases", "btipPosition", "carpPosition", "dipPosition", "direction", "extended", "handId", "id", "length",
        "mcpPosition", "pipPosition", "stabilizedTipPosition", "timeVisible", "tipPosition", "tipVelocity", "tool",
        "touchDistance", "touchZone", "type", "width",
    }  # fmt: skip


def test_no_hand_is_a_frame_without_hands(frame_of):
    frame = frame_of()
    assert frame["hands"] == frame["pointables"] == []


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_flat_hand_lies_as_leap_says_it(frame_of, shaped_hand, side):
    """Palm down (-y), fingers away (-z): the axes of the synthetic world with z up are x, z and -y of Leap."""
    frame = frame_of(shaped_hand("flat", side))
    hand = frame["hands"][0]
    assert hand["type"] == side
    assert_allclose(hand["palmNormal"], (0, -1, 0), atol=0.1)
    assert_allclose(hand["direction"], (0, 0, -1), atol=0.1)
    index, thumb = frame["pointables"][1], frame["pointables"][0]
    inwards = -1 if side == "right" else 1
    assert inwards * (thumb["tipPosition"][0] - index["tipPosition"][0]) > 0
    for basis in (*index["bases"], hand["armBasis"]):
        assert_allclose(np.array(basis) @ np.transpose(basis), np.eye(3), atol=1e-3)
        assert np.linalg.det(basis) == pytest.approx(1 if side == "right" else -1, abs=1e-3)
        # y out of the back, z back towards the wrist, x away from the thumb on either hand.
        assert basis[1][1] > 0.9
        assert basis[2][2] > 0.9
        assert -inwards * basis[0][0] > 0.9
    assert hand["elbow"][2] > hand["wrist"][2] + 200


@pytest.mark.parametrize("side", ["right", "left"])
def test_bones_follow_each_other_in_millimetres(frame_of, shaped_hand, side):
    hand = shaped_hand("half", side)
    frame = frame_of(hand)
    for kind, pointable in enumerate(frame["pointables"]):
        assert (pointable["type"], pointable["id"], pointable["handId"]) == (kind, 10 + kind, 1)
        chain = vectors(pointable)
        bones_mm = np.linalg.norm(np.diff(chain, axis=0), axis=1)
        metres = hand.joints_world[1 + 4 * kind : 5 + 4 * kind]
        assert_allclose(bones_mm[1:], 1e3 * np.linalg.norm(np.diff(metres, axis=0), axis=1), atol=0.01)
        assert bones_mm[0] == 0 if kind == 0 else 40 < bones_mm[0] < 80
        # leapjs takes the direction of a bone from minus its z.
        for bone in range(1 if kind == 0 else 0, 4):
            assert_allclose(
                -np.array(pointable["bases"][bone][2]), np.diff(chain, axis=0)[bone] / bones_mm[bone], atol=2e-3
            )
        assert_allclose(pointable["direction"], -np.array(pointable["bases"][2][2]), atol=1e-9)
        inside = np.linalg.norm(np.subtract(pointable["tipPosition"], pointable["btipPosition"]))
        assert 4 < inside < 9


@pytest.mark.parametrize("name", EXTENDED)
@pytest.mark.parametrize("side", ["right", "left"])
def test_extended_flags_follow_the_pose(frame_of, shaped_hand, name, side):
    flags = [pointable["extended"] for pointable in frame_of(shaped_hand(name, side))["pointables"]]
    assert "".join(letter for letter, flag in zip("TIMRL", flags, strict=True) if flag) == EXTENDED[name]


def test_grab_and_pinch_follow_the_pose(frame_of, shaped_hand):
    said = {name: frame_of(shaped_hand(name))["hands"][0] for name in KEYPOSES}
    assert said["open"]["grabStrength"] == said["flat"]["grabStrength"] == 0
    assert said["fist"]["grabStrength"] == 1
    assert 0 < said["relaxed"]["grabStrength"] < said["half"]["grabStrength"] < 1
    assert said["fist"]["grabAngle"] == pytest.approx(np.pi, abs=0.3)
    assert said["pinch"]["pinchStrength"] == said["ok"]["pinchStrength"] == 1
    assert said["open"]["pinchStrength"] == 0
    assert said["fist"]["sphereRadius"] < said["open"]["sphereRadius"]


def test_the_middle_of_the_tracked_space_is_200_mm_above_the_origin(rig):
    space = LeapSpace(make_rig(4, 1), "+z")
    assert_allclose(space.points_mm(np.zeros(3)), (0, 200, 0), atol=25)
    one = np.array([0.1, 0.2, 0.3])
    assert_allclose(space.points_mm(one) - space.points_mm(np.zeros(3)), (100, 300, -200))
    assert_allclose(space.vectors_mm(one), (100, 300, -200))
    # One camera looks at no point in particular: the calibration's origin stands in.
    assert_allclose(LeapSpace(rig.subset(("cam0",)), "-y").points_mm(np.zeros(3)), (0, 200, 0))


def test_velocities_and_times_are_those_of_the_track(frame_of, shaped_hand, solved):
    history, hand = MotionHistory(), shaped_hand("open")
    start_ns = solved.frame_set.timestamp_ns
    for number in range(4):
        moved = replace(hand, joints_world=hand.joints_world + np.array([0.0, 0.0, 0.01]) * number)
        frames = tuple(replace(frame, timestamp_ns=start_ns + number * 20_000_000) for frame in solved.frame_set.frames)
        frame = frame_of(
            moved, history=history, solved=replace(solved, frame_set=replace(solved.frame_set, frames=frames))
        )
    said = frame["hands"][0]
    # 10 mm up (+z) in 20 ms.
    assert_allclose(said["palmVelocity"], (0, 500, 0), atol=1e-3)
    assert_allclose(frame["pointables"][2]["tipVelocity"], (0, 500, 0), atol=1e-3)
    assert said["timeVisible"] == pytest.approx(0.06)
    assert frame["timestamp"] == (start_ns + 60_000_000) // 1000


def test_a_hand_that_is_not_whole_is_left_out(frame_of, shaped_hand):
    hand = shaped_hand("open")
    joints = hand.joints_world.copy()
    joints[8] = np.nan
    frame = frame_of(replace(hand, joints_world=joints), shaped_hand("fist", "left", 2))
    assert "NaN" not in json.dumps(frame)
    assert [said["id"] for said in frame["hands"]] == [2]
    assert len(frame["pointables"]) == 5
