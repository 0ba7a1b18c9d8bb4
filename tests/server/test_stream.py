from __future__ import annotations

import contextlib
import json
import socket
import time

import httpx
import msgpack
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from server.broadcaster import MOST_CLIENTS, Client
from server.outputs import Outputs
from server.pace import Pace
from server.websocket_protocol import SOCKET_BUFFER_BYTES, BoundedWebSocketProtocol


def hello_of(stream):
    hello = json.loads(stream.recv(5))
    assert hello["type"] == "hello"
    return hello


def next_hands(stream):
    while True:
        message = json.loads(stream.recv(5))
        if message["type"] == "hands":
            return message


def close_of(stream):
    """Read until the server closes; return its code and reason."""
    try:
        while True:
            stream.recv(5)
    except ConnectionClosed as closed:
        return closed.rcvd.code, closed.rcvd.reason


def test_a_stream_opens_with_hello_and_goes_on_with_hands(running):
    with connect(running.stream_url()) as stream:
        hello = hello_of(stream)
        assert (hello["v"], hello["dialect"], hello["format"]) == (1, "mano", "json")
        assert len(hello["joint_names"]) == len(hello["parents"]) == 21
        assert (hello["model_id"], hello["calibration_id"]) == ("fake-1", running.rig.id)
        assert hello["fields"] == ["joints", "mano", "covariance", "stats"]
        assert "metres" in hello["units"]
        first, second = next_hands(stream), next_hands(stream)
        assert second["seq"] > first["seq"]
        stamps = first["stamps_ns"]
        assert stamps["exposure"] < stamps["received"] <= stamps["solved"] <= stamps["sent"] <= time.monotonic_ns()
        assert [hand["side"] for hand in first["hands"]] == ["right", "left"]


def test_msgpack_and_fields_and_dialect(running, hands):
    with connect(running.stream_url("format=msgpack&dialect=mediapipe&fields=joints,vertices")) as stream:
        hello = msgpack.unpackb(stream.recv(5))
        assert (hello["type"], hello["dialect"], hello["array_columns"]["joints"]) == ("hello", "mediapipe", 3)
        hand = msgpack.unpackb(stream.recv(5))["hands"][0]
        joints = np.frombuffer(hand["joints"], "<f4").reshape(-1, 3)
        np.testing.assert_allclose(joints.mean(axis=0), 0, atol=1e-6)
        assert len(hand["vertices"]) == hands[0].vertices_world.size * 4
        assert "mano" not in hand


def test_no_hands_is_an_empty_list(running):
    running.engine.hands = ()
    with connect(running.stream_url()) as stream:
        hello_of(stream)
        while next_hands(stream)["hands"]:
            pass


def test_the_end_of_the_footage_is_said_to_all_also_to_those_who_come_later(running):
    with connect(running.stream_url()) as early, connect(running.stream_url("max_hz=3")) as slow:
        for stream in (early, slow):
            hello_of(stream)
            assert next_hands(stream)["state"] == "running"
        running.session.left = 0
        for stream in (early, slow):
            message = next_hands(stream)
            while message["state"] == "running":
                last, message = message, next_hands(stream)
            assert (message["state"], message["hands"]) == ("ended", [])
            assert message["frame_set"]["views"] == []
            assert message["seq"] == running.pipeline.solved_count
            stamps = message["stamps_ns"]
            assert last["stamps_ns"]["solved"] < stamps["exposure"] <= stamps["solved"] <= stamps["sent"]
    for query in ("", "max_hz=3"):
        with connect(running.stream_url(query)) as late:
            hello_of(late)
            message = next_hands(late)
            assert (message["state"], message["hands"]) == ("ended", [])
    latest = httpx.get(f"{running.url}/api/v1/hands/latest").json()
    assert (latest["state"], latest["hands"]) == ("ended", [])


