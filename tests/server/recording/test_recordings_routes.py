from __future__ import annotations

import contextlib
import errno
import socket
import threading

import httpx
import pytest
import uvicorn

from capture.recording import Pictures, Recording
from capture.rig_config import CameraConfig, RigConfig, SyntheticSource, load_rig, load_rig_config
from server.app import create_app
from server.network import listen
from server.pipeline import Pipeline
from server.recording import opening, recordings
from server.recording.opening import RecordingOptions
from server.recording.recordings import RecordingPlace, Recordings
from server.recording.tap import FrameTap
from server.websocket_protocol import uvicorn_settings

ROUTE = "/api/v1/recordings"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "recordings"


@pytest.fixture
def place(rig, folder):
    cameras = tuple(CameraConfig(id=camera.id, source=SyntheticSource()) for camera in rig)
    config = RigConfig(name="desk", max_skew_ms=12, up="-z", cameras=cameras)
    return RecordingPlace(folder, config, RecordingOptions(Pictures("jpeg", 90), reserve_bytes=1000))


@pytest.fixture
def client(rig, session, engine, place, eventually):
    tap = FrameTap(session)
    pipeline = Pipeline(tap, engine, rig)
    made = Recordings(place, tap, pipeline)
    pipeline.start()
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(create_app(pipeline, recordings=made), **uvicorn_settings(), log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=20) as client:
        yield client
    server.should_exit = True
    thread.join(5)
    made.close(5)
    pipeline.stop()
    tap.stop()
    assert sorted(session.released) == list(range(session.given))


def current(client):
    return client.get(ROUTE).json()["current"]


def test_start_stop_and_list(client, engine, rig, folder, eventually):
    assert client.get(ROUTE).json() == {"folder": str(folder), "current": None, "recordings": []}
    started = client.post(ROUTE, json={"name": "take 1"})
    assert started.status_code == 201
    assert (started.json()["name"], started.json()["state"]) == ("take_1", "recording")
    eventually(lambda: current(client)["frame_sets"] >= 10 and current(client)["hands"] >= 5)
    assert client.get(ROUTE).json()["recordings"] == []
    stopped = client.delete(f"{ROUTE}/current")
    assert stopped.status_code == 200
    status = stopped.json()
    assert (status["name"], status["state"], status["message"]) == ("take_1", "finished", "")
    assert status["frames"] == 2 * status["frame_sets"] >= 20
    assert status["seconds"] > 0
    assert status["size_bytes"] > 1000
    assert status["drops"] == {}
    listed = client.get(ROUTE).json()
    assert listed["current"] is None
    (one,) = listed["recordings"]
    assert (one["name"], one["state"], one["pictures"]) == ("take_1", "finished", "jpeg")
    assert (one["frame_sets"], one["hands"]) == (status["frame_sets"], status["hands"])
    recording = Recording(folder / "take_1")
    assert recording.complete
    assert recording.engine["model_id"] == engine.card.model_id
    assert recording.info.pictures == Pictures("jpeg", 90)
    ids = [frame_set.id for frame_set in recording.frame_sets()]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    answered = [message["frame_set"]["id"] for message in recording.hands()]
    assert set(answered) <= set(ids)
    assert all(len(message["hands"]) == 2 for message in recording.hands())
    config = load_rig_config(folder / "take_1" / "rig.yaml")
    assert (config.name, config.max_skew_ms, config.up) == ("desk", 12, "-z")
    assert load_rig(config).id == rig.id


def test_a_request_without_a_body_takes_the_defaults(client, folder):
    name = client.post(ROUTE).json()["name"]
    assert (folder / name / "recording.mcap").is_file()
    assert client.delete(f"{ROUTE}/current").json()["name"] == name


def test_one_recording_at_a_time(client):
    client.post(ROUTE, json={"name": "first"})
    refused = client.post(ROUTE, json={"name": "second"})
    assert refused.status_code == 409
    assert refused.json()["detail"] == "recording 'first' is recording; stop it first"
    assert client.delete(f"{ROUTE}/current").status_code == 200
    missing = client.delete(f"{ROUTE}/current")
    assert missing.status_code == 404
    assert missing.json()["detail"] == "no recording runs; start one first"
    assert client.post(ROUTE, json={"name": "first"}).json()["name"] == "first-2"


def test_how_pictures_are_stored_may_be_chosen(client, folder, eventually):
    client.post(ROUTE, json={"name": "exact", "pictures": "raw"})
    eventually(lambda: current(client)["frame_sets"] > 2)
    client.delete(f"{ROUTE}/current")
    assert Recording(folder / "exact").info.pictures.format == "raw"
    frame_set = next(Recording(folder / "exact").frame_sets())
    assert [int(frame.image_bgr.min()) for frame in frame_set.frames] == [40, 60]


@pytest.mark.parametrize(
    "body", [{"name": "../.."}, {"name": 3}, {"pictures": "tiff"}, {"quality": 0}, {"folder": "x"}, [1]]
)
def test_what_cannot_be_recorded_is_refused(client, folder, body):
    assert client.post(ROUTE, json=body).status_code == 422
    assert current(client) is None
    assert not folder.exists()


