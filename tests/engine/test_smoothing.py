"""Smoothing steadies a hand at rest, and follows one that moves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.smoothing import OneEuroConfig, OneEuroFilter

Array = NDArray[np.float64]

RATE_HZ = 30.0


def _stamp_ns(index: float, rate_hz: float = RATE_HZ) -> int:
    return 5_000_000_000 + int(index / rate_hz * 1e9)


def _smoothed(points: Array, stamps_ns: list[int], config: OneEuroConfig | None = None) -> Array:
    smoother = OneEuroFilter(config or OneEuroConfig())
    return np.stack([smoother.smooth(p, stamp) for p, stamp in zip(points, stamps_ns, strict=True)])


def test_a_still_hand_is_left_where_it_is() -> None:
    hand = np.random.default_rng(1).normal(0.0, 0.1, (21, 3))
    out = _smoothed(np.repeat(hand[None], 50, axis=0), [_stamp_ns(i) for i in range(50)])
    np.testing.assert_array_equal(out, np.repeat(hand[None], 50, axis=0))


@pytest.mark.parametrize("rate_hz", [15.0, 30.0, 120.0])
def test_noise_at_rest_falls_by_half_or_more(rate_hz: float) -> None:
    rng = np.random.default_rng(2)
    noisy = rng.normal(0.0, 0.001, (600, 21, 3))
    out = _smoothed(noisy, [_stamp_ns(i, rate_hz) for i in range(600)])[60:]
    assert out.var(axis=0).mean() < 0.5 * noisy.var(axis=0).mean()
    # No bias.
    assert np.abs(out.mean(axis=(0, 1))).max() < 3e-4


@pytest.mark.parametrize("speed_m_s", [0.2, 1.0, 3.0])
def test_a_fast_hand_is_followed_closely(speed_m_s: float) -> None:
    index = np.arange(60)
    ramp = np.zeros((60, 21, 3))
    ramp[:, :, 0] = (speed_m_s * index / RATE_HZ)[:, None]
    out = _smoothed(ramp, [_stamp_ns(i) for i in index])
    lag_m = ramp[:, 0, 0] - out[:, 0, 0]
    assert (lag_m > -1e-12).all()
    # After half a second it lags by a low-pass of the cut-off that this speed gives: 1 / (2 pi cut-off).
    config = OneEuroConfig()
    expected_s = 1 / (2 * np.pi * (config.min_cutoff_hz + config.beta_per_m * speed_m_s))
    assert lag_m[-1] / speed_m_s < 1.1 * expected_s + 0.001
    # And never by more than a few centimetres on the way there.
    assert lag_m.max() < 0.03 + 0.03 * speed_m_s


def test_each_joint_has_a_speed_of_its_own() -> None:
    points = np.random.default_rng(3).normal(0.0, 0.001, (90, 2, 3))
    alone = _smoothed(points[:, :1], [_stamp_ns(i) for i in range(90)])
    points[:, 1, 0] += np.arange(90) * 0.05
    together = _smoothed(points, [_stamp_ns(i) for i in range(90)])
    np.testing.assert_allclose(together[:, :1], alone, atol=1e-12)


def test_uneven_frame_times_hardly_matter() -> None:
    rng = np.random.default_rng(4)
    even = np.arange(120) / RATE_HZ
    uneven = even + np.concatenate([[0.0], rng.uniform(-0.012, 0.012, 119)])
    outs = []
    for times in (even, uneven):
        path = np.zeros((120, 21, 3))
        path[:, :, 1] = (0.1 * np.sin(2 * np.pi * 0.7 * times))[:, None]
        out = _smoothed(path, [5_000_000_000 + int(t * 1e9) for t in times])
        outs.append((path - out)[:, 0, 1])
        assert np.abs(outs[-1][30:]).max() < 0.012
    assert np.sqrt(np.mean(outs[1] ** 2)) < 1.15 * np.sqrt(np.mean(outs[0] ** 2))


def test_the_same_time_again_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    points = rng.normal(0.0, 0.01, (40, 21, 3))
    plain, repeating = OneEuroFilter(OneEuroConfig()), OneEuroFilter(OneEuroConfig())
    for index in range(40):
        expected = plain.smooth(points[index], _stamp_ns(index))
        np.testing.assert_array_equal(repeating.smooth(points[index], _stamp_ns(index)), expected)
        np.testing.assert_array_equal(repeating.smooth(points[index] + 1.0, _stamp_ns(index)), expected)


def test_what_goes_in_is_not_written_to() -> None:
    points = np.random.default_rng(7).normal(0.0, 0.01, (20, 21, 3))
    given = points.copy()
    _smoothed(given, [_stamp_ns(index) for index in range(20)])
    np.testing.assert_array_equal(given, points)


def test_a_clock_that_jumps_back_does_no_harm() -> None:
    rng = np.random.default_rng(6)
    points = rng.normal(0.0, 0.001, (60, 21, 3))
    stamps = [_stamp_ns(index if index != 30 else 10) for index in range(60)]
    assert np.abs(_smoothed(points, stamps)).max() < 0.006


def test_after_a_long_gap_it_is_where_the_hand_is() -> None:
    smoother = OneEuroFilter(OneEuroConfig())
    for index in range(30):
        smoother.smooth(np.zeros((21, 3)), _stamp_ns(index))
    out = smoother.smooth(np.full((21, 3), 0.5), _stamp_ns(30 + 60))
    assert np.abs(out - 0.5).max() < 0.03