def test_a_client_that_keeps_up_is_served_past_the_slot_and_any_other_server_serves_it_too(running, monkeypatch):
    slots = []
    take = Client.take
    monkeypatch.setattr(Client, "take", lambda client: slots.append(client) or take(client))
    for encoding, read in (("json", json.loads), ("msgpack", msgpack.unpackb)):
        with connect(running.stream_url(f"format={encoding}&dialect=openxr")) as stream:
            assert read(stream.recv(5))["type"] == "hello"
            seen = [read(stream.recv(5))["seq"] for _ in range(20)]
            assert seen == sorted(set(seen))
    assert len(slots) < 5
    # Where there is no straight way, everything goes by the slot.
    monkeypatch.setattr(BoundedWebSocketProtocol, "write_straight", lambda *_: False)
    with connect(running.stream_url()) as stream:
        hello_of(stream)
        seen = [next_hands(stream)["seq"] for _ in range(20)]
        assert seen == sorted(set(seen))
    assert len(slots) >= 20


def test_an_answer_that_cannot_be_said_in_one_dialect_ends_its_clients_only(running, monkeypatch, eventually):
    broadcaster = running.app.state.parts.broadcaster
    with connect(running.stream_url()) as good, connect(running.stream_url("dialect=mediapipe")) as ill:
        hello_of(good)
        hello_of(ill)
        monkeypatch.setattr("server.dialects.mediapipe.MediaPipeDialect.hand", lambda *_: 1 / 0)
        code, reason = close_of(ill)
        assert (code, "log" in reason) == (1011, True)
        eventually(lambda: broadcaster.client_count == 1)
        seen = [next_hands(good)["seq"] for _ in range(20)]
        assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("format=xml", ["'xml'", "json", "msgpack"]),
        ("dialect=klingon", ["'klingon'", "mano", "mediapipe"]),
        ("fields=joints,feet", ["'feet'", "joints,mano,vertices,covariance,stats"]),
        ("dialct=mediapipe", ["'dialct'", "dialect"]),
        ("dialect=openxr&up=north", ["'north'", "+x,-x,+y,-y,+z,-z"]),
        ("up=-y", ["openxr, webxr, unity, unreal", "mano"]),
        ("dialect=mediapipe&up=-y", ["openxr, webxr, unity, unreal", "mediapipe"]),
        ("predict_ms=101", ["'101'", "0 to 100"]),
        ("predict_ms=-1", ["'-1'", "0 to 100"]),
        ("predict_ms=soon", ["'soon'", "0 to 100"]),
        ("max_hz=0", ["'0'", "above 0"]),
        ("max_hz=nan", ["'nan'"]),
        ("dialect=" + "%F0%9F%91%8B" * 500, ["mano", "mediapipe"]),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_with_what_can(running, query, named):
    with connect(running.stream_url(query)) as stream:
        code, reason = close_of(stream)
    assert code == 1008
    assert all(text in reason for text in named), reason
    assert len(reason.encode()) < 123


def test_ping_is_answered_with_the_servers_stamps(running):
    with connect(running.stream_url("max_hz=1")) as stream:
        hello_of(stream)
        before = time.monotonic_ns()
        stream.send('{"type":"ping","t":12.5}')
        pong = json.loads(stream.recv(5))
        while pong["type"] != "pong":
            pong = json.loads(stream.recv(5))
        assert pong["t"] == 12.5
        assert before <= pong["received_ns"] <= pong["sent_ns"] <= time.monotonic_ns()


def test_a_msgpack_ping_gets_a_msgpack_pong(running):
    with connect(running.stream_url("format=msgpack")) as stream:
        stream.send(msgpack.packb({"type": "ping", "t": 7}))
        messages = (msgpack.unpackb(stream.recv(5)) for _ in range(200))
        assert next(message for message in messages if message["type"] == "pong")["t"] == 7


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("not json", 1007),
        ("[" * 5000, 1007),
        ('{"type":"ping","t":NaN}', 1007),
        ('{"type":"dance"}', 1008),
        ("[]", 1008),
        ('{"type":"ping","t":{}}', 1008),
        ('{"type":"ping","t":' + "9" * 400 + "}", 1008),
        ('{"type":"ping","t":"' + "a" * 300 + '"}', 1008),
        ('{"type":"ping","t":"\\ud800"}', 1008),
        (b"\x00\xff\x00", 1003),
        ("x" * 70_000, 1009),
        ("x" * 10_000_000, 1009),
    ],
)
def test_a_bad_message_ends_the_connection_with_a_reason(running, message, code):
    with connect(running.stream_url()) as stream:
        hello_of(stream)
        stream.send(message)
        got, reason = close_of(stream)
    assert got == code
    assert reason


