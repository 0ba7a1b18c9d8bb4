"""The C# and the C++ core against a running service, and what they do beside decoding."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import threading

import httpx
import numpy as np
import pytest
from usthand_client import Hands, Hello, Pong, decode_packets, read_packets
from websockets.sync.server import serve

from server.access import Access
from tests.client_demo.conftest import MovingEngine
from tests.client_demo.wire import FIRST_NS, FRAME_NS, assert_same, described, payloads, write_packets
from tests.server.conftest import FakeSession, eventually, serving


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def live(command, url, dialect, count, path, *token):
    """Let a core take live messages; return its status, what it made of them, and what it complained of."""
    status, printed, complaints = command("live", url, dialect, count, path, *token, timeout_s=240)
    return status, lines(printed), complaints


def check_live(command, running, dialect, count, path):
    """Let a core take live messages and compare each with what the Python client makes of the same bytes."""
    status, said, complaints = live(command, running.url, dialect, count, path)
    assert status == 0, complaints
    expected = list(decode_packets(path))
    assert_same(said, [described(message) for message in expected])
    assert isinstance(expected[0], Hello)
    hands = [message for message in expected if isinstance(message, Hands)]
    assert len(hands) == count
    assert all(one.sequence < other.sequence for one, other in itertools.pairwise(hands))
    assert {len(message.hands) for message in hands} == {1, 2}
    return expected, complaints


@pytest.mark.parametrize("dialect", ["mano", "unity", "unreal"])
def test_live_messages_are_read_as_python_reads_them(core_check_command, moving, dialect, tmp_path):
    expected, complaints = check_live(core_check_command, moving, dialect, 40, tmp_path / "live.pkt")
    pongs = [message for message in expected if isinstance(message, Pong)]
    assert pongs
    known, offset_ns, round_trip_ns = complaints.split()[1:4]
    assert known == "known"
    assert 0 <= int(round_trip_ns) < 1e9
    # One machine: all three monotonic clocks are the same one.
    assert abs(int(offset_ns)) <= int(round_trip_ns)


@pytest.mark.slow
def test_a_thousand_live_messages(core_check_command, moving, tmp_path):
    check_live(core_check_command, moving, "unity", 1000, tmp_path / "live.pkt")


def test_a_refusal_is_said_and_not_repeated(core_check_command, running, tmp_path):
    status, _, complaint = live(core_check_command, running.url, "klingon", 1, tmp_path / "none.pkt")
    assert status == 3
    assert "1008" in complaint
    assert "'klingon'" in complaint


def test_the_token_opens(core_check_command, rig, tmp_path):
    secret = "open-sesame"  # noqa: S105 - opens nothing but this test
    with serving(FakeSession(rig), MovingEngine(rig), rig, Access(secret)) as running:
        eventually(lambda: running.pipeline.latest is not None)
        path = tmp_path / "live.pkt"
        assert live(core_check_command, running.url, "mano", 3, path, secret)[0] == 0
        assert len(list(read_packets(path))) >= 4
        status, _, complaint = live(core_check_command, running.url, "mano", 1, path, "simsim")
    assert status == 3
    assert "401" in complaint


@pytest.mark.parametrize(
    ("address", "up", "url"),
    [
        ("ws://127.0.0.1:8000", "-y", "ws://127.0.0.1:8000/api/v1/stream?"),
        ("https://desk/hands/", "+z", "wss://desk/hands/api/v1/stream?"),
        ("http://desk:81/api/v1/stream", "", "ws://desk:81/api/v1/stream?"),
    ],
)
def test_addresses(core_check, address, up, url):
    dialect = "dialect=unity" if "unity" in core_check("url", "ws://desk") else "dialect=unreal"
    query = f"format=msgpack&{dialect}&fields=joints&max_hz=30&predict_ms=12"
    said = f"&up={up.replace('+', '%2B')}" if up else ""
    assert core_check("url", address, up).strip() == url + query + said


@pytest.mark.parametrize("address", ["ftp://desk", "desk", "ws://", "ws://desk?token=1", "ws://me@desk"])
def test_addresses_that_are_none(core_check_command, address):
    status, _, complaint = core_check_command("url", address)
    assert status == 5
    assert address in complaint


def test_waits_grow_to_the_cap_and_are_spread(core_check):
    waits = [float(line) for line in core_check("waits").split()]
    for longest, wait in zip([0.5, 1, 2, *[3] * 9], waits, strict=True):
        assert longest / 2 <= wait <= longest
    assert len(set(waits)) > 6


def test_the_csharp_client_comes_back_when_the_service_does(core_check_cs):
    """The first service breaks the connection after a message; the second stays, on the same port."""
    hello, hands, *_ = payloads("mano", "msgpack", ("joints",))
    with serving_payloads(0, [hello, hands], stay=False) as port:
        watching = subprocess.Popen(
            [*core_check_cs, "watch", f"ws://127.0.0.1:{port}", "60"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        kinds = [json.loads(watching.stdout.readline())["kind"] for _ in range(4)]
        assert kinds == ["hello", "hands", "hello", "hands"]
    try:
        with serving_payloads(port, [hello, hands, hands]):
            kinds = (json.loads(line)["kind"] for line in iter(watching.stdout.readline, ""))
            assert ("hands", "hands") in itertools.pairwise(kinds)
    finally:
        watching.kill()
        _, states = watching.communicate(timeout=10)
    assert "Waiting" in states


def test_the_csharp_client_leaves_when_it_is_stopped(core_check_cs, running):
    with subprocess.Popen(
        [*core_check_cs, "stop", running.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as stopping:
        took_ms, state = stopping.stdout.readline().split()
        assert state == "Stopped"
        assert int(took_ms) < 1500
        eventually(lambda: "usthand_clients 0.0" in httpx.get(f"{running.url}/metrics").text)
        stopping.stdin.close()


@pytest.mark.parametrize("delay_ms", [-1, 0, 60])
def test_an_engine_that_asks_at_any_time_gets_a_hand(core_check_cs, moving, delay_ms):
    """The left hand is in every message. On a busy machine a message may be late: most samples must see it."""
    command = [*core_check_cs, "feed", moving.url, str(delay_ms), "100"]
    samples = lines(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert np.mean([sample["sample"]["seen"] for sample in samples]) > 0.9
    behind_ms = np.median([sample["newest_ns"] - sample["time_ns"] for sample in samples]) / 1e6
    if delay_ms < 0:
        assert behind_ms >= 0, "there was no message to interpolate towards"
        assert max(sample["delay_ns"] for sample in samples) <= 1e9


def test_a_slow_service_does_not_flicker(core_check_cs, rig):
    """5 messages a second: the left hand is in every one of them."""
    with serving(FakeSession(rig, rate_hz=5), MovingEngine(rig), rig) as running:
        command = [*core_check_cs, "feed", running.url, "-1", "200", "8"]
        samples = lines(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    seen = [sample["sample"]["seen"] for sample in samples]
    assert np.mean(seen) > 0.95


@contextlib.contextmanager
def serving_payloads(port, payloads, *, stay=True):
    """Give each connection to a port these payloads, then silence, or the end."""

    def handler(stream):
        for payload in payloads:
            stream.send(payload)
        if stay:
            for _ in stream:
                pass

    with serve(handler, "127.0.0.1", port, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
    thread.join(5)


def rotate(quaternions, vectors):
    """Rotate vectors `(N, 3)` by unit quaternions `(N, 4)`, x y z w."""
    axis, w = quaternions[:, :3], quaternions[:, 3:]
    across = 2 * np.cross(axis, vectors)
    return vectors + w * across + np.cross(axis, across)


def product(a, b):
    x = a[3:] * b[:3] + b[3:] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(x, a[3] * b[3] - a[:3] @ b[:3])


@pytest.mark.parametrize("dialect", ["unreal", "openxr"])
def test_unreal_bones_are_the_hand_relative_to_parents(core_check_cpp, dialect, tmp_path):
    """Put together again, the bones of either dialect are the joints that the service says in `unreal`."""
    path = write_packets(tmp_path / "bones.pkt", payloads(dialect, "msgpack", ("joints",)))
    done = subprocess.run([*core_check_cpp, "bones", str(path)], capture_output=True, text=True, check=True, timeout=60)
    truth = write_packets(tmp_path / "truth.pkt", payloads("unreal", "msgpack", ("joints",)))
    hello, *messages = decode_packets(truth)
    hands = [hand for message in messages if isinstance(message, Hands) for hand in message.hands]
    said = lines(done.stdout)
    assert len(said) == len(hands) == 3
    for bones, hand in zip(said, hands, strict=True):
        names, parents = bones["names"], bones["parents"]
        assert sorted(name.lower().replace("_", "") for name in names) == sorted(n.lower() for n in hello.joint_names)
        assert (names[0].lower(), parents[0]) == ("wrist", -1)
        assert all(parent < bone for bone, parent in enumerate(parents))
        local_cm = np.reshape(bones["positions_cm"], (-1, 3))
        local = np.reshape(bones["rotations"], (-1, 4))
        world_cm, world = local_cm.copy(), local.copy()
        for bone, parent in enumerate(parents):
            if parent >= 0:
                world_cm[bone] = world_cm[parent] + rotate(world[parent][None], local_cm[bone][None])[0]
                world[bone] = product(world[parent], local[bone])
        order = [[n.lower() for n in hello.joint_names].index(name.lower().replace("_", "")) for name in names]
        np.testing.assert_allclose(world_cm, hand.joints[order], atol=1e-4)
        same = np.abs(np.sum(world * hand.orientations_xyzw[order], axis=1))
        np.testing.assert_allclose(same, 1, atol=1e-5)


def test_other_dialects_have_no_unreal_bones(core_check_cpp, tmp_path):
    path = write_packets(tmp_path / "bones.pkt", payloads("mano", "msgpack", ("joints",)))
    done = subprocess.run(
        [*core_check_cpp, "bones", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 4
    assert "'mano'" in done.stderr


def sampled(core_check_cs, path, side, times_ns):
    command = [*core_check_cs, "interpolate", str(path), side, *map(str, times_ns)]
    return lines(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def slerp(a, b, share):
    """Shortest arc between unit quaternions `(J, 4)`, by the textbook."""
    b = np.where(np.sum(a * b, axis=1, keepdims=True) < 0, -b, b)
    angle = np.arccos(np.clip(np.sum(a * b, axis=1, keepdims=True), -1, 1))
    return (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)


def test_hands_between_two_messages_lie_between_them(core_check_cs, tmp_path):
    path = write_packets(tmp_path / "two.pkt", payloads("unity", "msgpack", ("joints",), messages=2))
    first, second = (m for m in decode_packets(path) if isinstance(m, Hands))
    one, other = first.hands[0], second.hands[0]
    shares = (0.0, 0.25, 0.5, 0.9, 1.0)
    times_ns = [FIRST_NS + round(share * FRAME_NS) for share in shares]
    for share, said in zip(shares, sampled(core_check_cs, path, "right", times_ns), strict=True):
        assert (said["seen"], said["id"]) == (True, 3)
        joints = (1 - share) * one.joints.astype(float) + share * other.joints
        np.testing.assert_allclose(np.reshape(said["joints"], (-1, 3)), joints, atol=1e-6)
        turned = np.reshape(said["orientations"], (-1, 4))
        np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-6)


def test_rotations_between_take_the_shortest_arc(core_check_cs, tmp_path):
    """Random turns, half of them with the sign of the quaternion changed, which is the same rotation."""
    import msgpack

    rng = np.random.default_rng(5)
    packed = [msgpack.unpackb(payload) for payload in payloads("unity", "msgpack", ("joints",), messages=2)]
    said = []
    for message in packed[1:3]:
        quaternions = rng.normal(size=(26, 4))
        quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
        said.append(quaternions.astype(np.float32))
        message["hands"][0]["orientations"] = said[-1].astype("<f4").tobytes()
    path = write_packets(tmp_path / "turns.pkt", [msgpack.packb(message) for message in packed])
    for share in (0.1, 0.5, 0.77):
        (sample,) = sampled(core_check_cs, path, "right", [FIRST_NS + round(share * FRAME_NS)])
        expected = slerp(*(q.astype(float) for q in said), share)
        got = np.reshape(sample["orientations"], (-1, 4))
        np.testing.assert_allclose(np.abs(np.sum(got * expected, axis=1)), 1, atol=1e-6)


def test_nothing_stale_is_shown(core_check_cs, tmp_path):
    """Message 0 has both hands, 1 the right one, 2 none."""
    path = write_packets(tmp_path / "three.pkt", payloads("unity", "msgpack", ("joints",)))
    quarter = FRAME_NS // 4
    times_ns = [FIRST_NS - 1, FIRST_NS, FIRST_NS + quarter, FIRST_NS + FRAME_NS + quarter, FIRST_NS + 2 * FRAME_NS]
    assert [said["seen"] for said in sampled(core_check_cs, path, "right", times_ns)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert [said["seen"] for said in sampled(core_check_cs, path, "left", times_ns)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    path = write_packets(tmp_path / "one.pkt", payloads("unity", "msgpack", ("joints",), messages=1))
    held_ns = [FIRST_NS + 99_000_000, FIRST_NS + 101_000_000]
    assert [said["seen"] for said in sampled(core_check_cs, path, "left", held_ns)] == [True, False]
