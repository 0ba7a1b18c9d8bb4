from __future__ import annotations

import itertools
import json
import re
import socket
import threading
import time
import tracemalloc

import cv2
import numpy as np
import pytest


def test_health_and_readiness_name_every_state(client, running, eventually):
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    content = ready.json()
    assert content["ready"] is True
    assert content["cameras"]["cam1"] == {"state": "streaming", "message": "", "masked": False}
    assert content["engine"] == {"state": "running", "message": ""}
    assert content["calibration"]["id"] == running.rig.id
    running.engine.error = ValueError("broken weights")
    eventually(lambda: running.pipeline.state.startswith("failed"))
    failed = client.get("/readyz")
    assert failed.status_code == 503
    assert failed.json()["engine"] == {"state": "failed", "message": "ValueError: broken weights"}
    assert client.get("/healthz").status_code == 200


def test_an_engine_that_does_not_come_back_is_not_ready(client, running, eventually, monkeypatch):
    monkeypatch.setattr("server.pipeline._STUCK_NS", 200_000_000)
    running.engine.gate.clear()
    eventually(lambda: client.get("/readyz").status_code == 503)
    engine = client.get("/readyz").json()["engine"]
    assert engine["state"] == "stuck"
    assert "at one frame set for 0 s" in engine["message"]
    assert "usthand_engine_running 0.0" in client.get("/metrics").text
    running.engine.gate.set()
    eventually(lambda: client.get("/readyz").status_code == 200)


def test_latest_hands(client):
    answer = client.get("/api/v1/hands/latest")
    message = json.loads(answer.text, parse_constant=pytest.fail)
    assert message["type"] == "hands"
    assert len(message["hands"]) == 2
    assert message["stamps_ns"]["sent"] <= time.monotonic_ns()
    said = client.get("/api/v1/hands/latest?dialect=mediapipe&fields=joints").json()["hands"][0]
    assert "image_landmarks" in said
    assert "mano" not in said
    for query, named in (("dialect=x", "mediapipe"), ("fields=x", "covariance")):
        refused = client.get(f"/api/v1/hands/latest?{query}")
        assert refused.status_code == 422
        assert named in refused.json()["detail"]


def test_latest_hands_are_never_stale(client, running, eventually):
    running.session.paused.set()
    eventually(lambda: client.get("/api/v1/hands/latest").json()["hands"] == [])


def test_latest_hands_before_the_first_answer(serving, session, engine, rig):
    import httpx

    session.paused.set()
    with serving(session, engine, rig) as running:
        answer = httpx.get(f"{running.url}/api/v1/hands/latest")
        assert answer.status_code == 503
        assert "waiting for frames" in answer.json()["detail"]
        picture = httpx.get(f"{running.url}/api/v1/cameras/cam0/preview.jpg")
        assert picture.status_code == 503
        assert "no picture yet (streaming)" in picture.json()["detail"]


def test_the_skeleton_has_joints_and_faces(client, running):
    content = client.get("/api/v1/skeleton?dialect=mediapipe").json()
    assert content["dialect"] == "mediapipe"
    assert len(content["joint_names"]) == len(content["parents"]) == 21
    mesh = content["mesh"]
    assert mesh["hand_model"] == "open-hand"
    for side in ("left", "right"):
        assert mesh["faces"][side] == running.engine.hand_model(side).faces.tolist()
        assert np.max(mesh["faces"][side]) < mesh["vertex_count"]
    assert client.get("/api/v1/skeleton?dialect=x").status_code == 422


def test_cameras_tell_state_rate_drops_and_calibration(client, running):
    running.session.cameras[1].fps = float("nan")
    cameras = client.get("/api/v1/cameras").json()["cameras"]
    assert [camera["id"] for camera in cameras] == list(running.rig.camera_ids)
    assert cameras[0]["drops"] == {"late": 2}
    assert cameras[1]["fps"] is None
    calibrated = running.rig.cameras[2]
    np.testing.assert_allclose(cameras[2]["calibration"]["K"], calibrated.K)
    np.testing.assert_allclose(cameras[2]["calibration"]["T_camera_world"], calibrated.T_camera_world)


def decoded(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    return cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)


