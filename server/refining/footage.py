"""What a refinement needs of footage: hands as the views saw them, and corners of the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from calibration import Rig
from calibration.drift import Sighting
from calibration.drift.background import Landmarks, find_landmarks
from calibration.refining import Before, Change, find_change
from capture.errors import CaptureError
from capture.frames import FrameSet
from engine.types import HandEngine
from server.pipeline import FrameSource

_LOOK_S: Final = 1.0
_POLL_S: Final = 0.5
_SILENT_POLLS: Final = 120


def _say_nothing(note: str) -> None:
    """Stand in where nobody watches."""


@dataclass(frozen=True, eq=False, slots=True)
class Footage:
    """What was seen.

    Args:
        frame_sets: How many frame sets.
        sightings: Hands, in order of time.
        pictures: Corners of each camera's pictures with their times in seconds, by camera id.
    """

    frame_sets: int = 0
    sightings: list[Sighting] = field(default_factory=list)
    pictures: dict[str, list[tuple[float, Landmarks]]] = field(default_factory=dict)

    def changes(self, rig: Rig, before: Mapping[str, Before] | None = None) -> dict[str, Change]:
        """Find the cameras that were moved: during the footage, or since they were as they were before."""
        found = {}
        for camera in rig:
            change = find_change(camera, self.pictures.get(camera.id, []), (before or {}).get(camera.id))
            if change is not None:
                found[camera.id] = change
        return found

    def as_before(self, rig: Rig) -> dict[str, Before]:
        """The cameras as they are here, for later footage to be compared with."""
        return {
            camera.id: Before([landmarks for _, landmarks in looks], camera)
            for camera in rig
            if (looks := self.pictures.get(camera.id))
        }

    def since(self, time_s: float) -> list[Sighting]:
        """The hands from a time on."""
        return [sighting for sighting in self.sightings if sighting.time_s >= time_s]


def gather_footage(
    session: FrameSource,
    engine: HandEngine | None,
    rig: Rig,
    *,
    limit: int | None = None,
    advance: Callable[[str], None] = _say_nothing,
) -> Footage:
    """Look through footage.

    Args:
        session: A lossless session, not started; it is stopped in any case.
        engine: What sees the hands; None looks at the background only.
        rig: The calibration.
        limit: Stop after so many frame sets.
        advance: Told about each.

    Raises:
        CaptureError: If a source fails or falls silent.
    """
    footage = Footage()
    looked_s = dict.fromkeys(rig.camera_ids, -np.inf)
    count = silent = 0
    try:
        session.start()
        while limit is None or count < limit:
            frame_set = session.next(_POLL_S)
            if frame_set is None:
                if session.finished:
                    break
                silent += 1
                if silent > _SILENT_POLLS:
                    raise CaptureError(f"no frame set came for {_POLL_S * _SILENT_POLLS:g} s; check the sources")
                continue
            silent = 0
            with frame_set:
                hands = _take_in(footage, frame_set, engine, rig, looked_s)
            count += 1
            advance(f"{hands} hands")
    finally:
        session.stop()
    return Footage(count, footage.sightings, footage.pictures)


def _take_in(
    footage: Footage, frame_set: FrameSet, engine: HandEngine | None, rig: Rig, looked_s: dict[str, float]
) -> int:
    hands = () if engine is None else engine.process(frame_set, rig)
    stamps_ns = np.array([0 if frame is None else frame.timestamp_ns for frame in frame_set.frames], dtype=np.int64)
    footage.sightings.extend(Sighting(hand.id, hand.keypoints_px, stamps_ns) for hand in hands)
    for frame in frame_set.frames:
        time_s = 0.0 if frame is None else frame.timestamp_ns * 1e-9
        if frame is not None and time_s - looked_s[frame.camera_id] >= _LOOK_S:
            looked_s[frame.camera_id] = time_s
            footage.pictures.setdefault(frame.camera_id, []).append((time_s, find_landmarks(frame.image_bgr)))
    return len(hands)
