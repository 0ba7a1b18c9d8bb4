"""What is remembered grows older frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

from engine.tracker.state import StreamState
from tests.engine.tracker.support import CARD, card


def test_nothing_is_remembered_at_first() -> None:
    blank = StreamState.blank(CARD)
    assert blank.values.shape == (CARD.blocks, 2, CARD.past, 21, CARD.channels)
    assert blank.values.dtype == blank.valid.dtype == np.float32
    np.testing.assert_array_equal(blank.valid, 0)


def test_a_frame_without_the_hand_makes_the_others_older() -> None:
    values = np.random.default_rng(0).normal(size=(2, 2, 3, 21, 4)).astype(np.float32)
    skipped = StreamState(values, np.array([0, 1, 1], np.float32)).skipped()
    np.testing.assert_array_equal(skipped.values[:, :, :2], values[:, :, 1:])
    np.testing.assert_array_equal(skipped.values[:, :, 2], 0)
    np.testing.assert_array_equal(skipped.valid, [1, 1, 0])
    assert skipped.values.dtype == skipped.valid.dtype == np.float32


@pytest.mark.parametrize("past", [0, 1])
def test_a_short_memory_is_empty_after_a_frame_without_the_hand(past: int) -> None:
    state = StreamState.blank(card(past=past))
    skipped = StreamState(state.values + 1, state.valid + 1).skipped()
    assert skipped.values.shape == state.values.shape
    np.testing.assert_array_equal(skipped.valid, np.zeros(past))