@pytest.mark.parametrize("junk", [b"\xc1", b"", b"\x91" * 5000, b"\x81\xa4type\xa4ping\x00"])
def test_binary_junk_on_a_msgpack_stream_is_refused(running, junk):
    with connect(running.stream_url("format=msgpack")) as stream:
        stream.send(junk)
        assert close_of(stream)[0] == 1007


def test_bad_clients_leave_the_others_alone(running):
    with connect(running.stream_url()) as good:
        hello_of(good)
        for junk in (b"\x00", "{", '{"type":"?"}'):
            with connect(running.stream_url()) as bad:
                bad.send(junk)
                close_of(bad)
        seen = [next_hands(good)["seq"] for _ in range(20)]
    assert seen == sorted(seen)
    assert running.pipeline.errors == {}


def raw_client(running, query):
    """Connect by hand and read nothing, with a small receive buffer."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", running.port))
    raw.sendall(
        f"GET /api/v1/stream?{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return raw


def test_a_client_that_does_not_read_is_dropped_and_costs_nobody_anything(running, eventually):
    broadcaster = running.app.state.parts.broadcaster
    with raw_client(running, "fields=joints,vertices"), connect(running.stream_url()) as good:
        hello_of(good)
        eventually(lambda: broadcaster.client_count == 2)
        gaps, last_s = [], time.monotonic()
        while broadcaster.client_timeouts == 0:
            next_hands(good)
            now_s = time.monotonic()
            gaps.append(now_s - last_s)
            last_s = now_s
            assert sum(gaps) < 10
        assert max(gaps) < 0.5
        assert broadcaster.client_count == 1
        # What was sent to it lies in the bounded buffers; everything newer replaced one slot.
        assert broadcaster.messages_dropped > 10
        silent = [c for c in broadcaster._clients if c.dropped]
        assert not silent


def test_a_slow_client_gets_the_newest(running, eventually):
    with connect(running.stream_url("fields=joints,vertices"), max_queue=1) as slow:
        hello_of(slow)
        eventually(lambda: running.pipeline.latest.sequence > 60)
        running.session.paused.set()
        seen = []
        while not seen or seen[-1] != running.pipeline.latest.sequence:
            seen.append(next_hands(slow)["seq"])
    assert seen == sorted(set(seen))
    # Skipped in between, rather than queued: buffers hold a few dozen of these at most.
    assert len(seen) * 60_000 < 40 * SOCKET_BUFFER_BYTES


def test_max_hz_is_the_most_there_ever_is(running):
    with connect(running.stream_url("max_hz=40")) as stream:
        assert hello_of(stream)["max_hz"] == 40
        sent_ns = [next_hands(stream)["stamps_ns"]["sent"] for _ in range(40)]
    periods_ns = np.diff(sent_ns)
    assert periods_ns.min() >= 1e9 / 40
    # A busy machine is late now and then, but not mostly.
    assert np.median(periods_ns) < 1.3e9 / 40


def test_pace_keeps_every_frame_of_a_jittering_source_of_its_rate():
    """Frames that come while one waits replace it: none may, once the pace is in step with the latest ones."""
    pace, jitter_ns = Pace(50.0), np.random.default_rng(1).integers(-4_000_000, 4_000_000, 200)
    free_ns, lost, delays_s = 0, 0, []
    for i in range(200):
        came_ns = 10**9 + i * 20_000_000 + int(jitter_ns[i])
        lost += came_ns < free_ns
        delays_s.append(pace.delay_s(came_ns))
        free_ns = came_ns + round(delays_s[-1] * 1e9)
        pace.sent(free_ns)
    assert lost == 0
    assert max(delays_s) < 0.0085
    assert Pace(None).delay_s(3) == 0


def test_a_rate_next_to_nothing_is_a_rate(running):
    with connect(running.stream_url("max_hz=1e-308")) as stream:
        hello_of(stream)
        next_hands(stream)
        stream.send('{"type":"ping","t":1}')
        assert json.loads(stream.recv(5))["type"] == "pong"


def test_pace_is_strict_when_a_message_went_out_late():
    pace = Pace(100.0)
    pace.sent(1_000_000_000)
    assert pace.delay_s(1_003_000_000) == pytest.approx(0.007, abs=2e-6)
    # It went 5 ms late: the next one has its whole period.
    pace.sent(1_015_000_000)
    assert pace.delay_s(1_020_000_000) == pytest.approx(0.005, abs=2e-6)
    assert pace.delay_s(1_025_000_000) == 0


@pytest.mark.parametrize("dialect", ["openxr", "webxr", "unity", "unreal"])
def test_the_game_engines_dialects_are_streamed(running, hands, dialect):
    with connect(running.stream_url(f"dialect={dialect}&up=+z&predict_ms=33.4")) as stream:
        hello = hello_of(stream)
        assert (hello["dialect"], hello["up"], hello["predict_ms"]) == (dialect, "+z", 33)
        message = next_hands(stream)
        assert message["predicted_ms"] == 33
        hand = message["hands"][0]
        assert len(hand["joints"]) == len(hand["radii"]) == len(hand["tracked"]) == len(hello["joint_names"])
        wrist = hello["parents"].index(-1)
        x, y, z = hands[0].joints_world[0]
        # z is up: right-handed (x, z, -y), Unity (x, z, y), Unreal 100 (y, x, z).
        expected = {"unity": (x, z, y), "unreal": (100 * y, 100 * x, 100 * z)}.get(dialect, (x, z, -y))
        np.testing.assert_allclose(hand["joints"][wrist], expected, atol=2e-5)


def test_the_services_own_up_is_taken_where_the_client_says_none(serving, session, engine, rig):
    with serving(session, engine, rig, outputs=Outputs(up="+z")) as running:
        for query, up in (("dialect=unity", "+z"), ("dialect=unity&up=-x", "-x"), ("dialect=mano", None)):
            with connect(running.stream_url(query)) as stream:
                assert hello_of(stream)["up"] == up
        latest = f"{running.url}/api/v1/skeleton?dialect=openxr"
        assert httpx.get(latest).json()["up"] == "+z"
        assert httpx.get(f"{latest}&up=%2By").json()["up"] == "+y"
        refused = httpx.get(f"{running.url}/api/v1/hands/latest?dialect=mano&up=-y")
        assert refused.status_code == 422
        assert "openxr" in refused.json()["detail"]


def test_a_client_that_never_ends_its_request_is_told_so_and_closed(running, monkeypatch):
    monkeypatch.setattr("server.http_protocol.HEAD_TIMEOUT_S", 0.5)
    with (
        connect(running.stream_url(), close_timeout=0.5) as good,
        socket.create_connection(("127.0.0.1", running.port), 5) as silent,
        socket.create_connection(("127.0.0.1", running.port), 5) as slow,
        socket.create_connection(("127.0.0.1", running.port), 5) as second,
    ):
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answered = b""
        while not answered.endswith(b'"ok"}'):
            answered += second.recv(4096)
        second.sendall(b"GET /he")
        hello_of(good)
        began_s = time.monotonic()
        answer, head = b"", iter(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 1000)
        slow.settimeout(0.02)
        while not answer:
            slow.sendall(bytes([next(head)]))
            with contextlib.suppress(TimeoutError):
                answer = slow.recv(4096)
            next_hands(good)
        assert time.monotonic() - began_s < 3
        for answered in (answer, silent.recv(4096), second.recv(4096)):
            assert answered.startswith(b"HTTP/1.1 408")
            assert b"took longer" in answered


def test_a_slow_but_honest_websocket_is_not_taken_for_one(running, monkeypatch):
    monkeypatch.setattr("server.http_protocol.HEAD_TIMEOUT_S", 0.2)
    with connect(running.stream_url("max_hz=5")) as stream:
        hello_of(stream)
        assert [next_hands(stream) for _ in range(4)]


def test_there_is_a_most_number_of_clients(running, eventually):
    broadcaster = running.app.state.parts.broadcaster
    with connect(running.stream_url()) as first:
        hello_of(first)
        raws = [raw_client(running, "max_hz=1") for _ in range(MOST_CLIENTS - 1)]
        try:
            eventually(lambda: broadcaster.client_count == MOST_CLIENTS)
            with connect(running.stream_url()) as refused:
                assert close_of(refused)[0] == 1013
        finally:
            for raw in raws:
                raw.close()
        eventually(lambda: broadcaster.client_count == 1)
