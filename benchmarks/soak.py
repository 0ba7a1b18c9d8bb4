"""Does the service stay the size it is: hours of clients, good and bad, and its memory against time.

    python -m benchmarks.soak --minutes 20
    python -m benchmarks.soak --minutes 600 --url http://127.0.0.1:8000 --pid 1234

Starts `usthand demo` with a client that reads JSON, one that reads msgpack with the mesh, one that connects and never
reads, and one that asks for previews. Ends with 1 if memory grew by more than 2 MB in 10 minutes, or if a client that
reads got nothing. Memory is judged by what the service has allocated (PSS that no file backs): whole PSS also moves
with other programs that map the same libraries.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from benchmarks._service import Service, Usage, demo, usage

_SAMPLE_S: Final = 10.0
_DEAF_RECONNECTS_S: Final = 40.0
_PREVIEW_PAUSE_S: Final = 0.5
_SETTLING_SHARE: Final = 0.25
GROWTH_LIMIT_MB_H: Final = 12.0
"""2 MB in 10 minutes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The service at one instant.

    Args:
        at_s: Since the start.
        usage: What it takes; None when its processes are not ours to look into.
        json_hz: Messages a second that the JSON client got since the last sample.
        msgpack_hz: The same for msgpack.
        previews_hz: Pictures a second.
        deaf: Connections that the client that never reads has made so far.
    """

    at_s: float
    usage: Usage | None
    json_hz: float
    msgpack_hz: float
    previews_hz: float
    deaf: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the service stayed as it was.

    Args:
        growth_mb_h: Slope of the service's own memory over the last three quarters; NaN where it was not measured.
        range_mb: Largest minus smallest own memory in them.
        pss_mb_h: Slope of the whole proportional memory, libraries included.
        fds: Change of open file descriptors in them.
        threads: Change of threads in them.
        starved: Clients that got nothing in some interval.
    """

    growth_mb_h: float
    range_mb: float
    pss_mb_h: float
    fds: int
    threads: int
    starved: int

    @property
    def passed(self) -> bool:
        """Whether memory did not grow, and those who read were served."""
        return not self.starved and not self.growth_mb_h > GROWTH_LIMIT_MB_H


