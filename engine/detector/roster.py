"""The hands that are tracked: how long a lost one is waited for, which of two on one hand goes, who comes back."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.detector.places import same_place, strayed
from engine.hand_model.model import Side

# A lost hand that turns up within this distance, while it is still looked for, is the same hand.
_FOUND_AGAIN_M = 0.35


class Tracked(Protocol):
    """A hand that is tracked, by whatever means."""

    @property
    def id(self) -> int:
        """Its id on the wire."""

    @property
    def side(self) -> Side:
        """Which hand it is; that never changes."""

    @property
    def joints_world(self) -> NDArray[np.float64]:
        """The joints `(21, 3)` where the hand was last seen, metres."""

    @property
    def timestamp_ns(self) -> int:
        """When it was last seen."""

    @property
    def misses(self) -> int:
        """In how many frame sets since then it was not seen; 0 while it is followed."""

    @property
    def refuted(self) -> bool:
        """Whether it turned out not to be the hand that it was taken for."""


AnyTrack = TypeVar("AnyTrack", bound=Tracked)


@dataclass(frozen=True, slots=True)
class RosterConfig:
    """How many hands, and how long they are waited for.

    Args:
        max_hands: So many hands are tracked at once.
        coast_s: A hand that is not seen is looked for at its predicted place for so long.
        coast_frame_sets: ... and at least for so many frame sets.
    """

    max_hands: int = 2
    coast_s: float = 0.3
    coast_frame_sets: int = 2


class Roster(Generic[AnyTrack]):
    """Keeps the tracks of one engine.

    Args:
        config: How many, and how long.
    """

    def __init__(self, config: RosterConfig) -> None:
        self._config = config
        self._next_id = 0
        self.forget()

    def forget(self) -> None:
        """Forget all tracks; their ids are not used again."""
        self._tracks: list[AnyTrack] = []
        self._gone: dict[Side, AnyTrack] = {}
        self._last_lost_ns: int | None = None

    @property
    def tracks(self) -> tuple[AnyTrack, ...]:
        """All tracks, oldest first, with those that are lost but still looked for."""
        return tuple(self._tracks)

    @property
    def followed(self) -> list[AnyTrack]:
        """The tracks that were seen in the last frame set."""
        return [track for track in self._tracks if track.misses == 0]

    @property
    def complete(self) -> bool:
        """Whether as many hands are followed as may be."""
        return len(self.followed) >= self._config.max_hands

    @property
    def last_lost_ns(self) -> int | None:
        """When a track was last given up."""
        return self._last_lost_ns

    def next_id(self) -> int:
        """An id that no track had."""
        self._next_id += 1
        return self._next_id - 1

    def lost_at(self, side: Side, joints_world: NDArray[np.float64]) -> AnyTrack | None:
        """The lost track that a hand found at these joints `(21, 3)` is; None where it is a new hand."""
        for track in self._tracks:
            away_m = float(np.linalg.norm(track.joints_world.mean(axis=0) - joints_world.mean(axis=0)))
            if track.misses > 0 and track.side == side and away_m <= _FOUND_AGAIN_M:
                return track
        return None

    def make_room(self, now_ns: int) -> None:
        """Give up the track that is lost for longest, where there is no room for another."""
        if len(self._tracks) >= self._config.max_hands:
            lost = [track for track in self._tracks if track.misses > 0]
            self._give_up(max(lost, key=lambda track: track.misses), now_ns)

    def add(self, track: AnyTrack) -> None:
        """Take in a new track; make room first."""
        self._tracks.append(track)

    def pop_predecessor(self, side: Side) -> AnyTrack | None:
        """The last track of that side that was given up, once: its hand may well be the one that came back."""
        return self._gone.pop(side, None)

    def prune(self, predicted: Mapping[int, NDArray[np.float64]], coasting: Set[int], now_ns: int) -> None:
        """Give up tracks that are lost, doubled or refuted.

        Args:
            predicted: Where each track's joints were expected in this frame set `(21, 3)`, metres, by id.
            coasting: Ids of the tracks that were lost before it.
            now_ns: The frame set's time.
        """
        for a, b in combinations(list(self._tracks), 2):
            if a in self._tracks and b in self._tracks and same_place(a.joints_world, b.joints_world):
                # A hand that was being followed stays; a lost one, looked for at the same place, took its views. Nor is
                # one that is seen given up for one that is not.
                wrong = max(
                    a,
                    b,
                    key=lambda track: (
                        track.id in coasting,
                        track.misses > 0,
                        strayed(track.joints_world, predicted.get(track.id)),
                    ),
                )
                self._give_up(wrong, now_ns)
        for track in list(self._tracks):
            coasted = now_ns - track.timestamp_ns > self._config.coast_s * 1e9
            if track.refuted or (track.misses > self._config.coast_frame_sets and coasted):
                self._give_up(track, now_ns)

    def _give_up(self, track: AnyTrack, now_ns: int) -> None:
        self._tracks.remove(track)
        self._gone[track.side] = track
        self._last_lost_ns = now_ns
