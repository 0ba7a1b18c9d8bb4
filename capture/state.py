"""What a session says about each of its cameras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

CameraStateName = Literal["starting", "streaming", "stalled", "lost", "ended", "failed"]

DropCause = Literal[
    "overwritten",  # the ring was full of unread frames: the oldest went
    "ring_full",  # every slot of the ring was held by a reader
    "behind",  # the source was skipped ahead, to keep up with time
    "undecodable",  # the picture's data was broken
    "late",  # its set had gone out already
    "unmatched",  # no frame of another camera was close enough, and its instant's set went out or is not due yet
    "disordered",  # stamped no later than the frame before it
]


@dataclass(frozen=True, slots=True)
class CameraState:
    """One camera at one moment, for people and monitoring.

    Args:
        id: The camera.
        state: `starting` until it is open; `streaming`; `stalled` when no frame comes for longer than it should;
            `lost` when its grabber ended unasked and is started again; `failed` when it could not be opened (tried
            again in live mode); `ended` after the last frame of a recording.
        message: What is the matter and what to do, in plain words; empty when all is well.
        fps: Frames a second that came out of the ring lately; 0 while none come.
        frames: Frames taken since the start, dropped ones included.
        drops: Frames dropped, by cause.
        width: Image width in pixels.
        height: Image height in pixels.
        description: What the source is, as read back from it.
        warnings: Settings that the source did not take, and the like.
    """

    id: str
    state: CameraStateName
    message: str
    fps: float
    frames: int
    drops: Mapping[str, int]
    width: int
    height: int
    description: str = ""
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "drops", MappingProxyType(dict(self.drops)))
