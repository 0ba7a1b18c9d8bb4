"""Eq. 1-2 against loops over the cells."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from engine.network.heatmaps import HeatmapHead, peak_confidence, soft_argmax  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_grad")


def test_soft_argmax_is_the_mean_place_of_the_normalised_map() -> None:
    torch.manual_seed(0)
    heatmaps = torch.rand(2, 3, 4, 6)
    joints = soft_argmax(heatmaps, torch.tensor(5.0))
    for n in range(2):
        for joint in range(3):
            total = u = v = 0.0
            for row in range(4):
                for column in range(6):
                    weight = math.exp(5.0 * float(heatmaps[n, joint, row, column]))
                    total += weight
                    u += weight * ((column + 0.5) / 3 - 1)
                    v += weight * ((row + 0.5) / 2 - 1)
            assert joints[n, joint].tolist() == pytest.approx([u / total, v / total], abs=1e-6)


def test_a_gaussian_is_found_to_a_fiftieth_of_a_cell() -> None:
    """The peak that training asks for, 2 cells wide, at places between the cells."""
    side = 28
    head = HeatmapHead(8)
    for place in ([0.013, -0.4], [-0.31, 0.22], [0.5, 0.5]):
        at = [(x + 1) * side / 2 - 0.5 for x in place]
        rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        squared = (columns - at[0]) ** 2 + (rows - at[1]) ** 2
        found = soft_argmax(torch.exp(-squared / 8)[None, None], head.sharpness)[0, 0]
        assert found.tolist() == pytest.approx(place, abs=0.02 * 2 / side)


def test_confidence_is_the_maxima_held_in_the_unit_interval() -> None:
    heatmaps = torch.full((1, 3, 2, 2), -0.5)
    heatmaps[0, 1, 1, 0] = 0.75
    heatmaps[0, 2, 0, 1] = 1.5
    assert peak_confidence(heatmaps).tolist() == [[0.0, 0.75, 1.0]]
