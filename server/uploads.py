"""Reading what anybody may have sent, within bounds."""

from __future__ import annotations

from typing import Final

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOAD_BYTES: Final = 1 << 20


class BodyLimit:
    """Gives up a request as soon as its body is too large, whichever route reads it.

    How deep it may nest is the parser's to judge.

    Args:
        app: What reads bodies; an `HTTPException` must become an answer in it.
        limit_bytes: Of a body.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int = UPLOAD_BYTES) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read_bytes = 0

        async def receive_bounded() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > self._limit_bytes:
                raise HTTPException(
                    413, f"the upload is larger than {self._limit_bytes} bytes; even a calibration is a few kilobytes"
                )
            return message

        await self._app(scope, receive_bounded, send)
