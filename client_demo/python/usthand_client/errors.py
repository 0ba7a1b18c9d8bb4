"""What can go wrong on a stream that no further try would mend."""

from __future__ import annotations


class StreamError(Exception):
    """Anything that ends a client."""


class DecodeError(StreamError, ValueError):
    """A message that is not what the protocol says; the text names the part, what was found and what to do."""


class ConnectError(StreamError, ConnectionError):
    """The service was not reached for as long as the client was told to try."""


class RefusedError(StreamError):
    """The service said no, and would say it again.

    Args:
        code: The WebSocket close code, or the HTTP status where the connection was not even opened.
        reason: The service's own words.
        url: What was asked for.
    """

    def __init__(self, code: int, reason: str, url: str) -> None:
        self.code = code
        self.reason = reason
        self.url = url
        super().__init__(f"{url} refused the stream with code {code}: {reason or 'no reason given'}")