class Clients:
    """Clients in threads of their own, which count what they get.

    Args:
        service: Whose clients they are.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stop = threading.Event()
        self.counts = {"json": 0, "msgpack": 0, "previews": 0, "deaf": 0}
        self._threads = [
            self._thread("json", lambda: self._read("json", "format=json")),
            self._thread("msgpack", lambda: self._read("msgpack", "format=msgpack&fields=joints,mano,vertices,stats")),
            self._thread("previews", self._look),
            self._thread("deaf", self._never_read),
        ]

    def _thread(self, name: str, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._again, args=(target,), name=f"soak-{name}", daemon=True)
        thread.start()
        return thread

    def _again(self, target: Callable[[], None]) -> None:
        """Connect anew whenever the service has hung up."""
        while not self._stop.is_set():
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                target()
            self._stop.wait(1.0)

    def _read(self, name: str, query: str) -> None:
        with connect(self._service.stream_url(query), max_size=None) as client:
            client.recv(10)
            while not self._stop.is_set():
                client.recv(10)
                self.counts[name] += 1

    def _look(self) -> None:
        number = 0
        while not self._stop.wait(_PREVIEW_PAUSE_S):
            status, body = self._service.get(f"/api/v1/cameras/cam{number % 2}/preview.jpg?overlay=1")
            self.counts["previews"] += status == 200 and len(body) > 0
            number += 1

    def _never_read(self) -> None:
        """Shake hands, take nothing, and after a while leave without a word."""
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((self._service.host, self._service.port))
            key = base64.b64encode(os.urandom(16)).decode()
            deaf.sendall(
                f"GET /api/v1/stream?format=json&fields=joints,vertices HTTP/1.1\r\nHost: {self._service.host}\r\n"
                f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            self.counts["deaf"] += 1
            self._stop.wait(_DEAF_RECONNECTS_S)
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def stop(self) -> None:
        """End all clients, within a bounded time."""
        self._stop.set()
        for thread in self._threads:
            thread.join(12.0)


def soak(service: Service, minutes: float, advance: Callable[[Sample], None]) -> list[Sample]:
    """Load a service for so long and sample it."""
    clients = Clients(service)
    samples: list[Sample] = []
    started_s = last_s = time.monotonic()
    before = dict(clients.counts)
    try:
        while time.monotonic() - started_s < 60 * minutes:
            time.sleep(_SAMPLE_S)
            now_s = time.monotonic()
            counts = dict(clients.counts)
            rates = {name: (counts[name] - before[name]) / (now_s - last_s) for name in counts}
            taken = None if service.pid is None else usage(service.pid)
            sample = Sample(
                now_s - started_s, taken, rates["json"], rates["msgpack"], rates["previews"], counts["deaf"]
            )
            samples.append(sample)
            advance(sample)
            if taken is not None and not taken.processes:
                raise RuntimeError(f"the service ended after {sample.at_s:.0f} s")
            before, last_s = counts, now_s
    finally:
        clients.stop()
    return samples


def judge(samples: Sequence[Sample]) -> Verdict:
    """Judge the last three quarters of a soak."""
    late = [s for s in samples if s.at_s >= _SETTLING_SHARE * samples[-1].at_s]
    starved = sum(s.json_hz == 0 or s.msgpack_hz == 0 for s in samples[1:])
    measured = [(s.at_s, s.usage) for s in late if s.usage is not None]
    if len(measured) < 2:
        return Verdict(float("nan"), float("nan"), float("nan"), 0, 0, starved)
    hours = np.array([at_s for at_s, _ in measured]) / 3600
    own_mb = np.array([taken.own_mb for _, taken in measured])
    pss_mb = np.array([taken.pss_mb for _, taken in measured])
    first, last = measured[0][1], measured[-1][1]
    return Verdict(
        float(np.polyfit(hours, own_mb, 1)[0]),
        float(np.ptp(own_mb)),
        float(np.polyfit(hours, pss_mb, 1)[0]),
        last.fds - first.fds,
        last.threads - first.threads,
        starved,
    )


def _line(sample: Sample) -> str:
    rates = f"{sample.json_hz:8.1f} {sample.msgpack_hz:8.1f} {sample.previews_hz:8.1f} {sample.deaf:6d}"
    if sample.usage is None:
        return f"{sample.at_s:7.0f} {rates}"
    taken = sample.usage
    return (
        f"{sample.at_s:7.0f} {rates} {taken.processes:6d} {taken.rss_mb:9.1f} {taken.pss_mb:9.1f} {taken.own_mb:9.1f} "
        f"{taken.shared_mb:9.1f} {taken.fds:6d} {taken.threads:8d}"
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=20, help="how long")
    parser.add_argument("--url", help="load this service instead of one that is started")
    parser.add_argument("--pid", type=int, help="process of the service at --url, if it runs here")
    parser.add_argument("--log", type=Path, help="where the service's own output goes")
    arguments = parser.parse_args()
    print(
        "      s  json/s  mpack/s previews/s  deaf  procs    RSS MB    PSS MB    own MB shared MB    fds  threads",
        flush=True,
    )

    def advance(sample: Sample) -> None:
        print(_line(sample), flush=True)

    if arguments.url:
        parts = urlsplit(arguments.url)
        if parts.hostname is None:
            parser.error(f"--url {arguments.url}: give it as http://HOST:PORT")
        service = Service(parts.hostname, parts.port or 80, arguments.pid)
        samples = soak(service, arguments.minutes, advance)
    else:
        with demo(log=arguments.log) as service:
            samples = soak(service, arguments.minutes, advance)
    verdict = judge(samples)
    print(
        f"{'PASSED' if verdict.passed else 'FAILED'}: memory grows by {verdict.growth_mb_h:.1f} MB an hour over the "
        f"last three quarters (limit {GROWTH_LIMIT_MB_H:g}), max - min {verdict.range_mb:.1f} MB, with libraries (PSS) "
        f"{verdict.pss_mb_h:.1f} MB an hour, descriptors "
        f"{verdict.fds:+d}, threads {verdict.threads:+d}, {verdict.starved} intervals with a starved client"
    )
    raise SystemExit(0 if verdict.passed else 1)


if __name__ == "__main__":
    main()
