"""Reading what anybody may have sent, within bounds."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOAD_BYTES: Final = 1 << 20
UPLOAD_TIMEOUT_S: Final = 30.0
# What is left of the body would be read as the next request.
_CLOSE: Final = {"Connection": "close"}


class BodyLimit:
    """Gives up a request whose body is too large or takes too long, whichever route reads it.

    How deep it may nest is the parser's to judge.

    Args:
        app: What reads bodies; an `HTTPException` must become an answer in it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        if scope["type"] == "http":
            receive = _Bounded(receive).receive
        await self._app(scope, receive, send)


class _Bounded:
    """One request's body."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._due_s = asyncio.get_running_loop().time() + UPLOAD_TIMEOUT_S
        self._read_bytes = 0
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:
            # What comes now is the client's leaving, which may be waited for as long as the answer takes.
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._due_s):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"the upload took longer than {UPLOAD_TIMEOUT_S:g} s", _CLOSE) from None
        self._complete = not message.get("more_body", False)
        self._read_bytes += len(message.get("body", b""))
        if self._read_bytes > UPLOAD_BYTES:
            raise HTTPException(
                413, f"the upload is larger than {UPLOAD_BYTES} bytes; even a calibration is a few kilobytes", _CLOSE
            )
        return message
