"""What a recording in the making says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

RecordingState = Literal["recording", "stopping", "finished", "disk_full", "unwritable", "failed"]

STATES: Final[tuple[RecordingState, ...]] = (
    "recording",
    "stopping",
    "finished",
    "disk_full",
    "unwritable",
    "failed",
)

DropCause = Literal[
    "encoding_slow",  # what waits to be encoded fills the queue: too little processor for this many pictures
    "disk_slow",  # what waits to be written fills the queue
    "missed",  # the sets came faster than they could be copied
    "cut_off",  # still waiting when the time to stop was over
    "ended",  # not in the file yet when the disk was full or failed
]

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """One recording at one moment, for people and monitoring.

    Args:
        name: Of its folder.
        state: `recording`; `stopping` while what waits is written; `finished`; `disk_full`, `unwritable` or `failed`
            when it ended by itself, with all that was written until then in a readable file.
        message: What is the matter and what to do; empty when all is well.
        created: When it was begun, ISO 8601.
        pictures: How they are stored: jpeg, png or raw.
        frame_sets: Sets written.
        frames: Pictures in them.
        hands: `hands` messages written.
        seconds: From the first exposure written to the last.
        size_bytes: Of the MCAP file.
        drops: Frame sets that were not written, by cause.
        hands_dropped: `hands` messages that were not.
        calibrations: Calibrations written: one, and one for each swap.
    """

    name: str
    state: RecordingState
    message: str
    created: str
    pictures: str
    frame_sets: int = 0
    frames: int = 0
    hands: int = 0
    seconds: float = 0.0
    size_bytes: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    hands_dropped: int = 0
    calibrations: int = 0

    @property
    def active(self) -> bool:
        """Whether it still takes what comes, or writes what waits."""
        return self.state in ("recording", "stopping")

    def to_map(self) -> dict[str, Any]:
        """Say it in JSON's terms."""
        return {
            "name": self.name,
            "state": self.state,
            "message": self.message,
            "created": self.created,
            "pictures": self.pictures,
            "frame_sets": self.frame_sets,
            "frames": self.frames,
            "hands": self.hands,
            "seconds": round(self.seconds, 3),
            "size_bytes": self.size_bytes,
            "drops": dict(self.drops),
            "hands_dropped": self.hands_dropped,
            "calibrations": self.calibrations,
        }

    def __str__(self) -> str:
        dropped = ", ".join(f"{count} {cause}" for cause, count in self.drops.items()) or "none"
        return (
            f"{self.frame_sets} frame sets with {self.frames} frames in {self.seconds:.1f} s, {self.hands} hands "
            f"messages, {self.size_bytes / _MIB:.1f} MiB, dropped: {dropped}"
        )
