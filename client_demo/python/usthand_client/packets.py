"""Packet files: the payloads of a stream as they came, for replay, tests and bug reports.

A file is 8 bytes `USTHPKT1`, then packets to its end. A packet is, little-endian: int64 when it came (nanoseconds of
the receiver's monotonic clock, 0 where nobody looked), uint8 kind (1 text, 2 binary: WebSocket's opcodes), uint32
length, payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from usthand_client.decoding import StreamDecoder
from usthand_client.errors import DecodeError
from usthand_client.messages import Message

MAGIC: Final = b"USTHPKT1"

_HEAD: Final = struct.Struct("<qBI")
_TEXT: Final = 1
_BINARY: Final = 2


@dataclass(frozen=True, slots=True)
class Packet:
    """One payload of a stream.

    Args:
        payload: Text is JSON, bytes are msgpack.
        received_ns: When it came, this machine's monotonic clock; 0 where nobody looked.
    """

    payload: str | bytes
    received_ns: int = 0

    def to_bytes(self) -> bytes:
        """Write the packet."""
        kind, data = (_TEXT, self.payload.encode()) if isinstance(self.payload, str) else (_BINARY, self.payload)
        return _HEAD.pack(self.received_ns, kind, len(data)) + data


class PacketWriter:
    """Writes a packet file; a context manager.

    Args:
        path: The file; what is there is replaced.
    """

    def __init__(self, path: Path | str) -> None:
        self._file: BinaryIO = Path(path).open("wb")  # noqa: SIM115 - closed by close
        self._file.write(MAGIC)

    def write(self, packet: Packet) -> None:
        """Append a packet."""
        self._file.write(packet.to_bytes())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_packets(source: Path | str | bytes) -> Iterator[Packet]:
    """Read a packet file, or its bytes.

    Raises:
        DecodeError: If it is none, or ends within a packet.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    name = "the recording" if isinstance(source, bytes) else str(source)
    if not data.startswith(MAGIC):
        raise DecodeError(f"{name} does not begin with {MAGIC.decode()}; is it a packet file?")
    at = len(MAGIC)
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise DecodeError(f"{name} ends within the head of the packet at byte {at}")
        received_ns, kind, length = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(payload) < length:
            raise DecodeError(f"{name} ends within the packet at byte {at}: {len(payload)} of {length} bytes are there")
        if kind not in (_TEXT, _BINARY):
            raise DecodeError(f"{name}: the packet at byte {at} is of kind {kind}, neither text (1) nor binary (2)")
        yield Packet(_text(payload, name, at) if kind == _TEXT else payload, received_ns)
        at += _HEAD.size + length


def decode_packets(source: Path | str | bytes | Iterable[Packet]) -> Iterator[Message]:
    """Decode a packet file, its bytes, or packets, in their order; kinds of messages that are not known are left out.

    Raises:
        DecodeError: If a packet is not what the protocol says.
    """
    decoder = StreamDecoder()
    packets = read_packets(source) if isinstance(source, (Path, str, bytes)) else source
    for packet in packets:
        message = decoder.decode(packet.payload)
        if message is not None:
            yield message


def _text(payload: bytes, name: str, at: int) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"{name}: the text packet at byte {at} is not UTF-8: {error}") from error
