"""A shape settles on the mean of what was said, and stays."""

from __future__ import annotations

import numpy as np

from engine.tracker.shape import SettlingShape
from tests.engine.detector.support import model


def test_it_starts_from_the_mean_hand_and_takes_the_first_answer() -> None:
    learnt = SettlingShape(model())
    np.testing.assert_array_equal(learnt.shaped.shape, 0)
    learnt.add(np.full(10, 0.7))
    np.testing.assert_allclose(learnt.shaped.shape, 0.7)


def test_it_settles_on_the_mean_and_stops() -> None:
    rng = np.random.default_rng(3)
    true = rng.normal(0.0, 0.8, 10)
    learnt = SettlingShape(model())
    steps = []
    for count in range(700):
        before = learnt.shaped.shape
        learnt.add(true + rng.normal(0.0, 0.5, 10))
        steps.append(np.abs(learnt.shaped.shape - before).max())
        assert learnt.settled == (count >= 59)
    assert np.abs(learnt.shaped.shape - true).max() < 0.2
    assert max(steps[60:]) < 0.2
    assert max(steps[520:]) == 0


def test_the_next_hand_starts_from_it_and_soon_outvotes_it() -> None:
    first = SettlingShape(model())
    for _ in range(80):
        first.add(np.full(10, 1.0))
    second = first.carried()
    np.testing.assert_allclose(second.shaped.shape, 1.0)
    assert not second.settled
    for _ in range(45):
        second.add(np.full(10, -1.0))
    assert (second.shaped.shape < -0.7).all()
    np.testing.assert_allclose(first.shaped.shape, 1.0)
    np.testing.assert_allclose(SettlingShape(model()).carried().shaped.shape, 0.0)
