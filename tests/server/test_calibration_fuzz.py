"""Whatever is sent to the calibration's routes, the service answers with its own words, and never with a 5xx."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibration.files import FILE_FORMATS, calibration_to_dict

ROUTE = "/api/v1/calibration"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([10**400, 1e300]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
# Mostly what a route can read: what it refuses at its door never reaches what is behind it.
flags = st.sampled_from(["0", "1", "true", "false", "perhaps"])
words = st.text(max_size=20) | st.sampled_from(["", "m", "mm", "0", "1e400", "nan", "-1", "1", "true", "640x480", "x"])
queries = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from([*FILE_FORMATS, "no-such-format"]),
        "units": words,
        "size": st.sampled_from(["640x480", "0x0", "x", "-1x4", "9" * 11]),
        "dry_run": flags,
        "force": flags,
        "ignore_unknown": flags,
    },
)
fuzzed = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def answered(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    assert isinstance(response.json(), dict)


@pytest.fixture
def sound(rig) -> dict[str, Any]:
    return calibration_to_dict(rig)


@fuzzed
@given(data=st.binary(max_size=300) | anything.map(lambda v: json.dumps(v).encode()), query=queries)
def test_any_body_with_any_query(client, data: bytes, query: dict[str, str]) -> None:
    answered(client.put(ROUTE, params=query, content=data))


@fuzzed
@given(choices=st.data())
def test_any_value_in_any_place_of_the_running_calibration(client, running, sound, choices: st.DataObject) -> None:
    sound = json.loads(json.dumps(sound))
    place: Any = sound
    while True:
        key = choices.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or choices.draw(st.booleans()):
            break
        place = place[key]
    place[key] = choices.draw(anything | st.floats(-1e4, 1e4))
    response = client.put(ROUTE, params={"dry_run": choices.draw(st.booleans())}, content=json.dumps(sound).encode())
    answered(response)
    assert response.status_code in (200, 422)
    answered(client.get(ROUTE))
    assert running.pipeline.errors == {}


@fuzzed
@given(version=words | st.integers().map(str))
def test_any_rollback(client, version: str) -> None:
    answered(client.post(f"{ROUTE}/rollback", params={"version": version}))
    answered(client.get(f"{ROUTE}/history"))


boards = st.text(max_size=40) | st.sampled_from(
    [
        "charuco:4x5:0.05:DICT_4X4_50",
        "charuco:99999x99999:1e-9:DICT_4X4_1000",
        "checkerboard:8x5:nan",
        "aprilgrid:6x6:0.1:0.3",
    ]
)
wishes = st.fixed_dictionaries({"board": boards}, optional={"world": words, "model": words, "else": anything})


@fuzzed
@given(wanted=wishes | anything, force=flags)
def test_any_live_calibration(client, wanted: Any, force: str) -> None:
    session = f"{ROUTE}/session"
    begun = client.post(session, content=json.dumps(wanted).encode(), headers={"Content-Type": "application/json"})
    answered(begun)
    for step in (
        client.get(session),
        client.post(f"{session}/solve"),
        client.post(f"{session}/accept", params={"force": force}),
    ):
        answered(step)
    assert client.delete(session).status_code == (204 if begun.status_code == 201 else 404)
