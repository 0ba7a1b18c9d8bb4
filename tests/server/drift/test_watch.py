"""A camera is bumped while the service runs: what the engine gets, and what readyz, stream, metrics and routes say."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from websockets.sync.client import connect

from calibration.files import calibration_to_dict
from engine.synthetic.rigs import make_rig
from server.drift.status import DriftStatus, watched_cameras
from server.drift.watch import DriftWatch
from server.pipeline import Pipeline, _without
from server.solved import Solved
from tests.calibration.drift.support import TILT, hands, turned


@pytest.fixture
def rig():
    # A rig that all cameras of which see the projected hands; its pictures are small.
    return make_rig(4, 2, 320, 240)


class Acting:
    """Shows projected hands to a watch as if an engine had answered, by the hands' own clock."""

    def __init__(self, watch: DriftWatch, rig, session, hand) -> None:
        self.watch = watch
        self.rig = rig
        self.session = session
        self.hand = hand
        self.time_s = 0.0

    def act(self, real, seconds: float) -> None:
        for frame in hands(real, seconds, start_s=self.time_s):
            frame_set = self.session.frame_set()
            frames = tuple(replace(f, timestamp_ns=int(1e9 + frame.time_s * 1e9)) for f in frame_set.frames)
            answers = tuple(
                replace(self.hand, id=seen.hand_id, keypoints_px=seen.keypoints_px) for seen in frame.sightings
            )
            self.watch.observe(Solved(replace(frame_set, frames=frames), self.rig, answers, 0, 0, "fake-1"))
            self.watch.work(frame.time_s + 1e6)
        self.time_s += seconds


@pytest.fixture
def acting(running, hands):
    watch = running.app.state.parts.drift
    # Its own thread would judge by the wall's clock.
    watch.stop()
    return Acting(watch, running.rig, running.session, hands[0])


def test_a_bumped_camera_is_left_out_everywhere_and_its_picture_stays(acting, running, client, eventually):
    acting.act(running.rig, 8.0)
    assert client.get("/readyz").json()["calibration"]["fit"] == "fits"
    acting.act(turned(running.rig, "cam1", TILT), 5.0)
    ready = client.get("/readyz")
    assert ready.status_code == 200, "the others go on"
    camera = ready.json()["cameras"]["cam1"]
    assert camera["state"] == "miscalibrated"
    assert camera["masked"] is True
    assert camera["message"].startswith("left out: no longer fits its calibration")
    assert ready.json()["calibration"]["fit"] == "miscalibrated"
    said = {c["id"]: c for c in client.get("/api/v1/cameras").json()["cameras"]}
    assert said["cam1"]["state"] == "miscalibrated"
    assert said["cam1"]["drift"]["masked"] is True
    assert said["cam1"]["drift"]["cause"] == "hands"
    assert said["cam0"]["drift"]["state"] in ("fits", "watching")
    with connect(running.stream_url()) as stream:
        assert json.loads(stream.recv(5))["views"] == ["cam0", "cam2", "cam3"]
        message = json.loads(stream.recv(5))
        while "masked" not in message["frame_set"]:
            message = json.loads(stream.recv(5))
    assert message["frame_set"]["views"] == ["cam0", "cam2", "cam3"]
    assert message["frame_set"]["masked"] == ["cam1"]
    assert client.get("/api/v1/cameras/cam1/preview.jpg").status_code == 200, "people must see what it sees"
    metrics = client.get("/metrics").text
    assert 'usthand_camera_masked{camera="cam1"} 1.0' in metrics
    assert 'usthand_camera_masked{camera="cam0"} 0.0' in metrics
    assert 'usthand_camera_state{camera="cam1",state="miscalibrated"} 1.0' in metrics

    # An operator takes it back, and thinks again.
    trusted = client.post("/api/v1/cameras/cam1/trust")
    assert trusted.json()["drift"]["state"] == "trusted"
    assert client.get("/readyz").json()["cameras"]["cam1"]["masked"] is False
    assert client.delete("/api/v1/cameras/cam1/trust").json()["drift"]["state"] == "watching"
    assert client.post("/api/v1/cameras/cam9/trust").status_code == 404


def test_a_repaired_calibration_takes_the_camera_back(acting, running, client, eventually):
    acting.act(running.rig, 8.0)
    repaired = turned(running.rig, "cam1", TILT)
    acting.act(repaired, 5.0)
    assert running.pipeline.masked == {"cam1"}
    document = json.dumps(calibration_to_dict(repaired))
    assert client.put("/api/v1/calibration", content=document).status_code == 200
    assert running.pipeline.masked == frozenset(), "from the swap on, not from the next judgement on"
    acting.rig = running.pipeline.rig
    acting.act(repaired, 5.0)
    assert running.pipeline.masked == frozenset()
    assert client.get("/readyz").json()["calibration"]["fit"] == "fits"