def test_a_preview_is_the_picture_and_the_overlay_draws_on_it(client, running):
    plain = decoded(client.get("/api/v1/cameras/cam0/preview.jpg"))
    assert plain.shape == (240, 320, 3)
    assert np.ptp(plain) <= 2
    drawn = decoded(client.get("/api/v1/cameras/cam0/preview.jpg?overlay=1"))
    changed = np.abs(drawn.astype(int) - plain).max(axis=2) > 40
    joints = running.rig.cameras[0].project(running.engine.hands[0].joints_world)
    x, y = np.round(joints[9]).astype(int)
    assert changed[y - 1 : y + 2, x - 1 : x + 2].any()
    assert 0.001 < changed.mean() < 0.5


def test_a_preview_has_the_width_asked_for_and_is_never_enlarged(client):
    assert decoded(client.get("/api/v1/cameras/cam1/preview.jpg?width=160&overlay=1")).shape == (120, 160, 3)
    assert decoded(client.get("/api/v1/cameras/cam1/preview.jpg?width=4000")).shape == (240, 320, 3)
    assert client.get("/api/v1/cameras/cam1/preview.jpg?width=5").status_code == 422


def test_an_unknown_camera_is_404_with_those_there_are(client):
    answer = client.get("/api/v1/cameras/cam9/preview.jpg")
    assert answer.status_code == 404
    assert "cam0, cam1, cam2" in answer.json()["detail"]


def test_a_lost_camera_is_bridged_shortly_then_503_with_its_reason(client, running, eventually):
    route = "/api/v1/cameras/cam1/preview.jpg"
    decoded(client.get(route))
    running.session.missing.add("cam1")
    running.session.cameras[1].state, running.session.cameras[1].message = "lost", "replug it"
    eventually(lambda: "cam1" not in running.pipeline.latest.frame_set.view_ids)
    decoded(client.get(route))
    eventually(lambda: client.get(route).status_code == 503)
    assert client.get(route).json()["detail"] == "camera cam1: no picture now (lost: replug it)"
    assert client.get("/api/v1/cameras/cam0/preview.jpg").status_code == 200


def test_a_preview_is_never_old(client, running, eventually, monkeypatch):
    """Where all cameras are lost there is no newer answer, which would show that."""
    monkeypatch.setattr("server.previews._NEWEST_NS", 500_000_000)
    monkeypatch.setattr("server.previews._BRIDGE_NS", 0)
    running.session.pause()
    route = "/api/v1/cameras/cam1/preview.jpg"
    assert client.get(route).status_code == 200
    for camera in running.session.cameras:
        camera.state, camera.message = "lost", "replug it"
    eventually(lambda: client.get(route).status_code == 503)
    for width in ("", "?width=100"):
        assert client.get(route + width).json()["detail"] == "camera cam1: no picture now (lost: replug it)"


def test_previews_of_one_answer_are_made_once(client, running):
    running.session.pause()
    route = "/api/v1/cameras/cam0/preview.jpg?overlay=1"
    first, second = client.get(route), client.get(route)
    assert first.content == second.content
    assert first.headers["x-usthand-sequence"] == second.headers["x-usthand-sequence"]


def test_the_engine_card_and_statistics(client, running, eventually):
    eventually(lambda: running.pipeline.solved_count > 10)
    card = client.get("/api/v1/engine").json()
    assert (card["model_id"], card["hand_model"], card["state"]) == ("fake-1", "open-hand", "running")
    stats = client.get("/api/v1/stats").json()
    assert stats["rate_hz"] > 1
    assert 0 < stats["latency_ms"]["p50"] <= stats["latency_ms"]["p95"]
    assert stats["clients"] == 0
    assert stats["drops"] == {"frame_sets_unread": 1, "late": 6, "messages": 0, "client_timeout": 0}
    assert stats["engine_errors"] == 0


def test_metrics(client, running, eventually):
    eventually(lambda: running.pipeline.solved_count > 3)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    for line in (
        'usthand_camera_drops_total{camera="cam0",cause="late"} 2.0',
        'usthand_camera_state{camera="cam2",state="streaming"} 1.0',
        "usthand_engine_running 1.0",
        "usthand_hands 2.0",
        "usthand_clients 0.0",
        f'usthand_running_info{{backend="none",calibration_id="{running.rig.id}"',
    ):
        assert line in answer.text
    count = next(line for line in answer.text.splitlines() if line.startswith("usthand_latency_seconds_count"))
    assert float(count.split()[1]) > 0


