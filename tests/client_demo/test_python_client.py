from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from usthand_client import (
    AsyncClient,
    Backoff,
    Client,
    ClockOffset,
    ConnectError,
    DecodeError,
    Hands,
    Hello,
    Packet,
    PacketWriter,
    RefusedError,
    StreamDecoder,
    StreamOptions,
    decode_packets,
    read_packets,
    stream_url,
)
from websockets.sync.server import serve

from server.access import Access
from server.broadcaster import MOST_CLIENTS
from tests.client_demo.conftest import ROOT
from tests.server.conftest import FakeEngine, FakeSession, eventually, make_hand, serving

TOKEN = "open-sesame"  # noqa: S105 - opens nothing but this test
QUICK = Backoff(first_s=0.01, cap_s=0.05)
HELLO = (
    '{"type":"hello","v":1,"format":"json","fields":["joints"],"dialect":"mano","units":"metres","axes":"world",'
    '"joint_names":["wrist"],"parents":[-1],"array_columns":{"joints":3},"model_id":"m","calibration_id":"c",'
    '"server_ns":1}'
)
HANDS = (
    '{"type":"hands","v":1,"seq":%d,"frame_set":{"id":1,"skew_ms":0.5,"views":["cam0"]},'
    '"stamps_ns":{"exposure":1,"received":2,"solved":3,"sent":4},"hands":[]}'
)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_hands_arrive_as_arrays(running, encoding):
    with Client(running.url, StreamOptions(encoding=encoding, fields=("joints", "mano", "vertices"))) as client:
        hello = client.connected()
        assert (hello.encoding, hello.dialect, len(hello.joint_names)) == (encoding, "mano", 21)
        message = next(client)
    for said, hand in zip(message.hands, running.engine.hands, strict=True):
        assert (said.id, said.side) == (hand.id, hand.side)
        np.testing.assert_allclose(said.joints, hand.joints_world, atol=1e-5)
        np.testing.assert_allclose(said.orientations_xyzw, hand.orientations_xyzw, atol=1e-5)
        np.testing.assert_allclose(said.mano.pose, hand.pose, atol=1e-5)
        np.testing.assert_allclose(said.vertices, hand.vertices_world, atol=1e-5)
        assert said.covariance_mm2 is None
        assert said.joints.dtype == np.float32
        assert not said.joints.flags.writeable


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_every_field_of_the_default_is_there(running, encoding):
    with Client(running.url, StreamOptions(encoding=encoding)) as client:
        message = next(client)
    hand, truth = message.hands[0], running.engine.hands[0]
    upper = np.triu_indices(3)
    np.testing.assert_allclose(hand.covariance_mm2, truth.covariance_mm2[:, *upper], rtol=1e-5, atol=1e-4)
    assert hand.reprojection_px == {"cam0": 1.2, "cam1": 1.2}
    assert hand.view_weight == {"cam0": 1.0, "cam1": 1.0, "cam2": 1.0}
    assert message.frame_set.views == ("cam0", "cam1", "cam2")
    assert message.stamps.exposure_ns < message.stamps.received_ns <= message.stamps.sent_ns
    assert (message.model_id, message.calibration_id) == ("fake-1", running.rig.id)
    assert message.pose_time_ns == message.stamps.exposure_ns


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_mediapipes_own_arrays(running, encoding):
    with Client(running.url, StreamOptions(encoding=encoding, dialect="mediapipe", fields=("joints",))) as client:
        hand = next(client).hands[0]
    assert hand.origin_world.shape == (3,)
    assert {landmarks.shape for landmarks in hand.image_landmarks.values()} == {(21, 3)}


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_the_clocks_differ_by_nothing_on_one_machine(running, encoding):
    with Client(running.url, StreamOptions(encoding=encoding)) as client:
        clock = client.clock_offset(pings=5)
        assert 0 <= clock.round_trip_ns < 1e9
        assert abs(clock.offset_ns) <= clock.round_trip_ns
        assert clock.to_client_ns(clock.to_server_ns(17)) == 17
        next(client)


def test_the_quickest_ping_counts():
    slow = ClockOffset.of_ping(0, 1_000_900, 1_000_950, 1000)
    quick = ClockOffset.of_ping(0, 1_000_050, 1_000_060, 110)
    assert (quick.offset_ns, quick.round_trip_ns) == (1_000_000, 100)
    assert ClockOffset.best([slow, quick]) is quick


def test_who_is_slow_gets_the_newest_next(running):
    with Client(running.url) as client:
        first = next(client)
        eventually(lambda: client.dropped > 20)
        later = next(client)
        assert later.sequence > first.sequence + 20


def test_none_is_left_out_if_asked(running):
    with Client(running.url, newest=False) as client:
        sequences = [next(client).sequence for _ in range(20)]
        assert client.dropped == 0
    assert sequences == sorted(set(sequences))


