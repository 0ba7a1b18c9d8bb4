"""The application behind Leap's port: one WebSocket and nothing else."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from server.access import Access, AccessMiddleware, refuse
from server.broadcaster import Broadcaster
from server.conversation import SEND_TIMEOUT_S
from server.dialects import Up
from server.leap.stream import VERSION, LeapStream

PATH: Final = f"/v{VERSION}.json"


def leap_app(broadcaster: Broadcaster, access: Access, *, up: Up, send_timeout_s: float = SEND_TIMEOUT_S) -> ASGIApp:
    """Build the application.

    Args:
        broadcaster: Where answers come from.
        access: Who may use it. Leap's protocol carries no token, so there can be none.
        up: Which axis of the calibration's world points up.
        send_timeout_s: A client that takes nothing for so long is dropped.
    """
    if access.token is not None:
        raise ValueError("Leap's protocol carries no token; give access without one, and listen on loopback only")
    stream = LeapStream(broadcaster, up=up, send_timeout_s=send_timeout_s)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"] == PATH:
            await stream.serve(WebSocket(scope, receive, send))
        else:
            await refuse(scope, send, 404, f"this port speaks Leap's protocol on a WebSocket at {PATH} only")

    return AccessMiddleware(serve, access)
