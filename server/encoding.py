"""Messages as bytes: compact JSON and msgpack, with the one stamp that differs from client to client left open."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import msgpack
import numpy as np
from numpy.typing import NDArray

from server.frames import frame_head

Encoding = Literal["json", "msgpack"]

ENCODINGS: Final[tuple[Encoding, ...]] = get_args(Encoding)

_DECIMALS: Final = {"covariance_mm2": 4, "shape": 4}
_DEFAULT_DECIMALS: Final = 5  # 0.01 mm of a length in metres

_LARGE: Final = 512
_ROWS_AT_ONCE: Final = 64

OPEN_STAMP: Final = 2**64 - 1
"""Stands for `sent` until a client's own stamp is spliced in; no clock shows it."""


def plain(value: Any, key: str = "") -> Any:
    """Turn a message into what JSON can say: arrays to rounded lists, numbers that are not finite to null."""
    if isinstance(value, dict):
        return {name: plain(item, name) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "f":
            return value.tolist()
        rounded = np.round(value.astype(np.float64), _DECIMALS.get(key, _DEFAULT_DECIMALS)).tolist()
        return rounded if np.isfinite(value).all() else plain(rounded)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [plain(item, key) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def encode_json(message: dict[str, Any]) -> bytes:
    """Write a message as compact JSON: positions to 0.01 mm, null where a number is not finite."""
    large: list[NDArray[np.floating[Any]]] = []
    text = json.dumps(plain(_set_aside(message, large)), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    parts = []
    for number, rows in enumerate(large):
        before, _, text = text.partition(json.dumps(_mark(number)))
        parts += [before.encode(), *_written_rows(rows)]
    return b"".join([*parts, text.encode()])


def _set_aside(value: Any, large: list[NDArray[np.floating[Any]]]) -> Any:
    """Take large arrays out and leave marks in their places: they are written apart, in less than half the time."""
    if isinstance(value, dict):
        return {name: _set_aside(item, large) for name, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_set_aside(item, large) for item in value]
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.size >= _LARGE and np.isfinite(value).all():
        large.append(value)
        return _mark(len(large) - 1)
    return value


def _written_rows(array: NDArray[np.floating[Any]]) -> Iterator[bytes]:
    # In pieces: strings that grow to the size of a mesh leave the allocator's memory in shreds.
    row = b"[" + b",".join([b"%%.%df" % _DEFAULT_DECIMALS] * array.shape[1]) + b"]"
    for first in range(0, len(array), _ROWS_AT_ONCE):
        rows = array[first : first + _ROWS_AT_ONCE]
        yield (b"," if first else b"[") + b",".join([row] * len(rows)) % tuple(rows.ravel().tolist())
    yield b"]"


def _mark(number: int) -> str:
    # Nothing that is said holds a zero byte.
    return f"\0{number}\0"


def encode_msgpack(message: dict[str, Any]) -> bytes:
    """Write a message as msgpack: arrays are bin, little-endian float32 in row order."""
    packed: bytes = msgpack.packb(message, default=_array_bytes)
    return packed


def decode_msgpack(data: bytes) -> Any:
    """Read msgpack that anybody may have sent.

    Raises:
        ValueError: If it is not one whole msgpack object.
    """
    try:
        return msgpack.unpackb(data)
    except (msgpack.UnpackException, RecursionError, TypeError) as error:
        raise ValueError(f"not msgpack: {error}") from error


def encode(message: dict[str, Any], encoding: Encoding) -> bytes:
    """Write a message in the encoding that a client asked for."""
    return encode_json(message) if encoding == "json" else encode_msgpack(message)


def _array_bytes(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.astype("<f4").tobytes()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} has no place in a message")


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """An encoded message that lacks only its `sent` stamp.

    Args:
        head: Bytes before the stamp.
        tail: Bytes after it.
        encoding: What the bytes are.
    """

    head: bytes
    tail: bytes
    encoding: Encoding

    @classmethod
    def of(cls, message: dict[str, Any], encoding: Encoding) -> OpenMessage:
        """Encode a message whose `sent` stamp is `OPEN_STAMP`; the stamp stands before all that clients measure."""
        mark = _stamp(OPEN_STAMP, encoding)
        head, found, tail = encode(message, encoding).partition(mark)
        if not found:
            raise ValueError("the message has no open `sent` stamp; build it with sent_ns=OPEN_STAMP")
        return cls(head, tail, encoding)

    def sent(self, sent_ns: int) -> bytes:
        """Return the whole message with its stamp."""
        return self.head + _stamp(sent_ns, self.encoding) + self.tail

    def frame(self, sent_ns: int) -> bytes:
        """Return the whole message with its stamp as a WebSocket frame."""
        stamp = _stamp(sent_ns, self.encoding)
        size = len(self.head) + len(stamp) + len(self.tail)
        return b"".join((frame_head(size, text=self.encoding == "json"), self.head, stamp, self.tail))


def _stamp(stamp_ns: int, encoding: Encoding) -> bytes:
    # msgpack's uint 64 has a fixed width, so that the mark and the stamp are written alike.
    return b'"sent":%d' % stamp_ns if encoding == "json" else b"\xa4sent\xcf" + struct.pack(">Q", stamp_ns)
