from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from server.calibrating.footage import Footage, Sight
from server.calibrating.motion import moving_views

CORNERS = np.array([[100.0, 100.0], [140.0, 100.0], [100.0, 140.0]])
VELOCITY, BEND = np.array([60.0, -30.0]), np.array([-50.0, 80.0])
RATE_S = 0.1


def moved(time_s: float) -> NDArray[np.float64]:
    return CORNERS + time_s * VELOCITY + time_s**2 * BEND


def footage(sights: list[Sight], instants_ns: dict[int, int]) -> Footage:
    return Footage({"a": (640, 480)}, len(instants_ns), tuple(sights), {"a": {}}, instants_ns)


def sight(instant: int, ids: tuple[int, ...] = (0, 1, 2)) -> Sight:
    time_s = instant * RATE_S
    return Sight("a", instant, round(time_s * 1e9), np.array(ids), moved(time_s)[list(ids)], 2.0)


def test_a_parabola_is_followed_exactly() -> None:
    instants_ns = {n: round((n * RATE_S + 0.013) * 1e9) for n in range(4)}
    views = moving_views(footage([sight(n) for n in range(4)], instants_ns))
    for n in (1, 2):
        np.testing.assert_allclose(views[n].at(0.0).corners_px, moved(n * RATE_S + 0.013), atol=1e-6)
        # A picture that was taken later than it says is already farther on its way.
        np.testing.assert_allclose(views[n].at(0.02).corners_px, moved(n * RATE_S - 0.007), atol=1e-6)
        np.testing.assert_array_equal(views[n].as_taken().corners_px, moved(n * RATE_S))


def test_one_neighbour_gives_a_line_and_none_gives_nothing() -> None:
    first, second, alone = moving_views(footage([sight(0), sight(1), sight(9)], {0: 0, 1: 10**8, 9: 9 * 10**8}))
    assert first.velocity_px_s is not None
    np.testing.assert_allclose(first.velocity_px_s, np.tile((moved(RATE_S) - moved(0))[0] / RATE_S, (3, 1)))
    np.testing.assert_array_equal(second.bend_px_s2, np.zeros((3, 2)))
    assert alone.velocity_px_s is None
    assert alone.speed_px_s == float("inf")
    np.testing.assert_array_equal(alone.at(0.05).corners_px, alone.corners_px)


def test_a_corner_that_was_covered_before_moves_as_the_others_do() -> None:
    views = moving_views(footage([sight(0, (0, 1)), sight(1)], {0: 0, 1: 10**8}))
    assert views[1].velocity_px_s is not None
    np.testing.assert_allclose(views[1].velocity_px_s[2], views[1].velocity_px_s[0])
    assert views[1].speed_px_s == pytest.approx(float(np.linalg.norm(views[1].velocity_px_s[0])))
