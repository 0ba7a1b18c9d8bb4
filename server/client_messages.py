"""What clients say on the stream: pings, and everything else, which is refused with a reason."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from server.encoding import Encoding, decode_msgpack

_LONGEST_ECHO: Final = 256

UNSUPPORTED_DATA: Final = 1003
INVALID_PAYLOAD: Final = 1007
POLICY_VIOLATION: Final = 1008


class ClientMessageError(ValueError):
    """A message that ends the connection.

    Args:
        code: WebSocket close code.
        reason: Why, in at most 123 bytes.
    """

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(reason)


def read_ping(text: str | None, binary: bytes | None, encoding: Encoding) -> tuple[Any, Encoding]:
    """Read a client's message, which must be a ping.

    Args:
        text: The message, if it came as text: JSON.
        binary: The message, if it came as bytes: msgpack, on a msgpack stream only.
        encoding: The stream's encoding.

    Returns:
        The ping's `t`, to be echoed, and the encoding that the ping came in.

    Raises:
        ClientMessageError: If it is anything else.
    """
    if text is not None:
        return _ping_stamp(_parse_json(text)), "json"
    if encoding != "msgpack":
        raise ClientMessageError(UNSUPPORTED_DATA, "binary messages are for format=msgpack; send JSON text")
    return _ping_stamp(_parse_msgpack(binary or b"")), "msgpack"


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ClientMessageError(INVALID_PAYLOAD, "the message is not JSON") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parse_msgpack(binary: bytes) -> Any:
    try:
        return decode_msgpack(binary)
    except ValueError:
        raise ClientMessageError(INVALID_PAYLOAD, "the message is not msgpack") from None


def _ping_stamp(message: Any) -> Any:
    kind = message.get("type") if isinstance(message, dict) else None
    if kind != "ping":
        raise ClientMessageError(POLICY_VIOLATION, 'only {"type":"ping","t":...} is understood')
    stamp = message.get("t")
    if isinstance(stamp, str):
        # JSON can name half of a surrogate pair; no text can hold it.
        good = len(stamp) <= _LONGEST_ECHO and not any("\ud800" <= sign <= "\udfff" for sign in stamp)
    elif isinstance(stamp, float):
        good = math.isfinite(stamp)
    else:
        good = stamp is None or (isinstance(stamp, int) and -(2**63) <= stamp < 2**64)
    if not good:
        raise ClientMessageError(
            POLICY_VIOLATION, f"t of a ping must be a number of 64 bits or a string up to {_LONGEST_ECHO} long"
        )
    return stamp
