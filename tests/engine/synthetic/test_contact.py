"""Two hands that meet leave just the gap that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from engine.hand_model import HandModel
from engine.synthetic.contact import Balls, way_to
from engine.synthetic.motion import HandMotion


def test_balls_meet_at_the_gap() -> None:
    still, moving = (Balls(np.zeros((1, 3)), np.array([radius])) for radius in (0.02, 0.03))
    direction = np.array([0.0, 0.6, 0.8])
    for gap in (-0.01, 0.0, 0.04):
        np.testing.assert_allclose(way_to(still, moving, direction, gap), (0.05 + gap) * direction, atol=3e-4)
    with_point = still.with_points(np.array([[0.0, 0.12, 0.16]]))
    np.testing.assert_allclose(way_to(with_point, moving, direction, 0.0), 0.23 * direction, atol=3e-4)


@pytest.mark.parametrize("seed", [1, 2])
def test_balls_fill_the_hand_and_not_more(seed: int) -> None:
    for side in ("right", "left"):
        model = HandModel.load(side="left" if side == "left" else "right")
        shaped = model.with_shape(np.zeros(10))
        sample = HandMotion(seed, model.side).at(1.0)
        posed = shaped.posed(sample.pose, sample.translation(shaped))
        balls = Balls.of(posed, sample.forearm_rotation)
        to_skin = np.linalg.norm(posed.vertices()[:, None] - balls.centers, axis=2) - balls.radii
        # No skin is far outside, and none deep inside.
        assert np.percentile(to_skin.min(axis=1), 95) < 0.009
        assert to_skin.min() > -0.014
        # The forearm is behind the wrist, away from the fingers.
        behind = balls.centers[-1] - posed.joints[0]
        assert behind @ (posed.joints[9] - posed.joints[0]) < 0.0
