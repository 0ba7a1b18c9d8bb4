"""Settings of the network engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.detector.finder import FinderConfig
from engine.detector.networks import LandmarkSize
from engine.detector.roster import RosterConfig
from engine.smoothing import OneEuroConfig

AnswerJoints = Literal["mano", "queries"]


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """What of the network's answers is believed. Lengths are shares of a crop's side, whatever its resolution.

    Args:
        min_view_confidence: A view of which the joints' mean confidence is lower does not see the hand.
        max_disagreement: Median distance of a view's own joints from the projected answer up to which it agrees.
        view_outlier: Median distance at which a view keeps a quarter of its weight (Geman-McClure scale).
    """

    min_view_confidence: float = 0.15
    max_disagreement: float = 0.054
    view_outlier: float = 0.08


@dataclass(frozen=True, slots=True)
class OpinionConfig:
    """When the landmark network is asked about a track, and what becomes of it.

    Args:
        views: So many views are asked, the best ones; all of them while the hand is lost.
        young_s: A track that is younger is asked about at the quick period.
        quick_period_s: Time between two questions while a track is young or in doubt.
        period_s: The same when all is well.
        absent_presence: Below it the landmark network is sure that a crop holds no hand. In between it says nothing:
            the other network may well follow a hand in a pose that this one does not know.
        max_absences: After so many questions in a row for which all views are sure that there is none, it is given up.
    """

    views: int = 2
    young_s: float = 1.0
    quick_period_s: float = 0.2
    period_s: float = 2.0
    absent_presence: float = 0.1
    max_absences: int = 5


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Settings of the network engine.

    Args:
        landmarks: Which of MediaPipe's landmark networks finds hands and gives second opinions; see `DetectorConfig`.
        min_palm_score: Palms below it are no detections.
        finder: Where hands are searched for.
        roster: How many hands are tracked, and how long a lost one is waited for.
        judge: What of the network's answers is believed.
        opinion: When the landmark network is asked about a track.
        answer_joints: What `HandPose.joints_world` is: the posed hand model's joints in the settled shape, or the
            network's refined query points.
        state_gap_s: What the network remembers of a hand is forgotten when the hand was last seen longer ago.
        smoothing: One-Euro smoothing of the answer; None is off.
    """

    landmarks: LandmarkSize | Literal["auto"] = "auto"
    min_palm_score: float = 0.5
    finder: FinderConfig = field(default_factory=FinderConfig)
    roster: RosterConfig = field(default_factory=RosterConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    opinion: OpinionConfig = field(default_factory=OpinionConfig)
    answer_joints: AnswerJoints = "queries"
    state_gap_s: float = 0.25
    smoothing: OneEuroConfig | None = None
