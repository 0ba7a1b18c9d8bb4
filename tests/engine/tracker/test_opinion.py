"""When the landmark network is asked about a track, and what its word counts for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from engine.detector.views import HandView
from engine.tracker.config import OpinionConfig
from engine.tracker.opinion import SecondOpinion
from tests.engine.detector.support import START_NS, hand_view
from tests.engine.tracker.support import RIG, truth_at

SECOND_NS = 1_000_000_000


def _said(right_probability: float, views: int = 2) -> list[HandView]:
    joints = truth_at("right").joints_world
    return [hand_view(RIG, view, joints, right_probability=right_probability) for view in range(views)]


def _asked_at(opinion: SecondOpinion, answers: Sequence[list[HandView] | None], seconds: float) -> list[float]:
    """Times at which it is asked, seconds; the answers are given in turn, the last one again and again."""
    asked: list[float] = []
    for tick in range(round(seconds * 100)):
        now_ns = START_NS + tick * SECOND_NS // 100
        if opinion.due(now_ns):
            opinion.add(answers[min(len(asked), len(answers) - 1)], now_ns)
            asked.append(tick / 100)
    return asked


def test_a_track_is_asked_about_often_at_first_and_then_rarely() -> None:
    asked = _asked_at(SecondOpinion("right", OpinionConfig()), [_said(0.95)], 8.0)
    np.testing.assert_allclose(asked, [0, 0.2, 0.4, 0.6, 0.8, 1.0, 3.0, 5.0, 7.0])


def test_doubt_is_followed_up() -> None:
    good, bad = _said(0.95), _said(0.05)
    opinion = SecondOpinion("right", OpinionConfig())
    asked = _asked_at(opinion, [good] * 6 + [bad, good, [], None, good], 8.0)
    # What contradicts is made up for by what agrees; whether it is there, by what sees it.
    np.testing.assert_allclose(asked[6:], [3.0, 3.2, 5.2, 5.4, 5.6, 7.6])
    assert not opinion.refuted


def test_a_hand_that_was_lost_is_in_doubt_until_it_is_asked_about() -> None:
    opinion = SecondOpinion("right", OpinionConfig())
    assert _asked_at(opinion, [_said(0.95)], 4.0)[-2:] == [1.0, 3.0]
    asked_ns = START_NS + 3 * SECOND_NS
    assert not opinion.due(asked_ns + SECOND_NS)
    opinion.lost()
    # At once, but not in every frame set of a hand that is lost again and again.
    assert opinion.due(asked_ns + SECOND_NS // 5)
    assert not opinion.due(asked_ns + SECOND_NS // 10)
    opinion.add(None, asked_ns + SECOND_NS)
    assert opinion.due(asked_ns + 2 * SECOND_NS)
    opinion.add(_said(0.95, views=4), asked_ns + 2 * SECOND_NS)
    assert not opinion.due(asked_ns + 3 * SECOND_NS)


def test_a_lost_hand_s_side_speaks_no_more_for_the_one_in_its_place() -> None:
    opinion = SecondOpinion("right", OpinionConfig())
    opinion.lost()
    for _ in range(2):
        opinion.add(_said(0.05, views=4), START_NS)
        # Nor does being lost make up for what was said against it.
        opinion.lost()
        assert not opinion.refuted
    opinion.add(_said(0.05, views=4), START_NS)
    assert opinion.refuted


def test_a_clock_that_went_back_does_not_silence_it() -> None:
    opinion = SecondOpinion("right", OpinionConfig())
    opinion.add(_said(0.95), START_NS)
    assert opinion.due(START_NS - 1)


@pytest.mark.parametrize(("side", "probability"), [("right", 0.01), ("left", 0.99)])
def test_only_views_that_keep_on_contradicting_refute_a_side(side: str, probability: float) -> None:
    opinion = SecondOpinion("left" if side == "left" else "right", OpinionConfig())
    needed = 0
    while not opinion.refuted:
        # Eight views say no more at once than two.
        opinion.add(_said(probability, views=4), START_NS)
        needed += 1
    assert needed == 4


def test_a_hand_that_nobody_sees_for_long_is_none() -> None:
    config = OpinionConfig()
    opinion = SecondOpinion("right", config)
    for _ in range(config.max_absences - 1):
        opinion.add([], START_NS)
    assert not opinion.refuted
    opinion.add(_said(0.9), START_NS)
    for _ in range(config.max_absences):
        # Not to know is no evidence, neither for nor against.
        opinion.add(None, START_NS)
        assert not opinion.refuted
        opinion.add([], START_NS)
    assert opinion.refuted
