"""A service of our own to measure: `usthand demo` on a free port, and what it takes of the machine."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HOST: Final = "127.0.0.1"
_READY_S: Final = 60.0
_STOP_S: Final = 15.0
_SHARED_MEMORY: Final = "/dev/shm/"  # noqa: S108 - the kernel's shared memory, not a temporary file


@dataclass(frozen=True, slots=True)
class Service:
    """A running service.

    Args:
        host: Where it listens.
        port: On which port.
        pid: Its process; None when it is not ours to look into.
    """

    host: str
    port: int
    pid: int | None

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, bytes]:
        """Ask for a path: status and body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stream_url(self, query: str) -> str:
        """The address of the stream with these options."""
        return f"ws://{self.host}:{self.port}/api/v1/stream?{query}"


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def demo(views: int = 4, log: Path | None = None) -> Iterator[Service]:
    """Run `usthand demo` and wait until it is ready; it and its cameras have ended when the block has.

    Raises:
        RuntimeError: If it does not become ready.
    """
    port = free_port()
    with contextlib.ExitStack() as stack:
        output = subprocess.DEVNULL if log is None else stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "server.cli", "demo", "--port", str(port), "--views", str(views)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        service = Service(_HOST, port, process.pid)
        try:
            _wait_until_ready(service, process)
            yield service
        finally:
            _end(process)


def _wait_until_ready(service: Service, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + _READY_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise RuntimeError(f"usthand demo ended with {process.returncode} before it was ready")
        with contextlib.suppress(OSError):
            if service.get("/readyz")[0] == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"usthand demo was not ready within {_READY_S:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the service as Ctrl-C would, then by force, with all that it started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    # The service leads a session of its own: what is left of it is its process group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_STOP_S)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a service and its children take.

    Args:
        processes: How many there are.
        rss_mb: Resident memory; shared pages count once a process.
        pss_mb: Proportional memory; shared pages are divided among those who share them. It also moves when programs
            that have nothing to do with the service map the same libraries.
        own_mb: The part of it that no file backs, shared memory included: what the service itself has allocated.
        shared_mb: Size of the shared memory that is mapped, each object once.
        fds: Open file descriptors.
        threads: Threads.
    """

    processes: int
    rss_mb: float
    pss_mb: float
    own_mb: float
    shared_mb: float
    fds: int
    threads: int


def usage(pid: int) -> Usage:
    """Measure a process and all its descendants; those that end meanwhile count for nothing."""
    processes = fds = threads = 0
    rss_kb = pss_kb = own_kb = 0
    shared: dict[str, int] = {}
    for each in _family(pid):
        folder = Path(f"/proc/{each}")
        try:
            rollup = _fields(folder / "smaps_rollup")
            status = _fields(folder / "status")
            open_files = len(list((folder / "fd").iterdir()))
            for line in (folder / "maps").read_text().splitlines():
                parts = line.split(maxsplit=5)
                if len(parts) == 6 and parts[5].startswith(_SHARED_MEMORY):
                    start, end = (int(address, 16) for address in parts[0].split("-"))
                    shared[parts[4]] = max(shared.get(parts[4], 0), end - start)
        except OSError:
            continue
        processes += 1
        rss_kb += rollup["Rss"]
        pss_kb += rollup["Pss"]
        own_kb += rollup["Pss_Anon"] + rollup["Pss_Shmem"]
        threads += status["Threads"]
        fds += open_files
    shared_mb = sum(shared.values()) / 2**20
    return Usage(processes, rss_kb / 1024, pss_kb / 1024, own_kb / 1024, shared_mb, fds, threads)


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    family = [pid]
    for each in family:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                family += [int(child) for child in task.read_text().split()]
    return family


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a `name: number` file of /proc."""
    fields = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        first = value.split()[:1]
        if first and first[0].isdigit():
            fields[name] = int(first[0])
    return fields
