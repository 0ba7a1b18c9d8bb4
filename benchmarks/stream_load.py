"""The stream under load: how soon and how completely healthy clients are served, whatever the others do.

    python -m benchmarks.stream_load
    python -m benchmarks.stream_load --seconds 60 --churn-minutes 10

A service with made-up cameras and a made-up engine answers 60 times a second. 100 clients, half of them JSON and half
msgpack, read; five more connect and never do. Then 50 others come and go at random, half of them without a good-bye,
with all sorts of options, while ten healthy ones are watched. Clients live in processes of their own; with
`--client-nice 10` they give way to the service's, as clients on other machines would. Ends with 1 if a healthy client
was closed or missed more than one answer in a hundred, or if memory kept growing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks._footage import print_table
from benchmarks._load_clients import churn, crowd
from benchmarks._load_service import VIEWS, rehearse
from benchmarks._service import Service, Usage, free_port, usage
from capture.frames import Frame, FrameSet
from engine.synthetic.rigs import make_rig
from server.dialects import DIALECTS
from server.encoding import ENCODINGS
from server.leap.frame import frame_bytes
from server.livelink import livelink_datagrams
from server.messages import DEFAULT_FIELDS
from server.motion import MotionHistory
from server.outgoing import Outgoing
from server.solved import Solved
from server.vmc import vmc_datagrams

_RATE_HZ: Final = 60.0
_SETTLE_S: Final = 2.0
_LATE_S: Final = 10.0
_WATCHED: Final = 10
_SAMPLE_S: Final = 5.0
_GROWTH_LIMIT_MB: Final = 8.0
_MISSED_LIMIT: Final = 0.01


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """What some clients saw together.

    Args:
        to_send_ms: From solved to sent.
        to_client_ms: From sent to the client.
        received: Messages.
        expected: Answers there were meanwhile.
        closed: Connections that the service ended.
        connections: Connections made.
        worst_missed: Share of the answers that did not come to the client that missed most.
    """

    to_send_ms: NDArray[np.float64]
    to_client_ms: NDArray[np.float64]
    received: int
    expected: int
    closed: int
    connections: int
    worst_missed: float

    @property
    def missed(self) -> float:
        """Share of the answers that did not come."""
        return 1.0 - self.received / max(self.expected, 1)

    @classmethod
    def of(cls, packed: Sequence[Any]) -> Result:
        """Put together what processes reported."""
        to_send_ns, to_client_ns = (np.concatenate([part[i] for part in packed]) for i in (0, 1))
        received, expected, closed, connections = (sum(part[i] for part in packed) for i in (2, 3, 4, 5))
        worst = max(part[6] for part in packed)
        return cls(to_send_ns * 1e-6, to_client_ns * 1e-6, received, expected, closed, connections, worst)


@contextmanager
def loaded_service(hands: int) -> Iterator[Service]:
    """Run the made-up service; it has ended when the block has."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks._load_service", str(port), str(_RATE_HZ), str(hands)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError(f"the made-up service ended with {process.wait()} before it served")
        yield Service("127.0.0.1", port, process.pid)
    finally:
        process.terminate()
        process.wait(15)


class Crew:
    """Processes that hold clients, and their reports."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._members: list[tuple[Any, Connection]] = []

    def hire(self, work: Callable[..., None], *arguments: Any) -> None:
        """Start a process; it gets the end of a pipe as its last argument."""
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=work, args=(*arguments, theirs), daemon=True)
        process.start()
        theirs.close()
        self._members.append((process, ours))

    def reports(self) -> list[Any]:
        """Wait for all to end."""
        reports = []
        for process, ours in self._members:
            reports.append(ours.recv())
            process.join(_LATE_S)
        return reports


def hold(
    service: Service, clients: int, deaf: int, seconds: float, processes: int, niceness: int
) -> tuple[Result, Usage, float]:
    """Let clients read, and some not, for so long: what they saw, and the service's size and processor use."""
    crew = Crew()
    for number in range(processes):
        queries = [f"format={ENCODINGS[i % 2]}" for i in range(number, clients, processes)]
        crew.hire(crowd, service.port, queries, deaf if number == 0 else 0, _SETTLE_S, seconds, niceness)
    time.sleep(_SETTLE_S + seconds / 2)
    assert service.pid is not None  # noqa: S101 - it is ours
    before_s, began_s = _processor_s(service.pid), time.monotonic()
    time.sleep(seconds / 3)
    share = (_processor_s(service.pid) - before_s) / (time.monotonic() - began_s)
    taken = usage(service.pid)
    return Result.of(crew.reports()), taken, share


