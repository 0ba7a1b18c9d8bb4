"""Which tracks there are: who is waited for, who goes, who comes back."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.detector.roster import Roster, RosterConfig
from engine.hand_model import Side
from tests.engine.detector.scripted import Array, hand_at

SECOND_NS = 1_000_000_000


@dataclass
class Dummy:
    """A track that is where the test puts it."""

    id: int
    side: Side = "right"
    joints_world: Array = field(default_factory=lambda: hand_at("right"))
    timestamp_ns: int = 0
    misses: int = 0
    refuted: bool = False


def _roster(*tracks: Dummy, max_hands: int = 2) -> Roster[Dummy]:
    roster: Roster[Dummy] = Roster(RosterConfig(max_hands=max_hands))
    for track in tracks:
        roster.add(track)
    return roster


def test_ids_are_never_used_again() -> None:
    roster = _roster()
    assert [roster.next_id(), roster.next_id()] == [0, 1]
    roster.forget()
    assert roster.next_id() == 2


def test_it_is_complete_when_all_hands_are_followed() -> None:
    followed, lost = Dummy(0), Dummy(1, misses=1)
    roster = _roster(followed, lost)
    assert roster.followed == [followed]
    assert not roster.complete
    lost.misses = 0
    assert roster.complete


def test_the_hand_that_is_lost_for_longest_makes_room() -> None:
    roster = _roster(Dummy(0, misses=1), Dummy(1, misses=5, side="left"))
    roster.make_room(SECOND_NS)
    assert [track.id for track in roster.tracks] == [0]
    assert roster.last_lost_ns == SECOND_NS
    roster.make_room(2 * SECOND_NS)
    assert len(roster.tracks) == 1
    # It hands on what it knew, once.
    assert roster.pop_predecessor("right") is None
    predecessor = roster.pop_predecessor("left")
    assert predecessor is not None
    assert predecessor.id == 1
    assert roster.pop_predecessor("left") is None


def test_a_lost_hand_is_known_by_its_side_and_place() -> None:
    lost = Dummy(0, misses=2)
    roster = _roster(lost, Dummy(1, side="left", joints_world=hand_at("left", x=0.5)))
    assert roster.lost_at("right", hand_at("right", x=0.3)) is lost
    assert roster.lost_at("right", hand_at("right", x=0.4)) is None
    assert roster.lost_at("left", hand_at("left")) is None
    assert roster.lost_at("left", hand_at("left", x=0.5)) is None


def test_tracks_are_given_up_when_they_are_lost_for_long_or_refuted() -> None:
    waiting, gone, wrong = Dummy(0, misses=3), Dummy(1, misses=3), Dummy(2, refuted=True)
    for index, track in enumerate((waiting, gone, wrong)):
        track.joints_world = hand_at("right", x=0.3 * index)
    waiting.timestamp_ns = SECOND_NS
    roster = _roster(waiting, gone, wrong, max_hands=3)
    roster.prune({}, set(), round(1.2 * SECOND_NS))
    assert roster.tracks == (waiting,)
    # Slow cameras: at least so many frame sets.
    waiting.misses = 2
    roster.prune({}, set(), 9 * SECOND_NS)
    assert roster.tracks == (waiting,)


def test_of_two_on_one_hand_the_one_that_was_lost_or_strayed_goes() -> None:
    steady, stray = Dummy(0), Dummy(1)
    places = {0: hand_at("right", x=0.01), 1: hand_at("right", x=0.1)}
    roster = _roster(steady, stray)
    roster.prune(places, set(), 0)
    assert roster.tracks == (steady,)
    steady, stray = Dummy(0), Dummy(1)
    roster = _roster(steady, stray)
    roster.prune(places, {0}, 0)
    assert roster.tracks == (stray,)
    apart = _roster(Dummy(0), Dummy(1, joints_world=hand_at("right", x=0.1)))
    apart.prune(places, set(), 0)
    assert len(apart.tracks) == 2


def test_of_two_on_one_hand_the_one_that_is_seen_stays() -> None:
    # Both were followed; one came to where the other was last seen, which is gone in this very frame set.
    come, gone = Dummy(0), Dummy(1, side="left", misses=1)
    roster = _roster(come, gone)
    roster.prune({0: hand_at("right", x=0.03), 1: hand_at("right")}, set(), 0)
    assert roster.tracks == (come,)