def test_no_name_leads_out_of_the_folder(client, tmp_path, folder):
    for name in ("../escaped", "/escaped", "..\\escaped", "a/../../escaped"):
        answer = client.post(ROUTE, json={"name": name})
        assert (answer.status_code, "and no path" in answer.json()["detail"]) == (422, True)
    assert client.post(ROUTE, json={"name": "a/escaped"}).json()["name"] == "a_escaped"
    client.delete(f"{ROUTE}/current")
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert all(path.is_dir() for path in folder.iterdir())


def test_a_folder_that_cannot_be_made_is_a_named_refusal(client, folder):
    folder.write_text("in the way")
    refused = client.post(ROUTE)
    assert refused.status_code == 507
    assert "cannot be written" in refused.json()["detail"]
    assert client.get("/readyz").status_code == 200


def test_a_full_disk_is_refused_before_anything_is_written(client, folder, monkeypatch):
    monkeypatch.setattr(opening, "free_bytes", lambda _: 999)
    refused = client.post(ROUTE, json={"name": "x"})
    assert refused.status_code == 507
    assert "0 MiB free" in refused.json()["detail"]
    assert current(client) is None
    assert list(folder.iterdir()) == []


def test_a_disk_that_takes_not_even_the_beginning_leaves_nothing(client, folder, monkeypatch):
    def fail(self, data):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(opening.DiskFile, "write", fail)
    refused = client.post(ROUTE)
    assert refused.status_code == 507
    assert "cannot be written: Read-only file system" in refused.json()["detail"]
    assert list(folder.iterdir()) == []


def test_a_disk_that_fails_ends_the_recording_and_not_the_service(client, monkeypatch, eventually):
    failing = threading.Event()
    write = opening.DiskFile.write

    def write_or_fail(self, data):
        if failing.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(opening.DiskFile, "write", write_or_fail)
    client.post(ROUTE, json={"name": "doomed"})
    failing.set()
    eventually(lambda: current(client)["state"] == "disk_full")
    text = client.get("/metrics").text
    assert 'usthand_recording_state{state="disk_full"} 1.0' in text
    answered = client.get("/api/v1/stats").json()["frame_sets"]
    eventually(lambda: client.get("/api/v1/stats").json()["frame_sets"] > answered)
    assert client.get("/readyz").status_code == 200
    failing.clear()
    # It stays until somebody has seen it, or begins another one.
    ended = client.delete(f"{ROUTE}/current").json()
    assert (ended["state"], ended["name"]) == ("disk_full", "doomed")
    assert "No space left on device; delete" in ended["message"]
    assert client.delete(f"{ROUTE}/current").status_code == 404
    client.post(ROUTE, json={"name": "next"})
    eventually(lambda: current(client)["frame_sets"] > 2)
    (doomed,) = client.get(ROUTE).json()["recordings"]
    assert (doomed["name"], doomed["state"]) == ("doomed", "cut_short")


def test_a_disk_that_does_not_answer_makes_nobody_think_that_the_service_is_dead(client, monkeypatch, eventually):
    """There are 40 threads for what may have to wait."""
    waiting, answers = threading.Semaphore(0), threading.Event()

    def hang(*_):
        waiting.release()
        answers.wait(10)
        return []

    monkeypatch.setattr(recordings, "list_recordings", hang)
    with contextlib.ExitStack() as asking:
        asking.callback(answers.set)
        for _ in range(44):
            connection = asking.enter_context(socket.create_connection((client.base_url.host, client.base_url.port), 5))
            connection.sendall(f"GET {ROUTE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for _ in range(40):
            assert waiting.acquire(timeout=5)
        assert client.get("/healthz", timeout=5).json() == {"status": "ok"}


def test_metrics_tell_the_recording(client, eventually):
    assert 'usthand_recording_state{state="recording"} 0.0' in client.get("/metrics").text
    client.post(ROUTE)
    eventually(lambda: current(client)["frame_sets"] > 3)
    text = client.get("/metrics").text
    assert 'usthand_recording_state{state="recording"} 1.0' in text
    for name in ("frame_sets_total", "hands_total", "hands_dropped_total", "bytes"):
        value = next(line for line in text.splitlines() if line.startswith(f"usthand_recording_{name} "))
        assert float(value.split()[1]) >= 0


def test_what_cannot_be_read_is_listed_with_its_reason(client, folder):
    (folder / "broken").mkdir(parents=True)
    (folder / "broken" / "recording.mcap").write_bytes(b"nothing")
    (folder / "other").mkdir()
    (one,) = client.get(ROUTE).json()["recordings"]
    assert (one["name"], one["state"]) == ("broken", "unreadable")
    assert "is no MCAP file" in one["message"]


def test_a_service_that_cannot_record_offers_no_route(running):
    assert httpx.get(f"{running.url}{ROUTE}").status_code == 404
    assert ROUTE not in httpx.get(f"{running.url}/openapi.json").json()["paths"]
    assert "usthand_recording" not in httpx.get(f"{running.url}/metrics").text


def test_a_recording_that_runs_is_ended_with_the_service(rig, session, engine, place, folder, eventually):
    tap = FrameTap(session)
    pipeline = Pipeline(tap, engine, rig)
    made = Recordings(place, tap, pipeline)
    pipeline.start()
    name = made.start().name
    eventually(lambda: made.current.frame_sets > 2)
    made.close()
    assert made.current is None
    assert Recording(folder / name).complete
    with pytest.raises(recordings.NotRecordingError):
        made.stop()
    pipeline.stop()
    tap.stop()
