"""One answer on its way to all clients: whatever several of them get is made once, when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from engine.types import HandPose
from server.dialects import Dialect
from server.encoding import OPEN_STAMP, Encoding, OpenMessage
from server.messages import hands_message
from server.motion import TrackMotion
from server.solved import Solved

Made = TypeVar("Made")


class Outgoing:
    """An answer with what was already made of it. Used by the event loop's thread only.

    Args:
        solved: The answer.
        motion: The motion of its hands, by their ids.
    """

    def __init__(self, solved: Solved, motion: Mapping[int, TrackMotion]) -> None:
        self.solved = solved
        self.motion = motion
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what `make` makes; asked again with the same key, return the same."""
        if key not in self._made:
            self._made[key] = make()
        return cast("Made", self._made[key])

    def encoded(self, encoding: Encoding, dialect: Dialect, fields: frozenset[str], predict_ms: int = 0) -> OpenMessage:
        """Return the message in these terms, lacking only its `sent` stamp."""

        def make() -> OpenMessage:
            message = hands_message(
                self.predicted(predict_ms),
                fields,
                dialect,
                sent_ns=OPEN_STAMP,
                vertices_world=lambda hand: self._mesh(hand, predict_ms),
                predict_ms=predict_ms,
                predictable=frozenset(track for track, motion in self.motion.items() if motion.predictable),
            )
            return OpenMessage.of(message, encoding)

        return self.once((encoding, dialect, fields, predict_ms), make)

    def predicted(self, predict_ms: int) -> Solved:
        """Return the answer for a time so long after its exposure; hands not known for long enough stay as they are."""
        if not predict_ms:
            return self.solved

        def make() -> Solved:
            hands = tuple(self.motion[hand.id].predicted(predict_ms * 1e-3) for hand in self.solved.hands)
            return replace(self.solved, hands=hands)

        return self.once(("predicted", predict_ms), make)

    def _mesh(self, hand: HandPose, predict_ms: int) -> NDArray[np.float64]:
        return self.once(("mesh", hand.id, predict_ms), lambda: hand.vertices_world)
