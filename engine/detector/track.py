"""One tracked hand: where it is, which side it is, what shape it has, and where it will be next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.detector.side import SideEvidence, SideModels
from engine.detector.velocity import Velocity
from engine.detector.views import HandView
from engine.hand_model.model import Side
from engine.pose_fit import FittedHand
from engine.shape_fit import ShapeEstimator
from engine.smoothing import OneEuroFilter
from engine.triangulation import Triangulated

_REFIT_ERROR_M = 0.02
# What the landmark network is off by in all views alike, so that more views do not average it away: its own idea of a
# joint, and what it does not see. Standard deviation an axis; measured by benchmarks/uncertainty.py.
LANDMARK_BIAS_M = 1e-3 * np.array(
    [6.5, 7.8, 6.0, 5.8, 7.5, 4.2, 3.4, 3.4, 5.5, 4.2, 3.9, 4.0, 6.5, 4.0, 3.4, 3.6, 7.4, 3.6, 3.4, 3.4, 5.2]
)
# ... and by what factor its errors spread more than `RobustConfig.noise_px` says, since their tails are heavy.
_HEAVY_TAILS = 1.5
# How far the model's joints are trusted about the measured ones in the answer, metres. The palm is rigid, so the model
# holds its bones to their lengths; fingers are as the views measured them, except where the views leave them open.
_PALM_MODEL_ERROR_M = 0.010
_THUMB_BASE_MODEL_ERROR_M = 0.008
_FINGER_MODEL_ERROR_M = 0.03
_ANSWER_MODEL_ERROR_M = np.full((21, 1, 1), _FINGER_MODEL_ERROR_M)
_ANSWER_MODEL_ERROR_M[[0, 5, 9, 13, 17]] = _PALM_MODEL_ERROR_M
_ANSWER_MODEL_ERROR_M[1] = _THUMB_BASE_MODEL_ERROR_M


@dataclass(frozen=True, eq=False, slots=True)
class Estimate:
    """A track's answer for one frame set.

    Args:
        joints_world: `(21, 3)`, metres: what was measured, weighed against the model.
        covariance_m2: `(21, 3, 3)`.
        fitted: The hand model's fit.
        triangulated: What the views agreed on.
        views: The views that saw the hand.
    """

    joints_world: NDArray[np.float64]
    covariance_m2: NDArray[np.float64]
    fitted: FittedHand
    triangulated: Triangulated
    views: list[HandView]


class Track:
    """A hand that is followed from frame set to frame set.

    Args:
        track_id: Its id on the wire.
        side: Which hand it is; a track never changes side.
        models: The hand model of that side.
        shape: What is known of its shape.
        smoother: Smooths the measured joints, if that is asked for.
    """

    def __init__(
        self,
        track_id: int,
        side: Side,
        models: SideModels,
        shape: ShapeEstimator,
        smoother: OneEuroFilter | None,
    ) -> None:
        self.id = track_id
        self.side: Side = side
        self.shape = shape
        self.estimate: Estimate | None = None
        self.timestamp_ns = 0
        self.misses = 0
        self._models = models
        self._smoother = smoother
        self._velocity = Velocity()
        self._evidence = SideEvidence(side)

    @property
    def joints_world(self) -> NDArray[np.float64]:
        """The joints `(21, 3)` where the hand was last seen, metres."""
        if self.estimate is None:
            raise RuntimeError(f"track {self.id} has no estimate yet; update it first")
        return self.estimate.joints_world

    @property
    def refuted(self) -> bool:
        """Whether the views have kept on saying that this is the other hand."""
        return self._evidence.refuted

    @property
    def velocity_m_s(self) -> NDArray[np.float64]:
        """How fast the hand as a whole moved lately `(3,)`, metres a second."""
        return self._velocity.now_m_s

    def velocity_with(self, triangulated: Triangulated, timestamp_ns: int) -> NDArray[np.float64]:
        """What its velocity will be if it is seen there at that time `(3,)`, metres a second."""
        if self.estimate is None or timestamp_ns <= self.timestamp_ns:
            return self.velocity_m_s
        moved = triangulated.joints_world.mean(axis=0) - self.estimate.triangulated.joints_world.mean(axis=0)
        return self._velocity.after(moved, (timestamp_ns - self.timestamp_ns) * 1e-9)

    def predict(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Where the joints `(21, 3)` will be, by the hand's velocity."""
        elapsed_s = max(0.0, (timestamp_ns - self.timestamp_ns) * 1e-9)
        if self.estimate is None:
            raise RuntimeError(f"track {self.id} has no estimate yet; update it first")
        # From the model, not from what was measured: the landmark network scales its hand with the crop, so crops that
        # followed its own answer would drift in size. The model's settled shape holds them.
        predicted: NDArray[np.float64] = self.estimate.fitted.posed.joints + self._velocity.way(elapsed_s)
        return predicted

    def missed(self) -> None:
        """Note that no two views saw the hand."""
        self.misses += 1
        self._velocity.missed()

    def update(self, triangulated: Triangulated, views: list[HandView], timestamp_ns: int) -> Estimate:
        """Take in what the views saw at a time and fit the hand model to it."""
        measured = triangulated.joints_world
        if self._smoother is not None:
            measured = self._smoother.smooth(measured, timestamp_ns)
        self.shape.add(triangulated.joints_world)
        last = self.estimate.fitted if self.estimate is not None else None
        shaped = self.shape.shaped
        fitted = self._models.fitter.fit(shaped, measured, triangulated.information, last)
        if last is not None and fitted.error_m > _REFIT_ERROR_M:
            afresh = self._models.fitter.fit(shaped, measured, triangulated.information)
            fitted = min(fitted, afresh, key=lambda hand: hand.error_m)
        joints, covariance = _weigh(measured, triangulated.information, fitted.posed.joints)
        if self.estimate is not None and timestamp_ns > self.timestamp_ns:
            moved = joints.mean(axis=0) - self.estimate.joints_world.mean(axis=0)
            self._velocity.update(moved, (timestamp_ns - self.timestamp_ns) * 1e-9)
        self._evidence.add(views)
        self.timestamp_ns = timestamp_ns
        self.misses = 0
        self.estimate = Estimate(joints, covariance, fitted, triangulated, views)
        return self.estimate


def _weigh(
    measured: NDArray[np.float64],
    information: NDArray[np.float64],
    modelled: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Combine measured joints with the model's, each by its covariance: joints `(21, 3)` and covariance in m^2."""
    precision = information + np.eye(3) / _ANSWER_MODEL_ERROR_M**2
    covariance = np.linalg.inv(precision)
    pulled = np.einsum("jik,jk->ji", information, measured) + modelled / _ANSWER_MODEL_ERROR_M[:, 0] ** 2
    joints = np.einsum("jik,jk->ji", covariance, pulled)
    return joints, _HEAVY_TAILS**2 * covariance + LANDMARK_BIAS_M[:, None, None] ** 2 * np.eye(3)
