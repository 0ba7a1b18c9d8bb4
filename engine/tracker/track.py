"""One hand that the network follows: where it is, what is remembered of it, and where it will be next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.detector.velocity import Velocity
from engine.hand_model.model import PosedHand, ShapedHand, Side
from engine.tracker.answer import NetworkAnswer
from engine.tracker.config import AnswerJoints
from engine.tracker.opinion import SecondOpinion
from engine.tracker.shape import SettlingShape
from engine.tracker.smoother import PoseSmoother
from engine.tracker.state import StreamState

_PALM = np.array([0, 5, 9, 13, 17])


@dataclass(frozen=True, eq=False, slots=True)
class Estimate:
    """A track's answer for one frame set.

    Args:
        answer: What the network said.
        rotations: Each of MANO's joints relative to its parent `(16, 3, 3)`.
        translation: MANO's translation `(3,)`, metres.
        posed: The hand model in this pose and in the settled shape.
        joints_world: The joints that are answered `(21, 3)`, metres.
    """

    answer: NetworkAnswer
    rotations: NDArray[np.float64]
    translation: NDArray[np.float64]
    posed: PosedHand
    joints_world: NDArray[np.float64]


class NetworkTrack:
    """A hand that is followed from frame set to frame set.

    Args:
        track_id: Its id on the wire.
        side: Which hand it is; a track never changes side.
        shape: What is known of its shape.
        blank: The network's memory of nothing.
        state_gap_s: The memory is forgotten when the hand was last seen longer ago.
        opinion: What else is said of it.
        smoother: Smooths its poses, if that is asked for.
        answer_joints: What its joints are.
    """

    def __init__(
        self,
        track_id: int,
        side: Side,
        shape: SettlingShape,
        blank: StreamState,
        state_gap_s: float,
        opinion: SecondOpinion,
        smoother: PoseSmoother | None = None,
        answer_joints: AnswerJoints = "mano",
    ) -> None:
        self.id = track_id
        self.side: Side = side
        self.shape = shape
        self.opinion = opinion
        self.estimate: Estimate | None = None
        self.timestamp_ns = 0
        self.misses = 0
        self._blank = self._state = blank
        self._state_gap_ns = round(state_gap_s * 1e9)
        self._smoother = smoother
        self._answer_joints: AnswerJoints = answer_joints
        self._velocity = Velocity()
        self._model_joints = self._joints_world = np.full((21, 3), np.nan)

    @property
    def joints_world(self) -> NDArray[np.float64]:
        """The joints `(21, 3)` where the hand was last seen, metres; by the finder, until the network has answered."""
        return self._joints_world

    @property
    def refuted(self) -> bool:
        """Whether it is the other hand, or none."""
        return self.opinion.refuted

    @property
    def velocity_m_s(self) -> NDArray[np.float64]:
        """How fast the hand as a whole moved lately `(3,)`, metres a second."""
        return self._velocity.now_m_s

    def predict(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Where the model's joints `(21, 3)` will be, by the hand's velocity."""
        elapsed_s = max(0.0, (timestamp_ns - self.timestamp_ns) * 1e-9)
        # From the model, not from the query points or the views: its settled shape keeps the crops' size from drifting.
        predicted: NDArray[np.float64] = self._model_joints + self._velocity.way(elapsed_s)
        return predicted

    def state_at(self, timestamp_ns: int) -> StreamState:
        """What the network may remember of the hand at a time; nothing after a gap, or when time went back."""
        since_ns = timestamp_ns - self.timestamp_ns
        return self._state if 0 <= since_ns <= self._state_gap_ns else self._blank

    def locate(self, joints_world: NDArray[np.float64], timestamp_ns: int) -> None:
        """Note where the hand was found `(21, 3)`, metres, by other means than following it."""
        self._model_joints = self._joints_world = joints_world
        self._velocity = Velocity()
        self._state = self._blank
        self.timestamp_ns = timestamp_ns
        self.misses = 0

    def missed(self) -> None:
        """Note that the network did not see the hand."""
        self.misses += 1
        self.opinion.lost()
        self._velocity.missed()
        self._state = self._state.skipped()

    def update(self, answer: NetworkAnswer, timestamp_ns: int) -> Estimate:
        """Take in an answer that is a hand."""
        self.shape.add(answer.shape)
        shaped = self.shape.shaped
        palm = answer.mano_joints_world[_PALM].mean(axis=0)
        posed, translation = _posed_at(shaped, answer.rotations, palm)
        if timestamp_ns > self.timestamp_ns:
            moved = posed.joints.mean(axis=0) - self._model_joints.mean(axis=0)
            self._velocity.update(moved, (timestamp_ns - self.timestamp_ns) * 1e-9)
        self._model_joints = posed.joints
        rotations, queries = answer.rotations, answer.joints_world
        if self._smoother is not None:
            rotations, points = self._smoother.smooth(rotations, np.vstack([palm, queries]), timestamp_ns)
            queries = points[1:]
            posed, translation = _posed_at(shaped, rotations, points[0])
        self._joints_world = posed.joints if self._answer_joints == "mano" else queries
        self._state = answer.state
        self.timestamp_ns = timestamp_ns
        self.misses = 0
        self.estimate = Estimate(answer, rotations, translation, posed, self._joints_world)
        return self.estimate


def _posed_at(
    shaped: ShapedHand, rotations: NDArray[np.float64], palm_world: NDArray[np.float64]
) -> tuple[PosedHand, NDArray[np.float64]]:
    """Pose a hand so that the middle of its palm's joints is where it should be; also its translation."""
    translation = palm_world - shaped.posed_from_rotations(rotations, np.zeros(3)).joints[_PALM].mean(axis=0)
    return shaped.posed_from_rotations(rotations, translation), translation
