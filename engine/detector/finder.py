"""Finding hands that are not tracked yet: where palms are searched for, which are one hand, and of which side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from capture.frames import Frame, FrameSet
from engine.crops import CropCamera, crop_around_joints, crop_around_palm
from engine.detector.association import Candidate, agree, associate
from engine.detector.eyes import Eyes
from engine.detector.frame_sets import crops_at, frame_of
from engine.detector.networks import LANDMARK_INPUT_PX, Palm
from engine.detector.places import same_place
from engine.detector.roster import Roster, Tracked
from engine.detector.side import SideModels, chirality_log_odds, side_log_odds
from engine.detector.views import HandView
from engine.hand_model.model import Side
from engine.triangulation import RobustConfig, Triangulated

_PALM_JOINTS = np.array([0, 5, 9, 13, 17])
# Evidence that the hand beside a right one is a left one, and the other way round, nats.
_OTHER_SIDE = 3.0
# Votes for a side above which the form of the hand need not be asked, nats: that takes two fits.
_SIDE_SURE = 6.0

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class FinderConfig:
    """Where hands are searched for, and what is taken for one.

    Args:
        min_presence: Crops below it hold no hand.
        max_disagreement_px: Residual above which views do not show one hand, crop pixels.
        search_period_s: While fewer hands than may be are followed, every view is searched this often.
        lost_search_s: After a hand was lost, every view of every frame set is searched for so long.
        robust: How far a view is believed.
    """

    min_presence: float = 0.5
    max_disagreement_px: float = 12.0
    search_period_s: float = 0.25
    lost_search_s: float = 1.0
    robust: RobustConfig = field(default_factory=RobustConfig)


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """A hand that no track follows.

    Args:
        side: Which hand it is.
        triangulated: Its joints.
        views: The views that saw it.
    """

    side: Side
    triangulated: Triangulated
    views: list[HandView]


@dataclass(frozen=True, eq=False, slots=True)
class Search:
    """A search for palms that goes on beside other work.

    Args:
        frame_set: Where.
        rig: Its cameras.
        palms: By view, what is found in the views that are searched.
    """

    frame_set: FrameSet
    rig: Rig
    palms: dict[int, Future[list[Palm]]]

    def wait(self) -> None:
        """Wait until the frames are not read any more, whether that went well or not."""
        wait(self.palms.values())


class HandFinder:
    """Finds hands that are not tracked yet, for any engine.

    A frame set takes two steps: `search` starts looking for palms, and `new_hands` makes hands of what was found, once
    the tracked hands are known to be where they are.

    Args:
        eyes: What looks at the pictures.
        sides: The hand models, which say what side a hand's form is.
        config: Settings.
        pool: Looks are run in it.
    """

    def __init__(
        self, eyes: Eyes, sides: dict[Side, SideModels], config: FinderConfig, pool: ThreadPoolExecutor
    ) -> None:
        self._eyes = eyes
        self._sides = sides
        self._config = config
        self._pool = pool
        self.reset()

    def reset(self) -> None:
        """Forget when which view was searched."""
        self._searched_ns: dict[int, int] = {}
        self._last_full_search_ns: int | None = None
        self._last_timestamp_ns: int | None = None

    def search(self, frame_set: FrameSet, rig: Rig, roster: Roster[Any]) -> Search:
        """Start to search those views for palms whose turn it is; call it once for every frame set.

        Args:
            frame_set: The frames, at least one.
            rig: Their cameras.
            roster: The tracked hands, as they were seen in the frame set before.
        """
        views = self._views_to_search(frame_set, roster)
        palms = {view: self._pool.submit(self._eyes.find_palms, frame_of(frame_set, view)) for view in views}
        self._last_timestamp_ns = frame_set.timestamp_ns
        return Search(frame_set, rig, palms)

    def _views_to_search(self, frame_set: FrameSet, roster: Roster[Any]) -> list[int]:
        now_ns = frame_set.timestamp_ns
        present = [index for index, frame in enumerate(frame_set.frames) if frame is not None]
        if roster.complete:
            return []
        followed = len(roster.followed)
        recently_lost = followed < len(roster.tracks) or (
            roster.last_lost_ns is not None and now_ns - roster.last_lost_ns < self._config.lost_search_s * 1e9
        )
        if not followed or recently_lost or self._last_timestamp_ns is None:
            chosen = present
        else:
            elapsed_s = (now_ns - self._last_timestamp_ns) * 1e-9
            oldest = sorted(present, key=lambda view: self._searched_ns.get(view, 0))
            period_ns = self._config.search_period_s * 1e9
            due = [v for v in oldest if now_ns - self._searched_ns.get(v, 0) >= period_ns]
            share = int(np.ceil(len(present) * elapsed_s / self._config.search_period_s))
            chosen = due[: max(1, share)]
        for view in chosen:
            self._searched_ns[view] = now_ns
        return chosen

    def new_hands(self, search: Search, roster: Roster[Any]) -> Iterator[Found]:
        """Make hands of palms that no followed track explains, in all views once any view shows one.

        Args:
            search: What `search` started on this frame set.
            roster: The tracked hands, as they are seen in it. Take in each hand before the next is asked for: it then
                speaks for the next one's side, and is not found again.

        Yields:
            Hands, the surest sides first, while fewer are followed than may be.
        """
        frame_set, rig = search.frame_set, search.rig
        palms = {view: found.result() for view, found in search.palms.items()}
        new = {view: _unexplained(found, rig.cameras[view], roster.followed) for view, found in palms.items()}
        if not any(new.values()):
            return
        now_ns = frame_set.timestamp_ns
        rest = [i for i, frame in enumerate(frame_set.frames) if frame is not None and i not in palms]
        if rest:
            due_ns = (self._last_full_search_ns or 0) + int(2 * self._config.search_period_s * 1e9)
            if self._last_full_search_ns is not None and now_ns < due_ns:
                return
            found = self._run([partial(self._eyes.find_palms, frame_of(frame_set, view)) for view in rest])
            for view, result in zip(rest, found, strict=True):
                new[view] = _unexplained(result, rig.cameras[view], roster.followed)
        self._last_full_search_ns = now_ns
        candidates = associate(self._detections(frame_set, rig, new), rig, self._config.max_disagreement_px)
        # The surest sides first: they then speak for the others.
        candidates.sort(key=lambda candidate: -abs(side_log_odds(candidate.views)))
        for candidate in candidates:
            if roster.complete:
                break
            # A second detection of a hand that is followed already, or was just started, is no new hand.
            joints = candidate.triangulated.joints_world
            if not any(same_place(joints, track.joints_world) for track in roster.followed):
                yield self._confirm(frame_set, rig, candidate, roster.followed)

    def _detections(self, frame_set: FrameSet, rig: Rig, palms: dict[int, list[Palm]]) -> list[HandView]:
        """What the landmark network finds at palms, by view."""
        jobs = []
        for view, found in palms.items():
            camera = rig.cameras[view]
            for palm in found:
                crop = crop_around_palm(
                    camera,
                    palm.center_px,
                    palm.size_px,
                    palm.wrist_px,
                    palm.middle_knuckle_px,
                    LANDMARK_INPUT_PX,
                )
                if crop is not None:
                    jobs.append(partial(self._look_twice, frame_of(frame_set, view), camera, view, crop))
        return self._present(self._run(jobs))

    def _look_twice(self, frame: Frame, camera: Camera, view: int, crop: CropCamera) -> HandView:
        """Find the joints, aim the crop by them as tracking would, and find them again."""
        first = self._eyes.look(frame, camera, view, crop)
        if first.landmarks.presence < self._config.min_presence:
            return first
        better = crop_around_joints(first.joint_directions(), LANDMARK_INPUT_PX)
        return first if better is None else self._eyes.look(frame, camera, view, better)

    def _confirm(self, frame_set: FrameSet, rig: Rig, candidate: Candidate, followed: Sequence[Tracked]) -> Found:
        """Look into all views at the place of the detections, and decide the side."""
        crops = crops_at(frame_set, rig, candidate.triangulated.joints_world, LANDMARK_INPUT_PX)
        looks = [
            partial(self._eyes.look, frame_of(frame_set, view), rig.cameras[view], view, crop) for view, crop in crops
        ]
        views = self._present(self._run(looks))
        triangulated = agree(views, rig, self._config.max_disagreement_px, self._config.robust)
        if triangulated is None:
            triangulated, views = candidate.triangulated, candidate.views
        evidence = side_log_odds(views)
        if abs(evidence) < _SIDE_SURE:
            evidence += chirality_log_odds(triangulated, self._sides)
        for track in followed:
            # Two hands in view are rarely of one side.
            evidence += -_OTHER_SIDE if track.side == "right" else _OTHER_SIDE
        return Found("right" if evidence > 0 else "left", triangulated, views)

    def _present(self, views: list[HandView]) -> list[HandView]:
        return [view for view in views if view.landmarks.presence >= self._config.min_presence]

    def _run(self, jobs: Sequence[Callable[[], _Result]]) -> list[_Result]:
        """Run jobs side by side; results in order."""
        if len(jobs) < 2:
            return [job() for job in jobs]
        running = [self._pool.submit(job) for job in jobs]
        # All of them, also when one fails: they read frames whose memory is used again afterwards.
        wait(running)
        return [job.result() for job in running]


def _unexplained(palms: list[Palm], camera: Camera, followed: Sequence[Tracked]) -> list[Palm]:
    """Palms that belong to no followed hand."""
    places: list[NDArray[np.float64]] = [
        camera.project(track.joints_world[_PALM_JOINTS]).mean(axis=0) for track in followed
    ]
    return [
        palm for palm in palms if not any(np.linalg.norm(palm.center_px - place) < palm.size_px for place in places)
    ]
