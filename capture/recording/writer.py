"""Writing a recording: chunks of whole frame sets, so that a file that breaks off ends with a whole one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final, Protocol, cast

from mcap.writer import CompressionType, Writer

from calibration import Rig
from calibration.files import calibration_to_dict
from capture.recording import topics
from capture.recording.entries import RecordingInfo, SetEntry
from capture.recording.json_messages import json_bytes, set_message

FLUSH_BYTES: Final = 4 << 20
FLUSH_S: Final = 1.0

# The library would close a chunk between the pictures of one set; here a chunk is closed between two sets.
_NEVER: Final = 1 << 62
_INDEX_MASK: Final = 0xFFFFFFFF
_NO_SCHEMA: Final = 0


class Sink(Protocol):
    """Where the bytes go: all that is written is there when `write` returns."""

    def write(self, data: bytes) -> int:
        """Write all of it."""

    def tell(self) -> int:
        """Return how much was written."""

    def flush(self) -> None:
        """Hold nothing back."""


class RecordingWriter:
    """Writes `recording.mcap`. One thread uses it; whatever the sink raises comes out of any method.

    Args:
        sink: Where to.
        info: What the recording says of itself.
        rig: The calibration to begin with.
        engine: The card of the engine that makes the poses; empty where there are none.
        flush_bytes: A chunk is closed when it holds so much.
        flush_s: A chunk is closed when it is so old, seconds.
        clock_s: The time, seconds.
    """

    def __init__(
        self,
        sink: Sink,
        info: RecordingInfo,
        rig: Rig,
        *,
        engine: Mapping[str, str],
        flush_bytes: int = FLUSH_BYTES,
        flush_s: float = FLUSH_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._rig: Rig | None = None
        self._first_rig = rig
        self.calibrations = 0
        self._flush_bytes = flush_bytes
        self._flush_s = flush_s
        self._clock_s = clock_s
        self._waiting_bytes = 0
        self._flushed_s = clock_s()
        # Pictures are compressed already, and pixels of a camera hardly can be.
        self._writer = Writer(cast("IO[bytes]", sink), chunk_size=_NEVER, compression=CompressionType.NONE)
        self._writer.start(library=info.software)
        self._writer.add_metadata(topics.INFO_RECORD, info.to_map())
        if engine:
            self._writer.add_metadata(topics.ENGINE_RECORD, dict(engine))
        kind = topics.COMPRESSED_IMAGE if info.pictures.compressed else topics.IMAGE
        pictures = self._writer.register_schema(kind, "ros2msg", topics.ROS_FIELDS[kind].encode())
        self._pictures = tuple(
            self._writer.register_channel(
                topics.picture_topic(camera.id),
                "cdr",
                pictures,
                {"camera": camera.id, "width": str(camera.width), "height": str(camera.height)},
            )
            for camera in rig
        )
        self._sets, self._hands, self._calibration = (
            self._writer.register_channel(topic, "json", _NO_SCHEMA)
            for topic in (topics.FRAME_SETS, topics.HANDS, topics.CALIBRATION)
        )

    @property
    def size_bytes(self) -> int:
        """What is in the file, and what waits for its chunk to be closed."""
        return self._sink.tell() + self._waiting_bytes

    def add_set(self, entry: SetEntry, pictures: Sequence[bytes | None]) -> None:
        """Write a frame set, its pictures first.

        Args:
            entry: The set.
            pictures: The messages of its pictures; None where the view is missing.
        """
        exposures_ns = [stamp.timestamp_ns for stamp in entry.stamps]
        if self._rig is None:
            self.add_calibration(self._first_rig, min(exposures_ns))
        for channel, stamp, message in zip(self._pictures, entry.frames, pictures, strict=True):
            if stamp is not None and message is not None:
                self._add(channel, message, stamp.timestamp_ns, stamp.received_ns, stamp.index)
        received_ns = max(stamp.received_ns for stamp in entry.stamps)
        # Behind its pictures in time as well: programs that sort a file by time keep that order.
        self._add(self._sets, set_message(entry, self._first_rig.camera_ids), max(exposures_ns), received_ns, entry.id)

    def add_hands(self, message: bytes, timestamp_ns: int, solved_ns: int, sequence: int) -> None:
        """Write a `hands` message.

        Args:
            message: In JSON.
            timestamp_ns: Exposure of its frame set.
            solved_ns: When it was solved.
            sequence: The message's own count.
        """
        self._add(self._hands, message, timestamp_ns, solved_ns, sequence)

    def add_calibration(self, rig: Rig, timestamp_ns: int) -> None:
        """Write the calibration that is used from an instant on, if it is another one than before."""
        if self._rig is None or self._rig.id != rig.id:
            self._rig = rig
            self.calibrations += 1
            self._add(self._calibration, json_bytes(calibration_to_dict(rig)), timestamp_ns, timestamp_ns, 0)

    def _add(self, channel: int, message: bytes, timestamp_ns: int, published_ns: int, sequence: int) -> None:
        self._waiting_bytes += len(message)
        self._writer.add_message(
            channel,
            log_time=max(0, timestamp_ns),
            data=message,
            publish_time=max(0, published_ns),
            sequence=sequence & _INDEX_MASK,
        )

    def flush_if_due(self) -> bool:
        """Close the chunk if it is large or old enough; say whether it was."""
        due = self._waiting_bytes >= self._flush_bytes or self._clock_s() - self._flushed_s >= self._flush_s
        if due:
            self._writer.flush()
            self._waiting_bytes = 0
            self._flushed_s = self._clock_s()
        return due

    def finish(self, end: Mapping[str, str]) -> None:
        """Write what waits, what became of the recording, and the file's index.

        Args:
            end: What became of it.
        """
        self._writer.flush()
        self._waiting_bytes = 0
        self._writer.add_metadata(topics.END_RECORD, dict(end))
        self._writer.finish()
