"""The network engine: hands are found by MediaPipe's networks and followed by the UST-Hand network in all views."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import FrameSet
from engine.backends.base import NetworkRuntime
from engine.detector.eyes import Eyes, MediaPipeEyes
from engine.detector.finder import Found, HandFinder, Search
from engine.detector.frame_sets import check_views
from engine.detector.instant import Instant
from engine.detector.places import is_another_hand
from engine.detector.roster import Roster
from engine.detector.side import side_models
from engine.errors import EngineError
from engine.hand_model.model import HandModel, Side
from engine.tracker.aim import Aim, aim_at
from engine.tracker.answer import NetworkAnswer
from engine.tracker.asking import Asker, Questions
from engine.tracker.config import TrackerConfig
from engine.tracker.judge import accepted, seeing_views
from engine.tracker.opinion import SecondOpinion
from engine.tracker.pose import hand_pose
from engine.tracker.shape import SettlingShape
from engine.tracker.smoother import PoseSmoother
from engine.tracker.state import StreamState
from engine.tracker.stepper import Request, Step, Stepper
from engine.tracker.track import NetworkTrack
from engine.types import EngineCard, HandPose

_MIN_VIEWS = 2

_Places = Mapping[int, NDArray[np.float64]]


@dataclass(frozen=True, eq=False, slots=True)
class _Look:
    """A look of the network at tracks.

    Args:
        frame_set: Where.
        rig: Its cameras.
        tracks: The tracks.
        places: Where the joints of each are expected `(21, 3)`, metres, by id; those of other tracks, too.
        aims: Those tracks, by id, that enough views can see.
        step: Their step through the network.
    """

    frame_set: FrameSet
    rig: Rig
    tracks: Sequence[NetworkTrack]
    places: _Places
    aims: dict[int, Aim]
    step: Step


class NetworkEngine:
    """Tracks hands with an exported UST-Hand network.

    Args:
        runtime: The network; closing the engine closes it.
        model: The right hand's model, the one that the network was exported with.
        config: Settings.
        threads: Crops and looks for new hands that are worked on at once; None is one a processor, at most eight.
        eyes: What finds new hands and gives second opinions; None is MediaPipe's networks.

    Raises:
        EngineError: If the network was exported with another hand model, or cannot stream.
    """

    def __init__(
        self,
        runtime: NetworkRuntime,
        model: HandModel,
        config: TrackerConfig | None = None,
        threads: int | None = None,
        eyes: Eyes | None = None,
    ) -> None:
        self._config = config or TrackerConfig()
        self._runtime = runtime
        _check_card(runtime, model)
        self._sides = side_models(model)
        self._blank = StreamState.blank(runtime.card)
        self._eyes = eyes or MediaPipeEyes(self._config.landmarks, self._config.min_palm_score)
        # The threads are this engine's own: OpenCV's would only get in their way, and crops are too small for them.
        cv2.setNumThreads(1)
        self._pool = ThreadPoolExecutor(threads or min(8, os.cpu_count() or 2), thread_name_prefix="tracker")
        self._stepper = Stepper(runtime, self._pool, self._config.roster.max_hands)
        self._finder = HandFinder(self._eyes, self._sides, self._config.finder, self._pool)
        self._asker = Asker(self._eyes, self._pool, self._config)
        self._roster: Roster[NetworkTrack] = Roster(self._config.roster)
        self._rig_id = ""
        self._stages_s: dict[str, float] = {}

    @property
    def card(self) -> EngineCard:
        """What runs."""
        card = self._runtime.card
        return EngineCard(
            model_id=card.model_id,
            kind="network",
            backend=self._runtime.backend,
            hand_model=self._sides["right"].model.name,
            description=(
                f"UST-Hand {card.network} network: {card.input_px} px crops, {card.hypotheses} hypotheses a view, "
                f"memory of {card.past} frames; MediaPipe finds new hands" + (f". {card.notes}" if card.notes else "")
            ),
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
        """Give back the threads and the network."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._runtime.close()

    def process(self, frame_set: FrameSet, rig: Rig) -> tuple[HandPose, ...]:
        """Track hands into the next frame set; see `engine.types.HandEngine`.

        Raises:
            ValueError: If the frame set is not the rig's.
            EngineError: If the rig has more cameras than the network takes, or the network's runtime fails; the tracks
                are then as they were.
        """
        check_views(frame_set, rig)
        if not frame_set.view_ids:
            return ()
        if rig.id != self._rig_id:
            self._stepper.attend(len(rig))
            self._eyes.attend(len(rig))
            self.reset()
            self._rig_id = rig.id
        started_s = time.perf_counter()
        now_ns = frame_set.timestamp_ns
        tracks = self._roster.tracks
        coasting = {track.id for track in tracks if track.misses > 0}
        predicted = {track.id: track.predict(now_ns) for track in tracks}
        look = self._start(frame_set, rig, tracks, predicted)
        search = self._finder.search(frame_set, rig, self._roster)
        questions = self._asker.ask(frame_set, rig, tracks, predicted)
        try:
            look.step.wait()
            sampled_s = time.perf_counter()
            network_s = self._finish(look, questions)
            self._asker.take_in(questions, self._roster.followed, predicted)
            self._roster.prune(predicted, coasting, now_ns)
            followed_s = time.perf_counter()
            self._find(search)
            found_s = time.perf_counter()
        finally:
            # Whatever happens, nobody reads the frames once this returns: their memory is used again.
            for work in (look.step, search, questions):
                work.wait()
        poses = tuple(
            hand_pose(track, track.estimate, self._config.judge)
            for track in self._roster.followed
            if track.estimate is not None
        )
        self._stages_s = {
            "crops": sampled_s - started_s,
            "network": network_s,
            "poses": followed_s - sampled_s - network_s + time.perf_counter() - found_s,
            "new hands": found_s - followed_s,
        }
        return poses

    def _find(self, search: Search) -> None:
        """Take in hands that were found, and look at them at once: the first answer, too, is the network's."""
        now_ns = search.frame_set.timestamp_ns
        new = [self._take_in(found, now_ns) for found in self._finder.new_hands(search, self._roster)]
        if new:
            places = {track.id: track.joints_world for track in self._roster.followed}
            self._finish(self._start(search.frame_set, search.rig, new, places))

    def _take_in(self, found: Found, now_ns: int) -> NetworkTrack:
        """Start a track, or find a lost one again."""
        config = self._config
        joints_world = found.triangulated.joints_world
        track = self._roster.lost_at(found.side, joints_world)
        if track is None:
            self._roster.make_room(now_ns)
            before = self._roster.pop_predecessor(found.side)
            track = NetworkTrack(
                self._roster.next_id(),
                found.side,
                SettlingShape(self._sides[found.side].model) if before is None else before.shape.carried(),
                self._blank,
                config.state_gap_s,
                SecondOpinion(found.side, config.opinion),
                PoseSmoother(config.smoothing) if config.smoothing is not None else None,
                config.answer_joints,
            )
            self._roster.add(track)
        track.locate(joints_world, now_ns)
        track.opinion.add(found.views, now_ns)
        return track

    def _start(self, frame_set: FrameSet, rig: Rig, tracks: Sequence[NetworkTrack], places: _Places) -> _Look:
        """Start a look at tracks where they are expected."""
        size_px = self._runtime.card.input_px
        instant = Instant.of(frame_set, rig)
        aims = {
            track.id: aim_at(frame_set, instant.rig_for(track.velocity_m_s), places[track.id], track.side, size_px)
            for track in tracks
        }
        return self._look(frame_set, rig, tracks, places, aims)

    def _look(
        self, frame_set: FrameSet, rig: Rig, tracks: Sequence[NetworkTrack], places: _Places, aims: Mapping[int, Aim]
    ) -> _Look:
        """Start a look along aims; tracks that too few views see are left out of the step."""
        seen = {track_id: aim for track_id, aim in aims.items() if len(aim.views) >= _MIN_VIEWS}
        states = {track.id: track.state_at(frame_set.timestamp_ns) for track in tracks}
        requests = [Request(aim, states[track_id]) for track_id, aim in seen.items()]
        return _Look(frame_set, rig, tracks, places, seen, self._stepper.start(frame_set, rig, requests))

    def _finish(self, look: _Look, questions: Questions | None = None) -> float:
        """Run the network on a look and take its answers into the tracks.

        Args:
            look: Where the network looks.
            questions: What the landmark network is asked meanwhile.

        Returns:
            Seconds that the network took.
        """
        started_s = time.perf_counter()
        answers = dict(zip(look.aims, self._stepper.run(look.step), strict=True))
        astray = self._astray(answers, look)
        if astray:
            # A view that took another hand for this one pulls the answer away: once more without it. That is rare.
            again = self._look(look.frame_set, look.rig, look.tracks, look.places, astray)
            answers = {track_id: answer for track_id, answer in answers.items() if track_id not in astray}
            answers |= zip(again.aims, self._stepper.run(again.step), strict=True)
        network_s = time.perf_counter() - started_s
        for track in look.tracks:
            answer = answers.get(track.id)
            # The network always answers something: where a hand was lost, its word alone brings none back.
            denied = track.misses > 0 and questions is not None and self._asker.denied(questions, track.id)
            if answer is not None and accepted(answer, self._config.judge) and not denied:
                track.update(answer, look.frame_set.timestamp_ns)
            else:
                track.missed()
        return network_s

    def _astray(self, answers: Mapping[int, NetworkAnswer], look: _Look) -> dict[int, Aim]:
        """Aims of the tracks of which a view's joints lie on another track's hand, without those views.

        That is asked of what the network found, not of where the hands are expected: hands that merely overlap in a
        picture are for the network to tell apart, and with two cameras a masked view is a lost hand.
        """
        astray = {}
        for track_id, answer in answers.items():
            wrong = [
                view
                for view in seeing_views(answer, self._config.judge)
                if (crop := answer.aim.crops[view]) is not None
                and is_another_hand(
                    answer.keypoints_crop_px[view], crop, answer.aim.rig.cameras[view], track_id, look.places
                )
            ]
            if wrong:
                astray[track_id] = answer.aim.without(wrong)
        return astray


def _check_card(runtime: NetworkRuntime, model: HandModel) -> None:
    """Refuse a network that is another hand's, or that answers late."""
    card = runtime.card
    if card.hand_model_sha256 != model.sha256:
        raise EngineError(
            f"model {card.model_id} was exported with the hand model {card.hand_model} "
            f"({card.hand_model_sha256[:12]}), and {model.name} ({model.sha256[:12]}) is in use; export the network "
            "again with that hand model, or run without --hand-model"
        )
    if card.lookahead != 0:
        raise EngineError(
            f"model {card.model_id} waits for {card.lookahead} frames before it answers; export a network with "
            "lookahead 0"
        )
