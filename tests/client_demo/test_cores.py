"""The Python client, the C# core of the Unity package and the C++ core of the Unreal plugin read alike."""

from __future__ import annotations

import json

import msgpack
import numpy as np
import pytest
from usthand_client import DecodeError, Hands, Hello, Packet, Pong, decode_packets

from server.dialects import DIALECTS
from server.messages import FIELDS
from tests.client_demo.wire import (
    FIRST_NS,
    FRAME_NS,
    GOLDEN,
    GOLDEN_STREAMS,
    TRUTH,
    assert_same,
    described,
    payloads,
    write_packets,
)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", sorted(GOLDEN_STREAMS))
def test_golden_packets_decode_to_the_hands_that_they_were_made_of(name):
    hello, *messages, pong = decode_packets(GOLDEN / f"{name}.pkt")
    assert isinstance(hello, Hello)
    assert isinstance(pong, Pong)
    assert hello.dialect == GOLDEN_STREAMS[name][0]
    assert [len(message.hands) for message in messages] == [2, 1, 0]
    assert [message.stamps.exposure_ns for message in messages] == [FIRST_NS + n * FRAME_NS for n in range(3)]
    half_a_digit = 6e-6 if hello.encoding == "json" else 2e-7
    for message, hands in zip(messages, json.loads(TRUTH.read_text()), strict=True):
        for said, hand in zip(message.hands, hands, strict=True):
            assert (said.id, said.side, said.confidence) == (hand["id"], hand["side"], 0.97)
            assert said.joints.shape == (len(hello.joint_names), 3)
            np.testing.assert_allclose(np.linalg.norm(said.orientations_xyzw, axis=1), 1, atol=1e-4)
            if hello.dialect == "mano":
                np.testing.assert_allclose(said.joints, hand["joints_world"], atol=half_a_digit)
                np.testing.assert_allclose(said.orientations_xyzw, hand["orientations_xyzw"], atol=half_a_digit)
                np.testing.assert_allclose(said.mano.pose, hand["pose"], atol=half_a_digit)
                np.testing.assert_allclose(said.mano.translation, hand["translation"], atol=half_a_digit)


def test_golden_packets_are_small():
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 50_000


@pytest.mark.parametrize("name", sorted(name for name, stream in GOLDEN_STREAMS.items() if stream[1] == "msgpack"))
def test_the_cores_read_golden_packets_as_python_does(core_check, name):
    path = GOLDEN / f"{name}.pkt"
    assert_same(lines(core_check("decode", path)), [described(message) for message in decode_packets(path)])


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_the_cores_read_every_dialect_with_every_field(core_check, dialect, tmp_path):
    path = write_packets(tmp_path / "all.pkt", payloads(dialect, "msgpack", FIELDS))
    assert_same(lines(core_check("decode", path)), [described(message) for message in decode_packets(path)])


def extended():
    """Messages with keys of every kind that no client knows, and the optional ones in each way they may be said."""
    hello, hands, *_ = (msgpack.unpackb(payload) for payload in payloads("mano", "msgpack", ("joints",)))
    odd = {
        "a": [1, -1, 2**40, -(2**40), 1.5, None, True, "x" * 300, b"y" * 300, {"z": [[]]}],
        "b": msgpack.Timestamp(1),
    }
    hello |= {"novelty": odd, "units": "Gänsefüßchen „Meter“ 手"}
    hands["novelty"] = odd
    hands["predicted_ms"] = 12.5
    hands["state"] = "ended"
    hands["frame_set"] |= {"masked": ["cam2"], "suspect": ["cam0", "cam1"]}
    hands["hands"][0]["predicted_ms"] = 12
    first, second = hands["hands"]
    first |= {"novelty": odd, "radii": np.full(21, 0.01, "<f4").tobytes(), "tracked": [True, False] * 10 + [True]}
    second |= {"radii": None, "tracked": bytes([1, 0, 1] * 7), "confidence": 1, "view_weight": {"cam0": None}}
    second["joints"] = np.r_[np.float32([np.nan, np.inf]), np.zeros(61, np.float32)].astype("<f4").tobytes()
    return [msgpack.packb(message) for message in (hello, {"type": "weather", "rain": True}, hands)]


