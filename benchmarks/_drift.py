"""Footage in which a camera is bumped, and what the drift monitor and the refinement make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks._footage import load
from calibration import Camera, Rig
from calibration.drift import DriftMonitor, Sighting, Verdict
from calibration.drift.background import Landmarks, find_landmarks
from capture.frames import Frame, FrameSet
from engine.factory import open_engine
from server.commands.sources import footage

How = Literal["pictures", "calibration"]

LOOK_S: Final = 3.0
_KEEP_S: Final = 1.0
"""How often corners are kept for a refinement, as `usthand calibrate refine` does."""

LOOK_AGAIN_S: Final = 0.5
JUDGE_S: Final = 0.5
_MAP_STEP_PX: Final = 8


@dataclass(frozen=True, eq=False, slots=True)
class Bump:
    """A camera that turns.

    Args:
        camera_id: Which.
        turn_rad: Rotation vector `(3,)` in its axes.
        from_set: The first frame set after it.
        how: `pictures` turns the pictures, as a bump does. `calibration` leaves them and turns the calibration that
            is used from then on, the other way round: the same misfit, and nothing to be seen in the pictures.
    """

    camera_id: str
    turn_rad: NDArray[np.float64]
    from_set: int
    how: How


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One frame set of an episode.

    Args:
        number: Counts from 0.
        time_s: Since the first one.
        rig: The calibration in use.
        frame_set: Its frames, bumped; valid until the next step.
        sightings: The hands that the engine found.
    """

    number: int
    time_s: float
    rig: Rig
    frame_set: FrameSet
    sightings: tuple[Sighting, ...]


