"""Who is named, who is not, and what clears it; on projected hands with a landmark network's errors."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from calibration.drift import DriftMonitor, Verdict
from calibration.drift.monitor import _message
from engine.synthetic.rigs import make_rig
from tests.calibration.drift.support import TILT, hands, picture, show, states, turned

RIG = make_rig(4, 2, 1280, 960)
PAIR = RIG.subset(("cam0", "cam2"))


@cache
def _moving(camera_id: str | None, start_s: float, seconds: float):
    return list(hands(RIG if camera_id is None else turned(RIG, camera_id, TILT), seconds, start_s=start_s))


def _pair(camera_id: str | None, start_s: float, seconds: float):
    return list(hands(PAIR if camera_id is None else turned(PAIR, camera_id, TILT), seconds, start_s=start_s))


def test_good_cameras_are_left_alone():
    monitor = DriftMonitor(RIG)
    said = show(monitor, _moving(None, 0.0, 8.0))
    assert not [verdict for _, verdicts in said for verdict in verdicts if verdict.blamed]
    assert set(states(monitor).values()) == {"fits"}


@pytest.mark.parametrize("camera_id", ["cam0", "cam1", "cam3"])
def test_a_bumped_camera_is_named_within_five_seconds_and_no_other(camera_id):
    monitor = DriftMonitor(RIG)
    show(monitor, _moving(None, 0.0, 8.0))
    said = show(monitor, _moving(camera_id, 8.0, 5.0))
    assert {v.camera_id for _, verdicts in said for v in verdicts if v.blamed} == {camera_id}
    verdict = monitor.verdicts[RIG.camera_ids.index(camera_id)]
    assert verdict.state == "miscalibrated"
    assert verdict.cause == "hands"
    assert verdict.turned_deg == pytest.approx(1.0, abs=0.5)
    assert f"--cameras {camera_id}" in verdict.message


def test_a_new_calibration_clears_the_name_and_a_right_one_keeps_it_clear():
    monitor = DriftMonitor(RIG)
    show(monitor, _moving(None, 0.0, 8.0))
    show(monitor, _moving("cam1", 8.0, 5.0))
    assert states(monitor)["cam1"] == "miscalibrated"
    monitor.calibrated(turned(RIG, "cam1", TILT))
    assert set(states(monitor).values()) == {"watching"}
    said = show(monitor, list(hands(turned(RIG, "cam1", TILT), 5.0, start_s=13.0)))
    assert not [v for _, verdicts in said for v in verdicts if v.blamed]


def test_a_camera_that_somebody_trusts_is_not_judged_until_the_calibration_changes():
    monitor = DriftMonitor(RIG)
    show(monitor, _moving(None, 0.0, 8.0))
    show(monitor, _moving("cam1", 8.0, 5.0))
    assert monitor.trust("cam1").state == "trusted"
    show(monitor, _moving("cam1", 13.0, 5.0))
    assert states(monitor)["cam1"] == "trusted"
    assert monitor.distrust("cam1").state == "watching"
    with pytest.raises(KeyError, match="no camera 'cam9'"):
        monitor.trust("cam9")


def test_an_old_picture_is_out_of_step_and_not_out_of_place():
    monitor = DriftMonitor(RIG)
    said = show(monitor, list(hands(RIG, 10.0, older_s={"cam2": 0.06}, rate_hz=20.0)))
    assert not [v for _, verdicts in said for v in verdicts if v.blamed]
    late = {verdict.camera_id: verdict for verdict in monitor.verdicts}["cam2"]
    assert late.state == "out of step"
    assert late.late_ms == pytest.approx(60.0, abs=20.0)
    assert "older" in late.message


def test_two_views_suspect_both_and_the_picture_names_one():
    monitor = DriftMonitor(PAIR)
    show(monitor, _pair(None, 0.0, 8.0))
    show(monitor, _pair("cam2", 8.0, 5.0))
    assert set(states(monitor).values()) == {"suspect"}
    monitor = DriftMonitor(PAIR)
    still, room = picture(1, 1280, 960), picture(2, 1280, 960)
    for view, image in enumerate((still, room)):
        monitor.look(view, image)
    show(monitor, _pair(None, 0.0, 8.0))
    shifted = np.roll(room, 24, axis=0)
    for _ in range(3):
        monitor.look(0, still)
        monitor.look(1, shifted)
    show(monitor, _pair("cam2", 8.0, 5.0))
    assert states(monitor)["cam2"] == "miscalibrated"
    assert states(monitor)["cam0"] in ("fits", "watching")


def test_two_views_after_one_calibration_was_changed_name_that_one():
    monitor = DriftMonitor(PAIR)
    show(monitor, _pair(None, 0.0, 8.0))
    monitor.calibrated(turned(PAIR, "cam0", -TILT))
    show(monitor, _pair(None, 8.0, 5.0))
    assert states(monitor)["cam0"] == "miscalibrated"
    assert states(monitor)["cam2"] != "miscalibrated"
    assert "rollback" in monitor.verdicts[0].message


def test_a_picture_that_moves_names_its_camera_without_hands_and_back_in_place_clears_it():
    monitor = DriftMonitor(RIG)
    room = picture(3, 1280, 960)
    shifted = np.roll(room, 24, axis=1)
    monitor.look(1, room)
    monitor.look(1, shifted)
    monitor.judge()
    assert states(monitor)["cam1"] == "watching", "one picture is none"
    monitor.look(1, shifted)
    monitor.judge()
    assert monitor.verdicts[1].state == "miscalibrated"
    assert monitor.verdicts[1].cause == "picture"
    monitor.look(1, room)
    monitor.look(1, room)
    monitor.judge()
    assert states(monitor)["cam1"] == "watching"


def test_a_black_first_picture_is_no_reference():
    monitor = DriftMonitor(RIG)
    room = picture(4, 1280, 960)
    monitor.look(1, np.zeros_like(room))
    for _ in range(2):
        monitor.look(1, room)
    for _ in range(2):
        monitor.look(1, np.roll(room, 40, axis=0))
    monitor.judge()
    assert states(monitor)["cam1"] == "miscalibrated"
    assert monitor.verdicts[1].cause == "picture"


def test_hands_that_fit_overrule_a_background_that_moves():
    monitor = DriftMonitor(RIG)
    room = picture(3, 1280, 960)
    monitor.look(1, room)
    show(monitor, _moving(None, 0.0, 8.0))
    for _ in range(3):
        monitor.look(1, np.roll(room, 40, axis=0))
    said = show(monitor, _moving(None, 8.0, 3.0))
    assert not [v for _, verdicts in said for v in verdicts if v.blamed]
    assert monitor.verdicts[1].picture_turned_deg > 0.5, "it is said all the same"


def test_only_the_camera_that_is_late_is_to_be_put_right() -> None:
    # Two cameras say the same of each other: who followed both would be as far off again.
    late, early = (_message(Verdict("a", state="out of step", late_ms=ms)) for ms in (60.0, -60.0))
    assert "60 ms older" in late
    assert "add about -60 to its time_offset_ms" in late
    assert "60 ms younger" in early
    assert "time_offset_ms" not in early
