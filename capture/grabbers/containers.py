"""What a video file's container says of its length."""

from __future__ import annotations

from pathlib import Path

_BASE_MEDIA = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def counts_frames(path: Path) -> bool:
    """Say whether a file holds the number of its frames: MP4, MOV and AVI do.

    Of others (Matroska, WebM, MPEG-TS, ...) OpenCV makes a number from duration and rate, which is another one where
    the frames are not evenly spaced.
    """
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] in _BASE_MEDIA or (head[:4] == b"RIFF" and head[8:] == b"AVI ")