def test_what_is_new_or_optional_is_read_alike(core_check, tmp_path):
    path = write_packets(tmp_path / "odd.pkt", extended())
    expected = [described(message) for message in decode_packets(path)]
    expected[1]["hands"][1]["view_weight"] = {"cam0": None}
    assert len(expected) == 2
    assert expected[1]["predicted_ms"] == 12.5
    assert (expected[1]["ended"], expected[1]["masked"], expected[1]["suspect"]) == (True, ["cam2"], ["cam0", "cam1"])
    assert expected[1]["hands"][0]["tracked"][:3] == [True, False, True]
    assert expected[1]["hands"][1]["joints"][:2] == [None, None]
    assert_same(lines(core_check("decode", path)), expected)


def spoilt(change):
    hello, hands, *_ = (msgpack.unpackb(payload) for payload in payloads("mano", "msgpack", ("joints",)))
    change(hello, hands)
    return [msgpack.packb(hello), msgpack.packb(hands)]


def joints_of(value):
    return lambda _, hands: hands["hands"][0].update(joints=value)


SPOILT = {
    "protocol 2": lambda hello, _: hello.update(v=2),
    "joints has 250 bytes": joints_of(bytes(250)),
    "for 20 joints": joints_of(bytes(12 * 20)),
    "of kind String, not bytes": joints_of("text"),
    "lacks stamps_ns": lambda _, hands: hands.pop("stamps_ns"),
}


@pytest.mark.parametrize("named", SPOILT)
def test_what_is_not_the_protocol_is_refused_with_its_name(core_check_command, named, tmp_path):
    path = write_packets(tmp_path / "spoilt.pkt", spoilt(SPOILT[named]))
    status, _, error = core_check_command("decode", path)
    assert status == 4
    assert named in error


def test_no_cut_of_a_message_is_taken(core_check_command, tmp_path):
    hello, hands, *_ = payloads("mano", "msgpack", ("joints", "stats"))
    for cut in (0, 1, 2, 17, len(hands) // 3, len(hands) - 1):
        status, said, error = core_check_command("decode", write_packets(tmp_path / "cut.pkt", [hello, hands[:cut]]))
        assert status == 4, (cut, said)
        assert error
    path = write_packets(tmp_path / "cut.pkt", [hello, hands])
    path.write_bytes(path.read_bytes()[:-3])
    status, _, error = core_check_command("decode", path)
    assert (status, "ends within" in error) == (4, True)
    with pytest.raises(DecodeError):
        list(decode_packets([Packet(hands[:-1])]))


def test_lengths_that_lie_cost_nothing(core_check_command, tmp_path):
    hello = payloads("mano", "msgpack", ("joints",))[0]
    lies = [
        b"\x82\xa4type\xa5hands\xa5hands\xdd\xff\xff\xff\xff",
        b"\x82\xa4type\xa5hands\xa1x\xc6\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1x" + b"\x91" * 100_000 + b"\xc0",
    ]
    for lie in lies:
        status, _, error = core_check_command("decode", write_packets(tmp_path / "lie.pkt", [hello, lie]))
        assert status == 4, lie
        assert error


def test_python_agrees_with_itself_over_both_encodings():
    packed, text = (
        [m for m in decode_packets([Packet(p) for p in payloads("mano", encoding, FIELDS)]) if isinstance(m, Hands)]
        for encoding in ("msgpack", "json")
    )
    for one, other in zip(packed, text, strict=True):
        for left, right in zip(one.hands, other.hands, strict=True):
            np.testing.assert_allclose(left.joints, right.joints, atol=6e-6)
            np.testing.assert_allclose(left.covariance_mm2, right.covariance_mm2, atol=6e-5)
            assert left.view_weight == right.view_weight