def test_a_picture_does_not_bear_itself_out(rig, session, engine, monkeypatch):
    pipeline = Pipeline(session, engine, rig)
    watch = DriftWatch(pipeline)
    looked = []

    class Doubting:
        verdicts = ()

        def look(self, view, _):
            looked.append((view, now_s))
            return True

        def judge(self):
            return ()

    monkeypatch.setattr(watch, "_monitor", Doubting())
    frame_set = session.frame_set()
    exposed_s = 0.0
    for step in range(80):
        now_s = 1e6 + step * 0.1
        if now_s - 1e6 >= exposed_s + 1.5:
            exposed_s += 1.5
        frames = tuple(replace(frame, timestamp_ns=int(1e9 * exposed_s)) for frame in frame_set.frames)
        solved = Solved(replace(frame_set, frames=frames), rig, (), 0, 0, "fake-1")
        monkeypatch.setattr(pipeline, "borrow", lambda solved=solved: nullcontext(solved))
        watch.work(now_s)
    # A set comes every 1.5 s, and a picture in doubt is looked at twice a second: only at new ones. A camera that stays
    # in doubt does not keep the others from being looked at.
    assert 6 <= len(looked) <= 7
    assert [view for view, _ in looked][:4] == [looked[0][0]] * 4
    assert looked[4][0] != looked[0][0]


def test_the_engine_does_not_get_the_frames_of_a_masked_camera(rig, session, engine):
    seen = []
    process = engine.process
    engine.process = lambda frame_set, rig: (seen.append(frame_set.view_ids), process(frame_set, rig))[1]
    pipeline = Pipeline(session, engine, rig)
    pipeline.mask(rig, frozenset({"cam2"}), frozenset())
    pipeline._solve(session.frame_set())
    assert seen == [("cam0", "cam1", "cam3")]
    assert pipeline.latest.view_ids == ("cam0", "cam1", "cam3")
    assert pipeline.latest.frame_set.view_ids == rig.camera_ids, "pictures and recordings have it"
    # Hands are of the instant that their message says, whoever is masked.
    late = tuple(
        replace(frame, timestamp_ns=frame.timestamp_ns + 8_000_000 * number)
        for number, frame in enumerate(session.frame_set().frames)
    )
    whole = replace(session.frame_set(), frames=late)
    given = _without(whole, frozenset({"cam3"}))
    assert given.view_ids == ("cam0", "cam1", "cam2")
    assert given.timestamp_ns == whole.timestamp_ns
    # What is said of a calibration that runs no longer is of no account.
    pipeline.mask(turned(rig, "cam0", TILT), frozenset({"cam0"}), frozenset())
    assert pipeline.masked == {"cam2"}


def test_two_cameras_are_used_on_and_called_suspect(hands, make_session, engine, rig):
    pair = rig.subset(("cam0", "cam2"))
    session = type(make_session())(pair)
    pipeline = Pipeline(session, engine, pair)
    watch = DriftWatch(pipeline)
    acting = Acting(watch, pair, session, hands[0])
    acting.act(pair, 8.0)
    acting.act(turned(pair, "cam2", TILT), 5.0)
    assert watch.status.state == "suspect"
    pipeline._solve(session.frame_set())
    assert pipeline.latest.view_ids == pair.camera_ids
    assert pipeline.latest.suspect == set(pair.camera_ids)
    for camera in watched_cameras(session.states(), watch.status):
        assert camera.state == "suspect"
        assert camera.message.startswith("still used, so results are suspect: this or the other camera")
    with pytest.raises(RuntimeError, match="--drift mask"):
        watch.trust("cam0")
    watch.stop()
    assert pipeline._suspect == frozenset()


def test_a_camera_that_is_lost_stays_lost_whatever_its_calibration(session):
    session.cameras[1].state, session.cameras[1].message = "lost", "check its cable"
    assert [c.state for c in watched_cameras(session.states(), DriftStatus("off"))][1] == "lost"


def test_watching_costs_the_engine_next_to_nothing(rig, session, engine, hands):
    watch = DriftWatch(Pipeline(session, engine, rig))
    frame_set = session.frame_set()
    solved = Solved(frame_set, rig, hands, 0, 0, "fake-1")
    for _ in range(1000):
        watch.observe(solved)
    assert len(watch._waiting) <= 256, "an idle watch keeps no more than it can use"
    assert all(isinstance(s.keypoints_px, np.ndarray) for seen in watch._waiting for s in seen.sightings)
