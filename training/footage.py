"""A lab's own recordings as training data: tracked hands, cropped in every view, labelled by a detector in 2D.

An engine says where the hands are; each view's crop is aimed there, as the live tracker aims, and labelled by itself:
what a view's label says owes nothing to the other views. So the consensus of the views is what training learns, and no
annotation is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import FrameSet
from engine.crops import CropCamera, sample_crop
from engine.detector.instant import Instant
from engine.detector.networks import LANDMARK_INPUT_PX
from engine.hand_model.model import Side
from engine.tracker.aim import NO_CAMERA, aim_at, crop_projection
from engine.types import HandEngine, HandPose
from training.datasets.shards import MANIFEST, Labelled, ShardedWindows, begin, write_manifest, write_shard
from training.detected_labels import Labeller
from training.samples import JOINTS, Window, mirrored_window

WINDOW_FRAMES: Final = 5
_FEWEST_VIEWS: Final = 2
_SHARD_WINDOWS: Final = 40
_LAST_SETS: Final = "last_frame_sets"


@dataclass(frozen=True, eq=False, slots=True)
class _Sight:
    """One hand in one frame set, before it is part of a window."""

    frame_set: int
    timestamp_ns: int
    rig: Rig
    crops: tuple[CropCamera | None, ...]
    pictures: NDArray[np.uint8]
    joints_world: NDArray[np.float64]

    @property
    def middle_world(self) -> NDArray[np.float64]:
        """The middle of its joints `(3,)`, metres."""
        middle: NDArray[np.float64] = self.joints_world.mean(axis=0)
        return middle


@dataclass(eq=False)
class _Track:
    """The newest sights of one hand without a gap."""

    side: Side
    sights: list[_Sight] = field(default_factory=list)
    since_window: int = 0
    windows: int = 0


def label_footage(
    folder: Path,
    frame_sets: Iterable[FrameSet],
    rig: Rig,
    engine: HandEngine,
    *,
    name: str,
    stride: int = 1,
    advance: Callable[[str], None] = lambda _: None,
) -> ShardedWindows:
    """Turn footage into a data set of labelled windows, in the order of time.

    Args:
        folder: An empty folder, one that is not there yet, or one where this was stopped, which is begun anew.
        frame_sets: The footage, in order; each is used before the next is asked for.
        rig: Its calibration.
        engine: Finds and follows the hands.
        name: What the data are called.
        stride: A hand's windows begin so many frame sets apart (sec. 4.2: 1).
        advance: Told about each frame set.

    Returns:
        The data.

    Raises:
        ValueError: If the folder is not empty, the rig has one camera, or no hand was seen in two views.
    """
    if len(rig) < _FEWEST_VIEWS:
        raise ValueError(f"{name}: has {len(rig)} camera; windows need two that see the hand")
    begin(folder)
    labeller = Labeller()
    counts: list[int] = []
    last_sets: list[int] = []
    waiting: list[Labelled] = []
    total = 0

    def flush() -> None:
        if waiting:
            write_shard(folder, len(counts), waiting)
            counts.append(len(waiting))
            waiting.clear()

    def counted() -> Iterator[FrameSet]:
        nonlocal total
        for frame_set in frame_sets:
            yield frame_set
            total += 1
            advance(f"{len(last_sets)} windows")

    for last_set, window in _windows(counted(), rig, engine, stride):
        labels, confidence = labeller.label(window)
        last_sets.append(last_set)
        waiting.append(Labelled(Window(window.crops, window.projections, window.view_mask, labels, confidence)))
        if len(waiting) == _SHARD_WINDOWS:
            flush()
    flush()
    if not counts:
        raise ValueError(
            f"{name}: no hand was seen by two cameras in {total} frame sets; look at `usthand run`'s answers"
        )
    about: dict[str, Any] = {
        **_footage(name, rig, stride),
        "engine": engine.card.model_id,
        "labels": labeller.name,
        "frame_sets": total,
        _LAST_SETS: last_sets,
    }
    write_manifest(folder, name, counts, LANDMARK_INPUT_PX, about=about, truth=False)
    return ShardedWindows(folder)


def frame_sets_of(folder: Path) -> int:
    """How many frame sets the footage of a labelled folder had."""
    return int(ShardedWindows(folder).about["frame_sets"])


def windows_before(folder: Path, frame_set: int) -> ShardedWindows:
    """The windows of a labelled folder that end before a frame set: what may be learnt from if the rest judges.

    Raises:
        ValueError: If there is none.
    """
    last_sets = ShardedWindows(folder).about[_LAST_SETS]
    count = sum(1 for last in last_sets if last < frame_set)
    # In the order of time: the first ones are those.
    if not count:
        raise ValueError(f"{folder}: no window ends before frame set {frame_set}; hold fewer back, or record longer")
    return ShardedWindows(folder, 0, count)


def is_labelled(folder: Path, rig: Rig, *, name: str, stride: int = 1) -> bool:
    """Whether a folder holds windows of this footage already.

    Raises:
        ValueError: If it holds other windows.
    """
    if not (folder / MANIFEST).is_file():
        return False
    about = ShardedWindows(folder).about
    for what, value in _footage(name, rig, stride).items():
        if about.get(what) != value:
            raise ValueError(
                f"{folder}: holds windows of {what} {about.get(what)}, not {value}; give another folder, or delete "
                "this one to begin anew"
            )
    return True


def _footage(name: str, rig: Rig, stride: int) -> dict[str, Any]:
    """What windows are cut from, as plain maps."""
    return {"footage": name, "calibration_id": rig.id, "cameras": list(rig.camera_ids), "stride": stride}


def _windows(frame_sets: Iterable[FrameSet], rig: Rig, engine: HandEngine, stride: int) -> Iterator[tuple[int, Window]]:
    """Follow the hands, and give each window with the frame set that it ends with."""
    tracks: dict[int, _Track] = {}
    number = -1
    for number, frame_set in enumerate(frame_sets):
        sights = {
            hand.id: (hand.side, _sight(number, frame_set, rig, hand, tracks.get(hand.id)))
            for hand in engine.process(frame_set, rig)
        }
        sights = {
            key: seen
            for key, seen in sights.items()
            if sum(crop is not None for crop in seen[1].crops) >= _FEWEST_VIEWS
        }
        # A hand that was away begins anew.
        yield from _short(number - 1, [track for key, track in tracks.items() if key not in sights])
        tracks = {key: tracks.get(key, _Track(side)) for key, (side, _) in sights.items()}
        for key, track in tracks.items():
            track.sights = [*track.sights, sights[key][1]][-WINDOW_FRAMES:]
            track.since_window += 1
            if len(track.sights) == WINDOW_FRAMES and (not track.windows or track.since_window >= stride):
                track.since_window = 0
                track.windows += 1
                yield number, _window(track.sights, track.side)
    yield from _short(number, list(tracks.values()))


def _short(number: int, tracks: list[_Track]) -> Iterator[tuple[int, Window]]:
    """The windows of hands that were away again before they filled one (sec. 4.2: the ends are repeated)."""
    for track in tracks:
        if not track.windows:
            yield number, _window(track.sights, track.side)


def _sight(number: int, frame_set: FrameSet, rig: Rig, hand: HandPose, track: _Track | None) -> _Sight:
    """See a hand, each view at its own exposure, by how the hand moved since it was seen before."""
    joints_world, now_ns = hand.posed.joints, frame_set.timestamp_ns
    velocity_m_s = np.zeros(3)
    if track is not None and now_ns > track.sights[-1].timestamp_ns:
        before = track.sights[-1]
        velocity_m_s = (joints_world.mean(axis=0) - before.middle_world) / ((now_ns - before.timestamp_ns) * 1e-9)
    rig = Instant.of(frame_set, rig).rig_for(velocity_m_s)
    aim = aim_at(frame_set, rig, joints_world, hand.side, LANDMARK_INPUT_PX)
    pictures = np.zeros((len(rig), LANDMARK_INPUT_PX, LANDMARK_INPUT_PX, 3), np.uint8)
    for view, (camera, crop, frame) in enumerate(zip(rig, aim.crops, frame_set.frames, strict=True)):
        if crop is not None and frame is not None:
            pictures[view] = sample_crop(frame.image_bgr, camera, crop)[..., ::-1]
    return _Sight(number, now_ns, rig, aim.crops, pictures, joints_world)


def _window(sights: list[_Sight], side: Side) -> Window:
    """Put sights together about one origin, the last one repeated where there are too few; without labels."""
    sights = sights + [sights[-1]] * (WINDOW_FRAMES - len(sights))
    origin_world = np.mean([sight.middle_world for sight in sights], axis=0)
    shape = (len(sights), len(sights[0].rig))
    projections = np.tile(NO_CAMERA, (*shape, 1, 1)).astype(np.float32)
    mask = np.zeros(shape, np.float32)
    for t, sight in enumerate(sights):
        for v, (camera, crop) in enumerate(zip(sight.rig, sight.crops, strict=True)):
            if crop is not None:
                projections[t, v] = crop_projection(camera, crop, origin_world)
                mask[t, v] = 1.0
    window = Window(
        crops=np.stack([sight.pictures for sight in sights]),
        projections=projections,
        view_mask=mask,
        labels=np.zeros((*shape, JOINTS, 2), np.float32),
        label_confidence=np.zeros((*shape, JOINTS), np.float32),
    )
    return mirrored_window(window) if side == "left" else window
