"""Leap's WebSocket: a greeting with the version, then frames for as long as the client says that it looks."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from starlette.websockets import WebSocket

from server.broadcaster import Broadcaster, Client
from server.client_messages import INVALID_PAYLOAD, POLICY_VIOLATION, UNSUPPORTED_DATA, ClientMessageError
from server.conversation import ClientSocket, converse, until_first
from server.dialects import Up
from server.frames import frame_head
from server.leap.frame import frame_bytes
from server.outgoing import Outgoing

VERSION: Final = 6

_GREETING: Final = json.dumps({"serviceVersion": "usthand", "version": VERSION}, separators=(",", ":")).encode()
_DEVICE: Final = json.dumps(
    {
        "event": {
            "state": {"attached": True, "id": "usthand", "streaming": True, "type": "peripheral"},
            "type": "deviceEvent",
        }
    },
    separators=(",", ":"),
).encode()


class Attention:
    """What one client has said of itself: frames go to those that have the focus or want them in the background."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self._said = {"focused": False, "background": False}

    def hear(self, message: dict[str, Any]) -> None:
        """Take in a client's message; what it says beyond focus and background is not for us.

        Raises:
            ClientMessageError: If it does not say it as true or false.
        """
        for name in self._said:
            value = message.get(name, self._said[name])
            if not isinstance(value, bool):
                raise ClientMessageError(POLICY_VIOLATION, f"{name} must be true or false")
            self._said[name] = value
        if any(self._said.values()):
            self.wanted.set()
        else:
            self.wanted.clear()


class LeapStream:
    """Serves clients of `/v6.json`.

    Args:
        broadcaster: Where answers come from.
        up: Which axis of the calibration's world points up.
        send_timeout_s: A client that takes nothing for so long is dropped.
    """

    def __init__(self, broadcaster: Broadcaster, *, up: Up, send_timeout_s: float) -> None:
        self._broadcaster = broadcaster
        self._up: Up = up
        self._send_timeout_s = send_timeout_s
        self._last = (0, 0)
        self._rate_hz = 0.0

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client."""
        await socket.accept()

        async def talk(client: Client) -> None:
            peer, attention = ClientSocket(socket, self._send_timeout_s), Attention()
            for greeting in (_GREETING, _DEVICE):
                await peer.send(greeting, text=True)
            await until_first(self._send_frames(peer, client, attention), _listen(peer, attention))

        await converse(socket, self._broadcaster, talk)

    async def _send_frames(self, peer: ClientSocket, client: Client, attention: Attention) -> None:
        def straight(outgoing: Outgoing) -> bool:
            written = attention.wanted.is_set() and peer.write(self._framed(outgoing))
            if written:
                self._broadcaster.sent(client)
            return written

        while True:
            await attention.wanted.wait()
            await client.wait(straight)
            await peer.room()
            outgoing = client.take()
            # The client may have looked away while the next answer was awaited.
            if outgoing is None or not attention.wanted.is_set():
                continue
            await peer.send(self._frame(outgoing), text=True)
            self._broadcaster.sent(client)

    def _frame(self, outgoing: Outgoing) -> bytes:
        def make() -> bytes:
            self._note_rate(outgoing)
            return frame_bytes(outgoing, self._up, self._rate_hz)

        return outgoing.once("leap", make)

    def _framed(self, outgoing: Outgoing) -> bytes:
        def make() -> bytes:
            frame = self._frame(outgoing)
            return frame_head(len(frame), text=True) + frame

        return outgoing.once("leap framed", make)

    def _note_rate(self, outgoing: Outgoing) -> None:
        sequence, exposure_ns = outgoing.solved.sequence, outgoing.solved.frame_set.timestamp_ns
        last_sequence, last_ns = self._last
        if last_ns and exposure_ns > last_ns:
            self._rate_hz = (sequence - last_sequence) * 1e9 / (exposure_ns - last_ns)
        self._last = sequence, exposure_ns


async def _listen(peer: ClientSocket, attention: Attention) -> None:
    while True:
        text, _ = await peer.receive()
        if text is None:
            raise ClientMessageError(UNSUPPORTED_DATA, 'send JSON text, such as {"focused":true}')
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise ClientMessageError(INVALID_PAYLOAD, "the message is not JSON") from None
        if not isinstance(message, dict):
            raise ClientMessageError(POLICY_VIOLATION, 'a message must be an object, such as {"focused":true}')
        attention.hear(message)
