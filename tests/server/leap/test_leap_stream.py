"""Leap's WebSocket, as its clients use it and as bad clients misuse it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from server.access import Access
from server.broadcaster import MOST_CLIENTS
from server.leap import leap_app
from server.outputs import Outputs

SILENCE_S = 0.15


def leap_url(running, path="/v6.json"):
    return f"ws://127.0.0.1:{running.leap_port}{path}"


def greeted(running, stack, **options):
    # A client of this library that is behind with reading closes only when its patience ends.
    client = stack.enter_context(connect(leap_url(running), close_timeout=0.5, **options))
    assert json.loads(client.recv(5))["version"] == 6
    event = json.loads(client.recv(5))["event"]
    assert event["type"] == "deviceEvent"
    assert event["state"]["attached"] is event["state"]["streaming"] is True
    return client


def next_frame(client):
    frame = json.loads(client.recv(5))
    assert {"hands", "pointables", "id", "timestamp"} <= set(frame)
    return frame


def silent(client):
    try:
        client.recv(SILENCE_S)
    except TimeoutError:
        return True
    return False


def close_of(client):
    try:
        while True:
            client.recv(5)
    except ConnectionClosed as closed:
        return closed.rcvd.code, closed.rcvd.reason


@pytest.fixture
def stack():
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("message", ['{"focused":true}', '{"background":true}', '{"background":true,"focused":false}'])
def test_frames_come_after_the_client_has_said_that_it_looks(running, stack, message):
    client = greeted(running, stack)
    assert silent(client)
    client.send('{"optimizeHMD":false}')
    client.send('{"background":false}')
    assert silent(client)
    client.send(message)
    first, second = next_frame(client), next_frame(client)
    assert second["id"] > first["id"]
    assert second["timestamp"] > first["timestamp"]
    assert [hand["type"] for hand in first["hands"]] == ["right", "left"]
    assert len(first["pointables"]) == 10


def test_each_client_has_a_state_of_its_own(running, stack):
    looking, away = greeted(running, stack), greeted(running, stack)
    looking.send('{"focused":true}')
    away.send('{"focused":true}')
    next_frame(away)
    away.send('{"focused":false}')
    while not silent(away):
        pass
    assert next_frame(looking)
    away.send('{"focused":true}')
    assert next_frame(away)["id"] > 0


def test_the_frame_rate_is_told(running, stack):
    client = greeted(running, stack)
    client.send('{"focused":true}')
    rates = [next_frame(client)["currentFrameRate"] for _ in range(20)]
    assert 20 < np.median(rates) < 110


@pytest.mark.parametrize(
    ("message", "code", "named"),
    [
        ("not json", 1007, "JSON"),
        ("[" * 5000, 1007, "JSON"),
        ("[]", 1008, "object"),
        ('{"focused":1}', 1008, "focused"),
        (b"\x00\xff", 1003, "focused"),
        ("x" * 10_000_000, 1009, ""),
    ],
)
def test_a_bad_client_is_refused_with_a_reason_and_the_others_notice_nothing(running, stack, message, code, named):
    good = greeted(running, stack)
    good.send('{"focused":true}')
    bad = greeted(running, stack, max_size=None)
    bad.send(message)
    got, reason = close_of(bad)
    assert got == code
    assert named in reason
    ids = [next_frame(good)["id"] for _ in range(10)]
    assert ids == sorted(set(ids))
    assert running.pipeline.errors == {}


@pytest.mark.parametrize("path", ["/v5.json", "/", "/api/v1/stream"])
def test_only_version_6_is_spoken_on_leaps_port(running, path):
    with pytest.raises(InvalidStatus) as refused, connect(leap_url(running, path)):
        pass
    assert refused.value.response.status_code == 404
    assert "/v6.json" in refused.value.response.body.decode()
    assert httpx.get(f"http://127.0.0.1:{running.leap_port}/healthz").status_code == 404


def test_the_service_itself_does_not_speak_leap(running):
    with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{running.port}/v6.json"):
        pass


def test_a_foreign_page_is_refused(running):
    with connect(leap_url(running), origin="http://localhost:3000") as own:
        assert json.loads(own.recv(5))["version"] == 6
    with pytest.raises(InvalidStatus) as refused, connect(leap_url(running), origin="https://example.org"):
        pass
    assert refused.value.response.status_code == 403


def test_leap_cannot_ask_for_a_token(running):
    with pytest.raises(ValueError, match="carries no token"):
        leap_app(running.app.state.parts.broadcaster, Access("secret"), up="-y")


def test_a_client_that_does_not_read_is_dropped(running, stack, eventually):
    good = greeted(running, stack)
    good.send('{"focused":true}')
    broadcaster = running.app.state.parts.broadcaster
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", running.leap_port))
        raw.sendall(
            b"GET /v6.json HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        eventually(lambda: broadcaster.client_count == 2)
        # {"focused":true}, masked with zeros.
        raw.sendall(b"\x81\x90\0\0\0\0" + b'{"focused":true}')
        eventually(lambda: [next_frame(good)] and broadcaster.client_timeouts == 1)
    assert broadcaster.client_count == 1


def test_leaps_clients_count_among_all(running, stack, eventually, monkeypatch):
    monkeypatch.setattr("server.broadcaster.MOST_CLIENTS", 1)
    assert MOST_CLIENTS == 256
    greeted(running, stack)
    with connect(leap_url(running)) as refused:
        assert close_of(refused)[0] == 1013


def run_leapjs(port, frames=15):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    found = subprocess.run([node, "-e", "require.resolve('leapjs')"], capture_output=True, env=os.environ, check=False)
    if found.returncode:
        pytest.skip(
            "leapjs is not installed: npm install leapjs@1.1.1 in a folder, and name its node_modules in NODE_PATH"
        )
    script = Path(__file__).with_name("leapjs_client.js")
    done = subprocess.run(
        [node, str(script), str(port), str(frames)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "extended", "grab"),
    [("open", [True] * 5, 0), ("fist", [False] * 5, 1), ("point", [False, True, False, False, False], None)],
)
def test_the_real_leapjs_sees_two_whole_hands(serving, session, engine, rig, shaped_hand, name, extended, grab):
    engine.hands = (shaped_hand(name, "right", 1), shaped_hand(name, "left", 2))
    with serving(session, engine, rig, outputs=Outputs(up="+z")) as running:
        first, second = run_leapjs(running.leap_port)
    for client in (first, second):
        assert client["version"] == 6
        assert {"connect", "ready", "focus", "deviceAttached", "deviceStreaming", "streamingStarted"} <= set(
            client["events"]
        )
        assert client["ids"] == sorted(set(client["ids"]))
        assert client["timestamps"] == sorted(set(client["timestamps"]))
        assert client["rate"] > 10
        assert [hand["type"] for hand in client["hands"]] == ["right", "left"]
        for hand, normalized, turned in zip(client["hands"], client["normalized"], client["turned"], strict=True):
            assert len(hand["fingers"]) == 5
            assert hand["named"] == [0, 1, 2, 3, 4]
            assert [finger["extended"] for finger in hand["fingers"]] == extended
            if grab is not None:
                assert hand["grabStrength"] == grab
            assert all(len(finger["bones"]) == 4 and finger["valid"] for finger in hand["fingers"])
            assert all(
                bone["left"] == (hand["type"] == "left") for finger in hand["fingers"] for bone in finger["bones"]
            )
            assert hand["arm"]["type"] == 4
            assert abs(hand["roll"]) < 0.3
            assert hand["palmNormal"][1] < -0.9
            # Leap's own box is where hands are expected.
            assert 0 < normalized[1] < 1
            assert turned == pytest.approx(0, abs=0.05)
    # The second client looked away: it got nothing more, the first one went on.
    assert second["afterBlur"] == 0
    assert first["afterBlur"] > 5
