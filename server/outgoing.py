"""One answer on its way to all clients: each encoding, dialect and choice of fields is made once, when asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.types import HandPose
from server.dialects import Dialect
from server.encoding import OPEN_STAMP, Encoding, OpenMessage
from server.messages import hands_message
from server.solved import Solved


class Outgoing:
    """An answer with what was already encoded of it. Used by the event loop's thread only.

    Args:
        solved: The answer.
        model_id: What made it.
    """

    def __init__(self, solved: Solved, model_id: str) -> None:
        self.solved = solved
        self.model_id = model_id
        self._encoded: dict[tuple[Encoding, str, frozenset[str]], OpenMessage] = {}
        self._vertices_world: dict[int, NDArray[np.float64]] = {}

    def encoded(self, encoding: Encoding, dialect: Dialect, fields: frozenset[str]) -> OpenMessage:
        """Return the message in these terms, lacking only its `sent` stamp."""
        key = (encoding, dialect.name, fields)
        if key not in self._encoded:
            message = hands_message(
                self.solved,
                self.model_id,
                fields,
                dialect,
                sent_ns=OPEN_STAMP,
                vertices_world=self._mesh,
            )
            self._encoded[key] = OpenMessage.of(message, encoding)
        return self._encoded[key]

    def _mesh(self, hand: HandPose) -> NDArray[np.float64]:
        if hand.id not in self._vertices_world:
            self._vertices_world[hand.id] = hand.vertices_world
        return self._vertices_world[hand.id]
