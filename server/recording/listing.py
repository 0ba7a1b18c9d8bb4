"""The recordings in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from capture.recording import FILE_NAME, Recording, RecordingError

_MOST_REMEMBERED: Final = 1024


def list_recordings(parent: Path, running: str | None = None) -> list[dict[str, Any]]:
    """Describe the recordings in a folder, newest first.

    Args:
        parent: The folder; it may not exist yet.
        running: Name of the one that is being made, which is left out.
    """
    found = []
    for file in parent.glob(f"*/{FILE_NAME}"):
        if file.parent.name == running:
            continue
        try:
            stat = file.stat()
        except FileNotFoundError:
            continue
        found.append((stat.st_mtime_ns, _described(file, stat.st_mtime_ns, stat.st_size)))
    return [content for _, content in sorted(found, key=lambda item: item[0], reverse=True)]


@lru_cache(maxsize=_MOST_REMEMBERED)
def _described(file: Path, changed_ns: int, size_bytes: int) -> dict[str, Any]:  # noqa: ARG001 - part of the key
    """Describe a recording; asked again, the file is looked through again only if it changed."""
    content: dict[str, Any] = {"name": file.parent.name, "size_bytes": size_bytes}
    try:
        recording = Recording(file)
    except RecordingError as error:
        return {**content, "state": "unreadable", "message": str(error)}
    content |= {
        "created": recording.info.created,
        "cameras": list(recording.info.camera_ids),
        "pictures": recording.info.pictures.format,
        "frame_sets": recording.frame_set_count(),
        "hands": recording.hands_count(),
        "seconds": round(recording.span_ns / 1e9, 3),
    }
    if not recording.complete:
        return {**content, "state": "cut_short", "message": "it was not ended; what was written until then is there"}
    return {**content, "state": recording.end.get("state", ""), "message": "", "drops": _drops(recording.end)}


def _drops(end: Mapping[str, str]) -> dict[str, Any]:
    try:
        drops = json.loads(end.get("drops", "{}"))
    except ValueError:
        drops = {}
    return drops if isinstance(drops, dict) else {}
