"""How old a pose is when a client has it: the stamps of the stream, dated on the client's clock.

    python -m benchmarks.stream_latency --seconds 30
    python -m benchmarks.stream_latency --url http://127.0.0.1:8000

Starts `usthand demo` if no service is named. Every message carries when its pictures were exposed and received, when it
was solved and when it was sent; pings give the offset of the client's clock.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
from websockets.sync.client import ClientConnection, connect

from benchmarks._footage import Quantiles, print_table
from benchmarks._service import Service, demo

_PINGS: Final = 20
_PATIENCE_S: Final = 10.0
_STEPS: Final = (
    ("exposure", "received"),
    ("received", "solved"),
    ("solved", "sent"),
    ("sent", "client"),
    ("exposure", "client"),
)


@dataclass(frozen=True, slots=True)
class Latency:
    """What a client saw.

    Args:
        rate_hz: Messages a second.
        skipped: Answers that were replaced by newer ones before they were sent.
        offset_error_ms: Half of the shortest ping's round trip: how well the clocks are known to agree.
        steps_ms: Each step of a pose's way.
    """

    rate_hz: float
    skipped: int
    offset_error_ms: float
    steps_ms: dict[str, Quantiles]


def listen(service: Service, seconds: float, options: str) -> Latency:
    """Listen to the stream as a client for so long."""
    with connect(service.stream_url(f"format=json&{options}"), max_size=None) as client:
        client.recv(_PATIENCE_S)
        offset_ns, trip_ns = _clock_offset(client)
        stamps: list[dict[str, int]] = []
        sequences: list[int] = []
        started_s = time.monotonic()
        while (elapsed_s := time.monotonic() - started_s) < seconds:
            message = json.loads(client.recv(_PATIENCE_S))
            arrived_ns = time.monotonic_ns()
            if message["type"] == "hands":
                stamps.append({**message["stamps_ns"], "client": arrived_ns + offset_ns})
                sequences.append(message["seq"])
    skipped = sequences[-1] - sequences[0] + 1 - len(sequences) if sequences else 0
    steps = {f"{a} -> {b}": Quantiles.of([1e-6 * (s[b] - s[a]) for s in stamps]) for a, b in _STEPS}
    return Latency(len(stamps) / elapsed_s, skipped, trip_ns / 2e6, steps)


def _clock_offset(client: ClientConnection) -> tuple[int, int]:
    """What to add to the client's monotonic clock to have the server's, and the round trip it was read from."""
    best = (0, np.iinfo(np.int64).max)
    for _ in range(_PINGS):
        sent_ns = time.monotonic_ns()
        client.send(json.dumps({"type": "ping", "t": sent_ns}))
        pong: dict[str, Any] = {}
        while pong.get("type") != "pong":
            pong = json.loads(client.recv(_PATIENCE_S))
        back_ns = time.monotonic_ns()
        trip_ns = back_ns - sent_ns - (pong["sent_ns"] - pong["received_ns"])
        if trip_ns < best[1]:
            best = ((pong["received_ns"] + pong["sent_ns"] - sent_ns - back_ns) // 2, trip_ns)
    return best


def show(latency: Latency) -> None:
    """Print for people."""
    print(
        f"{latency.rate_hz:.1f} messages a second, {latency.skipped} answers replaced by newer ones; "
        f"clocks agree to {latency.offset_error_ms:.2f} ms"
    )
    rows = [(step, *figure.cells()) for step, figure in latency.steps_ms.items()]
    print_table("A pose's way", ("step", "n", "median ms", "p95 ms"), rows)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream_latency", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=30, help="how long to listen")
    parser.add_argument("--url", help="listen to this service instead of one that is started")
    parser.add_argument("--views", type=int, default=4, help="rendered cameras of the one that is started")
    parser.add_argument("--options", default="", help="more options of the stream, such as fields=joints,vertices")
    arguments = parser.parse_args()
    if arguments.url:
        parts = urlsplit(arguments.url)
        if parts.hostname is None:
            parser.error(f"--url {arguments.url}: give it as http://HOST:PORT")
        show(listen(Service(parts.hostname, parts.port or 80, None), arguments.seconds, arguments.options))
    else:
        with demo(arguments.views) as service:
            time.sleep(3.0)  # the first frame sets pay for warming up
            show(listen(service, arguments.seconds, arguments.options))


if __name__ == "__main__":
    main()
