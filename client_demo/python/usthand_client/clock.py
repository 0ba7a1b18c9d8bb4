"""The server's monotonic clock as seen from this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far the server's monotonic clock is ahead of this machine's `time.monotonic_ns()`.

    Args:
        offset_ns: Server minus client.
        round_trip_ns: Time that the ping spent on the way, there and back; the offset is wrong by half of it at most.
    """

    offset_ns: int
    round_trip_ns: int

    @classmethod
    def of_ping(cls, sent_ns: int, server_received_ns: int, server_sent_ns: int, received_ns: int) -> ClockOffset:
        """Estimate from one ping, as if both ways took equally long.

        Args:
            sent_ns: When the ping left, client clock.
            server_received_ns: When it arrived, server clock.
            server_sent_ns: When the answer left, server clock.
            received_ns: When the answer arrived, client clock.
        """
        offset_ns = ((server_received_ns - sent_ns) + (server_sent_ns - received_ns)) // 2
        return cls(offset_ns, (received_ns - sent_ns) - (server_sent_ns - server_received_ns))

    @staticmethod
    def best(pings: Iterable[ClockOffset]) -> ClockOffset:
        """Return the estimate with the shortest way: it is bounded best.

        Raises:
            ValueError: If there is none.
        """
        return min(pings, key=lambda ping: ping.round_trip_ns)

    def to_client_ns(self, server_ns: int) -> int:
        """Date an instant of the server's clock by this machine's monotonic clock."""
        return server_ns - self.offset_ns

    def to_server_ns(self, client_ns: int) -> int:
        """Date an instant of this machine's monotonic clock by the server's clock."""
        return client_ns + self.offset_ns
