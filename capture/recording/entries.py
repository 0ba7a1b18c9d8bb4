"""What a recording says of its frames and of itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from capture.frames import FrameSet
from capture.recording.errors import RecordingError
from capture.recording.image_messages import compressed_image_message, raw_image_message, read_image_message
from capture.recording.topics import SCHEMA

PictureFormat = Literal["jpeg", "png", "raw"]


@dataclass(frozen=True, slots=True)
class Pictures:
    """How pictures are stored.

    Args:
        format: `jpeg` is small; `png` and `raw` give back the same pixels: the one costs time, the other space.
        quality: Of JPEG, 1 to 100.
    """

    format: PictureFormat = "jpeg"
    quality: int = 95

    def __post_init__(self) -> None:
        if self.format not in get_args(PictureFormat):
            known = ", ".join(get_args(PictureFormat))
            raise RecordingError(f"pictures cannot be stored as {self.format!r}; use one of {known}")
        if not 1 <= self.quality <= 100:
            raise RecordingError(f"JPEG quality {self.quality} is not one; use 1 to 100")

    @property
    def compressed(self) -> bool:
        """Whether pictures are encoded, or stored as their pixels."""
        return self.format != "raw"

    def message(self, image_bgr: NDArray[np.uint8], timestamp_ns: int, camera_id: str) -> bytes:
        """Make a picture's message.

        Args:
            image_bgr: Pixels `(H, W, 3)`.
            timestamp_ns: Exposure.
            camera_id: The camera that took it.
        """
        if self.format == "raw":
            return raw_image_message(image_bgr, timestamp_ns, camera_id)
        return compressed_image_message(image_bgr, self.format, self.quality, timestamp_ns, camera_id)


@dataclass(frozen=True, slots=True)
class FrameStamp:
    """A frame without its pixels.

    Args:
        index: The grabber's own count.
        timestamp_ns: Exposure, on the recording machine's monotonic clock.
        received_ns: Arrival, on the same clock.
    """

    index: int
    timestamp_ns: int
    received_ns: int


@dataclass(frozen=True, slots=True)
class SetEntry:
    """A frame set without its pixels.

    Args:
        id: The set's own.
        skew_ms: Latest minus earliest exposure.
        frames: One entry a camera, in the rig's order; None where the view is missing.
    """

    id: int
    skew_ms: float
    frames: tuple[FrameStamp | None, ...]

    @property
    def stamps(self) -> tuple[FrameStamp, ...]:
        """Of the views that are there."""
        return tuple(stamp for stamp in self.frames if stamp is not None)

    @classmethod
    def of(cls, frame_set: FrameSet) -> SetEntry:
        """Describe a frame set."""
        frames = tuple(
            None if frame is None else FrameStamp(frame.index, frame.timestamp_ns, frame.received_ns)
            for frame in frame_set.frames
        )
        return cls(frame_set.id, frame_set.skew_ms, frames)


@dataclass(frozen=True, eq=False, slots=True)
class RecordedFrame:
    """A picture as it is stored.

    Args:
        stamp: Which frame it is.
        message: The picture's message.
        compressed: Whether that is encoded, or holds the pixels.
    """

    stamp: FrameStamp
    message: bytes
    compressed: bool

    def image_bgr(self) -> NDArray[np.uint8]:
        """Decode the picture: `(H, W, 3)`, BGR.

        Raises:
            RecordingError: If it is broken.
        """
        return read_image_message(self.message, compressed=self.compressed)


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """What a recording says of itself at its beginning.

    Args:
        name: For people.
        created: When it was begun, ISO 8601 with the zone.
        camera_ids: The cameras, in the order of the V axis.
        max_skew_ms: The rig's, under which the sets were made, milliseconds.
        pictures: How pictures are stored.
        wall_offset_ns: What to add to a stamp of the monotonic clock to have nanoseconds since 1970.
        software: What wrote it.
    """

    name: str
    created: str
    camera_ids: tuple[str, ...]
    max_skew_ms: float
    pictures: Pictures
    wall_offset_ns: int
    software: str

    def to_map(self) -> dict[str, str]:
        """Say it in MCAP's terms."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "created": self.created,
            "cameras": json.dumps(self.camera_ids),
            "max_skew_ms": repr(float(self.max_skew_ms)),
            "pictures": self.pictures.format,
            "quality": str(self.pictures.quality),
            "wall_offset_ns": str(self.wall_offset_ns),
            "software": self.software,
        }

    @classmethod
    def from_map(cls, values: Mapping[str, str]) -> RecordingInfo:
        """Read what `to_map` wrote.

        Raises:
            RecordingError: If it is of another version, or broken.
        """
        if (schema := values.get("schema")) != SCHEMA:
            raise RecordingError(f"its schema is {schema!r}; this usthand reads {SCHEMA}")
        try:
            return cls(
                values["name"],
                values["created"],
                _ids(json.loads(values["cameras"])),
                _finite(values["max_skew_ms"]),
                Pictures(_format(values["pictures"]), int(values["quality"])),
                int(values["wall_offset_ns"]),
                values["software"],
            )
        except (KeyError, ValueError) as error:
            raise RecordingError(f"what it says of itself is broken ({error}); take another copy of it") from error


def _ids(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ValueError(f"cameras {value!r}")
    return tuple(value)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"max_skew_ms {text}")
    return value


def _format(text: str) -> PictureFormat:
    for known in get_args(PictureFormat):
        if text == known:
            found: PictureFormat = known
            return found
    raise ValueError(f"pictures {text!r}")
