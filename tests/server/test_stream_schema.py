"""Every message of every dialect is as the served schema says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from websockets.sync.client import connect

from server.dialects import DIALECTS
from server.encoding import encode_json
from server.messages import FIELDS, SCHEMA_ID, hands_message, hello_message
from server.stream_schema import Hands, Hello, Ping, Pong, stream_schema

EVERYTHING = frozenset(FIELDS)


def valid(model, payload):
    return TypeAdapter(model).validate_json(payload, strict=True)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("predict_ms", [0, 33])
def test_messages_of_every_dialect_are_valid(dialect, predict_ms, solved, rig):
    chosen = DIALECTS[dialect]
    hello = valid(Hello, encode_json(hello_message(rig, "m", chosen, encoding="json", fields=EVERYTHING, max_hz=30.0)))
    hands = valid(Hands, encode_json(hands_message(solved, EVERYTHING, chosen, sent_ns=5, predict_ms=predict_ms)))
    assert hello.schema_id == SCHEMA_ID
    for hand in hands.hands:
        count = len(hello.joint_names)
        assert {len(hand.joints), len(hand.orientations), len(hand.radii), len(hand.tracked)} == {count}
        assert len(hand.covariance_mm2) == count
    for field in FIELDS:
        valid(Hands, encode_json(hands_message(solved, frozenset({field}), chosen)))


def test_a_stream_is_valid_from_hello_to_pong(running):
    query = "dialect=unity&fields=joints,mano,vertices,covariance,stats&predict_ms=20&max_hz=50"
    with connect(running.stream_url(query), max_size=None) as stream:
        assert valid(Hello, stream.recv(5)).up == "-y"
        stream.send('{"type":"ping","t":"a"}')
        seen = set()
        while seen < {"hands", "pong"}:
            message = stream.recv(5)
            seen.add(json.loads(message)["type"])
            valid(Hands | Pong, message)


def test_a_number_that_is_none_is_null_and_still_valid(solved, hands):
    joints = hands[0].joints_world.copy()
    joints[8] = np.nan
    broken = replace(solved, hands=(replace(hands[0], joints_world=joints),))
    for dialect in DIALECTS.values():
        said = valid(Hands, encode_json(hands_message(broken, EVERYTHING, dialect)))
        assert any(None in row for row in said.hands[0].joints)


@pytest.mark.parametrize(
    "change",
    [
        lambda message: message.pop("predicted_ms"),
        lambda message: message.update(more=1),
        lambda message: message.update(v=2),
        lambda message: message["hands"][0].update(joints=None),
        lambda message: message["hands"][0]["joints"][0].pop(),
        lambda message: message["hands"][0].update(side="both"),
        lambda message: message["hands"][0]["mano"]["pose"].pop(),
        lambda message: message["stamps_ns"].update(sent=-1),
    ],
)
def test_what_is_not_so_is_not_valid(change, solved):
    message = json.loads(encode_json(hands_message(solved, EVERYTHING, DIALECTS["mano"])))
    valid(Hands, json.dumps(message))
    change(message)
    with pytest.raises(ValidationError):
        valid(Hands, json.dumps(message))


def test_the_schema_is_served_with_its_version(client):
    answer = client.get("/api/v1/schema/stream.json")
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    assert schema == json.loads(json.dumps(stream_schema()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == SCHEMA_ID
    assert {ref["$ref"].rpartition("/")[2] for ref in schema["oneOf"]} == {"Hello", "Hands", "Ping", "Pong"}
    hand = schema["$defs"]["Hand"]
    assert hand["additionalProperties"] is False
    assert hand["required"] == ["id", "side", "confidence"]
    assert all("default" not in part for part in hand["properties"].values())
    names = hand["properties"].keys()
    assert {"joints", "orientations", "radii", "tracked", "mano", "vertices", "predicted_ms"} <= names


def test_every_reference_of_the_asyncapi_document_leads_somewhere(client):
    document = client.get("/api/v1/schema/asyncapi.json").json()
    schema = client.get("/api/v1/schema/stream.json").json()
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["version"] == SCHEMA_ID.rpartition("/")[2]
    assert document["channels"]["stream"]["address"] == "/api/v1/stream"
    options = document["channels"]["stream"]["bindings"]["ws"]["query"]["properties"]
    assert options["dialect"]["enum"] == list(DIALECTS)
    assert set(options) == {"format", "dialect", "up", "fields", "predict_ms", "max_hz", "token"}

    def follow(node):
        if isinstance(node, dict):
            if "$ref" in node:
                file, _, path = node["$ref"].partition("#/")
                assert file in ("", "stream.json")
                target = schema if file else document
                for step in path.split("/"):
                    target = target[step]
            for value in node.values():
                follow(value)
        elif isinstance(node, list):
            for value in node:
                follow(value)

    follow(document)


@pytest.mark.parametrize("message", ['{"type":"ping"}', '{"type":"ping","t":12.5}', '{"type":"ping","t":"now"}'])
def test_pings_are_in_the_schema_too(message):
    valid(Ping, message)
