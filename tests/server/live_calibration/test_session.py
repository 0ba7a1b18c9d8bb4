"""A live calibration from start to end, over the real server: cameras film a board, and what is accepted is the rig."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import cv2
import httpx
import numpy as np
import pytest

from calibration import Rig
from calibration.boards import parse_board
from server.calibration_judge import judge
from server.calibration_service import Upload
from server.live_calibration import watcher
from server.live_calibration.session import LiveCalibration
from server.live_calibration.sightings import Sightings
from server.live_calibration.solver import Outcome, SolverRun, job_of
from tests.calibration.boards.filming import BoardFilm
from tests.calibration.boards.rigs import board_path, small_rig

SPEC = "charuco:4x5:0.05:DICT_4X4_1000"
ROUTE = "/api/v1/calibration/session"
SHOWN_S = 0.08
"""How long each picture is shown: longer than from one look to the next."""


@pytest.fixture(scope="module")
def truth() -> Rig:
    return small_rig(2)


@pytest.fixture(scope="module")
def film(truth: Rig) -> list[tuple[np.ndarray, ...]]:
    board = parse_board(SPEC)
    films = [BoardFilm(board, camera, px_per_m=1500.0, samples=1) for camera in truth]
    return [
        tuple(f.take(pose, noise=1.0, seed=i) for f in films) for i, pose in enumerate(board_path(board, truth, 24))
    ]


@pytest.fixture
def off(truth: Rig) -> Rig:
    """The running calibration: the second camera is 20 mm and 1 % off."""
    first, second = truth
    T = np.array(second.T_camera_world)
    T[:3, 3] += 0.02
    K = np.array(second.K)
    K[0, 0] *= 1.01
    return Rig((first, replace(second, K=K, T_camera_world=T)), "desk")


@pytest.fixture
def live(serving: Callable[..., Any], make_session: Callable[..., Any], off: Rig, film: list[tuple[np.ndarray, ...]],
         hands: Any) -> Iterator[Any]:  # fmt: skip
    from tests.server.conftest import FakeEngine, FakeSession

    class Filming(FakeSession):
        def frame_set(self) -> Any:
            place = int(time.monotonic() / SHOWN_S) % (len(film) + 1)
            blank = tuple(np.full_like(image, 90) for image in film[0])
            self._images = list(film[place] if place < len(film) else blank)
            return super().frame_set()

    with serving(Filming(off, rate_hz=30.0), FakeEngine(()), off) as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "PERIOD_S", 0.05)
    monkeypatch.setattr(watcher, "SHARE", 0.9)


@pytest.fixture
def client(live: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, timeout=10) as http:
        yield http


def until(client: httpx.Client, condition: Callable[[dict[str, Any]], bool], within_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while not condition(now := client.get(ROUTE).json()):
        assert time.monotonic() < deadline, now
        threading.Event().wait(0.1)
    return now


def test_collect_solve_accept(client: httpx.Client, live: Any, truth: Rig, off: Rig) -> None:
    assert client.get(ROUTE).status_code == 404
    begun = client.post(ROUTE, json={"board": SPEC, "model": "brown-conrady-5"})
    assert begun.status_code == 201
    assert begun.json()["state"] == "collecting"
    assert "show the board to" in begun.json()["guidance"][0]["text"] or "no pictures" in begun.text
    assert client.post(ROUTE, json={"board": SPEC}).status_code == 409
    early = client.post(f"{ROUTE}/solve")
    assert early.status_code == 409
    assert "too little was collected" in early.json()["detail"]
    assert "nothing is solved" in client.post(f"{ROUTE}/accept").json()["detail"]

    full = until(client, lambda now: all(c["sights"] >= 20 for c in now["cameras"].values()), 20)
    assert full["can_solve"]
    assert full["pairs"] == [{"cameras": ["cam0", "cam1"], "shared": pytest.approx(30, abs=25)}]
    assert all(np.array(c["coverage"]).sum() > 100 for c in full["cameras"].values())

    picture = client.get(f"{ROUTE}/pictures/cam1.jpg")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR).shape == (240, 320, 3)
    assert client.get(f"{ROUTE}/pictures/cam7.jpg").status_code == 404

    count = live.pipeline.solved_count
    assert client.post(f"{ROUTE}/solve").status_code == 202
    assert "already" in client.post(f"{ROUTE}/solve").json()["detail"]
    solved = until(client, lambda now: now["state"] != "solving", 60)
    assert solved["state"] == "solved", solved["problems"]
    # The stream went on meanwhile.
    assert live.pipeline.solved_count > count + 10
    result = solved["result"]
    assert result["verdict"] in ("good", "usable"), result["reasons"]
    assert result["report"]["held_out"]["rms_px"] < 0.5
    assert result["changes"]["cam1"]["moved_mm"] > 10
    assert {len(row) for rows in result["residuals_px"].values() for row in rows} == {4}

    accepted = client.post(f"{ROUTE}/accept").json()
    assert accepted["calibration_id"] == result["calibration_id"]
    rig = live.pipeline.rig
    assert rig.id == result["calibration_id"]
    # The world stayed: the first camera is where it was, and the second where it truly is.
    np.testing.assert_allclose(rig.cameras[0].T_camera_world, off.cameras[0].T_camera_world, atol=1e-9)
    assert np.linalg.norm(rig.cameras[1].center_world - truth.cameras[1].center_world) < 5e-3
    versions = client.get("/api/v1/calibration/history").json()["versions"]
    assert [v["source"] for v in versions] == ["start", "board"]
    assert client.get(ROUTE).status_code == 404
    assert client.post("/api/v1/calibration/rollback").json()["calibration_id"] == off.id


def test_what_cannot_be_is_refused_and_a_session_can_be_cancelled(client: httpx.Client, live: Any) -> None:
    assert "kind 'chess'" in client.post(ROUTE, json={"board": "chess:4x5"}).json()["detail"]
    assert "'moon' is not known" in client.post(ROUTE, json={"board": SPEC, "world": "moon"}).json()["detail"]
    assert client.post(ROUTE, json={"board": SPEC, "colour": "red"}).status_code == 422
    for method, path in (
        ("POST", "/solve"),
        ("POST", "/accept"),
        ("DELETE", ""),
        ("GET", ""),
        ("GET", "/pictures/cam0.jpg"),
    ):
        assert client.request(method, ROUTE + path).status_code == 404
    assert client.post(ROUTE, json={"board": SPEC}).status_code == 201
    assert client.delete(ROUTE).status_code == 204
    assert client.get(ROUTE).status_code == 404
    assert not any(t.name == "usthand-board" for t in threading.enumerate())


def test_an_accept_ends_its_own_session_and_none_that_was_begun_meanwhile(running: Any) -> None:
    class Taking:
        async def take(self, rig: Rig, _source: str) -> Upload:
            # Somebody else, while the swap waits for the engine.
            live.cancel()
            live.start(SPEC)
            return Upload(judge(rig, rig, {}, force=True), None)

    live = LiveCalibration(running.pipeline, cast("Any", Taking()))
    live.start(SPEC)
    solved = SimpleNamespace(outcome=Outcome(running.rig, {"verdict": "good"}, {}), running=False, cancel=lambda: None)
    assert live._session is not None
    live._session.run = cast("Any", solved)
    try:
        asyncio.run(live.accept(force=False))
        assert live.describe()["state"] == "collecting"
    finally:
        live.close()
    assert not any(t.name == "usthand-board" for t in threading.enumerate())


def test_a_session_open_at_the_end_leaves_nothing_behind(serving: Any, session: Any, engine: Any, rig: Rig) -> None:
    with serving(session, engine, rig) as running, httpx.Client(base_url=running.url) as http:
        assert http.post(ROUTE, json={"board": SPEC}).status_code == 201
    assert not any(t.name.startswith("usthand-board") for t in threading.enumerate())


def test_an_error_of_one_frame_set_does_not_end_the_session(
    client: httpx.Client, live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.live_calibration.watcher import Watcher

    look, failures = Watcher._look, iter([True, True])

    def sometimes(self: Watcher, *arguments: Any) -> Any:
        if next(failures, False):
            raise ValueError("a broken picture")
        return look(self, *arguments)

    monkeypatch.setattr(Watcher, "_look", sometimes)
    client.post(ROUTE, json={"board": SPEC})
    until(client, lambda now: now["frame_sets"] > 2, 10)
    assert client.get(ROUTE).json()["error"] == ""
    assert live.pipeline.errors == {}


EMPTY = job_of(Sightings(("a", "b")).footage(), SPEC, "auto", "first-camera", "")


def test_a_solve_that_fails_says_why() -> None:
    run = SolverRun(EMPTY)
    run._thread.join(60)
    assert run.outcome is None
    assert "collect more sights" in str(run.reasons)


def test_a_solver_that_hangs_or_dies_is_ended(eventually: Any) -> None:
    hanging = SolverRun(EMPTY, timeout_s=0.05)
    eventually(lambda: not hanging.running)
    assert "took longer" in hanging.reasons[""][0]
    assert hanging._process.exitcode is not None
    dying = SolverRun(EMPTY)
    dying._process.kill()
    eventually(lambda: not dying.running)
    assert "ended with code -9" in dying.reasons[""][0]
