"""Streams made by the service's encoder of fixed hands, and the golden files: `python -m tests.client_demo.wire`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from capture.frames import Frame, FrameSet
from engine.synthetic.rigs import make_rig
from server.dialects import DIALECTS
from server.encoding import encode
from server.messages import DEFAULT_FIELDS, hands_message, hello_message
from server.solved import Solved
from tests.server.conftest import make_hand

GOLDEN = Path(__file__).with_name("golden")
TRUTH = GOLDEN / "truth.json"
GOLDEN_STREAMS = {
    "mano": ("mano", "msgpack", DEFAULT_FIELDS),
    "mano_json": ("mano", "json", DEFAULT_FIELDS),
    "mediapipe": ("mediapipe", "msgpack", DEFAULT_FIELDS),
    "unity": ("unity", "msgpack", frozenset({"joints"})),
    "unreal": ("unreal", "msgpack", frozenset({"joints"})),
}
FRAME_NS = 16_666_667
FIRST_NS = 10**15
RIG = make_rig(3, seed=5, width=320, height=240)


def hands_of(number):
    """The hands of message `number`: both, one, or none; the right one moves by 1 mm a message."""
    right = make_hand(RIG, offset_m=0.001 * number)
    left = make_hand(RIG, side="left", hand_id=4, offset_m=0.12)
    return [(right, left), (right,), ()][number % 3] if number < 3 else (right, left)


def solved_of(number):
    exposure_ns = FIRST_NS + number * FRAME_NS
    image = np.zeros((240, 320, 3), np.uint8)
    frames = tuple(Frame(camera.id, number, exposure_ns, exposure_ns + 2_000_000, image) for camera in RIG)
    return Solved(
        FrameSet(number, frames, 1.25, lambda: None),
        RIG,
        hands_of(number),
        exposure_ns + 9_000_000,
        400 + number,
        "golden-1",
    )


def payloads(dialect, encoding, fields, messages=3):
    """A hello, `messages` messages with hands, and a pong, as they go over the wire."""
    hello = hello_message(RIG, "golden-1", DIALECTS[dialect], encoding=encoding, fields=frozenset(fields))
    said = [hello | {"server_ns": FIRST_NS}]
    for number in range(messages):
        solved = solved_of(number)
        sent_ns = solved.solved_ns + 500_000
        said.append(hands_message(solved, frozenset(fields), DIALECTS[dialect], sent_ns=sent_ns))
    said.append({"type": "pong", "t": 7, "received_ns": FIRST_NS, "sent_ns": FIRST_NS + 1})
    encoded = [encode(message, encoding) for message in said]
    return [payload.decode() for payload in encoded] if encoding == "json" else encoded


def write_packets(path, payloads):
    from usthand_client import Packet, PacketWriter

    with PacketWriter(path) as writer:
        for payload in payloads:
            writer.write(Packet(payload))
    return path


def flat(array):
    """An array as JSON lines say it: flat, null for what is not finite, None where there is none."""
    if array is None:
        return None
    return [value if np.isfinite(value) else None for value in np.asarray(array).ravel().tolist()]


def described(message):
    """A message of the Python client in the form that the other clients' checks print."""
    from usthand_client import Hello, Pong

    if isinstance(message, Hello):
        return {
            "kind": "hello",
            "v": message.version,
            "format": message.encoding,
            "fields": list(message.fields),
            "dialect": message.dialect,
            "units": message.units,
            "axes": message.axes,
            "joint_names": list(message.joint_names),
            "parents": list(message.parents),
            "model_id": message.model_id,
            "calibration_id": message.calibration_id,
            "server_ns": message.server_ns,
            "up": message.up or "",
            "predict_ms": message.predict_ms,
        }
    if isinstance(message, Pong):
        return {"kind": "pong", "t": message.t, "received_ns": message.received_ns, "sent_ns": message.sent_ns}
    stamps = message.stamps
    return {
        "kind": "hands",
        "seq": message.sequence,
        "frame_set": message.frame_set.id,
        "skew_ms": message.frame_set.skew_ms,
        "views": list(message.frame_set.views),
        "masked": list(message.frame_set.masked),
        "suspect": list(message.frame_set.suspect),
        "stamps_ns": [stamps.exposure_ns, stamps.received_ns, stamps.solved_ns, stamps.sent_ns],
        "calibration_id": message.calibration_id,
        "model_id": message.model_id,
        "predicted_ms": message.predicted_ms,
        "ended": message.ended,
        "hands": [_described_hand(hand) for hand in message.hands],
    }


def _described_hand(hand):
    return {
        "id": hand.id,
        "side": hand.side,
        "confidence": hand.confidence,
        "joints": flat(hand.joints),
        "orientations": flat(hand.orientations_xyzw),
        "radii": flat(hand.radii),
        "tracked": flat(hand.tracked),
        "covariance_mm2": flat(hand.covariance_mm2),
        "vertices": flat(hand.vertices),
        "pose": flat(hand.mano and hand.mano.pose),
        "shape": flat(hand.mano and hand.mano.shape),
        "translation": flat(hand.mano and hand.mano.translation),
        "reprojection_px": dict(hand.reprojection_px),
        "view_weight": dict(hand.view_weight),
        "predicted_ms": hand.predicted_ms,
    }


def assert_same(one, other, where="message"):
    """Compare what two clients made of the same bytes; numbers to 1e-6, relative above 1."""
    assert type(one) is type(other) or {type(one), type(other)} <= {int, float}, f"{where}: {one!r:.80} {other!r:.80}"
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), f"{where}: {len(one)} and {len(other)} entries"
        if one and all(type(value) is float for value in one + other):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6, err_msg=where)
        else:
            for number, (left, right) in enumerate(zip(one, other, strict=True)):
                assert_same(left, right, f"{where}[{number}]")
    elif isinstance(one, float):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6, err_msg=where)
    else:
        assert one == other, where


def _write_golden():
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "client_demo" / "python"))
    GOLDEN.mkdir(exist_ok=True)
    for name, (dialect, encoding, fields) in GOLDEN_STREAMS.items():
        if dialect in DIALECTS:
            write_packets(GOLDEN / f"{name}.pkt", payloads(dialect, encoding, fields))
    truth = [[_truth(hand) for hand in hands_of(number)] for number in range(3)]
    TRUTH.write_text(json.dumps(truth, separators=(",", ":")) + "\n", encoding="utf-8")


def _truth(hand):
    arrays = {name: getattr(hand, name) for name in ("joints_world", "orientations_xyzw", "pose", "translation")}
    return {"id": hand.id, "side": hand.side} | {name: np.round(array, 7).tolist() for name, array in arrays.items()}


if __name__ == "__main__":
    _write_golden()
