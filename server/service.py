"""The service as a process: startup, main loop and shutdown, each bounded in time."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

import uvicorn

from calibration import Rig
from engine.types import HandEngine
from server.access import Access
from server.app import create_app
from server.network import listen, url_of
from server.pipeline import FrameSource, Pipeline
from server.websocket_protocol import uvicorn_settings

_log = logging.getLogger("usthand.service")

_REQUESTS_END_S = 1
_ENGINE_ENDS_S = 1.5
_CAMERAS_END_S = 2.0


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where the service listens and who may use it.

    Args:
        host: Address to bind to.
        port: 0 takes a free one.
        access: Who may use it.
    """

    host: str
    port: int
    access: Access


class Service:
    """Cameras, engine and web server in one process.

    Args:
        settings: Where to listen.
        open_session: Opens the capture session, not started.
        open_engine: Opens the engine.
        rig: The calibration to begin with.
        announce: Told the viewer's address once requests are answered.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        open_session: Callable[[], FrameSource],
        open_engine: Callable[[], HandEngine],
        rig: Rig,
        announce: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._open_session = open_session
        self._open_engine = open_engine
        self._rig = rig
        self._announce = announce
        self._listener: socket.socket | None = None
        self._session: FrameSource | None = None
        self._engine: HandEngine | None = None
        self._pipeline: Pipeline | None = None

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM.

        Raises:
            AddressError: If the address cannot be listened on; nothing was started then.
        """
        with _terminated_as_interrupt(), contextlib.suppress(KeyboardInterrupt):
            try:
                self.startup()
                self.main_loop()
            finally:
                self.shutdown()

    def startup(self) -> None:
        """Take the address first, then the engine, then the cameras: what fails cheaply fails before what is slow."""
        self._listener = listen(self._settings.host, self._settings.port)
        self._engine = self._open_engine()
        self._session = self._open_session()
        self._session.start()
        self._pipeline = Pipeline(self._session, self._engine, self._rig)
        self._pipeline.start()

    def main_loop(self) -> None:
        """Answer requests until a signal ends it."""
        assert self._listener is not None  # noqa: S101 - startup comes first
        assert self._pipeline is not None  # noqa: S101
        config = uvicorn.Config(
            create_app(self._pipeline, self._settings.access),
            **uvicorn_settings(),
            log_level="warning",
            access_log=False,  # it would write tokens of query strings to the log
            server_header=False,
            timeout_graceful_shutdown=_REQUESTS_END_S,
            proxy_headers=False,
            limit_concurrency=256,
        )
        # What start-up made stays for good: without it, full collections are quick, so they come often enough to free
        # the cycles of clients that went away, and never hold up a frame for long.
        gc.collect()
        gc.freeze()
        gc.collect()
        url = url_of(self._listener, self._settings.host)
        _AnnouncedServer(config, lambda: self._announce(url)).run(sockets=[self._listener])

    def shutdown(self) -> None:
        """Stop what was started, in reverse; each step is bounded, and one that fails does not keep the others."""
        steps: list[Callable[[], object]] = []
        if self._pipeline is not None:
            pipeline = self._pipeline
            steps.append(lambda: pipeline.stop(_ENGINE_ENDS_S))
        elif self._engine is not None:
            steps.append(self._engine.close)
        if self._session is not None:
            session = self._session
            steps.append(lambda: session.stop(_CAMERAS_END_S))
        if self._listener is not None:
            steps.append(self._listener.close)
        for step in steps:
            try:
                step()
            except Exception:  # noqa: BLE001 - logged; cameras must be stopped whatever the engine does
                _log.exception("a step of the shutdown failed; going on with the next")


class _AnnouncedServer(uvicorn.Server):
    """Says when it answers requests."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


@contextlib.contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the process the way Ctrl-C does, so that nothing is left behind."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
