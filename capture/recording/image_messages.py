"""Pictures as ROS 2 image messages in CDR: the one form of a picture that MCAP viewers know."""

from __future__ import annotations

import struct
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.pictures import decoded_bgr
from capture.recording.errors import RecordingError

_LITTLE_ENDIAN: Final = b"\x00\x01\x00\x00"
_ENCODING: Final = "bgr8"
_SUFFIXES: Final = {"jpeg": ".jpg", "png": ".png"}
_SECOND_NS: Final = 1_000_000_000
# Level 1 takes half the time of the default, and pictures of cameras are no smaller at higher ones.
_PNG_LEVEL: Final = 1


class _Builder:
    """A message in the making; alignment counts from behind the four bytes that name the encoding."""

    def __init__(self, timestamp_ns: int, frame_id: str) -> None:
        self._data = bytearray(_LITTLE_ENDIAN)
        seconds, nanoseconds = divmod(timestamp_ns, _SECOND_NS)
        self._data += struct.pack("<iI", seconds, nanoseconds)
        self.text(frame_id)

    def text(self, value: str) -> None:
        data = value.encode() + b"\0"
        self.number(len(data))
        self._data += data

    def number(self, value: int) -> None:
        self._data += bytes(-len(self._data) % 4) + struct.pack("<I", value)

    def flag(self, value: int) -> None:
        self._data.append(value)

    def ended_by(self, block: NDArray[np.uint8]) -> bytes:
        self.number(block.nbytes)
        return b"".join((self._data, block.data))


def compressed_image_message(image_bgr: NDArray[np.uint8], format: str, quality: int, stamp: int, camera: str) -> bytes:
    """Encode a picture as a `CompressedImage`.

    Args:
        image_bgr: Pixels `(H, W, 3)`.
        format: `jpeg` or `png`.
        quality: Of JPEG, 1 to 100.
        stamp: Exposure, nanoseconds.
        camera: Its camera's id.
    """
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality] if format == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL]
    done, data = cv2.imencode(_SUFFIXES[format], image_bgr, parameters)
    if not done:
        raise RecordingError(f"a picture of camera {camera!r} cannot be encoded as {format}; use another format")
    builder = _Builder(stamp, camera)
    builder.text(format)
    return builder.ended_by(np.asarray(data, dtype=np.uint8).reshape(-1))


def raw_image_message(image_bgr: NDArray[np.uint8], stamp: int, camera: str) -> bytes:
    """Write a picture's pixels as an `Image`.

    Args:
        image_bgr: Pixels `(H, W, 3)`, in one piece.
        stamp: Exposure, nanoseconds.
        camera: Its camera's id.
    """
    height, width = image_bgr.shape[:2]
    builder = _Builder(stamp, camera)
    builder.number(height)
    builder.number(width)
    builder.text(_ENCODING)
    builder.flag(0)
    builder.number(width * 3)
    return builder.ended_by(np.ascontiguousarray(image_bgr).reshape(-1))


class _Cursor:
    """Reads a message that anybody may have written."""

    def __init__(self, message: bytes) -> None:
        if message[:4] != _LITTLE_ENDIAN:
            raise RecordingError("a picture's message is not little-endian CDR; record it again")
        self._data = message
        self._at = 4

    def number(self) -> int:
        self._at += -self._at % 4
        return int.from_bytes(self._bytes(4), "little")

    def text(self) -> str:
        return self._bytes(self.number())[:-1].decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        self._bytes(count)

    def block(self) -> NDArray[np.uint8]:
        length = self.number()
        start = self._at
        if start + length > len(self._data):
            raise RecordingError("a picture's message is cut short; take another copy of the recording")
        return np.frombuffer(self._data, np.uint8, length, start)

    def _bytes(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) < count:
            raise RecordingError("a picture's message is cut short; take another copy of the recording")
        self._at += count
        return piece


def read_image_message(message: bytes, *, compressed: bool) -> NDArray[np.uint8]:
    """Decode a picture's message: `(H, W, 3)`, BGR.

    Args:
        message: A `CompressedImage` or an `Image`.
        compressed: Which of them.

    Raises:
        RecordingError: If it is broken.
    """
    cursor = _Cursor(message)
    cursor.skip(8)
    cursor.text()
    if compressed:
        cursor.text()
        image = decoded_bgr(cursor.block())
        if image is None:
            raise RecordingError("a picture cannot be decoded; take another copy of the recording")
        return image
    height, width, encoding = cursor.number(), cursor.number(), cursor.text()
    cursor.skip(1)
    step, pixels = cursor.number(), cursor.block()
    if encoding != _ENCODING or step != width * 3 or pixels.size != height * step:
        raise RecordingError(
            f"a picture of {width}x{height} has encoding {encoding!r}, step {step} and {pixels.size} bytes; "
            f"{_ENCODING!r} without gaps is read"
        )
    return pixels.reshape(height, width, 3)
