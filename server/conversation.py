"""One WebSocket client from its greeting to its end: bounded sends, and a code and a reason for every refusal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from server.broadcaster import Broadcaster, Client, TooManyClientsError
from server.client_messages import POLICY_VIOLATION, ClientMessageError
from server.stream_options import StreamOptionError
from server.websocket_protocol import STRAIGHT

SEND_TIMEOUT_S: Final = 10.0

_INTERNAL_ERROR: Final = 1011
_TRY_AGAIN_LATER: Final = 1013
_LONGEST_REASON: Final = 123


class ClientSocket:
    """A client's WebSocket.

    Args:
        socket: The connection, accepted.
        send_timeout_s: A client that takes nothing for so long is given up.
    """

    def __init__(self, socket: WebSocket, send_timeout_s: float) -> None:
        self._socket = socket
        self._send_timeout_s = send_timeout_s
        # A server of another kind than ours does not offer it; then everything goes the long way.
        self._straight: Mapping[str, Callable[..., Any]] | None = socket.scope.get("extensions", {}).get(STRAIGHT)

    def write(self, frame: bytes) -> bool:
        """Write a whole WebSocket frame if that can be done at once; say whether it was."""
        return self._straight is not None and bool(self._straight["write"](frame))

    async def room(self) -> None:
        """Wait until the client has taken what was written, but for a bounded rest.

        Raises:
            TimeoutError: If the client takes nothing.
        """
        if self._straight is not None:
            async with asyncio.timeout(self._send_timeout_s):
                await self._straight["room"]()

    async def send(self, payload: bytes, *, text: bool) -> None:
        """Send a message.

        Raises:
            TimeoutError: If the client takes nothing.
        """
        async with asyncio.timeout(self._send_timeout_s):
            if text:
                await self._socket.send_text(payload.decode())
            else:
                await self._socket.send_bytes(payload)

    async def receive(self) -> tuple[str | None, bytes | None]:
        """Wait for the client's next message: as text or as bytes.

        Raises:
            WebSocketDisconnect: If the client went.
        """
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005))
        return event.get("text"), event.get("bytes")


async def converse(socket: WebSocket, broadcaster: Broadcaster, talk: Callable[[Client], Awaitable[None]]) -> None:
    """Serve one client until it goes, misbehaves, or stops taking what it is sent.

    Args:
        socket: The connection, accepted.
        broadcaster: Where the client gets its slot.
        talk: What is said; its errors end the connection with their reason.
    """
    try:
        with broadcaster.client() as client:
            await talk(client)
    except StreamOptionError as error:
        await _close(socket, POLICY_VIOLATION, str(error))
    except TooManyClientsError as error:
        await _close(socket, _TRY_AGAIN_LATER, str(error))
    except ClientMessageError as error:
        await _close(socket, error.code, str(error))
    except TimeoutError:
        # Nothing can be said to a client that takes nothing: returning makes the protocol abort the connection.
        broadcaster.client_timeouts += 1
    except WebSocketDisconnect:
        pass
    except Exception:
        await _close(socket, _INTERNAL_ERROR, "an error of the service, which its log explains; try again")
        raise


async def until_first(*sides: Coroutine[Any, Any, None]) -> None:
    """Run the sides of a conversation until one of them ends, then end the others.

    Raises:
        Exception: What a side ended with.
    """
    tasks = [asyncio.create_task(side) for side in sides]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        # An error holds this frame by its traceback: what holds the error is let go of, so that no cycle keeps the
        # client's last message until the next full collection.
        tasks.clear()
    errors = [end for end in ends if isinstance(end, Exception)]
    ends.clear()
    if errors:
        raise errors.pop()


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(1.0):
            await socket.close(code, reason.encode()[:_LONGEST_REASON].decode(errors="ignore"))
