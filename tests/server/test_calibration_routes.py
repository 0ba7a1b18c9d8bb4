from __future__ import annotations

import itertools
import json
import pickle
import threading
import tracemalloc
from concurrent.futures import Future
from copy import deepcopy

import numpy as np
import pytest
from websockets.sync.client import connect

from calibration import CalibrationError, Rig
from calibration.files import (
    FILE_FORMATS,
    WRITTEN_FORMATS,
    calibration_to_dict,
    parse_calibration,
    write_calibration,
)
from calibration.reframe import in_first_camera
from server.calibration_history import MOST_VERSIONS, History
from server.calibration_judge import judge

ROUTE = "/api/v1/calibration"


@pytest.fixture
def document(rig):
    """The running calibration, with the first camera moved by 10 mm."""
    content = calibration_to_dict(rig)
    content["cameras"][0]["T_camera_world"][0][3] += 0.01
    return content


def rig_id(document):
    return parse_calibration(json.dumps(document).encode()).id


def put(client, document, query=""):
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.put(ROUTE + query, content=content)


def broken(document, change):
    content = deepcopy(document)
    change(content)
    return content


def scale_translations(content, factor):
    for camera in content["cameras"]:
        for row in camera["T_camera_world"][:3]:
            row[3] *= factor


def exchange(content):
    first, second = content["cameras"][:2]
    first["id"], second["id"] = second["id"], first["id"]


def invert(content):
    for camera in content["cameras"]:
        camera["T_camera_world"] = np.linalg.inv(camera["T_camera_world"]).tolist()


BAD = {
    "NaN": (lambda c: c["cameras"][0]["K"][0].__setitem__(2, float("nan")), "cam0", "not finite"),
    "a focal length of zero": (lambda c: c["cameras"][1]["K"][0].__setitem__(0, 0), "cam1", "must be positive"),
    "an unknown camera": (lambda c: c["cameras"].append({**c["cameras"][0], "id": "spare"}), "spare", "no such camera"),
    "mm for m": (lambda c: scale_translations(c, 1000), "", "written in mm? Give its unit (units=mm)"),
    "m for mm": (lambda c: scale_translations(c, 0.001), "", "metres taken for mm"),
    "camera to world": (invert, "", "from camera to world"),
    "two cameras exchanged": (exchange, "", "cables or names exchanged"),
    "a camera missing": (lambda c: c["cameras"].pop(1), "cam1", "name every running camera"),
    "another name": (lambda c: c["cameras"][1].update(id="left"), "cam1", "name every running camera"),
    "an insane K": (lambda c: c["cameras"][2]["K"][0].__setitem__(0, -5), "cam2", "focal length"),
    "K of another size": (lambda c: c["cameras"][2].update(K=[[1, 0], [0, 1]]), "cam2", "K"),
    "no rotation": (lambda c: c["cameras"][0]["T_camera_world"][0].__setitem__(0, 9), "cam0", "rotation"),
    "a mirror": (
        lambda c: c["cameras"][0].update(T_camera_world=np.diag([1.0, 1, -1, 1]).tolist()),
        "cam0",
        "rotation",
    ),
    "another size": (lambda c: c["cameras"][1].update(width=640), "cam1", "640x240"),
    "an unknown model": (lambda c: c["cameras"][1].update(model="magic"), "cam1", "magic"),
    "another schema": (lambda c: c.update(schema="else/1"), "", "schema"),
}


@pytest.mark.parametrize(("change", "camera", "why"), BAD.values(), ids=BAD)
def test_a_bad_upload_is_refused_with_reasons_and_the_running_one_stays(
    client, running, document, eventually, change, camera, why
):
    before = running.pipeline.rig
    answer = put(client, broken(document, change))
    assert answer.status_code == 422
    content = answer.json()
    assert content["accepted"] is False
    assert any(why in reason for reason in content["reasons"][camera]), content
    assert content["running_calibration_id"] == before.id
    assert running.pipeline.rig is before
    assert len(client.get(f"{ROUTE}/history").json()["versions"]) == 1
    count = running.pipeline.solved_count
    eventually(lambda: running.pipeline.solved_count > count + 2)
    assert running.pipeline.errors == {}


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04N.", b"not json", b"[" * 100_000, b'{"cameras":' * 5000, b"null", b"\xff\xfe"]
)
def test_junk_is_refused(client, running, content):
    answer = put(client, content)
    assert answer.status_code == 422
    assert answer.json()["reasons"][""]
    assert running.pipeline.errors == {}


def test_every_reason_is_given_at_once(client, document):
    document["cameras"][0]["K"][0][0] = -1
    document["cameras"][2]["T_camera_world"][0][0] = 7
    assert set(put(client, document).json()["reasons"]) == {"cam0", "cam2"}


