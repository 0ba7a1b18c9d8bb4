"""Whether a hand is a right or a left one: what views say, what its form says, and evidence that adds up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.detector.views import HandView
from engine.hand_model.model import SHAPE_SIZE, HandModel, Side
from engine.pose_fit import FitConfig, PoseFitter
from engine.triangulation import Triangulated

_LOG_ODDS_LIMIT = 4.0
_REFUTED = -12.0
_CHIRALITY_ERROR_M = 0.004


@dataclass(frozen=True, eq=False, slots=True)
class SideModels:
    """What is needed to fit one side.

    Args:
        model: The hand model.
        fitter: Its fitter.
    """

    model: HandModel
    fitter: PoseFitter


def side_models(right: HandModel, config: FitConfig | None = None) -> dict[Side, SideModels]:
    """The right hand's model and its mirror image, each with its fitter."""
    left = right.mirrored()
    return {"right": SideModels(right, PoseFitter(right, config)), "left": SideModels(left, PoseFitter(left, config))}


def side_log_odds(views: list[HandView]) -> float:
    """Evidence of the views for a right hand, in nats; negative for a left one.

    A view counts two nats at most: the network mistakes the back of a hand for the other's palm with all confidence.
    """
    probability = np.clip([view.landmarks.right_probability for view in views], 0.12, 0.88)
    return float(np.log(probability / (1 - probability)).sum())


def chirality_log_odds(triangulated: Triangulated, sides: Mapping[Side, SideModels]) -> float:
    """Evidence of the joints' own form for a right hand, in nats: how much better the right hand's model fits them."""
    squared_m2 = {}
    for side, models in sides.items():
        shaped = models.model.with_shape(np.zeros(SHAPE_SIZE))
        fitted = models.fitter.fit(shaped, triangulated.joints_world, triangulated.information)
        squared_m2[side] = fitted.error_m**2
    return (squared_m2["left"] - squared_m2["right"]) / (2 * _CHIRALITY_ERROR_M**2)


class SideEvidence:
    """What was said since a track began about its side.

    Args:
        side: The side that the track was started with.
    """

    def __init__(self, side: Side) -> None:
        self._sign = 1.0 if side == "right" else -1.0
        self._log_odds = _LOG_ODDS_LIMIT

    @property
    def doubtful(self) -> bool:
        """Whether something was said against the side that was not made up for since."""
        return self._log_odds < _LOG_ODDS_LIMIT

    @property
    def refuted(self) -> bool:
        """Whether the views have kept on saying that this is the other hand."""
        return self._log_odds <= _REFUTED

    def add(self, views: list[HandView]) -> None:
        """Take in what the views of one frame set say; however many they are, they must not turn a side over."""
        evidence = float(np.clip(side_log_odds(views), -_LOG_ODDS_LIMIT, _LOG_ODDS_LIMIT))
        self._log_odds = min(self._log_odds + self._sign * evidence, _LOG_ODDS_LIMIT)

    def lost(self) -> None:
        """Note that the hand was not seen: what agreed so far was said of it, and the next one seen may be another."""
        self._log_odds = min(self._log_odds, 0.0)
