"""Films that several tests watch: rendered once."""

from __future__ import annotations

import pytest

from engine.synthetic import HandScene, make_rig
from engine.types import HandPose
from tests.engine.detector.support import Film, film, follow


@pytest.fixture(scope="session")
def one_hand() -> Film:
    """A right hand before three cameras, 1.5 s."""
    return film(make_rig(3, 5, 480, 360), HandScene(hands=1, seed=3), range(45))


@pytest.fixture(scope="session")
def left_hand() -> Film:
    """A left hand before three cameras, 1 s."""
    return film(make_rig(3, 6, 480, 360), HandScene(hands=1, seed=4, side="left"), range(30))


@pytest.fixture(scope="session")
def two_hands() -> Film:
    """Two hands before four cameras, 1.5 s at 15 frames a second."""
    return film(make_rig(4, 8, 480, 360), HandScene(hands=2, seed=8), range(0, 90, 2))


@pytest.fixture(scope="session")
def one_hand_poses(one_hand: Film) -> list[tuple[HandPose, ...]]:
    return follow(one_hand)


@pytest.fixture(scope="session")
def two_hands_poses(two_hands: Film) -> list[tuple[HandPose, ...]]:
    return follow(two_hands)
