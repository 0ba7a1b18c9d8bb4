"""Reading a recording: frame sets with pictures, hands, calibrations; one that was cut short as far as it goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mcap.records import Message

from calibration import CalibrationError, Rig
from calibration.files import parse_calibration
from capture.frames import Frame, FrameSet
from capture.recording import topics
from capture.recording.chunks import read_messages, scan
from capture.recording.entries import FrameStamp, RecordedFrame, RecordingInfo
from capture.recording.errors import RecordingError
from capture.recording.folder import FILE_NAME
from capture.recording.json_messages import read_json, read_set

_LONE_SET_NS = 1_000_000_000


class Recording:
    """A recording on disk.

    Args:
        path: Its folder, or the MCAP file in it.

    Raises:
        RecordingError: If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / FILE_NAME if path.is_dir() else path
        self._contents = scan(self.path)
        metadata = self._contents.metadata
        if topics.INFO_RECORD not in metadata:
            raise RecordingError(f"{self.path} is not a recording of usthand's; give the folder of one")
        try:
            self.info = RecordingInfo.from_map(metadata[topics.INFO_RECORD])
        except RecordingError as error:
            raise RecordingError(f"recording {self.path}: {error}") from error
        self.engine = MappingProxyType(dict(metadata.get(topics.ENGINE_RECORD, {})))
        self.end = MappingProxyType(dict(metadata.get(topics.END_RECORD, {})))

    @property
    def complete(self) -> bool:
        """Whether it was ended properly; otherwise it breaks off behind a whole frame set."""
        return self._contents.complete

    @property
    def first_ns(self) -> int:
        """Its earliest stamp, on the recording machine's monotonic clock; 0 if it is empty."""
        return min((chunk.first_ns for chunk in self._contents.chunks), default=0)

    @property
    def last_ns(self) -> int:
        """Its latest stamp; 0 if it is empty."""
        return max((chunk.last_ns for chunk in self._contents.chunks), default=0)

    @property
    def span_ns(self) -> int:
        """From its earliest stamp to its latest."""
        return self.last_ns - self.first_ns

    @property
    def period_ns(self) -> int:
        """Length of one loop, the same for all of its cameras."""
        sets = self.frame_set_count()
        return self.span_ns + (self.span_ns // (sets - 1) if sets > 1 and self.span_ns else _LONE_SET_NS)

    @property
    def size_bytes(self) -> int:
        """The size of the MCAP file."""
        return self.path.stat().st_size

    def frame_set_count(self) -> int:
        """Return how many frame sets there are."""
        return self._count(topics.FRAME_SETS)

    def hands_count(self) -> int:
        """Return how many `hands` messages there are."""
        return self._count(topics.HANDS)

    def frame_count(self, camera_id: str) -> int:
        """Return how many pictures of a camera there are."""
        return self._count(topics.picture_topic(camera_id))

    def _count(self, topic: str) -> int:
        return self._contents.counts.get(self._contents.channels.get(topic, -1), 0)

    def frames(self, camera_id: str, *, from_ns: int = 0) -> Iterator[RecordedFrame]:
        """Iterate over the pictures of a camera, not decoded.

        Args:
            camera_id: The camera.
            from_ns: What lies well before this exposure may be left out.

        Raises:
            RecordingError: If the recording has no such camera, or is damaged.
        """
        if camera_id not in self.info.camera_ids:
            raise RecordingError(
                f"recording {self.path} has no camera {camera_id!r}; it has {', '.join(self.info.camera_ids)}"
            )
        for message in self._messages(topics.picture_topic(camera_id), from_ns=from_ns):
            yield self._frame(message, FrameStamp(message.sequence, message.log_time, message.publish_time))

    def frame_sets(self) -> Iterator[FrameSet]:
        """Iterate over the frame sets, their pictures decoded and their own; ids and stamps are the recorded ones.

        Raises:
            RecordingError: If the recording is damaged.
        """
        sets = self._contents.channels.get(topics.FRAME_SETS)
        places = {
            self._contents.channels.get(topics.picture_topic(camera_id)): place
            for place, camera_id in enumerate(self.info.camera_ids)
        }
        pictures: dict[tuple[int, int], Message] = {}
        for message in self._messages(topics.FRAME_SETS, *map(topics.picture_topic, self.info.camera_ids)):
            if message.channel_id != sets:
                pictures[places[message.channel_id], message.log_time] = message
                continue
            entry = read_set(message.data, self.info.camera_ids)
            frames: list[Frame | None] = []
            for place, (camera_id, stamp) in enumerate(zip(self.info.camera_ids, entry.frames, strict=True)):
                picture = None if stamp is None else pictures.pop((place, stamp.timestamp_ns), None)
                if stamp is None or picture is None:
                    frames.append(None)
                    continue
                image_bgr = self._frame(picture, stamp).image_bgr()
                image_bgr.flags.writeable = False
                frames.append(Frame(camera_id, stamp.index, stamp.timestamp_ns, stamp.received_ns, image_bgr))
            yield FrameSet(entry.id, tuple(frames), entry.skew_ms)

    def hands(self) -> Iterator[dict[str, Any]]:
        """Iterate over the `hands` messages; `frame_set.id` says which set each is of.

        Raises:
            RecordingError: If the recording is damaged.
        """
        for message in self._messages(topics.HANDS):
            yield read_json(message.data, "hands")

    def calibrations(self) -> Iterator[tuple[int, Rig]]:
        """Iterate over the calibrations that were used, each with the exposure from which on.

        Raises:
            RecordingError: If the recording is damaged.
        """
        for message in self._messages(topics.CALIBRATION):
            try:
                yield message.log_time, parse_calibration(message.data)
            except CalibrationError as error:
                raise RecordingError(f"recording {self.path} has a broken calibration: {error}") from error

    def _frame(self, message: Message, stamp: FrameStamp) -> RecordedFrame:
        return RecordedFrame(stamp, message.data, self.info.pictures.compressed)

    def _messages(self, *names: str, from_ns: int = 0) -> Iterator[Message]:
        channels = frozenset(self._contents.channels[name] for name in names if name in self._contents.channels)
        try:
            with self.path.open("rb") as file:
                yield from read_messages(file, self._contents, self.path, channels, from_ns=from_ns)
        except OSError as error:
            raise RecordingError(
                f"recording {self.path} cannot be read: {error.strerror}; is its disk still there?"
            ) from error
