"""The address to listen on: taken before anything else is started."""

from __future__ import annotations

import errno
import socket
from typing import Final

from server.websocket_protocol import SOCKET_BUFFER_BYTES


class AddressError(OSError):
    """The address cannot be listened on; the text says what to do."""


# Addresses of documentation: nobody has them, so that only the way to everybody leads there.
_ROUTES: Final = {
    "0.0.0.0": (socket.AF_INET, "192.0.2.1"),  # noqa: S104 - what it is asked for, not what is bound
    "::": (socket.AF_INET6, "2001:db8::1"),
}

_WAITING_CONNECTIONS: Final = 256
"""So many may wait to be accepted: clients of a service that restarts come back all at once."""


def listen(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """Bind and listen.

    Args:
        host: Address or name.
        port: 0 takes a free one.
        option: What another port is given with, for errors.

    Raises:
        AddressError: If the address is taken, foreign or not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, OverflowError) as error:
        raise AddressError(f"host {host!r}, port {port}: not an address ({error}); give --host and --port") from error
    # A name such as localhost has several addresses; the one that everything understands comes first.
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        listener.bind(address)
        listener.listen(_WAITING_CONNECTIONS)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise AddressError(_explain(host, port, option, error)) from error
    return listener


def url_of(listener: socket.socket, host: str) -> str:
    """Return the address to open in a browser on this machine."""
    port = listener.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}/"


def url_for_others(host: str, port: int) -> str | None:
    """Return the address to open on other machines, where `host` is all addresses of this one; None where it is one.

    This machine has several addresses as a rule: the one that it would send from is taken, or else its name.
    """
    if host not in _ROUTES:
        return None
    family, elsewhere = _ROUTES[host]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Connecting a datagram socket chooses an address and sends nothing.
            probe.connect((elsewhere, 9))
            address: str = probe.getsockname()[0]
    except OSError:
        # No way out, as in a lab's own network without a router.
        return f"http://{socket.gethostname()}:{port}/"
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def _explain(host: str, port: int, option: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop what uses it or give another {option}"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not allowed for this user; give a {option} above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; give another --host"
    return f"host {host}, port {port}: {error.strerror}"