def test_max_hz_is_kept(running):
    with Client(running.url, StreamOptions(max_hz=20)) as client:
        next(client)
        begin = time.monotonic()
        for _ in range(6):
            next(client)
        assert time.monotonic() - begin > 0.2


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (StreamOptions(dialect="klingon"), "'klingon'"),
        (StreamOptions(fields=("feet",)), "'feet'"),
        (StreamOptions(max_hz=-1), "'-1'"),
    ],
)
def test_a_refusal_ends_the_client_with_the_services_reason(running, options, named):
    with Client(running.url, options, backoff=QUICK) as client:
        with pytest.raises(RefusedError, match=named) as refused:
            next(client)
        with pytest.raises(RefusedError):
            client.connected()
    assert refused.value.code == 1008
    assert client.connections == 0


def test_the_token_opens_and_its_lack_is_said(rig):
    engine = FakeEngine((make_hand(rig),))
    with serving(FakeSession(rig), engine, rig, Access(TOKEN)) as running:
        with Client(running.url, token=TOKEN) as client:
            assert next(client).hands
            assert TOKEN not in client.url
        for wrong, why in ((None, "token is needed"), ("simsim", "token is wrong")):
            with Client(running.url, token=wrong) as client, pytest.raises(RefusedError, match=why) as no:
                next(client)
            assert no.value.code == 401


def test_a_service_that_comes_back_is_taken_back(rig):
    engine = FakeEngine((make_hand(rig),))
    with contextlib.ExitStack() as stack:
        with serving(FakeSession(rig), engine, rig) as running:
            client = stack.enter_context(Client(running.url, backoff=QUICK))
            next(client)
        stack.enter_context(serving_on(running.port, [HELLO, HANDS % 7001]))
        while next(client).sequence != 7001:
            pass
        assert client.connections == 2
        with pytest.raises(RuntimeError, match="open already"):
            client.__enter__()


def serving_on(port, texts):
    """A context in which each connection to a port gets these texts, then silence until it leaves."""

    def handler(stream):
        for text in texts:
            stream.send(text)
        for _ in stream:
            pass

    class Serving:
        def __enter__(self):
            self.server = serve(handler, "127.0.0.1", port)
            self.thread = threading.Thread(target=self.server.serve_forever)
            self.thread.start()
            self.port = self.server.socket.getsockname()[1]
            return self

        def __exit__(self, *_):
            self.server.shutdown()
            self.thread.join(5)

    return Serving()


def test_nobody_there_is_said_after_a_while():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with (
            Client(address, backoff=QUICK, give_up_after_s=0.1) as client,
            pytest.raises(ConnectError, match="not reach"),
        ):
            next(client)


def test_a_full_service_is_asked_again(running):
    clients = [AsyncClient(running.url, StreamOptions(max_hz=1), backoff=QUICK) for _ in range(MOST_CLIENTS + 1)]

    async def crowd():
        for client in clients[:-1]:
            await client.__aenter__()
            await client.connected()
        async with clients[-1] as last:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(last.connected(), 0.2)
            await clients[0].close()
            assert (await asyncio.wait_for(last.connected(), 5)).dialect == "mano"
        for client in clients[1:-1]:
            await client.close()

    asyncio.run(crowd())


def test_async_iteration_stops_when_closed(running):
    async def count():
        seen = 0
        async with AsyncClient(running.url) as client:
            async for message in client:
                assert isinstance(message, Hands)
                seen += 1
                if seen == 5:
                    offset = await client.clock_offset(pings=2)
                    assert offset.round_trip_ns > 0
                    await client.close()
        with pytest.raises(ConnectError, match="closed"):
            await client.clock_offset(pings=1)
        return seen

    assert asyncio.run(count()) in (5, 6)


def test_a_ping_goes_over_the_next_connection_when_the_first_breaks():
    pings = []

    def handler(stream):
        stream.send(HELLO)
        for text in stream:
            pings.append(text)
            if len(pings) == 1:
                return
            t = text.partition('"t": ')[2].rstrip("}")
            stream.send(f'{{"type":"pong","t":{t},"received_ns":5,"sent_ns":6}}')

    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"127.0.0.1:{server.socket.getsockname()[1]}"
        with Client(address, StreamOptions(encoding="json"), backoff=QUICK) as client:
            assert client.clock_offset(pings=1).offset_ns < 0
            assert client.connections == 2
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[]", "list, not a map"),
        ("{", "not JSON"),
        (HELLO.replace('"v":1', '"v":2'), "protocol 2"),
        (HELLO.replace('"parents":[-1],', ""), "lacks 'parents'"),
        ((HANDS % 1).replace('"id":1', '"id":"x"'), "id is 'x'"),
        ((HANDS % 1).replace('"hands":[]', '"hands":[{"id":1,"side":"left"}]'), "lacks 'confidence'"),
        (
            (HANDS % 1).replace('"hands":[]', '"hands":[{"id":1,"side":"left","confidence":1,"joints":[[1,2]]}]'),
            "joints has the shape",
        ),
    ],
)
def test_what_is_not_the_protocol_is_named(text, named):
    with pytest.raises(DecodeError, match=named):
        StreamDecoder().decode(text)
    with serving_on(0, [text]) as other, Client(f"127.0.0.1:{other.port}") as client:  # noqa: SIM117
        with pytest.raises(DecodeError, match=named):
            next(client)


