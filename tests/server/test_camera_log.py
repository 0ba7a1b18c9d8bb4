"""What the terminal is told of cameras that stop and come back."""

from __future__ import annotations

import logging

import pytest

from capture.state import CameraState, CameraStateName
from server.camera_log import PATIENCE, CameraLog


def _camera(camera_id: str, state: CameraStateName, message: str = "") -> CameraState:
    return CameraState(camera_id, state, message, 0.0, 0, {}, 640, 480)


def _said(log: CameraLog, caplog: pytest.LogCaptureFixture, *cameras: CameraState, times: int = 1) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "usthand.cameras"):
        for _ in range(times):
            log.note(cameras)
    return caplog.messages


def test_a_camera_that_stops_is_named_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    log = CameraLog()
    others = (_camera("cam1", "streaming"), _camera("cam2", "streaming"))
    assert _said(log, caplog, _camera("cam0", "starting"), *others, times=9) == []
    # Late for a moment: nobody is told.
    stalled = _camera("cam0", "stalled", "no frame for 2 s")
    assert _said(log, caplog, stalled, *others, times=PATIENCE - 1) == []
    assert _said(log, caplog, _camera("cam0", "streaming"), *others) == []
    assert _said(log, caplog, stalled, *others, times=PATIENCE + 3) == ["camera cam0: no frame for 2 s"]
    # It is tried again and again: no more words until it is back.
    for state in ("lost", "starting", "failed"):
        assert _said(log, caplog, _camera("cam0", state, "again"), *others, times=9) == []
    back = _camera("cam0", "streaming")
    assert _said(log, caplog, back, *others, times=2) == ["camera cam0: gives pictures again"]
    assert _said(log, caplog, _camera("cam0", "ended"), *others) == []


def test_too_few_cameras_for_a_hand_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    log = CameraLog()
    failed = _camera("cam0", "failed", "there is no such device")
    assert _said(log, caplog, failed, _camera("cam1", "streaming"), times=9) == [
        "camera cam0: there is no such device",
        "only cam1 gives pictures: a hand is placed by two views or more, so none can be answered",
    ]
    assert _said(log, caplog, failed, _camera("cam1", "lost", "it ended"), times=9) == ["camera cam1: it ended"]
