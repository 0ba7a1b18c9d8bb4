"""Asking the landmark network about tracked hands, beside the other network's work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import FrameSet
from engine.detector.eyes import Eyes
from engine.detector.frame_sets import crops_at, frame_of
from engine.detector.networks import LANDMARK_INPUT_PX
from engine.detector.places import is_another_hand
from engine.detector.views import HandView
from engine.tracker.config import TrackerConfig
from engine.tracker.judge import view_weights
from engine.tracker.track import NetworkTrack


@dataclass(frozen=True, eq=False, slots=True)
class Questions:
    """Looks that the landmark network takes at tracked hands.

    Args:
        frame_set: Where.
        rig: Its cameras.
        looks: By track, one look a view that is asked.
    """

    frame_set: FrameSet
    rig: Rig
    looks: dict[int, list[Future[HandView]]]

    def wait(self) -> None:
        """Wait until the frames are not read any more, whether that went well or not."""
        wait([look for looks in self.looks.values() for look in looks])


class Asker:
    """Asks about tracks when it is time to.

    Args:
        eyes: What is asked.
        pool: Looks are run in it.
        config: Settings.
    """

    def __init__(self, eyes: Eyes, pool: ThreadPoolExecutor, config: TrackerConfig) -> None:
        self._eyes = eyes
        self._pool = pool
        self._config = config

    def ask(
        self,
        frame_set: FrameSet,
        rig: Rig,
        tracks: Sequence[NetworkTrack],
        predicted: Mapping[int, NDArray[np.float64]],
    ) -> Questions:
        """Start to look at those tracks for which it is time, and at those that are lost, in all views.

        Args:
            frame_set: The frames.
            rig: Their cameras.
            tracks: The tracks.
            predicted: Where each track's joints are expected `(21, 3)`, metres, by id.
        """
        looks = {}
        for track in tracks:
            lost = track.misses > 0
            if track.estimate is None or not (lost or track.opinion.due(frame_set.timestamp_ns)):
                continue
            answer = track.estimate.answer
            weight = view_weights(answer, track.estimate.joints_world, self._config.judge)
            best = np.argsort(-weight * answer.view_confidence.mean(axis=1), kind="stable")
            crops = dict(crops_at(frame_set, rig, predicted[track.id], LANDMARK_INPUT_PX))
            asked = [view for view in best.tolist() if view in crops and (lost or weight[view] > 0)]
            if not lost:
                asked = asked[: self._config.opinion.views]
            if asked:
                looks[track.id] = [
                    self._pool.submit(self._eyes.look, frame_of(frame_set, view), rig.cameras[view], view, crops[view])
                    for view in asked
                ]
        return Questions(frame_set, rig, looks)

    def denied(self, questions: Questions, track_id: int) -> bool:
        """Whether a track was asked about, and all views that were are sure that there is no hand."""
        looks = questions.looks.get(track_id, [])
        return bool(looks) and self._absent([asked.result() for asked in looks])

    def take_in(
        self,
        questions: Questions,
        tracks: Sequence[NetworkTrack],
        predicted: Mapping[int, NDArray[np.float64]],
    ) -> None:
        """Tell the tracks what was said of them.

        Args:
            questions: What `ask` started on this frame set.
            tracks: The tracks that the network followed into it; others are where nobody knows.
            predicted: Where each track's joints were expected `(21, 3)`, metres, by id.
        """
        for track in tracks:
            if track.id not in questions.looks:
                continue
            looks = [asked.result() for asked in questions.looks[track.id]]
            own = [
                look
                for look in looks
                if look.landmarks.presence >= self._config.finder.min_presence
                and not is_another_hand(
                    look.landmarks.keypoints_crop_px,
                    look.crop,
                    questions.rig.cameras[look.view],
                    track.id,
                    predicted,
                )
            ]
            track.opinion.add(own if own or self._absent(looks) else None, questions.frame_set.timestamp_ns)

    def _absent(self, looks: Sequence[HandView]) -> bool:
        return all(look.landmarks.presence < self._config.opinion.absent_presence for look in looks)
