"""Many light clients of the stream in one process: they read frames and look at the stamps, and no more."""

from __future__ import annotations

import base64
import os
import random
import re
import selectors
import socket
import struct
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final

import numpy as np
from numpy.typing import NDArray

_STAMPS_JSON: Final = re.compile(rb'"seq":(\d+).*?"solved":(\d+),"sent":(\d+)')
_HEAD: Final = 600
_PING, _CLOSE = 9, 8
_RECEIVE_BYTES: Final = 1 << 18
_LIFE_S: Final = (0.2, 8.0)
_CHURN_OPTIONS: Final = tuple(
    f"format={encoding}&{rest}"
    for encoding in ("json", "msgpack")
    for rest in (
        "dialect=mano",
        "dialect=unity&up=%2Bz",
        "dialect=openxr&predict_ms=30",
        "dialect=unreal&fields=joints&max_hz=20",
        "dialect=mediapipe&fields=joints,vertices&max_hz=10",
    )
)


@dataclass(slots=True)
class Seen:
    """What the clients of a process saw.

    Args:
        to_send_ns: From solved to sent.
        to_client_ns: From sent to the client.
        received: Messages.
        expected: Answers there were from each client's first message to its last.
        worst_missed: Share of the answers that did not come to the client that missed most.
        closed: Connections that the service ended.
        connections: Connections made.
    """

    to_send_ns: list[int] = field(default_factory=list)
    to_client_ns: list[int] = field(default_factory=list)
    received: int = 0
    expected: int = 0
    worst_missed: float = 0.0
    closed: int = 0
    connections: int = 0

    def forget(self) -> None:
        """Leave out what was measured so far."""
        self.to_send_ns.clear()
        self.to_client_ns.clear()


class LightClient:
    """One connection.

    Args:
        port: Of the service, on the loopback.
        query: Its options.
        reads: Whether it ever reads.
    """

    def __init__(self, port: int, query: str, *, reads: bool) -> None:
        self.reads = reads
        self.first = self.last = -1
        self.received = 0
        self._msgpack = "format=msgpack" in query
        self._buffer = bytearray()
        self._open = False
        self.socket = socket.socket()
        if not reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /api/v1/stream?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.socket.setblocking(False)

    def read(self, seen: Seen) -> bool:
        """Take in what there is; False when the service has ended the connection."""
        try:
            data = self.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        now_ns = time.monotonic_ns()
        if not data:
            return False
        self._buffer += data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return True
            self._open = True
            del self._buffer[: end + 4]
        return self._frames(seen, now_ns)

    def _frames(self, seen: Seen, now_ns: int) -> bool:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            opcode, size, start = buffer[at] & 15, buffer[at + 1] & 127, at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                if len(buffer) < start + width:
                    break
                size, start = int.from_bytes(buffer[start : start + width], "big"), start + width
            if len(buffer) < start + size:
                break
            if opcode == _CLOSE:
                return False
            if opcode == _PING:
                # A pong, masked with zeros.
                self.socket.send(bytes((0x8A, 0x80 | size)) + bytes(4) + bytes(buffer[start : start + size]))
            else:
                self._message(bytes(buffer[start : start + min(size, _HEAD)]), seen, now_ns)
            at = start + size
        del buffer[:at]
        return True

    def _message(self, head: bytes, seen: Seen, now_ns: int) -> None:
        stamps = _stamps_msgpack(head) if self._msgpack else _stamps_json(head)
        if stamps is None:
            return
        sequence, solved_ns, sent_ns = stamps
        self.first, self.last = sequence if self.first < 0 else self.first, sequence
        self.received += 1
        seen.to_send_ns.append(sent_ns - solved_ns)
        seen.to_client_ns.append(now_ns - sent_ns)

    def forget(self) -> None:
        """Leave out what was counted so far."""
        self.first = self.last = -1
        self.received = 0

    def end(self, seen: Seen, *, rudely: bool = False) -> None:
        """Leave and add up what was seen; rudely is with a reset."""
        expected = self.last - self.first + 1 if self.received else 0
        seen.received += self.received
        seen.expected += expected
        seen.worst_missed = max(seen.worst_missed, 1.0 - self.received / max(expected, 1))
        if rudely:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def _stamps_json(head: bytes) -> tuple[int, int, int] | None:
    found = _STAMPS_JSON.search(head)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def _stamps_msgpack(head: bytes) -> tuple[int, int, int] | None:
    values = []
    for name in (b"\xa3seq", b"\xa6solved", b"\xa4sent"):
        at = head.find(name)
        if at < 0:
            return None
        values.append(_integer(head, at + len(name)))
    return values[0], values[1], values[2]


