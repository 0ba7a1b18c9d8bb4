"""The detector engine: MediaPipe's networks in every view, joined in 3D, tracked and fitted with the hand model."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import FrameSet
from engine.detector.answer import hand_pose
from engine.detector.association import agree
from engine.detector.eyes import Eyes, MediaPipeEyes
from engine.detector.finder import FinderConfig, Found, HandFinder
from engine.detector.frame_sets import check_views, crops_at, frame_of
from engine.detector.instant import Instant
from engine.detector.networks import LANDMARK_INPUT_PX, LandmarkSize
from engine.detector.places import is_another_hand
from engine.detector.roster import Roster, RosterConfig
from engine.detector.side import side_models
from engine.detector.track import Track
from engine.detector.views import HandView
from engine.hand_model.model import HandModel, Side
from engine.pose_fit import FitConfig
from engine.shape_fit import ShapeEstimator
from engine.smoothing import OneEuroConfig, OneEuroFilter
from engine.triangulation import Triangulated
from engine.types import EngineCard, HandPose


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Settings of the detector engine.

    Args:
        landmarks: Which of MediaPipe's landmark networks; `auto` is `full` for rigs of up to three cameras, where each
            view must be accurate, and `lite` for larger ones, where the views' errors average out and time is short.
        min_palm_score: Palms below it are no detections.
        finder: Where hands are searched for, and what is taken for one, also while it is followed.
        roster: How many hands are tracked, and how long a lost one is waited for.
        fit: Weights of the hand model's fit.
        smoothing: One-Euro smoothing of the joints; None is off.
    """

    landmarks: LandmarkSize | Literal["auto"] = "auto"
    min_palm_score: float = 0.5
    finder: FinderConfig = field(default_factory=FinderConfig)
    roster: RosterConfig = field(default_factory=RosterConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    smoothing: OneEuroConfig | None = None


class DetectorEngine:
    """Tracks hands with off-the-shelf networks and geometry; needs no training and no GPU.

    Args:
        models: The right hand's model; the left one is its mirror image.
        config: Settings.
        threads: Networks that run at once; None is one a processor, at most eight.
        eyes: What looks at the pictures; None is MediaPipe's networks.
    """

    def __init__(
        self,
        models: HandModel,
        config: DetectorConfig | None = None,
        threads: int | None = None,
        eyes: Eyes | None = None,
    ) -> None:
        self._config = config or DetectorConfig()
        self._sides = side_models(models, self._config.fit)
        self._eyes = eyes or MediaPipeEyes(self._config.landmarks, self._config.min_palm_score)
        # The threads are this engine's own: OpenCV's would only get in their way, and crops are too small for them.
        cv2.setNumThreads(1)
        self._threads = threads or min(8, os.cpu_count() or 2)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="detector")
        self._finder = HandFinder(self._eyes, self._sides, self._config.finder, self._pool)
        self._roster: Roster[Track] = Roster(self._config.roster)
        self._rig_id = ""
        self._stages_s: dict[str, float] = {}

    @property
    def card(self) -> EngineCard:
        """What runs."""
        return EngineCard(
            model_id=f"detector-{self._config.landmarks}",
            kind="detector",
            backend=f"onnxruntime {ort.__version__} CPU, {self._threads} threads",
            hand_model=self._sides["right"].model.name,
            description="MediaPipe palm detection and hand landmarks in every view, robust triangulation, MANO fit",
        )

    @property
    def stages_s(self) -> Mapping[str, float]:
        """How long each stage of the last frame set took, seconds."""
        return self._stages_s

    def hand_model(self, side: Side) -> HandModel:
        """The hand model of that side."""
        return self._sides[side].model

    def reset(self) -> None:
        """Forget all tracks, as if the next frame set were the first."""
        self._roster.forget()
        self._finder.reset()

    def close(self) -> None:
        """Give back the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def process(self, frame_set: FrameSet, rig: Rig) -> tuple[HandPose, ...]:
        """Track hands into the next frame set; see `engine.types.HandEngine`."""
        check_views(frame_set, rig)
        if not frame_set.view_ids:
            return ()
        if rig.id != self._rig_id:
            self.reset()
            self._rig_id = rig.id
            self._eyes.attend(len(rig))
        started_s = time.perf_counter()
        now_ns = frame_set.timestamp_ns
        predicted = {track.id: track.predict(now_ns) for track in self._roster.tracks}
        instant = Instant.of(frame_set, rig)
        rigs = {track.id: instant.rig_for(track.velocity_m_s) for track in self._roster.tracks}
        # Each hand's views first: it is triangulated and fitted while the networks look at the next one.
        looks = {
            track_id: [
                self._pool.submit(self._eyes.look, frame_of(frame_set, view), rig.cameras[view], view, crop)
                for view, crop in crops_at(frame_set, rigs[track_id], joints, LANDMARK_INPUT_PX)
            ]
            for track_id, joints in predicted.items()
        }
        search = self._finder.search(frame_set, rig, self._roster)
        try:
            fitting_s = self._follow(looks, predicted, rigs, instant, now_ns)
            search.wait()
            followed_s = time.perf_counter()
            for found in self._finder.new_hands(search, self._roster):
                # Nothing is known yet of how it moves; one that was lost moves as it may.
                rigs.pop(self._take_in(found, now_ns).id, None)
        finally:
            # Whatever happens, nobody reads the frames once this returns: their memory is used again.
            wait([look for asked in looks.values() for look in asked])
            search.wait()
        self._stages_s = {
            "crops and networks": followed_s - started_s - fitting_s,
            "triangulate and fit": fitting_s,
            "new hands": time.perf_counter() - followed_s,
        }
        return tuple(
            hand_pose(track, track.estimate, rigs.get(track.id, rig))
            for track in self._roster.followed
            if track.estimate is not None
        )

    def _take_in(self, found: Found, now_ns: int) -> Track:
        """Start a track, or find a lost one again."""
        track = self._roster.lost_at(found.side, found.triangulated.joints_world)
        if track is None:
            self._roster.make_room(now_ns)
            before = self._roster.pop_predecessor(found.side)
            models = self._sides[found.side]
            shape = ShapeEstimator(models.model) if before is None else before.shape.carried()
            smoother = OneEuroFilter(self._config.smoothing) if self._config.smoothing is not None else None
            track = Track(self._roster.next_id(), found.side, models, shape, smoother)
            self._roster.add(track)
        track.update(found.triangulated, found.views, now_ns)
        return track

    def _follow(
        self,
        looks: dict[int, list[Future[HandView]]],
        predicted: dict[int, NDArray[np.float64]],
        rigs: dict[int, Rig],
        instant: Instant,
        now_ns: int,
    ) -> float:
        """Take the views into their tracks, and give up tracks that are lost, doubled or of the wrong side.

        Args:
            looks: What is found in each view, by track.
            predicted: Where the joints of each track were expected `(21, 3)`, metres.
            rigs: The rig of each track for which the frames are of one instant, by what was known of its velocity;
                afterwards by what is known now.
            instant: The frame set's.
            now_ns: Its time.

        Returns:
            Seconds spent on it, without waiting for the networks.
        """
        finder = self._config.finder
        coasting = {track.id for track in self._roster.tracks if track.misses > 0}
        spent_s = 0.0
        for track in self._roster.tracks:
            found = [look.result() for look in looks[track.id]]
            started_s = time.perf_counter()
            views = [
                seen
                for seen in found
                if seen.landmarks.presence >= finder.min_presence
                and not is_another_hand(
                    seen.landmarks.keypoints_crop_px, seen.crop, rigs[track.id].cameras[seen.view], track.id, predicted
                )
            ]
            triangulated, rigs[track.id] = self._agreed(views, track, rigs[track.id], instant, now_ns)
            if triangulated is None:
                track.missed()
            else:
                track.update(triangulated, views, now_ns)
            spent_s += time.perf_counter() - started_s
        self._roster.prune(predicted, coasting, now_ns)
        return spent_s

    def _agreed(
        self, views: list[HandView], track: Track, rig: Rig, instant: Instant, now_ns: int
    ) -> tuple[Triangulated | None, Rig]:
        """Triangulate what views saw of a track; once more where it turns out to move otherwise than it did.

        Returns:
            The joints, None when no two views agree; and the rig in which they do.
        """
        finder = self._config.finder
        triangulated = agree(views, rig, finder.max_disagreement_px, finder.robust)
        if triangulated is None:
            return None, rig
        velocity_m_s = track.velocity_with(triangulated, now_ns)
        if instant.matters(velocity_m_s - track.velocity_m_s):
            moved = instant.rig_for(velocity_m_s)
            again = agree(views, moved, finder.max_disagreement_px, finder.robust)
            if again is not None:
                return again, moved
        return triangulated, rig
