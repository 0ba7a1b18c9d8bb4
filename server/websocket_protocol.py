"""uvicorn's WebSocket protocol with memory bounded for clients that do not read; and the server's settings."""

from __future__ import annotations

import asyncio
from asyncio import BaseTransport
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from server.http_protocol import BoundedHttpProtocol

WRITE_BUFFER_BYTES: Final = 32 * 1024
SOCKET_BUFFER_BYTES: Final = 128 * 1024
"""What the kernel may hold for a client. Small, so that what a slow client reads next is new."""

STRAIGHT: Final = "usthand.straight"
"""ASGI extension of a WebSocket: `write` takes a whole frame at once, or says that it cannot; `room` waits for room."""

_ABORT_AFTER_S: Final = 2.0
_QUIET_S: Final = 0.2
_MOST_DISCARDED_BYTES: Final = 64 * 1024 * 1024


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """Differs from its base in what it does when the client takes nothing.

    The base waits for room *before* it writes, so that a message is fixed long before it leaves; here `send` returns
    only when the kernel has taken most of it, so that the next message is chosen as late as possible. Answers to a
    client's control pings are left out while there is no room. And a connection whose handler has ended is aborted if
    the client does not take the rest: otherwise it would stay for as long as the client keeps it open.

    It differs, too, in what it does when the client breaks the protocol, by a message that is too large for instance.
    The base closes at once, and while the client is still sending that resets the connection, so that it never learns
    why. Here the rest of what it sends is thrown away until it has been quiet for a moment, within bounds.

    And it offers a way past the layers between application and transport, none of which has anything to say to a
    message: with a hundred clients they, and the tasks that they wake, cost many times what writing does.
    """

    _abort_timer: asyncio.TimerHandle | None = None
    _quiet_timer: asyncio.TimerHandle | None = None
    _discarded_bytes: int | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound the write buffer."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the abort that is no longer needed."""
        for timer in (self._abort_timer, self._quiet_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        """Offer the straight way to the application, which runs only later."""
        super().handle_connect(event)
        if not self.close_sent:
            self._extensions()[STRAIGHT] = {"write": self.write_straight, "room": self.writable.wait}

    def write_straight(self, frame: bytes) -> bool:
        """Write a frame if the connection is open and there is room; say whether it was written."""
        if not self.writable.is_set() or self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def _extensions(self) -> dict[str, Any]:
        extensions: dict[str, Any] = self.scope["extensions"]
        return extensions

    async def send(self, message: Any) -> None:
        """Write, then wait for room."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # A refusal ends the handshake; the base would report that nothing did.
            self.handshake_complete = True
        await self.writable.wait()

    def data_received(self, data: bytes) -> None:
        """Take data in, or throw it away if it follows an offence."""
        if self._discarded_bytes is None:
            super().data_received(data)
            return
        self._discarded_bytes += len(data)
        if self._discarded_bytes > _MOST_DISCARDED_BYTES:
            self.transport.abort()
        else:
            self._close_when_quiet()

    def handle_parser_exception(self) -> None:
        """Say what was wrong, and give the client a moment to read it."""
        close = self.conn.close_sent
        if close is not None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._discarded_bytes = 0
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # While there is this timer, the base leaves the connection open after the handler's end.
        self.close_timer = self.loop.call_later(_ABORT_AFTER_S, self.transport.abort)
        self._close_when_quiet()

    def _close_when_quiet(self) -> None:
        if self._quiet_timer is not None:
            self._quiet_timer.cancel()
        self._quiet_timer = self.loop.call_later(_QUIET_S, self.transport.close)

    def handle_ping(self) -> None:
        """Answer a control ping if there is room for the answer."""
        output = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(output))

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give the client a moment to take the rest, then abort."""
        super().on_task_complete(task)
        # It holds this connection, which holds it: without the cycle both are freed at once.
        self._extensions().pop(STRAIGHT, None)
        if not self.disconnected:
            self._abort_timer = self.loop.call_later(_ABORT_AFTER_S, self.transport.abort)


def uvicorn_settings() -> Mapping[str, Any]:
    """Settings of uvicorn that keep clients within bounds."""
    return {
        "http": BoundedHttpProtocol,
        "ws": BoundedWebSocketProtocol,
        "ws_max_size": 64 * 1024,
        "ws_ping_interval": 10.0,
        "ws_ping_timeout": 10.0,
        # The stream is for this machine or its network: compressing for each client costs more than it saves.
        "ws_per_message_deflate": False,
    }
