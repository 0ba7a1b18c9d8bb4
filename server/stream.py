"""The WebSocket stream: one sender and one reader a client, neither of which can hold up anybody else."""

from __future__ import annotations

import asyncio
import time

from starlette.websockets import WebSocket

from server.broadcaster import Broadcaster, Client
from server.client_messages import read_ping
from server.conversation import SEND_TIMEOUT_S, ClientSocket, converse, until_first
from server.dialects import DEFAULT_UP, Up
from server.encoding import encode
from server.messages import hello_message
from server.outgoing import Outgoing
from server.pace import Pace
from server.pipeline import Pipeline
from server.stream_options import StreamOptions


class Stream:
    """Serves clients of `/api/v1/stream`.

    Args:
        pipeline: Where calibration and model are known.
        broadcaster: Where answers come from.
        up: What points up for clients that do not say.
        send_timeout_s: A client that takes nothing for so long is dropped.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        broadcaster: Broadcaster,
        *,
        up: Up = DEFAULT_UP,
        send_timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        self._pipeline = pipeline
        self._broadcaster = broadcaster
        self._up = up
        self._send_timeout_s = send_timeout_s

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client."""
        await socket.accept()

        async def talk(client: Client) -> None:
            options = StreamOptions.parse(socket.query_params, self._up)
            peer = ClientSocket(socket, self._send_timeout_s)
            await self._greet(peer, options)
            await until_first(self._send_hands(peer, client, options), self._answer_pings(peer, options))

        await converse(socket, self._broadcaster, talk)

    async def _greet(self, peer: ClientSocket, options: StreamOptions) -> None:
        hello = hello_message(
            self._pipeline.rig,
            self._pipeline.engine.card.model_id,
            options.dialect,
            encoding=options.encoding,
            fields=options.fields,
            predict_ms=options.predict_ms,
            max_hz=options.max_hz,
            masked=self._pipeline.masked,
        )
        await peer.send(encode(hello, options.encoding), text=options.encoding == "json")

    async def _send_hands(self, peer: ClientSocket, client: Client, options: StreamOptions) -> None:
        pace = Pace(options.max_hz)

        def straight(outgoing: Outgoing) -> bool:
            if pace.delay_s(time.monotonic_ns()) > 0:
                return False
            message = outgoing.encoded(options.encoding, options.dialect, options.fields, options.predict_ms)
            # Each client's own: those before it were written to in between.
            sent_ns = time.monotonic_ns()
            written = peer.write(message.frame(sent_ns))
            if written:
                pace.sent(sent_ns)
                self._broadcaster.sent(client)
            return written

        while True:
            await client.wait(straight)
            await peer.room()
            if (delay_s := pace.delay_s(time.monotonic_ns())) > 0:
                await asyncio.sleep(delay_s)
            # Taken only now: what came while waiting replaced what was there.
            outgoing = client.take()
            if outgoing is None:
                continue
            message = outgoing.encoded(options.encoding, options.dialect, options.fields, options.predict_ms)
            sent_ns = time.monotonic_ns()
            pace.sent(sent_ns)
            await peer.send(message.sent(sent_ns), text=options.encoding == "json")
            self._broadcaster.sent(client)

    async def _answer_pings(self, peer: ClientSocket, options: StreamOptions) -> None:
        while True:
            text, binary = await peer.receive()
            received_ns = time.monotonic_ns()
            stamp, encoding = read_ping(text, binary, options.encoding)
            pong = {"type": "pong", "t": stamp, "received_ns": received_ns, "sent_ns": time.monotonic_ns()}
            await peer.send(encode(pong, encoding), text=encoding == "json")
