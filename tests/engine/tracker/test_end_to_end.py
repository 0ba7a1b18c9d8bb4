"""The real finder on rendered pictures, and a network that knows the truth: hands come, are followed and go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.synthetic import HandScene, make_rig
from engine.tracker.engine import NetworkEngine
from tests.engine.detector.support import Film, film, model
from tests.engine.tracker.support import CARD, Array, Image, Oracle, assert_is


@pytest.fixture(scope="module")
def two_hands() -> Film:
    return film(make_rig(4, 8, 480, 360), HandScene(hands=2, seed=8), range(0, 24, 2))


def _run(film: Film, numbers: range) -> tuple[list[Array], Oracle]:
    oracle = Oracle(film.rig, replace(CARD, input_px=224))
    engine = NetworkEngine(oracle, model(), threads=2)
    answered = []
    try:
        for number in numbers:
            truth = film.truth(number)
            oracle.hands = truth
            oracle.pictures = dict(enumerate(film.images[number]))
            poses = engine.process(film.frame_set(number), film.rig)
            if number >= 2:
                assert sorted(pose.side for pose in poses) == sorted(hand.side for hand in truth)
            for pose in poses:
                assert_is(pose, next(hand for hand in truth if hand.side == pose.side))
                answered.append(pose.joints_world)
            assert len({pose.id for pose in poses}) == len(poses)
    finally:
        engine.close()
    return answered, oracle


def test_two_rendered_hands_are_found_and_followed(two_hands: Film) -> None:
    answered, oracle = _run(two_hands, range(12))
    assert all(len(rows) <= 2 for rows in oracle.rows)
    again, _ = _run(two_hands, range(12))
    for a, b in zip(answered, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_empty_pictures_start_nothing(two_hands: Film) -> None:
    def black(number: int, view: int, image: Image) -> Image:
        return np.zeros_like(image)

    oracle = Oracle(two_hands.rig)
    engine = NetworkEngine(oracle, model(), threads=2)
    assert engine.process(two_hands.frame_set(0, black), two_hands.rig) == ()
    assert oracle.rows == []
    engine.close()