def test_an_engine_that_fails_once_does_not_end_the_service(client, running, eventually):
    running.engine.error = RuntimeError("once")
    eventually(lambda: running.pipeline.errors)
    running.engine.error = None
    eventually(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/api/v1/stats").json()["engine_errors_by_kind"]["RuntimeError"] >= 1


@pytest.mark.parametrize("route", ["/api/v1/engine", "/api/v1/calibration/session"])
def test_no_route_keeps_more_than_it_can_use(client, route):
    megabyte = b"x" * (1 << 20)
    kind = {"content-type": "application/json"}
    tracemalloc.start()
    try:
        answer = client.post(
            route, content=itertools.chain([b'{"a": "'], itertools.repeat(megabyte, 100)), headers=kind
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert "larger than 1048576 bytes" in answer.json()["detail"]
    assert peak < 20e6
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("route", ["PUT /api/v1/calibration", "POST /api/v1/engine"])
def test_an_upload_that_does_not_go_on_is_told_so_and_closed(running, client, monkeypatch, route):
    monkeypatch.setattr("server.uploads.UPLOAD_TIMEOUT_S", 0.5)
    head = f"{route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port), 5) as stuck:
        stuck.sendall(head.encode() + b"{")
        answer = b""
        while got := stuck.recv(4096):
            answer += got
    assert answer.startswith(b"HTTP/1.1 408")
    assert answer.endswith(b'{"detail":"the upload took longer than 0.5 s"}')
    # What takes long to answer is not given up.
    running.engine.gate.clear()
    threading.Timer(0.8, running.engine.gate.set).start()
    assert client.put("/api/v1/calibration", content=client.get("/api/v1/calibration").content).status_code == 200


@pytest.mark.parametrize(
    "body",
    ['{"model": NaN}', '{"model": 1e999}', '{"model": "\\ud800"}', '{"\\udfff": 1}', "[" * 300 + "]" * 300, "NaN", "{"],
)
def test_what_a_route_cannot_take_is_refused_with_where_and_why(client, body):
    """Python reads more than JSON: what cannot be said back must not turn a refusal into an error of the service."""
    answer = client.post("/api/v1/engine", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert re.search(r"the body|of the body", answer.json()["detail"])


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        (
            "POST",
            "engine",
            "{",
            "the body is not JSON: Expecting property name enclosed in double quotes (",
        ),
        ("POST", "engine", "", "the body is missing or no JSON object; send one, with Content-Type: "),
        (
            "POST",
            "engine",
            "[1]",
            "the body is missing or no JSON object; send one, with Content-Type: ",
        ),
        ("POST", "engine", "{}", "key 'model' of the body is missing"),
        ("POST", "engine", '{"model": 3}', "key 'model' of the body should be a valid string"),
        (
            *("POST", "calibration/session", '{"bord": "x"}'),
            "key 'board' of the body is missing; key 'bord' of the body is not known; there are board, world, model",
        ),
        (
            *("POST", "calibration/session", '{"board": "x", "model": "wide"}'),
            "key 'model' of the body should be 'auto', ",
        ),
        ("PUT", "calibration?dry_run=perhaps", "{}", "query option 'dry_run' should be a valid boolean"),
        ("GET", "cameras/cam0/preview.jpg?overlay=perhaps", None, "query option 'overlay' should be a valid boolean"),
    ],
)
def test_what_a_route_cannot_take_is_said_in_a_sentence(client, method, path, body, said):
    headers = {"content-type": "application/json"}
    answer = client.request(method, f"/api/v1/{path}", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(said)


def test_many_wrong_keys_with_long_names_are_said_briefly(client):
    answer = client.post("/api/v1/engine", json={f"{'x' * 1000}{i}": i for i in range(500)})
    assert answer.status_code == 422
    assert len(answer.text) < 1000
    assert answer.json()["detail"].endswith("and 496 more")


def test_the_openapi_document_describes_refusals_as_they_are(client):
    document = client.get("/openapi.json").json()
    answer = document["paths"]["/api/v1/calibration/session"]["post"]["responses"]["422"]
    (reference,) = (part["schema"]["$ref"] for part in answer["content"].values())
    schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert schema["properties"]["detail"]["type"] == "string"
    assert "ValidationError" not in document["components"]["schemas"]
