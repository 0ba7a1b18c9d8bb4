"""Who may use the service: bearer token, and which pages a browser may call it from. Pure rules, and the ASGI shell."""

from __future__ import annotations

import hmac
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_VARIABLE: Final = "USTHAND_TOKEN"  # noqa: S105 - the variable's name
COOKIE: Final = "usthand_token"
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
PAGES: Final = frozenset({"/", "/docs", "/client/"})
_ENTER_PAGE: Final = Path(__file__).parent / "viewer" / "enter.html"

_NEEDED: Final = "a token is needed: send `Authorization: Bearer TOKEN` or add ?token=TOKEN"
_WRONG: Final = f"the token is wrong: send the one that the service was started with ({TOKEN_VARIABLE} or --token-file)"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class AccessError(ValueError):
    """Settings under which the service would be open to others than those it is meant for."""


@dataclass(frozen=True, slots=True)
class Access:
    """The rules in force.

    Args:
        token: What clients must show; None asks for nothing.
        guard_browser: Whether requests from foreign web pages are refused that show no token. It protects a service
            without a token on this machine from pages that its user happens to visit.
    """

    token: str | None = None
    guard_browser: bool = True

    @classmethod
    def for_bind(cls, host: str, *, token: str | None, insecure: bool) -> Access:
        """Decide the rules for an address.

        Raises:
            AccessError: If others could reach the service and no token protects it.
        """
        if token is None and not insecure and not is_loopback(host):
            raise AccessError(
                f"--host {host} can be reached from other machines and no token is set; set {TOKEN_VARIABLE} or "
                "--token-file, bind to 127.0.0.1, or say --insecure"
            )
        return cls(token, guard_browser=not insecure)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Say why a request is refused: status and reason; None lets it in."""
        if scope["path"] in OPEN_PATHS:
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if self.token is not None:
            shown = _shown_tokens(headers, scope.get("query_string", b""))
            if any(self._matches(token) for token in shown):
                return None
            if not self._matches(_cookie_token(scope, headers)):
                return 401, _WRONG if any(shown) else _NEEDED
        return self._browser_refusal(scope, headers) if self.guard_browser else None

    def _matches(self, token: str) -> bool:
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def _browser_refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.token is None and not is_local_name(host):
            return 403, f"host {host[:80]!r} is not this machine's; use its address, or start with a token"
        origin = headers.get("origin")
        acts = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if origin is None or not acts:
            return None
        authority = origin.partition("://")[2]
        if authority == host or is_local_name(authority, addresses=False):
            return None
        return 403, f"the page at {origin[:80]!r} is not this service's; let it send a token"


class AccessMiddleware:
    """Applies the rules before anything else runs, and lets a browser that showed the token keep it.

    Args:
        app: What is protected.
        access: The rules.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._access.refusal(scope)
        if refusal is not None:
            await refuse(scope, send, *refusal)
            return
        await self._app(scope, receive, self._with_cookie(scope, send))

    def _with_cookie(self, scope: Scope, send: Send) -> Send:
        """Set a cookie where a page was opened with `?token=`: what the page loads cannot show the token itself."""
        token = self._access.token
        if token is None or scope["type"] != "http" or scope["path"] not in PAGES:
            return send

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie: SimpleCookie = SimpleCookie()
                name = _cookie_name(scope)
                cookie[name] = token
                cookie[name].update({"httponly": "1", "samesite": "Strict", "path": "/"})
                message = {
                    **message,
                    "headers": [*message["headers"], (b"set-cookie", cookie[name].OutputString().encode("latin-1"))],
                }
            await send(message)

        return send_with_cookie


def read_token(token_file: Path | None) -> str | None:
    """Return the token of the file, or else of the environment.

    Raises:
        AccessError: If the file holds no token, or one that no header can carry.
        OSError: If the file cannot be read.
    """
    if token_file is None:
        source, token = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            return None
    else:
        source, token = str(token_file), token_file.read_text(encoding="utf-8")
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or set(token) & set(' ";,\\'):
        raise AccessError(f"{source}: the token must be one word of ASCII letters, digits and signs such as -._~")
    return token


def is_loopback(host: str) -> bool:
    """Say whether an address to bind to is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_local_name(authority: str, *, addresses: bool = True) -> bool:
    """Say whether `host[:port]` names this machine; a bare address is no name that a foreign page could have made up.

    Args:
        authority: Of a URL.
        addresses: Whether any address passes, or loopback ones only.
    """
    try:
        host = urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return addresses or address.is_loopback


def _shown_tokens(headers: Mapping[str, str], query: bytes) -> list[str]:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    shown = [value.strip()] if scheme.lower() == "bearer" else []
    return shown + parse_qs(query.decode("latin-1")).get("token", [])[:1]


def _cookie_name(scope: Scope) -> str:
    """A browser keeps one cookie of a name for all ports of a host: two services' must not replace each other."""
    server = scope.get("server")
    return COOKIE if server is None else f"{COOKIE}_{server[1]}"


def _cookie_token(scope: Scope, headers: Mapping[str, str]) -> str:
    # Another service's cookies come along; whatever they look like must not hide ours.
    return cookie_parser(headers.get("cookie", "")).get(_cookie_name(scope), "")


async def refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    """Answer a request, or a WebSocket's handshake, with a status and a reason as JSON.

    A person who opens a page without a token is asked for it.
    """
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": reason[:120]})
            return
        prefix = "websocket.http.response"
    else:
        prefix = "http.response"
    body, content_type = json.dumps({"detail": reason}).encode(), b"application/json"
    if status == 401 and scope["type"] == "http" and scope["path"] in PAGES and _is_for_people(scope):
        body, content_type = _ENTER_PAGE.read_bytes(), b"text/html; charset=utf-8"
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": f"{prefix}.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": body})


def _is_for_people(scope: Scope) -> bool:
    return b"text/html" in next((value for name, value in scope["headers"] if name == b"accept"), b"")
