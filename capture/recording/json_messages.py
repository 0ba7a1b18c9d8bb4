"""The messages of a recording that are JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from capture.recording.entries import FrameStamp, SetEntry
from capture.recording.errors import RecordingError


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Write compact JSON."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def read_json(data: bytes, what: str) -> dict[str, Any]:
    """Read a message that anybody may have written.

    Args:
        data: The message.
        what: Its name, for errors.

    Raises:
        RecordingError: If it is not a JSON object.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"a {what} message is not JSON ({error}); take another copy of the recording") from error
    if not isinstance(content, dict):
        raise RecordingError(f"a {what} message is no map; take another copy of the recording")
    return content


def set_message(entry: SetEntry, camera_ids: Sequence[str]) -> bytes:
    """Write a frame set: which frame of which camera."""
    frames = {
        camera_id: {"index": stamp.index, "exposure_ns": stamp.timestamp_ns, "received_ns": stamp.received_ns}
        for camera_id, stamp in zip(camera_ids, entry.frames, strict=True)
        if stamp is not None
    }
    return json_bytes({"id": entry.id, "skew_ms": entry.skew_ms, "frames": frames})


def read_set(data: bytes, camera_ids: Sequence[str]) -> SetEntry:
    """Read what `set_message` wrote.

    Args:
        data: The message.
        camera_ids: The recording's cameras, in the order of the V axis.

    Raises:
        RecordingError: If it is broken.
    """
    content = read_json(data, "frame set")
    try:
        frames = {
            camera_id: FrameStamp(int(frame["index"]), int(frame["exposure_ns"]), int(frame["received_ns"]))
            for camera_id, frame in content["frames"].items()
        }
        stamps = tuple(frames.get(camera_id) for camera_id in camera_ids)
        return SetEntry(int(content["id"]), float(content["skew_ms"]), stamps)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"a frame set's message is broken ({error!r}); take another copy") from error