def rotation(turn_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation matrix of a rotation vector."""
    return np.asarray(cv2.Rodrigues(np.asarray(turn_rad, dtype=np.float64))[0], dtype=np.float64)


def turned(rig: Rig, camera_id: str, turn_rad: NDArray[np.float64]) -> Rig:
    """The rig with one camera turned about its optical centre, in its own axes."""
    T = rig.camera(camera_id).T_camera_world.copy()
    T[:3] = rotation(turn_rad) @ T[:3]
    cameras = tuple(camera.with_transform(T) if camera.id == camera_id else camera for camera in rig)
    return replace(rig, cameras=cameras)


def apart_deg(a: Camera, b: Camera) -> float:
    """Angle between the orientations of two cameras, degrees."""
    between = a.T_camera_world[:3, :3] @ b.T_camera_world[:3, :3].T
    return float(np.degrees(np.linalg.norm(cv2.Rodrigues(between)[0])))


class TurnedPicture:
    """Turns pictures as if their camera had been turned about its optical centre.

    Args:
        camera: The camera, with its lens.
        turn_rad: Rays of the world turn by it, in the camera's axes.
    """

    def __init__(self, camera: Camera, turn_rad: NDArray[np.float64]) -> None:
        rows, columns = np.mgrid[0 : camera.height + _MAP_STEP_PX : _MAP_STEP_PX, 0 : camera.width + _MAP_STEP_PX : 8]
        pixels = np.stack([columns, rows], axis=-1).astype(np.float64)
        rays = np.dstack([camera.unproject(pixels), np.ones(rows.shape)])
        # What is seen along a ray now was seen along the ray turned back.
        source = camera.project_camera(rays @ rotation(turn_rad))
        source = np.nan_to_num(source, nan=-1e4).astype(np.float32)
        y, x = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float32) / _MAP_STEP_PX
        self._map = cv2.remap(source, x, y, cv2.INTER_LINEAR)

    def __call__(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the turned picture; what comes into sight at the border is a copy of the border."""
        picture = cv2.remap(
            image_bgr, self._map[..., 0], self._map[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(picture, dtype=np.uint8)


def episode(path: Path, bump: Bump | None, limit: int | None = None) -> Iterator[Step]:
    """Run the detector engine over footage in which a camera is bumped."""
    config, rig = load(path)
    changed = rig
    warp: TurnedPicture | None = None
    if bump is not None and bump.how == "pictures":
        warp = TurnedPicture(rig.camera(bump.camera_id), bump.turn_rad)
    elif bump is not None:
        changed = turned(rig, bump.camera_id, -bump.turn_rad)
    engine = open_engine()
    first_ns: int | None = None
    try:
        for number, frame_set in enumerate(footage(config, rig, limit)):
            after = bump is not None and number >= bump.from_set
            if after and warp is not None and bump is not None:
                frames = tuple(
                    replace(frame, image_bgr=warp(frame.image_bgr))
                    if frame is not None and frame.camera_id == bump.camera_id
                    else frame
                    for frame in frame_set.frames
                )
                frame_set = replace(frame_set, frames=frames)
            used = changed if after else rig
            hands = engine.process(frame_set, used)
            stamps = _stamps_ns(frame_set.frames)
            first_ns = frame_set.timestamp_ns if first_ns is None else first_ns
            yield Step(
                number,
                (frame_set.timestamp_ns - first_ns) * 1e-9,
                used,
                frame_set,
                tuple(Sighting(hand.id, hand.keypoints_px, stamps) for hand in hands),
            )
    finally:
        engine.close()


def _stamps_ns(frames: Sequence[Frame | None]) -> NDArray[np.int64]:
    return np.array([0 if frame is None else frame.timestamp_ns for frame in frames], dtype=np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Watched:
    """What the monitor said of an episode, and what a refinement needs of it.

    Args:
        rig: The calibration in use at the end.
        verdicts: After each judgement: time and what was said.
        sightings: All hands, with their frame set's number.
        pictures: Corners of each camera's pictures, with their frame set's number and time, seconds.
    """

    rig: Rig
    verdicts: tuple[tuple[float, tuple[Verdict, ...]], ...]
    sightings: tuple[tuple[int, Sighting], ...]
    pictures: dict[str, list[tuple[int, float, Landmarks]]]

    def named_after_s(self, camera_id: str, since_s: float) -> float | None:
        """How long after a time that camera, and no other one, was first called miscalibrated; None if never."""
        for time_s, verdicts in self.verdicts:
            blamed = {verdict.camera_id for verdict in verdicts if verdict.state == "miscalibrated"}
            if time_s >= since_s and blamed == {camera_id}:
                return time_s - since_s
        return None

    def suspected_after_s(self, camera_id: str, since_s: float) -> float | None:
        """How long after a time that camera was first blamed, alone or with another one; None if never."""
        for time_s, verdicts in self.verdicts:
            if time_s >= since_s and any(v.blamed and v.camera_id == camera_id for v in verdicts):
                return time_s - since_s
        return None

    @property
    def named(self) -> frozenset[str]:
        """All cameras that were ever called miscalibrated."""
        return frozenset(v.camera_id for _, verdicts in self.verdicts for v in verdicts if v.state == "miscalibrated")

    @property
    def suspected(self) -> frozenset[str]:
        """All cameras that were ever blamed, alone or with another one."""
        return frozenset(v.camera_id for _, verdicts in self.verdicts for v in verdicts if v.blamed)


def watch(steps: Iterator[Step], *, masking: bool = False) -> Watched:
    """Show an episode to the monitor, by the episode's own clock, as the service does.

    Args:
        steps: The episode.
        masking: Hide a named camera's hands from then on, as the service does where two others remain.
    """
    monitor: DriftMonitor | None = None
    rig: Rig | None = None
    said: list[tuple[float, tuple[Verdict, ...]]] = []
    sightings: list[tuple[int, Sighting]] = []
    pictures: dict[str, list[tuple[int, float, Landmarks]]] = {}
    next_look: dict[int, float] = {}
    next_kept_s = 0.0
    judged_s = 0.0
    for step in steps:
        if monitor is None or rig is None:
            monitor = DriftMonitor(step.rig)
            next_look = {view: view * LOOK_S / len(step.rig) for view in range(len(step.rig))}
        elif step.rig is not rig:
            monitor.calibrated(step.rig)
        rig = step.rig
        masked = [v.state == "miscalibrated" for v in monitor.verdicts] if masking else [False] * len(rig)
        monitor.see([_without(sighting, masked) for sighting in step.sightings])
        sightings += [(step.number, sighting) for sighting in step.sightings]
        for view, frame in enumerate(step.frame_set.frames):
            if frame is not None and step.time_s >= next_look[view]:
                next_look[view] += LOOK_S
                if monitor.look(view, frame.image_bgr):
                    next_look[view] = step.time_s + LOOK_AGAIN_S
        if step.time_s >= next_kept_s:
            next_kept_s += _KEEP_S
            for frame in step.frame_set.frames:
                if frame is not None:
                    corners = find_landmarks(frame.image_bgr)
                    pictures.setdefault(frame.camera_id, []).append((step.number, step.time_s, corners))
        if step.time_s - judged_s >= JUDGE_S:
            judged_s = step.time_s
            said.append((step.time_s, monitor.judge()))
    if rig is None:
        raise ValueError("the episode has no frame sets")
    return Watched(rig, tuple(said), tuple(sightings), pictures)


def _without(sighting: Sighting, masked: list[bool]) -> Sighting:
    if not any(masked):
        return sighting
    keypoints = sighting.keypoints_px.copy()
    keypoints[masked] = np.nan
    return replace(sighting, keypoints_px=keypoints)
