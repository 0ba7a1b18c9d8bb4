"""What a client asks of the stream, as its address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

Encoding = Literal["json", "msgpack"]

STREAM_PATH: Final = "/api/v1/stream"
DEFAULT_PORT: Final = 8000

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """A client's wishes; the service refuses those that it cannot meet, and says which it can.

    Args:
        encoding: How messages travel. msgpack is smaller, faster, and exact to float32.
        dialect: Joints, axes and units: `mano`, `mediapipe`, `openxr`, `webxr`, `unity` or `unreal`.
        fields: Which parts of a hand are sent: `joints`, `mano`, `vertices`, `covariance`, `stats`. None is the
            service's default, all but `vertices`.
        max_hz: Messages a second at most; None is as many as there are.
        predict_ms: How far ahead of the exposure the service shall extrapolate, whole milliseconds; None is not at all.
        up: Which axis of the calibration's world points up, such as `-y` or `+z`, for the dialects that need to know;
            None is the service's own setting.
    """

    encoding: Encoding = "msgpack"
    dialect: str = "mano"
    fields: Sequence[str] | None = None
    max_hz: float | None = None
    predict_ms: float | None = None
    up: str | None = None

    def __post_init__(self) -> None:
        if self.encoding not in ("json", "msgpack"):
            raise ValueError(f"encoding {self.encoding!r} is not known; use json or msgpack")
        if isinstance(self.fields, str):
            raise ValueError(f"fields {self.fields!r} is one string; give a sequence of names, such as ('joints',)")

    def query(self) -> dict[str, str]:
        """Return the options as the stream's query, without those left to the service."""
        query = {"format": self.encoding, "dialect": self.dialect}
        if self.fields is not None:
            query["fields"] = ",".join(self.fields)
        if self.max_hz is not None:
            query["max_hz"] = f"{self.max_hz:g}"
        if self.predict_ms is not None:
            query["predict_ms"] = f"{self.predict_ms:g}"
        if self.up is not None:
            query["up"] = self.up
        return query


def stream_url(address: str, options: StreamOptions) -> str:
    """Build the stream's WebSocket address.

    Args:
        address: Of the service: `host`, `host:port`, or an `http`, `https`, `ws` or `wss` address, whose path is taken
            as a prefix unless it is the stream's own.
        options: What is asked for.

    Raises:
        ValueError: If the address is none of these.
    """
    parts = urlsplit(address if "://" in address else f"ws://{address}")
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"address {address!r} has the scheme {parts.scheme!r}; use ws, wss, http or https")
    if not parts.hostname:
        raise ValueError(f"address {address!r} names no host; write for example ws://127.0.0.1:{DEFAULT_PORT}")
    if parts.query or parts.fragment:
        raise ValueError(f"address {address!r} has a query; say options with StreamOptions and the token with token=")
    try:
        bare = "://" not in address and parts.port is None
    except ValueError as error:
        raise ValueError(f"address {address!r}: {error}") from None
    authority = f"{parts.netloc}:{DEFAULT_PORT}" if bare else parts.netloc
    path = parts.path.rstrip("/")
    path = path if path.endswith(STREAM_PATH) else path + STREAM_PATH
    return urlunsplit((_SCHEMES[parts.scheme], authority, path, urlencode(options.query(), safe=","), ""))