@pytest.mark.parametrize("cut", range(1, 40))
def test_any_cut_of_a_message_is_an_error_or_nothing(cut):
    import msgpack

    joints = np.arange(63, dtype="<f4").tobytes()
    packed = msgpack.packb(
        {"type": "hands", "seq": 1, "hands": [{"id": 1, "side": "left", "confidence": 0.5, "joints": joints}]}
    )
    with pytest.raises(DecodeError):
        StreamDecoder().decode(packed[: len(packed) * cut // 40])


def test_kinds_of_messages_that_are_new_are_left_out():
    assert StreamDecoder().decode('{"type":"weather","rain":true}') is None


def test_numbers_that_are_not_finite_are_nan():
    text = '[{"id":1,"side":"left","confidence":1,"joints":[[null,2,3]],"tracked":[true],"radii":[0.01],"new":[[[]]]}]'
    hand = StreamDecoder().decode((HANDS % 1).replace('"hands":[]', f'"hands":{text}')).hands[0]
    assert np.isnan(hand.joints[0, 0])
    assert hand.tracked.tolist() == [True]
    assert hand.radii.shape == (1,)


def test_a_packet_file_gives_the_same_messages_again(running, tmp_path):
    path = tmp_path / "stream.pkt"
    with PacketWriter(path) as writer, Client(running.url, newest=False, on_packet=writer.write) as client:
        live = [next(client) for _ in range(5)]
    hello, *replayed = decode_packets(path)
    assert isinstance(hello, Hello)
    for one, other in zip(live, replayed, strict=False):
        assert one.sequence == other.sequence
        np.testing.assert_array_equal(one.hands[0].joints, other.hands[0].joints)
    data = path.read_bytes()
    assert [packet.to_bytes() for packet in read_packets(path)] == [p.to_bytes() for p in read_packets(data)]
    with pytest.raises(DecodeError, match="ends within the packet"):
        list(read_packets(data[:-1]))
    with pytest.raises(DecodeError, match="USTHPKT1"):
        list(read_packets(b"PK" + data))
    assert list(decode_packets([Packet(HELLO), Packet(HANDS % 3)]))[1].sequence == 3


def test_waits_grow_to_the_cap_and_are_spread():
    delays = Backoff(first_s=0.5, factor=2, cap_s=3, jitter=0.5).delays_s(random.Random(1))  # noqa: S311
    first = [next(delays) for _ in range(12)]
    for longest, delay in zip([0.5, 1, 2, *[3] * 9], first, strict=True):
        assert longest / 2 <= delay <= longest
    assert len(set(first)) == 12
    assert next(Backoff(first_s=0.5, jitter=0).delays_s()) == 0.5
    with pytest.raises(ValueError, match="jitter 2"):
        Backoff(jitter=2)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "ws://127.0.0.1:8000/api/v1/stream?"),
        ("desk:8123", "ws://desk:8123/api/v1/stream?"),
        ("http://desk:8123/", "ws://desk:8123/api/v1/stream?"),
        ("https://desk", "wss://desk/api/v1/stream?"),
        ("wss://desk/hands", "wss://desk/hands/api/v1/stream?"),
        ("ws://[::1]:80/api/v1/stream", "ws://[::1]:80/api/v1/stream?"),
    ],
)
def test_addresses(address, url):
    options = StreamOptions(fields=("joints", "mano"), max_hz=30, predict_ms=12, up="+z")
    assert stream_url(address, options) == (
        url + "format=msgpack&dialect=mano&fields=joints,mano&max_hz=30&predict_ms=12&up=%2Bz"
    )


@pytest.mark.parametrize("address", ["ftp://desk", "ws://", "ws://desk?token=1", "desk:port"])
def test_addresses_that_are_none(address):
    with pytest.raises(ValueError, match=r"desk|no host"):
        stream_url(address, StreamOptions())


@pytest.mark.parametrize("options", [{"encoding": "xml"}, {"fields": "joints"}])
def test_options_that_no_service_could_meet(options):
    with pytest.raises(ValueError, match=r"xml|joints"):
        StreamOptions(**options)


def example(name, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "client_demo" / "python" / "examples" / name), *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT / "client_demo" / "python")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_examples_run(running, tmp_path):
    printed = example("print_hands.py", running.url, "--messages", 2)
    assert printed.returncode == 0, printed.stderr
    assert "right 3: index4 at" in printed.stdout
    table = tmp_path / "hands.csv"
    recorded = example("record_csv.py", table, running.url, "--messages", 3, "--packets", tmp_path / "p")
    assert recorded.returncode == 0, recorded.stderr
    assert len(table.read_text().splitlines()) == 1 + 3 * 2 * 21
    assert sum(isinstance(message, Hands) for message in decode_packets(tmp_path / "p")) >= 3
    refused = example("print_hands.py", running.url, "--dialect", "klingon")
    assert refused.returncode == 1
    assert "'klingon'" in refused.stderr
    assert "Traceback" not in refused.stderr