def shake(
    service: Service, count: int, minutes: float, seed: int, niceness: int
) -> tuple[Result, Result, list[float], Usage, Usage]:
    """Let clients come and go: watched ones, the others, memory in MB over time, and the service before and after."""
    assert service.pid is not None  # noqa: S101 - it is ours
    before = usage(service.pid)
    seconds = 60 * minutes
    watched, others = Crew(), Crew()
    queries = [f"format={ENCODINGS[i % 2]}" for i in range(_WATCHED)]
    watched.hire(crowd, service.port, queries, 0, 0.0, seconds, niceness)
    for part in range(2):
        others.hire(churn, service.port, count // 2, seconds, seed + part, niceness)
    memory_mb = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        time.sleep(min(_SAMPLE_S, max(0.1, until_s - time.monotonic())))
        memory_mb.append(usage(service.pid).own_mb)
    results = Result.of(watched.reports()), Result.of(others.reports())
    time.sleep(_SETTLE_S)
    return *results, memory_mb, before, usage(service.pid)


def _processor_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123 - a file of the kernel
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def sizes() -> list[list[str]]:
    """Bytes a hand of each kind of message: the message of one hand, less that of none."""
    rig = make_rig(VIEWS, 7)
    (hand,) = rehearse(rig, 1)[0]
    image = np.zeros((1, 1, 3), np.uint8)
    frames = tuple(Frame(camera.id, 0, 10**14, 10**14, image) for camera in rig)

    def outgoing(*hands: Any) -> Outgoing:
        solved = Solved(FrameSet(0, frames, 0.0, lambda: None), rig, hands, 10**14, 1000, "rehearsed")
        return Outgoing(solved, MotionHistory().add(solved))

    one, none = outgoing(hand), outgoing()
    rows = []
    for name, dialect in DIALECTS.items():
        row = [name]
        for fields in (frozenset({"joints"}), DEFAULT_FIELDS, DEFAULT_FIELDS | {"vertices"}):
            for encoding in ENCODINGS:
                with_hand, without = (len(each.encoded(encoding, dialect, fields).sent(10**14)) for each in (one, none))
                row.append(str(with_hand - without))
        rows.append(row)
    leap = len(frame_bytes(one, "+z", 60.0)) - len(frame_bytes(none, "+z", 60.0))
    vmc, live = (sum(map(len, say(one, "+z"))) for say in (vmc_datagrams, livelink_datagrams))
    rows += [["Leap v6", "", "", str(leap), "", "", ""], ["VMC (OSC)", "", "", "", str(vmc), "", ""]]
    rows.append(["LiveLink", "", "", str(live), "", "", ""])
    return rows


def _row(name: str, result: Result) -> list[str]:
    def quantiles(values: NDArray[np.float64]) -> str:
        return " / ".join(f"{value:.2f}" for value in np.percentile(values, (50, 95, 99))) if len(values) else "-"

    return [
        name,
        str(result.connections),
        str(result.received),
        f"{100 * result.missed:.3f} / {100 * result.worst_missed:.3f}",
        quantiles(result.to_send_ms),
        quantiles(result.to_client_ms),
        str(result.closed),
    ]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream_load", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--clients", type=int, default=100, help="that read")
    parser.add_argument("--deaf", type=int, default=5, help="that never do")
    parser.add_argument("--seconds", type=float, default=30, help="how long they stay")
    parser.add_argument("--hands", type=int, choices=(1, 2), default=2, help="in each message")
    parser.add_argument("--processes", type=int, default=4, help="that hold the clients")
    parser.add_argument(
        "--client-nice",
        type=int,
        default=10,
        help="how far they give way: they stand for other machines; 0 to share alike",
    )
    parser.add_argument("--churn-minutes", type=float, default=1, help="how long others come and go; 0 leaves it out")
    parser.add_argument("--churn-clients", type=int, default=50, help="that come and go")
    parser.add_argument("--seed", type=int, default=1, help="of who goes when")
    arguments = parser.parse_args()
    columns = ["bytes a hand", "joints json", "msgpack", "default json", "msgpack", "+ vertices json", "msgpack"]
    print_table("Message sizes", columns, sizes())
    columns = [
        "clients",
        "connections",
        "messages",
        "missed %: all / worst",
        "solved to sent ms p50/95/99",
        "sent to client ms",
        "closed",
    ]
    passed = True
    with loaded_service(arguments.hands) as service:
        result, taken, share = hold(
            service, arguments.clients, arguments.deaf, arguments.seconds, arguments.processes, arguments.client_nice
        )
        print_table(f"{arguments.deaf} of the clients never read", columns, [_row("healthy and deaf", result)])
        each_us = 1e6 * share * arguments.seconds / max(result.received, 1)
        print(
            f"service: {taken.own_mb:.0f} MB of its own, {taken.fds} descriptors, {100 * share:.0f} % of a processor: "
            f"{each_us:.1f} us a message"
        )
        passed &= result.closed == 0 and result.worst_missed <= _MISSED_LIMIT
        if arguments.churn_minutes > 0:
            watched, others, memory_mb, before, after = shake(
                service, arguments.churn_clients, arguments.churn_minutes, arguments.seed, arguments.client_nice
            )
            print_table("others come and go", columns, [_row("watched", watched), _row("others", others)])
            half = len(memory_mb) // 2
            growth_mb = float(np.median(memory_mb[half:]) - np.median(memory_mb[:half])) if half else 0.0
            print(
                f"service: {before.own_mb:.0f} MB before, {max(memory_mb):.0f} at most, {after.own_mb:.0f} after; "
                f"second half {growth_mb:+.1f} MB on the first; descriptors {before.fds} before, {after.fds} after"
            )
            passed &= watched.closed == 0 and growth_mb < _GROWTH_LIMIT_MB
    print("PASSED" if passed else "FAILED")
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
