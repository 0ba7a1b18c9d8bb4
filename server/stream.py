"""The WebSocket stream: one sender and one reader a client, neither of which can hold up anybody else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from server.broadcaster import Broadcaster, Client, TooManyClientsError
from server.client_messages import POLICY_VIOLATION, ClientMessageError, read_ping
from server.encoding import Encoding, encode
from server.messages import hello_message
from server.pipeline import Pipeline
from server.stream_options import StreamOptionError, StreamOptions

SEND_TIMEOUT_S: Final = 10.0
_TRY_AGAIN_LATER: Final = 1013


class Stream:
    """Serves clients of `/api/v1/stream`.

    Args:
        pipeline: Where calibration and model are known.
        broadcaster: Where answers come from.
        send_timeout_s: A client that takes nothing for so long is dropped.
    """

    def __init__(self, pipeline: Pipeline, broadcaster: Broadcaster, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
        self._pipeline = pipeline
        self._broadcaster = broadcaster
        self._send_timeout_s = send_timeout_s

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client until it goes, misbehaves, or stops taking what it is sent."""
        await socket.accept()
        try:
            options = StreamOptions.parse(socket.query_params)
            with self._broadcaster.client() as client:
                await self._converse(socket, client, options)
        except StreamOptionError as error:
            await _close(socket, POLICY_VIOLATION, str(error))
        except TooManyClientsError as error:
            await _close(socket, _TRY_AGAIN_LATER, str(error))
        except ClientMessageError as error:
            await _close(socket, error.code, str(error))
        except TimeoutError:
            # Nothing can be said to a client that takes nothing: returning makes the protocol abort the connection.
            self._broadcaster.client_timeouts += 1
        except WebSocketDisconnect:
            pass

    async def _converse(self, socket: WebSocket, client: Client, options: StreamOptions) -> None:
        hello = hello_message(
            self._pipeline.rig,
            self._pipeline.engine.card.model_id,
            options.dialect,
            encoding=options.encoding,
            fields=options.fields,
        )
        await self._send(socket, encode(hello, options.encoding), options.encoding)
        tasks = (
            asyncio.create_task(self._send_hands(socket, client, options)),
            asyncio.create_task(self._answer_pings(socket, options)),
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_hands(self, socket: WebSocket, client: Client, options: StreamOptions) -> None:
        pace = Pace(options.max_hz)
        while True:
            await client.wait()
            if (delay_s := pace.delay_s(time.monotonic())) > 0:
                await asyncio.sleep(delay_s)
            # Taken only now: what came while waiting replaced what was there.
            outgoing = client.take()
            if outgoing is None:
                continue
            message = outgoing.encoded(options.encoding, options.dialect, options.fields)
            await self._send(socket, message.sent(time.monotonic_ns()), options.encoding)
            client.sent += 1
            self._broadcaster.messages_sent += 1

    async def _answer_pings(self, socket: WebSocket, options: StreamOptions) -> None:
        while True:
            event = await socket.receive()
            received_ns = time.monotonic_ns()
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(event.get("code", 1005))
            stamp, encoding = read_ping(event.get("text"), event.get("bytes"), options.encoding)
            pong = {"type": "pong", "t": stamp, "received_ns": received_ns, "sent_ns": time.monotonic_ns()}
            await self._send(socket, encode(pong, encoding), encoding)

    async def _send(self, socket: WebSocket, payload: bytes, encoding: Encoding) -> None:
        async with asyncio.timeout(self._send_timeout_s):
            if encoding == "json":
                await socket.send_text(payload.decode())
            else:
                await socket.send_bytes(payload)


class Pace:
    """Holds a client to its `max_hz` on average, so that a jittering source of that very rate loses nothing.

    Args:
        max_hz: Messages a second; None does not hold it.
    """

    def __init__(self, max_hz: float | None) -> None:
        self._period_s = 0.0 if max_hz is None else 1.0 / max_hz
        self._due_s = 0.0

    def delay_s(self, now_s: float) -> float:
        """Say how long to wait before the next message, and count it as sent then."""
        if not self._period_s:
            return 0.0
        send_s = max(now_s, self._due_s)
        self._due_s = max(self._due_s, now_s - self._period_s) + self._period_s
        return send_s - now_s


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(1.0):
            await socket.close(code, reason.encode()[:123].decode(errors="ignore"))
