"""The client for asyncio: one task that connects, reads, decodes and reconnects; whoever iterates gets hands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Final, Self

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from usthand_client.backoff import Backoff
from usthand_client.clock import ClockOffset
from usthand_client.decoding import StreamDecoder
from usthand_client.errors import ConnectError, RefusedError
from usthand_client.messages import Hands, Hello, Pong
from usthand_client.options import StreamOptions, stream_url
from usthand_client.packets import Packet

_LARGEST_MESSAGE: Final = 16 * 1024 * 1024
_OPEN_TIMEOUT_S: Final = 5.0
_PING_INTERVAL_S: Final = 5.0
_PING_TIMEOUT_S: Final = 10.0
_MOST_WAITING: Final = 256

_FINAL_CODES: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1010})
"""Close codes that say that the client is wrong: it would be so again."""

_TRY_AGAIN_STATUS: Final = frozenset({408, 425, 429})

_log = logging.getLogger("usthand_client")


class AsyncClient:
    """A connection to a service that mends itself; an async context manager, and an async iterator of `Hands`.

    The service sends the newest, and so does the client: whoever is slow gets the newest message next, and
    `dropped` counts those that nobody took. With `newest=False` none is left out unless `_MOST_WAITING` (256) wait.

    Args:
        address: Of the service, such as `ws://127.0.0.1:8000`; see `stream_url`.
        options: What to ask for.
        token: The service's token, sent in a header, never in the address.
        newest: Whether only the newest message waits.
        backoff: How long to wait between tries.
        give_up_after_s: How long to try without success; None is for ever.
        on_packet: Called with every payload as it came, to record the stream.

    Attributes:
        hello: The newest hello; None until the first connection stands.
        dropped: Messages that a newer one replaced before they were taken.
        connections: How often a connection was opened and greeted.
    """

    def __init__(
        self,
        address: str,
        options: StreamOptions | None = None,
        *,
        token: str | None = None,
        newest: bool = True,
        backoff: Backoff | None = None,
        give_up_after_s: float | None = None,
        on_packet: Callable[[Packet], None] | None = None,
    ) -> None:
        self.options = options or StreamOptions()
        self.url = stream_url(address, self.options)
        self.hello: Hello | None = None
        self.dropped = 0
        self.connections = 0
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._backoff = backoff or Backoff()
        self._give_up_after_s = give_up_after_s
        self._on_packet = on_packet
        self._waiting: deque[Hands] = deque(maxlen=1 if newest else _MOST_WAITING)
        self._pongs: dict[int, asyncio.Future[tuple[Pong, int]]] = {}
        self._changed = asyncio.Condition()
        self._connection: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._ended = False

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise RuntimeError("the client was opened already; make another one for another stream")
        self._task = asyncio.create_task(self._run(), name="usthand-client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Hands]:
        return self

    async def __anext__(self) -> Hands:
        """Wait for the next message.

        Raises:
            StopAsyncIteration: If the client was closed.
            RefusedError: If the service refused the stream.
            ConnectError: If the service was not reached in time.
            DecodeError: If the service sent what is not its protocol.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._waiting:
                return self._waiting.popleft()
        self._raise_error()
        raise StopAsyncIteration

    async def connected(self) -> Hello:
        """Wait until the service has greeted, and return its hello.

        Raises:
            StreamError: As in iterating.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._connection is not None or self._ended)
        self._raise_error()
        if self._ended or self.hello is None:
            raise ConnectError(f"{self.url}: the client is closed; open another one")
        return self.hello

    async def clock_offset(self, pings: int = 8, timeout_s: float = 5.0) -> ClockOffset:
        """Measure how far the server's clock is ahead of `time.monotonic_ns()`; hands go on arriving meanwhile.

        Args:
            pings: How many to send, one after the other; the quickest counts.
            timeout_s: For all of them.

        Raises:
            StreamError: As in iterating.
            TimeoutError: If the answers did not come in time.
        """
        if pings < 1:
            raise ValueError(f"pings is {pings}; at least 1 is needed")
        async with asyncio.timeout(timeout_s):
            return ClockOffset.best([await self._ping() for _ in range(pings)])

    async def close(self) -> None:
        """End the connection and the task; iterating stops."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._end(None)

    async def _ping(self) -> ClockOffset:
        while True:
            await self.connected()
            connection = self._connection
            if connection is None:
                continue
            answer: asyncio.Future[tuple[Pong, int]] = asyncio.get_running_loop().create_future()
            sent_ns = time.monotonic_ns()
            self._pongs[sent_ns] = answer
            try:
                await connection.send(self._encoded({"type": "ping", "t": sent_ns}))
                pong, received_ns = await answer
            except (ConnectionClosed, ConnectionResetError):
                # The connection broke: the ping goes over the next one.
                await asyncio.sleep(0)
                continue
            finally:
                self._pongs.pop(sent_ns, None)
            return ClockOffset.of_ping(sent_ns, pong.received_ns, pong.sent_ns, received_ns)

    def _encoded(self, message: dict[str, object]) -> str | bytes:
        if self.options.encoding == "json":
            return json.dumps(message)
        packed: bytes = msgpack.packb(message)
        return packed

    async def _run(self) -> None:
        try:
            await self._keep_connected()
        except Exception as error:  # noqa: BLE001 - handed to whoever iterates
            await self._end(error)

    async def _keep_connected(self) -> None:
        delays_s = self._backoff.delays_s()
        lost_s = time.monotonic()
        while True:
            greeted = self.connections
            try:
                await self._converse()
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
                trouble = self._judged(error)
            if self.connections > greeted:
                delays_s, lost_s = self._backoff.delays_s(), time.monotonic()
            lost_for_s = time.monotonic() - lost_s
            if self._give_up_after_s is not None and lost_for_s >= self._give_up_after_s:
                raise ConnectError(f"{self.url} was not reached for {lost_for_s:.1f} s; the last try said: {trouble}")
            delay_s = next(delays_s)
            _log.warning("%s: %s; trying again in %.2f s", self.url, trouble, delay_s)
            await asyncio.sleep(delay_s)

    async def _converse(self) -> None:
        """Hold one connection until it breaks, which raises."""
        try:
            opening = connect(
                self.url,
                additional_headers=self._headers,
                compression=None,
                max_size=_LARGEST_MESSAGE,
                open_timeout=_OPEN_TIMEOUT_S,
                ping_interval=_PING_INTERVAL_S,
                ping_timeout=_PING_TIMEOUT_S,
                close_timeout=1.0,
            )
        except InvalidURI as error:
            raise ValueError(f"{self.url} is no WebSocket address: {error}") from error
        async with opening as connection:
            decoder = StreamDecoder()
            try:
                while True:
                    # A service that accepts and says nothing is none.
                    async with asyncio.timeout(_OPEN_TIMEOUT_S if decoder.hello is None else None):
                        payload = await connection.recv()
                    received_ns = time.monotonic_ns()
                    if self._on_packet is not None:
                        self._on_packet(Packet(payload, received_ns))
                    match decoder.decode(payload):
                        case Hello() as hello:
                            await self._greeted(hello, connection)
                        case Hands() as hands:
                            await self._offer(hands)
                        case Pong() as pong:
                            self._answered(pong, received_ns)
            finally:
                self._parted()

    async def _greeted(self, hello: Hello, connection: ClientConnection) -> None:
        async with self._changed:
            self.hello = hello
            self.connections += 1
            self._connection = connection
            self._changed.notify_all()

    def _answered(self, pong: Pong, received_ns: int) -> None:
        answer = self._pongs.get(pong.t) if isinstance(pong.t, int) else None
        if answer is not None and not answer.done():
            answer.set_result((pong, received_ns))

    def _parted(self) -> None:
        self._connection = None
        for answer in self._pongs.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the connection broke before the ping was answered"))

    async def _offer(self, hands: Hands) -> None:
        async with self._changed:
            self.dropped += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(hands)
            self._changed.notify_all()

    async def _end(self, error: Exception | None) -> None:
        async with self._changed:
            self._error = self._error or error
            self._ended = True
            self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _judged(self, error: Exception) -> str:
        """Say in words why there is no connection, if another try may mend it.

        Raises:
            RefusedError: If it would not.
        """
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            reason = _detail(error.response.body) or error.response.reason_phrase
            if 400 <= status < 500 and status not in _TRY_AGAIN_STATUS:
                raise RefusedError(status, reason, self.url) from error
            return f"the service answered {status}: {reason}"
        if isinstance(error, ConnectionClosed):
            if error.rcvd is None:
                return "the connection broke"
            if error.rcvd.code in _FINAL_CODES:
                raise RefusedError(error.rcvd.code, error.rcvd.reason, self.url) from error
            return f"the service closed with code {error.rcvd.code}: {error.rcvd.reason or 'no reason given'}"
        return str(error) or type(error).__name__


def _detail(body: bytes | bytearray | None) -> str:
    """Return the reason in the body of the service's refusal."""
    try:
        detail = json.loads(bytes(body or b""))["detail"]
    except (ValueError, KeyError, TypeError):
        return bytes(body or b"").decode(errors="replace")[:200]
    return str(detail)
