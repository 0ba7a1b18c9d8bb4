"""The viewer's modules that need no browser, run by Node: decoding, numbers, geometry."""

from __future__ import annotations

import datetime
import math
import struct
from typing import Any

import msgpack
import numpy as np
import pytest

from tests.server.viewer.node import Run, needs_node

pytestmark = needs_node

DECODE = """
const { decode } = await import("./js/msgpack.js");
return given.map((hex) => decode(new Uint8Array(Buffer.from(hex, "hex"))));
"""


def _named(value: Any) -> Any:
    """Say a value as the harness does."""
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
        return {"bigint": str(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")}
    if isinstance(value, msgpack.ExtType):
        return {"type": value.code, "data": {"bin": value.data.hex()}}
    if isinstance(value, dict):
        return {str(key): _named(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_named(item) for item in value]
    return value


def test_every_type_is_decoded_as_python_packs_it(run: Run) -> None:
    edges = [0, 1, 127, 128, 255, 256, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**64 - 1]
    negative = [-1, -32, -33, -128, -129, -(2**15), -(2**15) - 1, -(2**31), -(2**31) - 1, -(2**53) + 1, -(2**63)]
    lengths = [0, 1, 15, 16, 31, 32, 255, 256, 2**16 - 1, 2**16]
    values: list[Any] = [None, True, False, *edges, *negative, 0.1, -1e300, math.inf, -math.inf, math.nan]
    values += ["x" * length for length in lengths] + ["Händchen \U0001f590"]
    values += [bytes(length) for length in lengths]
    values += [[7] * length for length in lengths]
    values += [{f"k{i}": i for i in range(length)} for length in (0, 1, 15, 16, 2**16)]
    values += [msgpack.ExtType(5, bytes(length)) for length in (1, 2, 3, 4, 8, 16, 255, 256, 2**16)]
    values += [{"a": [{"b": (1, [2.5, None])}]}, {3: "three"}]
    assert run(DECODE, [msgpack.packb(value).hex() for value in values]) == [_named(value) for value in values]


def test_single_precision_and_timestamps_are_decoded(run: Run) -> None:
    instant = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    packed = [msgpack.packb(0.1, use_single_float=True), msgpack.packb(instant, datetime=True)]
    single, timestamp = run(DECODE, [value.hex() for value in packed])
    assert single == struct.unpack("f", struct.pack("f", 0.1))[0]
    assert timestamp["type"] == -1


@pytest.mark.parametrize(
    ("packed", "complaint"),
    [
        (b"", "ends at byte 0"),
        (msgpack.packb("hand")[:-1], "ends at byte 4"),
        (msgpack.packb([1, 2, 3])[:-1], "ends at byte 3"),
        (b"\xdf\xff\xff\xff\xff", "ends at byte 5"),
        (b"\xc1", "0xc1 begins no value"),
        (b"\x01\x02", "1 bytes follow"),
        (b"\x91" * 200 + b"\xc0", "nested deeper"),
        (b"\x81\x90\x01", "a map key is not a scalar"),
    ],
)
def test_bytes_that_are_no_message_are_refused(run: Run, packed: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        run(DECODE, [packed.hex()])


def test_a_map_key_cannot_reach_the_prototype(run: Run) -> None:
    packed = msgpack.packb({"__proto__": {"polluted": 1}})
    body = (
        DECODE.replace("return given", "const all = given") + "return [({}).polluted ?? null, all[0].polluted ?? null];"
    )
    assert run(body, [packed.hex()]) == [None, None]


READ = """
const { decode } = await import("./js/msgpack.js");
const { readHands, elapsedMs } = await import("./js/messages.js");
const message = readHands(given.hex ? decode(new Uint8Array(Buffer.from(given.hex, "hex"))) : given);
const { exposure, sent } = message.stampsNs;
return { message, latencyMs: elapsedMs(exposure, sent) };
"""


@pytest.mark.parametrize("padding", range(4))
def test_arrays_are_read_at_any_offset(run: Run, padding: int) -> None:
    joints = np.random.default_rng(padding).normal(size=(21, 3)).astype("<f4")
    covariance = np.arange(21 * 6, dtype="<f4")
    stamps = {"exposure": 2**60, "received": 2**60 + 1_000_000, "solved": 2**60 + 3_000_000, "sent": 2**60 + 4_500_000}
    message = {
        "pad": "x" * padding,
        "type": "hands",
        "seq": 4,
        "frame_set": {"id": 1, "skew_ms": 1.5, "views": ["cam0"]},
        "stamps_ns": stamps,
        "hands": [
            {"id": 3, "side": "left", "joints": joints.tobytes(), "covariance_mm2": covariance.tobytes()},
            {"id": 4, "side": "right"},
        ],
    }
    answer = run(READ, {"hex": msgpack.packb(message).hex()})
    (hand,) = answer["message"]["hands"]  # A hand without joints cannot be drawn.
    assert hand["joints"] == joints.ravel().tolist()
    assert hand["covariance"] == covariance.tolist()
    assert hand["vertices"] is None
    assert answer["latencyMs"] == 4.5


def test_json_and_msgpack_read_alike(run: Run) -> None:
    joints = np.linspace(0, 1, 63).astype("<f4").reshape(21, 3)
    common = {
        "type": "hands",
        "seq": 1,
        "frame_set": {"skew_ms": 2, "views": []},
        "stamps_ns": {"exposure": 5, "sent": 9},
    }
    hand = {"id": 1, "side": "right", "confidence": 0.5, "reprojection_px": {"cam0": 1.25}}
    packed = msgpack.packb({**common, "hands": [{**hand, "joints": joints.tobytes()}]})
    assert run(READ, {"hex": packed.hex()}) == run(READ, {**common, "hands": [{**hand, "joints": joints.tolist()}]})


def test_eigenvectors_rebuild_the_covariance(run: Run) -> None:
    rng = np.random.default_rng(11)
    roots = [*rng.normal(size=(20, 3, 3)), np.diag([1.0, 1.0, 1.0]), np.diag([3.0, 0.0, 0.0]), np.zeros((3, 3))]
    matrices = [root @ root.T for root in roots]
    body = 'const { symmetricEigen } = await import("./js/eigen.js"); return given.map((each) => symmetricEigen(each));'
    answers = run(body, [matrix[np.triu_indices(3)].tolist() for matrix in matrices])
    for matrix, answer in zip(matrices, answers, strict=True):
        vectors = np.array(answer["vectors"]).T
        np.testing.assert_allclose(vectors @ np.diag(answer["values"]) @ vectors.T, matrix, atol=1e-9)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)
        assert np.linalg.det(vectors) > 0


def test_an_ellipsoid_is_the_covariance_at_so_many_sigmas(run: Run) -> None:
    rng = np.random.default_rng(3)
    roots = rng.normal(size=(5, 3, 3)) * np.array([0.2, 1.0, 4.0])
    covariances_mm2 = roots @ roots.transpose(0, 2, 1)
    points_m = rng.normal(size=(5, 3))
    body = """
    const { SIGMAS_90, writeEllipsoid } = await import("./js/ellipsoid.js");
    const out = new Float32Array(16 * given.points.length);
    given.points.forEach((_, i) => writeEllipsoid(given.covariances.flat(), given.points.flat(), i, SIGMAS_90, out));
    return { sigmas: SIGMAS_90, out };
    """
    upper = covariances_mm2[:, *np.triu_indices(3)]
    answer = run(body, {"points": points_m.tolist(), "covariances": upper.tolist()})
    matrices = np.array(answer["out"]).reshape(5, 4, 4).transpose(0, 2, 1)
    shapes = matrices[:, :3, :3] @ matrices[:, :3, :3].transpose(0, 2, 1)
    np.testing.assert_allclose(shapes, answer["sigmas"] ** 2 * 1e-6 * covariances_mm2, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(matrices[:, :3, 3], points_m, rtol=1e-6)
    np.testing.assert_array_equal(matrices[:, 3], np.tile([0, 0, 0, 1], (5, 1)))
    assert (np.linalg.det(matrices) > 0).all()


def test_an_ellipsoid_without_extent_is_thin_and_not_flat(run: Run) -> None:
    body = """
    const { writeEllipsoid } = await import("./js/ellipsoid.js");
    const out = new Float32Array(16);
    writeEllipsoid(new Float32Array(6), new Float32Array(3), 0, 2.5, out);
    return out;
    """
    np.testing.assert_allclose(np.diag(np.reshape(run(body), (4, 4)))[:3], 1e-5, rtol=1e-6)


def _camera(centre: np.ndarray, target: np.ndarray, up: np.ndarray) -> dict[str, Any]:
    forward = (target - centre) / np.linalg.norm(target - centre)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation, -rotation @ centre
    return {"T_camera_world": T.tolist()}


@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_rig_tells_up_and_where_it_looks(run: Run, count: int) -> None:
    rng = np.random.default_rng(count)
    up = np.array([0.36, 0.48, 0.8])
    target = rng.normal(size=3)
    side, front = np.array([0.8, -0.6, 0.0]), np.cross(up, [0.8, -0.6, 0.0])
    angles = 2 * np.pi * np.arange(count) / count
    cameras = [_camera(target + 0.7 * (np.cos(a) * side + np.sin(a) * front) + 0.2 * up, target, up) for a in angles]
    if count == 2:  # Two that face each other have one axis: turn one aside.
        cameras[1] = _camera(target + 0.7 * front + 0.2 * up, target, up)
    body = """
    const { cameraPose, inferUp, lookPoint } = await import("./js/geometry.js");
    return { up: inferUp(given), look: lookPoint(given), centre: cameraPose(given[0]).centre };
    """
    answer = run(body, cameras)
    np.testing.assert_allclose(answer["centre"], target + 0.7 * side + 0.2 * up, atol=1e-9)
    np.testing.assert_allclose(answer["look"], target, atol=1e-3)
    assert np.dot(answer["up"], up) > (0.99 if count > 2 else 0.9)


def test_one_camera_looks_at_a_point_ahead(run: Run) -> None:
    camera = _camera(np.zeros(3), np.array([0.0, 0.0, 2.0]), np.array([0.0, -1.0, 0.0]))
    body = 'const { lookPoint } = await import("./js/geometry.js"); return lookPoint(given);'
    np.testing.assert_allclose(run(body, [camera]), [0, 0, 0.5], atol=1e-9)


def test_a_rate_falls_when_messages_stop(run: Run) -> None:
    body = """
    const { Recent } = await import("./js/statistics.js");
    const recent = new Recent(1000);
    for (let i = 0; i < 60; i++) recent.add(i * 25, i);
    const last = 59 * 25;
    return [last, last + 500, last + 2000].map((nowMs) => recent.rateHz(nowMs));
    """
    steady, slower, none = run(body)
    assert steady == pytest.approx(40, rel=0.03)
    assert 0 < slower < steady
    assert none == 0


def test_recent_values_are_forgotten_and_never_more_than_fit(run: Run) -> None:
    body = """
    const { Recent } = await import("./js/statistics.js");
    const recent = new Recent(1000, 16);
    for (let i = 0; i < 100; i++) recent.add(i * 10, i);
    const full = recent.median(990);
    return { full, kept: recent.median(990 + 2500), gone: recent.median(990 + 3500) };
    """
    # The last sixteen; then the newest alone, which stays a little longer; then nothing.
    assert run(body) == {"full": 91.5, "kept": 99, "gone": None}


def test_the_clock_offset_dates_a_stamp(run: Run) -> None:
    body = """
    const { ClockOffset } = await import("./js/clock.js");
    const clock = new ClockOffset();
    const unknown = clock.ageMs(1, 0);
    // The service's clock is 5 s ahead; the second ping is slow on its way back only.
    clock.add(100, 102, 5101e6, 5101e6);
    clock.add(200, 260, 5201e6, 5202e6);
    return { unknown, age: clock.ageMs(5290e6, 300) };
    """
    answer = run(body)
    assert answer["unknown"] is None
    assert answer["age"] == pytest.approx(10)


@pytest.mark.parametrize(("before", "after"), [(10, 17), (2**60, 2**60 + 7_000_001)])
def test_stamps_of_any_size_are_told_apart_to_the_nanosecond(run: Run, before: int, after: int) -> None:
    packed = msgpack.packb({"type": "hands", "stamps_ns": {"exposure": before, "sent": after}, "hands": []})
    assert run(READ, {"hex": packed.hex()})["latencyMs"] == (after - before) / 1e6


def test_tries_are_spread_and_never_rarer_than_ten_seconds_or_so(run: Run) -> None:
    body = """
    const { pauseBefore } = await import("./js/backoff.js");
    return [1, 2, 3, 10, 100].map((failures) => [pauseBefore(failures, 0), pauseBefore(failures, 0.999)]);
    """
    pauses = run(body)
    assert all(low < high <= 12_500 for low, high in pauses)
    lows = [low for low, _ in pauses]
    assert lows == sorted(lows)
    assert 300 < lows[0] < 500


TRAIL = """
const { TrailHistory, tips } = await import("./js/trail_history.js");
const history = new TrailHistory(tips(given.parents), 1000, 20);
for (const [i, atMs] of given.times.entries()) {
  history.add(atMs, Float32Array.from({ length: 3 * given.parents.length }, (_, k) => i + k / 100));
}
const places = [...Array(history.count).keys()];
const nowMs = given.times.at(-1);
return {
  tips: history.joints,
  x: places.map((i) => history.places[history.offset(i, 1)]),
  freshness: places.map((i) => history.freshness(i, nowMs)),
  beyond: [-1, 99].map((i) => history.offset(i, 0)),
  ends: [0, history.count - 1].map((i) => history.offset(i, 0)),
};
"""


@pytest.mark.parametrize("period_ms", [4, 16, 40, 300])
def test_a_trail_ends_at_the_hand_and_spans_the_time_at_any_rate(run: Run, period_ms: int) -> None:
    parents = [-1, 0, 1, 0, 3]
    times = [1000 + period_ms * i for i in range(600)]
    answer = run(TRAIL, {"parents": parents, "times": times})
    assert answer["tips"] == [2, 4]
    assert answer["x"][-1] == pytest.approx(599 + 0.12)  # Joint 4's x in the newest message.
    assert len(answer["x"]) <= 20
    assert answer["freshness"] == sorted(answer["freshness"])
    assert answer["freshness"][-1] == 1
    # Of the second that it spans, not more than a message or one of the twenty places is missing.
    assert answer["freshness"][0] <= max(2 / 20, period_ms / 1000) + 0.05
    assert answer["beyond"] == answer["ends"]


RECORDING = """
globalThis.window = { location: { href: "http://service/" } };
globalThis.document = { baseURI: "http://service/" };
const { RecordingControl } = await import("./js/recording.js");
const answers = [...given];
globalThis.fetch = async () => new Response(JSON.stringify({ current: answers.shift() }));
const button = { hidden: false, disabled: false, addEventListener() {}, setAttribute() {} };
const control = new RecordingControl(button, () => {});
const seen = [];
for (const _ of given) {
  await control.refresh();
  seen.push([button.textContent, button.disabled]);
}
return seen;
"""


def test_the_button_comes_back_when_a_recording_that_somebody_else_stopped_has_ended(run: Run) -> None:
    states: list[Any] = [{"name": "take", "state": state, "seconds": 5} for state in ("recording", "stopping")]
    seen = run(RECORDING, [None, *states, None])
    assert seen == [["Record", False], ["Stop 0:05", False], ["Stopping ...", True], ["Record", False]]


def test_a_service_that_does_not_answer_is_not_asked_again_and_again(run: Run) -> None:
    body = RECORDING.replace(
        "new Response(JSON.stringify({ current: answers.shift() }))", "await never(answers.shift())"
    )
    body = body.replace("await control.refresh()", "void control.refresh()").replace(
        "return seen", "return answers.length"
    )
    assert run("const never = () => new Promise(() => {});" + body, [None, None, None]) == 2


STREAM = """
const listeners = {};
globalThis.window = globalThis.document = { addEventListener() {}, setInterval, setTimeout };
globalThis.WebSocket = class { addEventListener(name, listener) { listeners[name] = listener; } };
const { HandStream } = await import("./js/stream.js");
const guess = async () => ({ reason: "a guess", needsToken: false });
const stream = new HandStream(() => "ws://service", { onMessage() {}, onState() {} }, guess);
stream.connect();
listeners.close({ reason: given });
await new Promise((resolve) => setTimeout(resolve, 10));
clearTimeout(stream.retryTimer);
return stream.refusal.reason;
"""


@pytest.mark.parametrize(
    ("said", "shown"), [("max_hz '0' is not a number", "max_hz '0' is not a number"), ("", "a guess")]
)
def test_why_a_connection_ended_is_guessed_only_where_the_service_did_not_say(run: Run, said: str, shown: str) -> None:
    assert run(STREAM, said) == shown
