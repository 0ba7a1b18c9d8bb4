"""What follows from the monitor's verdicts."""

from __future__ import annotations

import pytest

from calibration.drift import Verdict
from server.drift.policy import POLICIES, Consequence, consequence, read_policy


def _verdicts(**states):
    return [Verdict(camera_id, state) for camera_id, state in states.items()]


def test_a_named_camera_is_left_out_as_long_as_two_others_remain():
    three = _verdicts(cam0="fits", cam1="miscalibrated", cam2="watching")
    assert consequence(three, "mask") == Consequence(frozenset({"cam1"}), frozenset())
    pair = _verdicts(cam0="fits", cam1="miscalibrated")
    assert consequence(pair, "mask") == Consequence(frozenset(), frozenset({"cam1"}))
    assert consequence(pair, "strict") == Consequence(frozenset({"cam1"}), frozenset())
    two_of_three = _verdicts(cam0="miscalibrated", cam1="miscalibrated", cam2="fits")
    assert consequence(two_of_three, "mask").masked == frozenset()
    assert consequence(two_of_three, "mask").suspect == {"cam0", "cam1"}


def test_suspicion_and_watching_leave_nobody_out():
    both = _verdicts(cam0="suspect", cam1="suspect", cam2="fits")
    for policy in ("mask", "strict", "watch"):
        assert consequence(both, policy) == Consequence(frozenset(), frozenset({"cam0", "cam1"}))
    named = _verdicts(cam0="miscalibrated", cam1="fits", cam2="trusted", cam3="out of step")
    assert consequence(named, "watch") == Consequence(frozenset(), frozenset({"cam0"}))


def test_policies_are_read_by_name():
    assert [read_policy(name) for name in POLICIES] == list(POLICIES)
    with pytest.raises(ValueError, match="use one of mask, strict, watch, off"):
        read_policy("blind")
