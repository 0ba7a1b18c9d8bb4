from __future__ import annotations

import json
import math
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from numpy.testing import assert_allclose

from server.dialects import DIALECTS
from server.encoding import OPEN_STAMP, OpenMessage, encode_json, encode_msgpack
from server.messages import ARRAY_COLUMNS, DEFAULT_FIELDS, FIELDS, hands_message
from server.outgoing import Outgoing

EVERYTHING = frozenset(FIELDS)


def build(solved, fields=DEFAULT_FIELDS, dialect="mano", **options):
    return hands_message(solved, fields, DIALECTS[dialect], **options)


def assert_same(from_json, from_msgpack, key=""):
    """What both encodings say is the same, up to JSON's rounding and msgpack's float32."""
    if isinstance(from_json, dict):
        assert list(from_json) == list(from_msgpack)
        for name, value in from_json.items():
            assert_same(value, from_msgpack[name], key if key in ARRAY_COLUMNS else name)
    elif isinstance(from_msgpack, bytes):
        values = np.frombuffer(from_msgpack, "<f4")
        expected = np.array(from_json, dtype=float)
        if key in ARRAY_COLUMNS:
            values = values.reshape(-1, ARRAY_COLUMNS[key])
        assert values.shape == expected.shape
        assert_allclose(values, expected, atol=6e-5 if key in ("covariance_mm2", "shape") else 6e-6, rtol=2e-7)
    elif isinstance(from_json, list):
        assert len(from_json) == len(from_msgpack)
        for mine, other in zip(from_json, from_msgpack, strict=True):
            assert_same(mine, other, key)
    else:
        assert from_json == from_msgpack


def test_the_message_is_the_one_of_the_interface(solved, rig):
    message = json.loads(encode_json(build(solved, sent_ns=7)))
    assert list(message) == [
        "type", "v", "seq", "state", "frame_set", "stamps_ns", "predicted_ms", "calibration_id", "model_id", "hands",
    ]  # fmt: skip
    assert (message["type"], message["v"], message["seq"]) == ("hands", 1, 412)
    assert message["frame_set"] == {"id": 0, "skew_ms": 1.25, "views": list(rig.camera_ids)}
    stamps = message["stamps_ns"]
    assert stamps["exposure"] < stamps["received"] <= stamps["solved"]
    assert stamps["sent"] == 7
    hand = message["hands"][0]
    assert (hand["id"], hand["side"], hand["confidence"]) == (3, "right", 0.97)
    assert np.shape(hand["joints"]) == (21, 3)
    assert np.shape(hand["orientations"]) == (21, 4)
    assert np.shape(hand["covariance_mm2"]) == (21, 6)
    assert {name: len(values) for name, values in hand["mano"].items()} == {"pose": 48, "shape": 10, "translation": 3}
    assert "vertices" not in hand


def test_covariance_is_the_upper_triangle_row_by_row(solved, hands):
    message = json.loads(encode_json(build(solved)))
    xx, xy, xz, yy, yz, zz = message["hands"][0]["covariance_mm2"][5]
    rebuilt = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
    assert_allclose(rebuilt, hands[0].covariance_mm2[5], atol=1e-4)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_json_and_msgpack_say_the_same(solved, dialect):
    message = build(solved, EVERYTHING, dialect, sent_ns=5)
    assert_same(json.loads(encode_json(message)), msgpack.unpackb(encode_msgpack(message)))


def test_positions_are_rounded_to_a_hundredth_of_a_millimetre_at_most(solved, hands):
    hand = json.loads(encode_json(build(solved)))["hands"][0]
    assert_allclose(hand["joints"], hands[0].joints_world, atol=5.1e-6, rtol=0)


def test_an_unused_view_is_left_out_and_no_nan_is_ever_written(solved, hands, rig):
    joints = hands[0].joints_world.copy()
    joints[3, 1] = math.nan
    text = encode_json(build(replace(solved, hands=(replace(hands[0], joints_world=joints, confidence=math.nan),))))
    hand = json.loads(text, parse_constant=pytest.fail)["hands"][0]
    assert hand["joints"][3][1] is None
    assert hand["confidence"] is None
    assert list(hand["reprojection_px"]) == list(rig.camera_ids[:-1])


def test_no_hand_is_an_empty_list(solved):
    empty = replace(solved, hands=())
    assert json.loads(encode_json(build(empty)))["hands"] == []
    assert msgpack.unpackb(encode_msgpack(build(empty)))["hands"] == []


@pytest.mark.parametrize(
    ("field", "keys"),
    [
        ("joints", {"joints", "orientations", "radii", "tracked"}),
        ("mano", {"mano"}),
        ("vertices", {"vertices"}),
        ("covariance", {"covariance_mm2"}),
        ("stats", {"reprojection_px", "view_weight"}),
    ],
)
def test_a_field_brings_its_keys_and_no_others(solved, field, keys):
    hand = build(solved, frozenset({field}))["hands"][0]
    assert set(hand) == {"id", "side", "confidence"} | keys


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_the_sent_stamp_is_spliced_in(solved, encoding):
    decode = json.loads if encoding == "json" else msgpack.unpackb
    encoded = Outgoing(solved, {}).encoded(encoding, DIALECTS["mano"], DEFAULT_FIELDS)
    first, second = decode(encoded.sent(123)), decode(encoded.sent(2**63))
    assert first["stamps_ns"].pop("sent") == 123
    assert second["stamps_ns"].pop("sent") == 2**63
    assert first == second


def test_an_encoding_is_made_once_however_many_ask(solved, hands, monkeypatch):
    outgoing = Outgoing(solved, {})
    calls = []
    original = OpenMessage.of.__func__
    monkeypatch.setattr(OpenMessage, "of", classmethod(lambda cls, *a: calls.append(a) or original(cls, *a)))
    first = outgoing.encoded("json", DIALECTS["mano"], EVERYTHING)
    assert outgoing.encoded("json", DIALECTS["mano"], EVERYTHING) is first
    outgoing.encoded("msgpack", DIALECTS["mano"], EVERYTHING)
    assert len(calls) == 2


def test_the_mesh_is_skinned_once_for_all_encodings(solved, monkeypatch):
    skinned = []
    posed = type(solved.hands[0].posed)
    original = posed.vertices
    monkeypatch.setattr(posed, "vertices", lambda hand: skinned.append(hand) or original(hand))
    outgoing = Outgoing(solved, {})
    for encoding in ("json", "msgpack"):
        for dialect in DIALECTS.values():
            outgoing.encoded(encoding, dialect, EVERYTHING)
    assert len(skinned) == len(solved.hands)


def test_a_closed_message_cannot_be_opened(solved):
    with pytest.raises(ValueError, match="no open `sent` stamp"):
        OpenMessage.of(build(solved, sent_ns=1), "json")
    assert OpenMessage.of(build(solved, sent_ns=OPEN_STAMP), "json")
