"""uvicorn's WebSocket protocol with memory bounded for clients that do not read."""

from __future__ import annotations

import asyncio
from asyncio import BaseTransport
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

WRITE_BUFFER_BYTES: Final = 32 * 1024
SOCKET_BUFFER_BYTES: Final = 128 * 1024
"""What the kernel may hold for a client. Small, so that what a slow client reads next is new."""

_ABORT_AFTER_S: Final = 2.0


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """Differs from its base in what it does when the client takes nothing.

    The base waits for room *before* it writes, so that a message is fixed long before it leaves; here `send` returns
    only when the kernel has taken most of it, so that the next message is chosen as late as possible. Answers to a
    client's control pings are left out while there is no room. And a connection whose handler has ended is aborted if
    the client does not take the rest: otherwise it would stay for as long as the client keeps it open.
    """

    _abort_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound the write buffer."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the abort that is no longer needed."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        """Write, then wait for room."""
        await super().send(message)
        await self.writable.wait()

    def handle_ping(self) -> None:
        """Answer a control ping if there is room for the answer."""
        output = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(output))

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give the client a moment to take the rest, then abort."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._abort_timer = self.loop.call_later(_ABORT_AFTER_S, self.transport.abort)


def uvicorn_settings() -> Mapping[str, Any]:
    """Settings of uvicorn that belong to the stream."""
    return {
        "ws": BoundedWebSocketProtocol,
        "ws_max_size": 64 * 1024,
        "ws_ping_interval": 10.0,
        "ws_ping_timeout": 10.0,
        # The stream is for this machine or its network: compressing for each client costs more than it saves.
        "ws_per_message_deflate": False,
    }
