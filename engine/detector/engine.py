"""The detector engine: MediaPipe's networks in every view, joined in 3D, tracked and fitted with the hand model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Literal

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from calibration import Camera, Rig
from capture.frames import Frame, FrameSet
from engine.crops import CropCamera, crop_around_joints, crop_around_palm, sample_crop
from engine.detector.answer import hand_pose
from engine.detector.association import Candidate, associate, plausible_hand
from engine.detector.networks import LANDMARK_INPUT_PX, LandmarkNetwork, LandmarkSize, Palm, PalmDetector
from engine.detector.places import is_another_hand, same_place, strayed
from engine.detector.track import SideModels, Track, chirality_log_odds, side_log_odds
from engine.detector.views import HandView, observe
from engine.hand_model.model import HandModel, Side
from engine.pose_fit import FitConfig, PoseFitter
from engine.shape_fit import ShapeEstimator
from engine.smoothing import OneEuroConfig, OneEuroFilter
from engine.triangulation import RobustConfig, Triangulated, triangulate
from engine.types import EngineCard, HandPose

_PALM_JOINTS = np.array([0, 5, 9, 13, 17])
_FULL_UP_TO_VIEWS = 3
# Evidence that the hand beside a right one is a left one, and the other way round, nats.
_OTHER_SIDE = 3.0
# Votes for a side above which the form of the hand need not be asked, nats: that takes two fits.
_SIDE_SURE = 6.0
# A lost hand that turns up within this distance, while it is still looked for, is the same hand.
_FOUND_AGAIN_M = 0.35


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Settings of the detector engine.

    Args:
        landmarks: Which of MediaPipe's landmark networks; `auto` is `full` for rigs of up to three cameras, where each
            view must be accurate, and `lite` for larger ones, where the views' errors average out and time is short.
        max_hands: So many hands are tracked at once.
        min_palm_score: Palms below it are no detections.
        min_presence: Crops below it hold no hand.
        max_disagreement_px: Residual above which views do not show one hand, crop pixels.
        search_period_s: While fewer hands than `max_hands` are tracked, every view is searched this often.
        lost_search_s: After a hand was lost, every view of every frame set is searched for so long.
        coast_s: A hand that is not seen is looked for at its predicted place for so long.
        coast_frame_sets: ... and at least for so many frame sets.
        robust: How far a view is believed.
        fit: Weights of the hand model's fit.
        smoothing: One-Euro smoothing of the joints; None is off.
    """

    landmarks: LandmarkSize | Literal["auto"] = "auto"
    max_hands: int = 2
    min_palm_score: float = 0.5
    min_presence: float = 0.5
    max_disagreement_px: float = 12.0
    search_period_s: float = 0.25
    lost_search_s: float = 1.0
    coast_s: float = 0.3
    coast_frame_sets: int = 2
    robust: RobustConfig = field(default_factory=RobustConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    smoothing: OneEuroConfig | None = None


class DetectorEngine:
    """Tracks hands with off-the-shelf networks and geometry; needs no training and no GPU.

    Args:
        models: The right hand's model; the left one is its mirror image.
        config: Settings.
        threads: Networks that run at once; None is one a processor, at most eight.
    """

    def __init__(self, models: HandModel, config: DetectorConfig | None = None, threads: int | None = None) -> None:
        self._config = config or DetectorConfig()
        self._sides: dict[Side, SideModels] = {
            "right": SideModels(models, PoseFitter(models, self._config.fit)),
            "left": SideModels(models.mirrored(), PoseFitter(models.mirrored(), self._config.fit)),
        }
        self._palms = PalmDetector(self._config.min_palm_score)
        self._networks: dict[LandmarkSize, LandmarkNetwork] = {}
        # The threads are this engine's own: OpenCV's would only get in their way, and crops are too small for them.
        cv2.setNumThreads(1)
        self._threads = threads or min(8, os.cpu_count() or 2)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="detector")
        self._next_id = 0
        self._rig_id = ""
        self._landmarks = self._network(0)
        self._stages_s: dict[str, float] = {}
        self.reset()

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
        self._tracks: list[Track] = []
        self._shapes: dict[Side, ShapeEstimator] = {}
        self._searched_ns: dict[int, int] = {}
        self._last_full_search_ns: int | None = None
        self._last_lost_ns: int | None = None
        self._last_timestamp_ns: int | None = None

    def _network(self, views: int) -> LandmarkNetwork:
        """The landmark network for a rig of so many views, opened when it is first needed."""
        size = self._config.landmarks
        if size == "auto":
            size = "full" if views <= _FULL_UP_TO_VIEWS else "lite"
        if size not in self._networks:
            self._networks[size] = LandmarkNetwork(size)
        return self._networks[size]

    def close(self) -> None:
        """Give back the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def process(self, frame_set: FrameSet, rig: Rig) -> tuple[HandPose, ...]:
        """Track hands into the next frame set; see `engine.types.HandEngine`."""
        if len(frame_set.frames) != len(rig):
            raise ValueError(
                f"frame set {frame_set.id} has {len(frame_set.frames)} views and the rig {len(rig)}; "
                "give one entry a camera"
            )
        if not frame_set.view_ids:
            return ()
        if rig.id != self._rig_id:
            self.reset()
            self._rig_id = rig.id
            self._landmarks = self._network(len(rig))
        started_s = time.perf_counter()
        now_ns = frame_set.timestamp_ns
        predicted = {track.id: track.predict(now_ns) for track in self._tracks}
        searched = self._views_to_search(frame_set, now_ns)
        crops = self._track_crops(frame_set, rig, predicted)
        # Each hand's views first: it is triangulated and fitted while the networks look at the next one.
        looks: dict[int, list[Future[HandView]]] = {track.id: [] for track in self._tracks}
        for track_id, view, crop in crops:
            look = self._pool.submit(self._look, _frame(frame_set, view), rig.cameras[view], view, crop)
            looks[track_id].append(look)
        searches = {view: self._pool.submit(self._find_palms, _frame(frame_set, view)) for view in searched}
        fitting_s = self._follow(looks, predicted, rig, now_ns)
        palms = {view: search.result() for view, search in searches.items()}
        followed_s = time.perf_counter()
        if palms:
            self._start_tracks(frame_set, rig, palms, now_ns)
        self._stages_s = {
            "crops and networks": followed_s - started_s - fitting_s,
            "triangulate and fit": fitting_s,
            "new hands": time.perf_counter() - followed_s,
        }
        self._last_timestamp_ns = now_ns
        return tuple(
            hand_pose(track, track.estimate, rig)
            for track in self._tracks
            if track.misses == 0 and track.estimate is not None
        )

    def _run(self, jobs: Sequence[Callable[[], object]]) -> list[object]:
        """Run jobs side by side; results in order."""
        if len(jobs) < 2:
            return [job() for job in jobs]
        return list(self._pool.map(lambda job: job(), jobs))

    # Searching for hands that are not tracked

    def _views_to_search(self, frame_set: FrameSet, now_ns: int) -> list[int]:
        """Views in which palms are looked for in this frame set."""
        present = [index for index, frame in enumerate(frame_set.frames) if frame is not None]
        followed = sum(track.misses == 0 for track in self._tracks)
        if followed >= self._config.max_hands:
            return []
        recently_lost = followed < len(self._tracks) or (
            self._last_lost_ns is not None and now_ns - self._last_lost_ns < self._config.lost_search_s * 1e9
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

    def _find_palms(self, frame: Frame) -> list[Palm]:
        return self._palms.detect(frame.image_bgr)

    def _look(self, frame: Frame, camera: Camera, view: int, crop: CropCamera) -> HandView:
        """Find the joints in one crop."""
        return HandView(view, crop, self._landmarks.infer(sample_crop(frame.image_bgr, camera, crop)))

    def _start_tracks(self, frame_set: FrameSet, rig: Rig, palms: dict[int, list[Palm]], now_ns: int) -> None:
        """Look for hands that no track explains, in all views once any view shows one."""
        new = {view: self._unexplained(found, view, rig) for view, found in palms.items()}
        if not any(new.values()):
            return
        rest = [i for i, frame in enumerate(frame_set.frames) if frame is not None and i not in palms]
        if rest:
            due_ns = (self._last_full_search_ns or 0) + int(2 * self._config.search_period_s * 1e9)
            if self._last_full_search_ns is not None and now_ns < due_ns:
                return
            found = self._run([partial(self._find_palms, _frame(frame_set, view)) for view in rest])
            for view, result in zip(rest, found, strict=True):
                if isinstance(result, list):
                    new[view] = self._unexplained(result, view, rig)
        self._last_full_search_ns = now_ns
        jobs: list[Callable[[], object]] = []
        for view, unexplained in new.items():
            camera = rig.cameras[view]
            for palm in unexplained:
                crop = crop_around_palm(
                    camera,
                    palm.center_px,
                    palm.size_px,
                    palm.wrist_px,
                    palm.middle_knuckle_px,
                    LANDMARK_INPUT_PX,
                )
                if crop is not None:
                    jobs.append(partial(self._look_twice, _frame(frame_set, view), camera, view, crop))
        detections = [
            result
            for result in self._run(jobs)
            if isinstance(result, HandView) and result.landmarks.presence >= self._config.min_presence
        ]
        candidates = associate(detections, rig, self._config.max_disagreement_px)
        # The surest sides first: they then speak for the others.
        candidates.sort(key=lambda candidate: -abs(side_log_odds(candidate.views)))
        for candidate in candidates:
            if sum(track.misses == 0 for track in self._tracks) >= self._config.max_hands:
                break
            self._take_in(frame_set, rig, candidate, now_ns)

    def _look_twice(self, frame: Frame, camera: Camera, view: int, crop: CropCamera) -> HandView:
        """Find the joints, aim the crop by them as tracking would, and find them again."""
        first = self._look(frame, camera, view, crop)
        if first.landmarks.presence < self._config.min_presence:
            return first
        better = crop_around_joints(first.joint_directions(), LANDMARK_INPUT_PX)
        return first if better is None else self._look(frame, camera, view, better)

    def _unexplained(self, palms: list[Palm], view: int, rig: Rig) -> list[Palm]:
        """Palms that belong to no tracked hand."""
        places = [
            rig.cameras[view].project(track.joints_world[_PALM_JOINTS]).mean(axis=0)
            for track in self._tracks
            if track.misses == 0
        ]
        return [
            palm for palm in palms if not any(np.linalg.norm(palm.center_px - place) < palm.size_px for place in places)
        ]

    def _take_in(self, frame_set: FrameSet, rig: Rig, candidate: Candidate, now_ns: int) -> None:
        """Start a track, or find a lost one again, after a look into all views at the place of the detections."""
        joints = candidate.triangulated.joints_world
        # A second detection of a hand that is followed already, or was just started, is no new hand.
        if any(track.misses == 0 and same_place(joints, track.joints_world) for track in self._tracks):
            return
        crops = self._crops(frame_set, rig, joints)
        results = self._run(
            [partial(self._look, _frame(frame_set, view), rig.cameras[view], view, crop) for view, crop in crops]
        )
        views = [
            result
            for result in results
            if isinstance(result, HandView) and result.landmarks.presence >= self._config.min_presence
        ]
        triangulated = self._agree(views, rig)
        if triangulated is None:
            triangulated, views = candidate.triangulated, candidate.views
        evidence = side_log_odds(views)
        if abs(evidence) < _SIDE_SURE:
            evidence += chirality_log_odds(triangulated, self._sides)
        for track in self._tracks:
            if track.misses == 0:
                # Two hands in view are rarely of one side.
                evidence += -_OTHER_SIDE if track.side == "right" else _OTHER_SIDE
        side: Side = "right" if evidence > 0 else "left"
        lost = [track for track in self._tracks if track.misses > 0]
        for track in lost:
            away_m = float(np.linalg.norm(track.joints_world.mean(axis=0) - triangulated.joints_world.mean(axis=0)))
            if track.side == side and away_m <= _FOUND_AGAIN_M:
                track.update(triangulated, views, now_ns)
                return
        if len(self._tracks) >= self._config.max_hands:
            self._drop(max(lost, key=lambda track: track.misses), now_ns)
        models = self._sides[side]
        shape = self._shapes.pop(side, None) or ShapeEstimator(models.model)
        smoother = OneEuroFilter(self._config.smoothing) if self._config.smoothing is not None else None
        track = Track(self._next_id, side, models, shape, smoother)
        self._next_id += 1
        track.update(triangulated, views, now_ns)
        self._tracks.append(track)

    # Following tracked hands

    def _track_crops(
        self, frame_set: FrameSet, rig: Rig, predicted: dict[int, NDArray[np.float64]]
    ) -> list[tuple[int, int, CropCamera]]:
        """Crops at the predicted places: track id, view, crop."""
        return [
            (track_id, view, crop)
            for track_id, joints in predicted.items()
            for view, crop in self._crops(frame_set, rig, joints)
        ]

    def _crops(self, frame_set: FrameSet, rig: Rig, joints_world: NDArray[np.float64]) -> list[tuple[int, CropCamera]]:
        """Crops of a hand in every view that can see its place, also where it was not detected."""
        crops = []
        for view, (camera, frame) in enumerate(zip(rig, frame_set.frames, strict=True)):
            if frame is None:
                continue
            inside = camera.contains(camera.project(joints_world))
            crop = crop_around_joints(camera.to_camera(joints_world), LANDMARK_INPUT_PX)
            if crop is not None and np.count_nonzero(inside) >= 7:
                crops.append((view, crop))
        return crops

    def _follow(
        self,
        looks: dict[int, list[Future[HandView]]],
        predicted: dict[int, NDArray[np.float64]],
        rig: Rig,
        now_ns: int,
    ) -> float:
        """Take the views into their tracks, and drop tracks that are lost, doubled or of the wrong side.

        Returns:
            Seconds spent on it, without waiting for the networks.
        """
        coasting = {track.id for track in self._tracks if track.misses > 0}
        spent_s = 0.0
        for track in self._tracks:
            found = [look.result() for look in looks[track.id]]
            started_s = time.perf_counter()
            views = [
                view
                for view in found
                if view.landmarks.presence >= self._config.min_presence
                and not is_another_hand(view, track.id, predicted, rig)
            ]
            triangulated = self._agree(views, rig)
            if triangulated is None:
                track.missed()
            else:
                track.update(triangulated, views, now_ns)
            spent_s += time.perf_counter() - started_s
        for a, b in combinations(list(self._tracks), 2):
            if a in self._tracks and b in self._tracks and same_place(a.joints_world, b.joints_world):
                # A hand that was being followed stays; a lost one, looked for at the same place, took its views.
                self._drop(max(a, b, key=lambda track: (track.id in coasting, strayed(track, predicted))), now_ns)
        for track in list(self._tracks):
            coasted = now_ns - track.timestamp_ns > self._config.coast_s * 1e9
            if track.side_refuted or (track.misses > self._config.coast_frame_sets and coasted):
                self._drop(track, now_ns)
        return spent_s

    def _agree(self, views: list[HandView], rig: Rig) -> Triangulated | None:
        """Triangulate what the views saw; None when no two of them agree on a hand."""
        triangulated = triangulate(observe(views, rig), self._config.robust)
        if triangulated is None or not plausible_hand(triangulated.joints_world):
            return None
        believed = np.nanmedian(triangulated.residual_px[[v.view for v in views]], axis=1)
        if np.count_nonzero(believed <= self._config.max_disagreement_px) < 2:
            return None
        return triangulated

    def _drop(self, track: Track, now_ns: int) -> None:
        self._tracks.remove(track)
        self._shapes[track.side] = track.shape.carried()
        self._last_lost_ns = now_ns


def _frame(frame_set: FrameSet, view: int) -> Frame:
    frame = frame_set.frames[view]
    if frame is None:
        raise ValueError(f"frame set {frame_set.id} has no view {view}; only views that are there are looked at")
    return frame
