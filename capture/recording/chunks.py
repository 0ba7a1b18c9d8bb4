"""Where a recording's chunks lie, found without its index: a file that was cut short has none."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Final

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, McapRecord, Message, Metadata
from mcap.stream_reader import breakup_chunk
from mcap.writer import MCAP0_MAGIC

from capture.recording.errors import RecordingError

_HEAD: Final = struct.Struct("<BQ")
_CHUNK_TIMES: Final = struct.Struct("<QQ")
_INDEX_HEAD: Final = struct.Struct("<HI")
_INDEX_ENTRY_BYTES: Final = 16
_MAX_RECORD_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """One chunk of the file.

    Args:
        offset: Of its content, bytes from the file's beginning.
        length: Of its content, bytes.
        first_ns: Earliest of its messages' times.
        last_ns: Latest of them.
    """

    offset: int
    length: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, eq=False, slots=True)
class Contents:
    """What is in a file.

    Args:
        metadata: By name.
        channels: By topic.
        counts: Messages, by channel.
        chunks: In the file's order.
        complete: Whether the file was closed properly; otherwise it was cut short behind the last chunk.
    """

    metadata: Mapping[str, Mapping[str, str]]
    channels: Mapping[str, int]
    counts: Mapping[int, int]
    chunks: tuple[ChunkPlace, ...]
    complete: bool


def scan(path: Path) -> Contents:
    """Look through a file, without reading its pictures.

    Raises:
        RecordingError: If it is no MCAP file, or nothing of it is left.
    """
    try:
        with path.open("rb") as file:
            return _Scan(path, file).contents()
    except OSError as error:
        raise RecordingError(f"recording {path} cannot be read: {error.strerror}; check the path") from error


class _Scan:
    """One look through a file."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._metadata: dict[str, Mapping[str, str]] = {}
        self._channels: dict[str, int] = {}
        self._counts: Counter[int] = Counter()
        self._counts_before: Counter[int] = Counter()
        self._chunks: list[ChunkPlace] = []
        self._complete = False

    def contents(self) -> Contents:
        if self._file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
            raise RecordingError(f"{self._path} is no MCAP file; give the folder of a recording")
        try:
            while not self._complete and (record := self._next_record()) is not None:
                self._take(*record)
        except (McapError, struct.error, UnicodeDecodeError) as error:
            raise RecordingError(f"recording {self._path} is damaged ({error}); take another copy of it") from error
        if not self._complete:
            self._judge_last_chunk()
        if self._chunks:
            # Channels are declared ahead of their first message; the rest of a foreign file's are in its index.
            self._add_channels(read_chunk(self._file, self._chunks[0], self._path))
        return Contents(self._metadata, self._channels, self._counts, tuple(self._chunks), self._complete)

    def _next_record(self) -> tuple[int, int, int] | None:
        """Return kind, offset and length of the next whole record; None where the file ends or is cut."""
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        kind, length = _HEAD.unpack(head)
        offset = self._file.tell()
        whole = offset + length <= self._size and length <= _MAX_RECORD_BYTES and kind > 0
        return (kind, offset, length) if whole else None

    def _take(self, kind: int, offset: int, length: int) -> None:
        if kind == Opcode.CHUNK:
            times = _CHUNK_TIMES.unpack(self._file.read(_CHUNK_TIMES.size))
            self._chunks.append(ChunkPlace(offset, length, *times))
            self._counts_before = self._counts.copy()
        elif kind == Opcode.MESSAGE_INDEX:
            channel, entries_bytes = _INDEX_HEAD.unpack(self._file.read(_INDEX_HEAD.size))
            self._counts[channel] += entries_bytes // _INDEX_ENTRY_BYTES
        elif kind == Opcode.METADATA:
            record = Metadata.read(self._stream(length))
            self._metadata[record.name] = record.metadata
        elif kind == Opcode.CHANNEL:
            self._add_channels([Channel.read(self._stream(length))])
        self._complete = kind == Opcode.FOOTER
        self._file.seek(offset + length)

    def _stream(self, length: int) -> ReadDataStream:
        return ReadDataStream(BytesIO(self._file.read(length)))

    def _add_channels(self, records: list[McapRecord]) -> None:
        self._channels |= {record.topic: record.id for record in records if isinstance(record, Channel)}

    def _judge_last_chunk(self) -> None:
        """Count what is in the last chunk, whose index may be torn off; leave out one that has lost its content."""
        if not self._chunks:
            return
        self._counts = self._counts_before
        try:
            records = read_chunk(self._file, self._chunks[-1], self._path)
        except RecordingError:
            # Its length is there and its content is not, as after a loss of power.
            self._chunks.pop()
            return
        self._counts.update(record.channel_id for record in records if isinstance(record, Message))


def read_chunk(file: IO[bytes], place: ChunkPlace, path: Path) -> list[McapRecord]:
    """Read the records of a chunk.

    Args:
        file: The recording, open.
        place: The chunk.
        path: Of the recording, for errors.

    Raises:
        RecordingError: If the chunk is damaged.
    """
    file.seek(place.offset)
    # The chunk and no more: a damaged length within it asks for any number of bytes.
    content = BytesIO(file.read(place.length))
    try:
        return breakup_chunk(Chunk.read(ReadDataStream(content)), validate_crc=True)
    except Exception as error:  # each way of packing has kinds of its own
        raise RecordingError(
            f"recording {path} is damaged at byte {place.offset} ({error}); take another copy of it"
        ) from error


def read_messages(
    file: IO[bytes], contents: Contents, path: Path, channels: frozenset[int], *, from_ns: int = 0
) -> Iterator[Message]:
    """Read the messages of some channels, in the file's order.

    Args:
        file: The recording, open.
        contents: What is in it.
        path: Of the recording, for errors.
        channels: Which.
        from_ns: Chunks whose messages are all earlier are left out.

    Raises:
        RecordingError: If a chunk is damaged.
    """
    for place in contents.chunks:
        if place.last_ns >= from_ns:
            for record in read_chunk(file, place, path):
                if isinstance(record, Message) and record.channel_id in channels:
                    yield record
