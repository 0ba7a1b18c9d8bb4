"""Answers as UDP datagrams to one receiver, which costs nobody anything when it is not there."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.broadcaster import Broadcaster
from server.network import AddressError
from server.outgoing import Outgoing

_log = logging.getLogger("usthand.datagrams")


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver.

    Args:
        host: Address or name.
        port: UDP port.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, option: str) -> Target:
        """Read `HOST:PORT`; `:PORT` is this machine, and an IPv6 address stands in brackets.

        Raises:
            AddressError: If it is something else.
        """
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise AddressError(f"{option} {text!r} is not HOST:PORT, such as 127.0.0.1:39540")
        return cls(host, int(port))

    def connect(self, option: str) -> socket.socket:
        """Open a socket to it that never waits.

        Raises:
            AddressError: If the host is not known or cannot be reached.
        """
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)[0]
            link = socket.socket(family, kind, protocol)
        except OSError as error:
            raise AddressError(self._explain(option, error)) from error
        try:
            link.setblocking(False)
            link.connect(address)
        except OSError as error:
            link.close()
            raise AddressError(self._explain(option, error)) from error
        return link

    def _explain(self, option: str, error: OSError) -> str:
        return f"{option} {self.host}:{self.port}: {error.strerror}; name a host that this machine can reach"


class DatagramSender:
    """Sends every answer to one receiver, the newest one only.

    Args:
        name: The protocol, for the log.
        link: A connected UDP socket that never waits; closed when the sender ends.
        encode: An answer as datagrams.
    """

    def __init__(self, name: str, link: socket.socket, encode: Callable[[Outgoing], Sequence[bytes]]) -> None:
        self._name = name
        self._link = link
        self._encode = encode
        self._failed = False

    async def run(self, broadcaster: Broadcaster) -> None:
        """Send until cancelled."""
        try:
            with broadcaster.client() as client:
                while True:
                    await client.wait()
                    outgoing = client.take()
                    if outgoing is not None and self._send(outgoing):
                        broadcaster.sent(client)
        finally:
            self.close()

    def close(self) -> None:
        """Close the link."""
        self._link.close()

    def _send(self, outgoing: Outgoing) -> bool:
        """Send an answer; say whether the system took all of it."""
        try:
            for datagram in self._encode(outgoing):
                self._link.send(datagram)
        except OSError:
            # Nobody listens there just now, or the system's buffer is full: the next answer is newer anyway.
            return False
        except Exception:  # noqa: BLE001 - logged once; one answer that cannot be said must not end the sender
            if not self._failed:
                _log.exception("%s: an answer could not be sent (logged once)", self._name)
            self._failed = True
            return False
        return True