def _integer(data: bytes, at: int) -> int:
    """An unsigned integer of msgpack."""
    kind = data[at]
    if kind < 0x80:
        return kind
    width = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}[kind]
    return int.from_bytes(data[at + 1 : at + 1 + width], "big")


def crowd(
    port: int, queries: list[str], deaf: int, settle_s: float, seconds: float, niceness: int, report: Connection
) -> None:
    """Hold clients for so long, some of which never read; then report what they saw.

    Args:
        port: Of the service.
        queries: Options of the clients that read.
        deaf: So many more never do.
        settle_s: Left out of the report at first: so many clients never connect all at once.
        seconds: How long after that.
        niceness: How far the clients give way to the service.
        report: Where `Seen` goes.
    """
    os.nice(niceness)
    seen = Seen()
    selector = selectors.DefaultSelector()
    clients = [LightClient(port, query, reads=True) for query in queries]
    silent = [LightClient(port, "format=json", reads=False) for _ in range(deaf)]
    seen.connections = len(clients) + deaf
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    settled_s = time.monotonic() + settle_s
    until_s, settled = settled_s + seconds, False
    while (now_s := time.monotonic()) < until_s and clients:
        if not settled and now_s >= settled_s:
            settled = True
            for each in (seen, *clients):
                each.forget()
        for key, _ in selector.select(0.1):
            if not key.data.read(seen):
                selector.unregister(key.fileobj)
                clients.remove(key.data)
                key.data.end(seen)
                seen.closed += 1
    for client in clients:
        client.end(seen)
    for client in silent:
        client.socket.close()
    report.send(_packed(seen))


def churn(port: int, count: int, seconds: float, seed: int, niceness: int, report: Connection) -> None:
    """Keep so many clients that live for a moment each, with options at random, and half of which end rudely."""
    os.nice(niceness)
    rng, seen = random.Random(seed), Seen()  # noqa: S311 - whom to kill is no secret
    selector = selectors.DefaultSelector()
    lives: dict[LightClient, float] = {}

    def born(now_s: float) -> None:
        client = LightClient(port, rng.choice(_CHURN_OPTIONS), reads=rng.random() > 0.05)
        seen.connections += 1
        lives[client] = now_s + rng.uniform(*_LIFE_S)
        if client.reads:
            selector.register(client.socket, selectors.EVENT_READ, client)

    def dead(client: LightClient) -> None:
        del lives[client]
        if client.reads:
            selector.unregister(client.socket)
        client.end(seen, rudely=rng.random() < 0.5)

    until_s = time.monotonic() + seconds
    while (now_s := time.monotonic()) < until_s:
        for client in [client for client, end_s in lives.items() if end_s < now_s]:
            dead(client)
        while len(lives) < count:
            born(now_s)
        for key, _ in selector.select(0.05):
            if not key.data.read(seen):
                dead(key.data)
                seen.closed += 1
    for client in list(lives):
        dead(client)
    report.send(_packed(seen))


def _packed(seen: Seen) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int, int, int, float]:
    return (
        np.array(seen.to_send_ns, np.int64),
        np.array(seen.to_client_ns, np.int64),
        seen.received,
        seen.expected,
        seen.closed,
        seen.connections,
        seen.worst_missed,
    )
