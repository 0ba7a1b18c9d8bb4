"""Beginning a recording: its folder, the files in it, and the threads that fill them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from calibration import Rig
from capture.recording import (
    CALIBRATION_NAME,
    FILE_NAME,
    RIG_NAME,
    Pictures,
    RecordingError,
    RecordingInfo,
    RecordingWriter,
    write_rig_files,
)
from capture.rig_config import RigConfig
from engine.types import EngineCard
from server.recording.backlog import QUEUE_BYTES, Backlog
from server.recording.disk import RESERVE_BYTES, DiskFile, free_bytes, judge, too_little
from server.recording.recorder import Recorder


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How to record.

    Args:
        pictures: How pictures are stored.
        queue_bytes: What may wait to be written.
        reserve_bytes: What is left free on the disk.
    """

    pictures: Pictures = field(default_factory=Pictures)
    queue_bytes: int = QUEUE_BYTES
    reserve_bytes: int = RESERVE_BYTES


class NoSpaceError(RecordingError):
    """The disk is full, or cannot be written."""


def open_recorder(
    folder: Path, config: RigConfig, rig: Rig, card: EngineCard | None, options: RecordingOptions
) -> Recorder:
    """Begin a recording.

    Args:
        folder: Where; it exists and is empty.
        config: What the rig file says.
        rig: The calibration now.
        card: Of the engine that makes the poses as it begins; None without poses.
        options: How.

    Raises:
        NoSpaceError: If the disk is too full, or cannot be written.
    """
    try:
        if (free := free_bytes(folder)) < options.reserve_bytes:
            raise NoSpaceError(too_little(folder, free, options.reserve_bytes))
        write_rig_files(folder, rig, name=config.name, max_skew_ms=config.max_skew_ms, up=config.up)
        info = RecordingInfo(
            name=folder.name,
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            camera_ids=rig.camera_ids,
            max_skew_ms=config.max_skew_ms,
            pictures=options.pictures,
            wall_offset_ns=time.time_ns() - time.monotonic_ns(),
            software=f"usthand {version('usthand')}",
        )
        file = DiskFile(folder / FILE_NAME)
        try:
            writer = RecordingWriter(file, info, rig, engine=_card_map(card))
        except OSError:
            file.close(sync=False)
            raise
    except OSError as error:
        raise NoSpaceError(judge(error, folder)[1]) from error
    return Recorder(
        writer,
        file,
        info,
        folder,
        backlog=Backlog(options.queue_bytes),
        reserve_bytes=options.reserve_bytes,
    )


def discard(folder: Path) -> None:
    """Remove what `open_recorder` and its recorder put into a folder."""
    for name in (FILE_NAME, RIG_NAME, CALIBRATION_NAME):
        (folder / name).unlink(missing_ok=True)


def _card_map(card: EngineCard | None) -> dict[str, str]:
    return {} if card is None else {name: str(value) for name, value in asdict(card).items()}
