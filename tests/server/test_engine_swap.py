"""Another model while the stream goes on."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import httpx
import pytest
from websockets.sync.client import connect

from engine.errors import EngineError
from engine.factory import MODELS, SHIPPED, open_engine
from server.models import (
    ModelPlace,
    ModelRefusedError,
    Models,
    ModelSwapBusyError,
    ModelSwapTimeoutError,
    UnknownModelError,
)
from server.pipeline import RUNNING, Pipeline

ROUTE = "/api/v1/engine"
WAIT_S = 5.0


@pytest.fixture
def make_engine(engine, hands):
    """Makes engines that answer as the fake one does, under another name."""

    def make(model_id, *, error=None):
        made = type(engine)(hands)
        made.card = replace(engine.card, model_id=model_id)
        made.error = error
        return made

    return make


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "mine.onnx").write_bytes(b"as good as any for the fake")
    (folder / "broken.onnx").write_bytes(b"no network")
    (folder / "notes.txt").write_text("no model")
    (tmp_path / "outside.onnx").write_bytes(b"not offered")
    return folder


class Opener:
    """Opens fake engines; remembers what was opened."""

    def __init__(self, make_engine):
        self.make_engine = make_engine
        self.opened = {}
        self.fails_on_frames = False
        self.may_open = threading.Event()
        self.may_open.set()

    def __call__(self, name):
        self.may_open.wait(WAIT_S)
        if name.endswith("broken.onnx"):
            raise EngineError(f"{name}: is no exported network")
        error = EngineError("of another number of views") if self.fails_on_frames else None
        self.opened[name] = made = self.make_engine(f"opened-{name.rsplit('/', 1)[-1]}", error=error)
        return made


@pytest.fixture
def opener(make_engine):
    return Opener(make_engine)


@pytest.fixture
def served(serving, session, engine, rig, opener, folder, eventually):
    with serving(session, engine, rig, models=ModelPlace("detector", opener, folder)) as running:
        eventually(lambda: running.pipeline.latest is not None)
        yield running


@pytest.fixture
def client(served):
    with httpx.Client(base_url=served.url, timeout=WAIT_S) as http:
        yield http


def test_a_swap_breaks_no_stream_and_each_message_names_what_made_it(served, client, engine, opener, folder):
    with connect(served.stream_url("format=json")) as socket:
        messages = []

        def read_until(model_id):
            while not messages or messages[-1]["model_id"] != model_id:
                message = json.loads(socket.recv(WAIT_S))
                if message["type"] == "hands":
                    messages.append(message)

        read_until("fake-1")
        answer = client.post(ROUTE, json={"model": "mine.onnx"})
        assert (answer.status_code, answer.json()["model_id"]) == (200, "opened-mine.onnx")
        read_until("opened-mine.onnx")
    ids = [message["model_id"] for message in messages]
    assert ids == sorted(ids), "first the old one's, then the new one's"
    assert engine.closed
    new = opener.opened[str(folder / "mine.onnx")]
    assert not new.closed
    assert served.pipeline.state == RUNNING
    # What is asked for later says the same.
    assert client.get("/api/v1/hands/latest").json()["model_id"] == "opened-mine.onnx"
    assert client.get(ROUTE).json()["model_id"] == "opened-mine.onnx"
    assert 'model_id="opened-mine.onnx"' in client.get("/metrics").text
    # Old hands are not taken for new ones, though both engines count alike.
    old, later = messages[0]["hands"], messages[-1]["hands"]
    assert len(old) == len(later) == 2
    assert not {hand["id"] for hand in old} & {hand["id"] for hand in later}


def test_the_models_that_may_be_chosen_are_listed(client, folder):
    assert client.get(ROUTE).json()["models"] == [*MODELS, *SHIPPED, "broken.onnx", "mine.onnx"]
    (folder / "new.onnx").write_bytes(b"")
    assert "new.onnx" in client.get(ROUTE).json()["models"]


@pytest.mark.parametrize(
    "name", ["outside.onnx", "../outside.onnx", "notes.txt", "/etc/passwd", "", ".", "mine", "models/mine.onnx"]
)
def test_only_names_that_are_listed_are_opened(served, client, opener, name):
    answer = client.post(ROUTE, json={"model": name})
    assert answer.status_code == 404
    assert "is not offered here; there are: detector," in answer.json()["detail"]
    assert not opener.opened
    assert served.pipeline.engine.card.model_id == "fake-1"


def test_a_file_that_cannot_be_opened_keeps_the_old_model(served, client, engine, eventually):
    answer = client.post(ROUTE, json={"model": "broken.onnx"})
    assert answer.status_code == 422
    assert "broken.onnx: is no exported network" in answer.json()["detail"]
    _still_runs(served, engine, eventually)


def test_a_model_that_fails_on_this_rig_keeps_the_old_one(served, client, engine, opener, eventually):
    opener.fails_on_frames = True
    answer = client.post(ROUTE, json={"model": "detector-lite"})
    assert answer.status_code == 422
    assert "failed on the newest frame set: of another number of views" in answer.json()["detail"]
    assert opener.opened["detector-lite"].closed
    _still_runs(served, engine, eventually)


def test_a_second_change_waits_for_nobody(served, client, opener, eventually):
    opener.may_open.clear()
    models = served.app.state.parts.models
    first = models.choose("detector-lite")
    with pytest.raises(ModelSwapBusyError, match="try again"):
        models.choose("mine.onnx")
    answer = client.post(ROUTE, json={"model": "mine.onnx"})
    assert answer.status_code == 409
    solved = served.pipeline.solved_count
    eventually(lambda: served.pipeline.solved_count > solved + 3)
    opener.may_open.set()
    assert first.result(WAIT_S).model_id == "opened-detector-lite"
    assert client.post(ROUTE, json={"model": "mine.onnx"}).status_code == 200


@pytest.mark.parametrize("body", [{}, {"model": 3}, {"model": "a" * 201}, {"model": "detector", "path": "x"}])
def test_other_bodies_are_refused(client, body):
    assert client.post(ROUTE, json=body).status_code == 422


def test_without_a_place_no_model_is_offered(running, engine):
    with httpx.Client(base_url=running.url, timeout=WAIT_S) as http:
        assert http.get(ROUTE).json()["models"] == []
        assert http.post(ROUTE, json={"model": "detector"}).status_code == 404
    assert not engine.closed


def test_a_busy_engine_keeps_its_place_and_the_new_one_is_closed(session, engine, rig, opener, eventually):
    pipeline = Pipeline(session, engine, rig)
    pipeline.start()
    try:
        eventually(lambda: pipeline.latest is not None)
        engine.gate.clear()
        models = Models(pipeline, ModelPlace("detector", opener), swap_timeout_s=0.1)
        with pytest.raises(ModelSwapTimeoutError, match=r"took up no model within 0\.1 s"):
            models.choose("detector").result(WAIT_S)
        engine.gate.set()
        assert opener.opened["detector"].closed
        _still_runs_on(pipeline, engine, eventually)
        # And nothing is left behind that forbids the next.
        assert Models(pipeline, ModelPlace("detector", opener)).choose("detector").result(WAIT_S)
        eventually(lambda: engine.closed)
    finally:
        engine.gate.set()
        pipeline.stop()
    assert opener.opened["detector"].closed, "the pipeline closes what runs at the end"


def test_a_pipeline_that_ends_leaves_the_new_engine_to_whoever_opened_it(session, engine, rig, opener):
    pipeline = Pipeline(session, engine, rig)
    new = opener("detector")
    done = pipeline.request_engine(new)
    pipeline.stop()
    assert done.cancelled()
    assert engine.closed
    assert not new.closed


def test_the_model_that_it_began_with_may_be_chosen_again(session, engine, rig, opener, folder, tmp_path):
    place = ModelPlace(str(tmp_path / "outside.onnx"), opener, folder)
    assert place.offered() == {
        **{name: name for name in (*MODELS, *SHIPPED)},
        "outside.onnx": str(tmp_path / "outside.onnx"),
        "broken.onnx": str(folder / "broken.onnx"),
        "mine.onnx": str(folder / "mine.onnx"),
    }
    models = Models(Pipeline(session, engine, rig), place)
    with pytest.raises(UnknownModelError, match=r"'\.\./outside.onnx' is not offered"):
        models.choose("../outside.onnx")


def test_a_models_folder_that_is_none_is_said_at_the_start(opener, tmp_path):
    with pytest.raises(NotADirectoryError, match="give one with exported networks"):
        ModelPlace("detector", opener, tmp_path / "nowhere")


def test_a_broken_file_is_refused_by_the_real_thing(session, engine, rig, folder):
    models = Models(Pipeline(session, engine, rig), ModelPlace("detector", open_engine, folder))
    with pytest.raises(ModelRefusedError, match=r"model 'broken.onnx' cannot be opened: .*broken\.onnx"):
        models.choose("broken.onnx").result(WAIT_S)


def _still_runs(served, engine, eventually):
    _still_runs_on(served.pipeline, engine, eventually)


def _still_runs_on(pipeline, engine, eventually):
    assert pipeline.engine is engine
    assert not engine.closed
    solved = pipeline.solved_count
    eventually(lambda: pipeline.solved_count > solved + 2)
    assert pipeline.latest.model_id == "fake-1"
    assert pipeline.state == RUNNING
