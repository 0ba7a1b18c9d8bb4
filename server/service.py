"""The service as a process: startup, main loop and shutdown, each bounded in time."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from calibration import Rig
from engine.types import HandEngine
from server.access import Access
from server.app import create_app
from server.broadcaster import MOST_CLIENTS
from server.datagrams import DatagramSender
from server.drift.policy import Policy
from server.leap import leap_app
from server.models import ModelPlace
from server.network import listen, url_of
from server.outputs import Outputs
from server.pipeline import FrameSource, Pipeline
from server.port_switch import PortSwitch
from server.recording.recordings import RecordingPlace, Recordings
from server.recording.tap import FrameTap
from server.websocket_protocol import uvicorn_settings

_log = logging.getLogger("usthand.service")

_REQUESTS_END_S = 1
_RECORDING_ENDS_S = 1.0
_ENGINE_ENDS_S = 1.5
_CAMERAS_END_S = 2.0
_MOST_CONNECTIONS = 2 * MOST_CLIENTS
_FULL_COLLECTION_EVERY = 2
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where the service listens and who may use it.

    Args:
        host: Address to bind to.
        port: 0 takes a free one.
        access: Who may use it.
        outputs: What else it speaks.
        drift: What is done about a camera that no longer fits its calibration.
    """

    host: str
    port: int
    access: Access
    outputs: Outputs = field(default_factory=Outputs)
    drift: Policy = "mask"


class Service:
    """Cameras, engine and web server in one process.

    Args:
        settings: Where to listen.
        open_session: Opens the capture session, not started.
        open_engine: Opens the engine.
        rig: The calibration to begin with.
        announce: Told the viewer's address once requests are answered.
        recordings: Where to record; None offers no recording.
        models: Which models may be chosen while it runs; None offers no change.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        open_session: Callable[[], FrameSource],
        open_engine: Callable[[], HandEngine],
        rig: Rig,
        announce: Callable[[str], None],
        recordings: RecordingPlace | None = None,
        models: ModelPlace | None = None,
    ) -> None:
        self._settings = settings
        self._recording_place = recordings
        self._models = models
        self._open_session = open_session
        self._open_engine = open_engine
        self._rig = rig
        self._announce = announce
        self._listener: socket.socket | None = None
        self._leap_listener: socket.socket | None = None
        self._senders: list[DatagramSender] = []
        self._session: FrameSource | None = None
        self._engine: HandEngine | None = None
        self._pipeline: Pipeline | None = None
        self._recordings: Recordings | None = None

    @property
    def leap_address(self) -> tuple[str, int] | None:
        """Where Leap's protocol is spoken, once started; None where it is not."""
        if self._leap_listener is None:
            return None
        host, port = self._leap_listener.getsockname()[:2]
        return str(host), int(port)

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
                with _undisturbed():
                    self.shutdown()

    def startup(self) -> None:
        """Take the address first, then the engine, then the cameras: what fails cheaply fails before what is slow."""
        outputs, access = self._settings.outputs, self._settings.access
        self._listener = listen(self._settings.host, self._settings.port)
        if outputs.leap_port is not None:
            # Leap's protocol carries no token: only a service that is open anyway offers it to others.
            host = _LOOPBACK if access.guard_browser else self._settings.host
            self._leap_listener = listen(host, outputs.leap_port, option="--leap-port")
        self._senders = outputs.open_senders()
        self._engine = self._open_engine()
        self._session = tap = FrameTap(self._open_session())
        self._session.start()
        self._pipeline = Pipeline(self._session, self._engine, self._rig)
        self._pipeline.start()
        if self._recording_place is not None:
            self._recordings = Recordings(self._recording_place, tap, self._pipeline)

    def main_loop(self) -> None:
        """Answer requests until a signal ends it."""
        assert self._listener is not None  # noqa: S101 - startup comes first
        assert self._pipeline is not None  # noqa: S101
        config = uvicorn.Config(
            self._app(self._pipeline),
            **uvicorn_settings(),
            log_level="warning",
            access_log=False,  # it would write tokens of query strings to the log
            server_header=False,
            timeout_graceful_shutdown=_REQUESTS_END_S,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
        )
        # What start-up made stays for good: without it, full collections are quick and never hold up a frame for long.
        # So they may come often, and free the cycles of clients that went away, each of which holds a message or two.
        gc.collect()
        gc.freeze()
        gc.collect()
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, _FULL_COLLECTION_EVERY)
        url = url_of(self._listener, self._settings.host)
        listeners = [listener for listener in (self._listener, self._leap_listener) if listener is not None]
        _AnnouncedServer(config, lambda: self._announce(url)).run(sockets=listeners)

    def _app(self, pipeline: Pipeline) -> ASGIApp:
        outputs, access = self._settings.outputs, self._settings.access
        app = create_app(
            pipeline,
            access,
            up=outputs.up,
            senders=self._senders,
            recordings=self._recordings,
            drift=self._settings.drift,
            models=self._models,
        )
        if self.leap_address is None:
            return app
        broadcaster = app.state.parts.broadcaster
        leap = leap_app(broadcaster, Access(None, guard_browser=access.guard_browser), up=outputs.up)
        return PortSwitch(app, {self.leap_address[1]: leap})

    def shutdown(self) -> None:
        """Stop what was started, in reverse; each step is bounded, and one that fails does not keep the others."""
        steps: list[Callable[[], object]] = []
        if self._recordings is not None:
            recordings = self._recordings
            steps.append(lambda: recordings.close(_RECORDING_ENDS_S))
        if self._pipeline is not None:
            pipeline = self._pipeline
            steps.append(lambda: pipeline.stop(_ENGINE_ENDS_S))
        elif self._engine is not None:
            steps.append(self._engine.close)
        if self._session is not None:
            session = self._session
            steps.append(lambda: session.stop(_CAMERAS_END_S))
        steps += [sender.close for sender in self._senders]
        steps += [listener.close for listener in (self._listener, self._leap_listener) if listener is not None]
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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        # A second Ctrl-C would keep the application from ending what it runs. The end is bounded in time without it.
        self.force_exit = False


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


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Pass over signals: who presses Ctrl-C again would have cameras left running and a recording cut short."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
