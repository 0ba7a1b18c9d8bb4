"""The embedded hand, and one with made-up pose correctives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.hand_model.model import HandModel


@pytest.fixture(scope="session")
def open_hand() -> HandModel:
    return HandModel.load()


@pytest.fixture(scope="session")
def corrected_hand(open_hand: HandModel) -> HandModel:
    directions = np.random.default_rng(5).normal(0.0, 1e-3, size=open_hand.pose_directions.shape)
    return replace(open_hand, pose_directions=directions)


@pytest.fixture(params=["left", "right"])
def either_hand(request: pytest.FixtureRequest, open_hand: HandModel) -> HandModel:
    return open_hand if request.param == open_hand.side else open_hand.mirrored()