def test_an_upload_is_bounded_in_size(client, running):
    before = running.pipeline.rig
    assert put(client, b" " * (1 << 20) + b"{}").status_code == 413
    assert running.pipeline.rig is before


def test_a_hundred_megabytes_are_refused_without_being_kept(client, running):
    before = running.pipeline.rig
    megabyte = b"x" * (1 << 20)
    tracemalloc.start()
    try:
        answer = client.put(ROUTE, content=itertools.chain([b'{"schema": "'], itertools.repeat(megabyte, 100)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert "a calibration is a few kilobytes" in answer.json()["detail"]
    assert peak < 20e6
    assert running.pipeline.rig is before
    assert client.get("/healthz").status_code == 200


def test_a_pickle_is_named_and_never_opened(client):
    answer = put(client, pickle.dumps({"cameras": []}, protocol=5))
    assert answer.status_code == 422
    assert "pickles" in answer.json()["reasons"][""][0]


def test_what_looks_like_a_mistake_is_used_where_it_is_said_to_be_right(client, running, document):
    scale_translations(document, 4)
    refused = put(client, document).json()
    assert refused["forcible"]
    assert "force=1" in refused["reasons"][""][0]
    answer = put(client, document, "?force=1").json()
    assert answer["accepted"]
    assert "times as far" in answer["suspicions"][0]
    assert running.pipeline.rig.id == answer["calibration_id"]
    # What is no calibration at all stays refused.
    document["cameras"][0]["K"][0][0] = 0
    broken = put(client, document, "?force=1")
    assert (broken.status_code, broken.json()["forcible"]) == (422, False)


@pytest.mark.parametrize("format", [f for f in WRITTEN_FORMATS if f in FILE_FORMATS])
def test_every_format_that_is_one_file_can_be_uploaded(client, running, rig, tmp_path, format):
    unitless = format in ("anipose", "multical")
    rig = in_first_camera(rig) if format == "kalibr" else rig
    write_calibration(rig, tmp_path / "file", format, units="mm" if unitless else None)
    data = (tmp_path / "file").read_bytes()
    query = f"?format={format}" + ("&units=mm" if unitless else "")
    answer = put(client, data, query)
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(running.pipeline.rig.cameras[1].K, rig.cameras[1].K)
    if unitless:
        assert "carry no unit" in put(client, data, f"?format={format}").json()["reasons"][""][0]
        wrong = put(client, data, f"?format={format}&units=m")
        assert "units=mm" in wrong.json()["reasons"][""][0]


def test_a_size_is_taken_where_a_format_states_none(client, running, rig):
    data = {"K": [c.K.tolist() for c in rig], "M": [c.T_camera_world.tolist() for c in rig]}
    assert "give size" in put(client, data, "?format=hanco").json()["reasons"][""][0]
    assert "not WIDTHxHEIGHT" in put(client, data, "?format=hanco&size=big").json()["reasons"][""][0]
    assert "size 10x10 was asked" not in put(client, data, "?format=hanco&size=10x10").text
    first = rig.cameras[0]
    assert put(client, data, f"?format=hanco&size={first.width}x{first.height}").status_code == 200


def test_an_unknown_format_is_refused(client, document):
    answer = put(client, document, "?format=stone-tablet")
    assert answer.status_code == 422
    assert "stone-tablet" in answer.json()["detail"]


def test_a_misspelt_option_changes_nothing(client, running, document):
    answer = put(client, document, "?dryrun=1")
    assert answer.status_code == 422
    assert "query option 'dryrun' is not known; there are" in answer.json()["detail"]
    assert "dry_run" in answer.json()["detail"]
    assert running.pipeline.rig.id != rig_id(document)
    assert put(client, document, "?dry_run=1&token=any").status_code == 200


def test_a_dry_run_judges_and_leaves_all_as_it_is(client, running, document):
    before = running.pipeline.rig
    content = put(client, document, "?dry_run=1").json()
    assert (content["accepted"], content["dry_run"], content["version"]) == (True, True, None)
    assert content["changes"]["cam0"]["moved_mm"] == pytest.approx(10, abs=0.01)
    assert content["changes"]["cam1"] == {"moved_mm": 0, "turned_deg": 0, "focal_change_percent": 0}
    assert content["calibration_id"] == rig_id(document)
    assert running.pipeline.rig is before


def test_an_accepted_upload_is_swapped_in_between_two_frame_sets(client, running, document):
    old, new = running.rig.id, rig_id(document)
    with connect(running.stream_url()) as stream:
        assert json.loads(stream.recv(5))["calibration_id"] == old
        answer = put(client, document)
        assert answer.status_code == 200
        assert answer.json()["running_calibration_id"] == new
        ids = {}
        while new not in ids.values():
            message = json.loads(stream.recv(5))
            ids[message["frame_set"]["id"]] = message["calibration_id"]
        for _ in range(5):
            message = json.loads(stream.recv(5))
            ids[message["frame_set"]["id"]] = message["calibration_id"]
    # The engine was given, set by set, the calibration that the message names, and it changed once.
    given = running.engine.rig_ids
    assert [given[number] for number in ids] == list(ids.values())
    assert given == sorted(given, key=[old, new].index)
    assert client.get(ROUTE).json()["id"] == new
    assert client.get("/readyz").json()["calibration"]["id"] == new


def test_cameras_beyond_those_that_run_are_ignored_if_asked_for_and_the_order_is_ours(client, running, document):
    document["cameras"].append({**document["cameras"][0], "id": "spare"})
    document["cameras"].reverse()
    content = put(client, document, "?ignore_unknown=1").json()
    assert content["ignored"] == ["spare"]
    assert running.pipeline.rig.camera_ids == running.rig.camera_ids


def test_rollback_goes_back_step_by_step_and_by_number(client, running, document):
    first = running.rig.id
    second = put(client, document).json()["calibration_id"]
    document["cameras"][1]["T_camera_world"][1][3] += 0.02
    third = put(client, document).json()["calibration_id"]
    assert client.post(f"{ROUTE}/rollback").json()["calibration_id"] == second
    assert running.pipeline.rig.id == second
    assert client.post(f"{ROUTE}/rollback").json()["calibration_id"] == first
    at_the_start = client.post(f"{ROUTE}/rollback")
    assert at_the_start.status_code == 409
    assert "first one" in at_the_start.json()["detail"]
    assert client.post(f"{ROUTE}/rollback?version=3").json()["calibration_id"] == third
    missing = client.post(f"{ROUTE}/rollback?version=9")
    assert missing.status_code == 404
    assert "1, 2, 3" in missing.json()["detail"]
    versions = client.get(f"{ROUTE}/history").json()["versions"]
    assert [v["source"] for v in versions] == ["start", "upload", "upload"]
    assert [v["running"] for v in versions] == [False, False, True]
    assert [v["replaced"] for v in versions] == [None, 1, 2]


def test_a_swap_that_the_engine_does_not_take_up_is_said_so_and_never_happens(client, running, document, eventually):
    running.app.state.parts.calibration._swap_timeout_s = 0.1
    running.engine.gate.clear()
    given = running.session.given
    eventually(lambda: running.session.given > given or threading.Event().wait(0.05) is False)
    answer = put(client, document)
    assert answer.status_code == 503
    running.engine.gate.set()
    count = running.pipeline.solved_count
    eventually(lambda: running.pipeline.solved_count > count + 3)
    assert running.pipeline.rig is running.rig
    assert len(client.get(f"{ROUTE}/history").json()["versions"]) == 1


def test_a_swap_that_is_taken_up_as_the_time_ends_is_one(client, running, document, monkeypatch):
    """The engine has begun to take it up: to say that it was not would leave history and engine apart."""

    def begun(rig):
        done = Future()
        done.set_running_or_notify_cancel()
        monkeypatch.setattr(running.pipeline, "_rig", rig)
        return done

    running.app.state.parts.calibration._swap_timeout_s = 0.1
    monkeypatch.setattr(running.pipeline, "request_rig", begun)
    answer = put(client, document)
    assert answer.status_code == 200
    history = client.get(f"{ROUTE}/history").json()["versions"]
    assert [version["calibration_id"] for version in history if version["running"]] == [running.pipeline.rig.id]
    assert running.pipeline.rig.id == rig_id(document)


def test_what_is_read_can_be_uploaded_again(client, running):
    assert put(client, client.get(ROUTE).json()).json()["calibration_id"] == running.rig.id


def test_the_pictures_size_counts_not_the_old_calibrations(rig):
    with pytest.raises(CalibrationError) as refused:
        judge(rig, rig, {"cam0": (1920, 1080)})
    assert list(refused.value.reasons) == ["cam0"]
    assert "1920x1080" in str(refused.value)


def test_the_history_is_bounded_and_keeps_the_first(rig):
    history = History(rig)
    for i in range(2 * MOST_VERSIONS):
        history.add(Rig(rig.cameras, str(i)), "upload")
    assert len(history.versions) == MOST_VERSIONS
    assert history.versions[0].source == "start"
    assert history.running.number == 2 * MOST_VERSIONS + 1


def test_what_a_rollback_would_go_back_to_is_kept(rig):
    history = History(rig)
    for i in range(MOST_VERSIONS - 1):
        history.add(Rig(rig.cameras, str(i)), "upload")
    history.go_back(history.version(2))
    history.add(Rig(rig.cameras, "new"), "upload")
    assert len(history.versions) == MOST_VERSIONS
    assert history.rollback_target(None).number == 2
    assert 3 not in [version.number for version in history.versions]
