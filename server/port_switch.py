"""Several applications in one server, told apart by the port that a request came to."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class PortSwitch:
    """Hands each request to the application of its port.

    Args:
        main: Gets what comes to any other port, and the lifespan.
        by_port: Applications of single ports.
    """

    def __init__(self, main: ASGIApp, by_port: Mapping[int, ASGIApp]) -> None:
        self._main = main
        self._by_port = dict(by_port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        address = scope.get("server")
        app = self._main if address is None else self._by_port.get(address[1], self._main)
        await app(scope, receive, send)
