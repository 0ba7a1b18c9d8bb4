"""Requests that the service's end cuts short."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.access import refuse


class InterruptionAnswer:
    """Answers a request that the web server gives up when it ends, which would else log it as a failure of ours.

    Args:
        app: What may be given up.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def note_and_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, note_and_send)
        except asyncio.CancelledError:
            # Nobody else cancels a request; and after this answer nothing of it is left to run on.
            if begun:
                raise
            await refuse(
                scope, send, 503, "the service is ending, and gave this request up; send it again when it runs"
            )
