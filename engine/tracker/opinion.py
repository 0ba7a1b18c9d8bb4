"""A second opinion on a track: the landmark network says from time to time whether it is a hand, and of which side.

The network that follows a hand is a right-hand network. It is shown left hands in the mirror, so it answers a pose of
the side that it was started with whatever it looks at, and has no say in the side; nor does it say that there is no
hand. Both would stay wrong for as long as the track goes on. The landmark network knows both, and its look into one or
two views every now and then costs little beside the other's work.
"""

from __future__ import annotations

from engine.detector.side import SideEvidence
from engine.detector.views import HandView
from engine.hand_model.model import Side
from engine.tracker.config import OpinionConfig


class SecondOpinion:
    """What the landmark network said of one track, and when it is to be asked again.

    Args:
        side: The side that the track was started with.
        config: Settings.
    """

    def __init__(self, side: Side, config: OpinionConfig) -> None:
        self._config = config
        self._evidence = SideEvidence(side)
        self._absences = 0
        self._first_ns: int | None = None
        self._last_ns = 0

    @property
    def refuted(self) -> bool:
        """Whether it is the other hand, or none, by all that was said."""
        return self._evidence.refuted or self._absences >= self._config.max_absences

    def due(self, timestamp_ns: int) -> bool:
        """Whether it is time to ask."""
        if self._first_ns is None:
            return True
        young = self._last_ns - self._first_ns < self._config.young_s * 1e9
        quick = young or self._evidence.doubtful or self._absences > 0
        period_s = self._config.quick_period_s if quick else self._config.period_s
        # When time went back, it is time, too.
        return not 0 <= timestamp_ns - self._last_ns < period_s * 1e9

    def lost(self) -> None:
        """Note that the hand was not seen: what is followed in its place is in doubt until it is asked about."""
        self._evidence.lost()

    def add(self, views: list[HandView] | None, timestamp_ns: int) -> None:
        """Take in what was said.

        Args:
            views: The views that see this hand; none of them when all that were asked are sure that there is none, and
                None when they do not know.
            timestamp_ns: When.
        """
        if self._first_ns is None:
            self._first_ns = timestamp_ns
        self._last_ns = timestamp_ns
        if views is None:
            return
        if views:
            self._evidence.add(views)
            self._absences = 0
        else:
            self._absences += 1
