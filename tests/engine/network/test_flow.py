"""Eq. 6-7: the flow's inverse and log-determinant against autograd's Jacobian."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from engine.network.config import NetworkConfig  # noqa: E402
from engine.network.flow import ConditionalRealNvp  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_grad")


@pytest.fixture
def flow() -> ConditionalRealNvp:
    torch.manual_seed(3)
    made = ConditionalRealNvp(NetworkConfig(fusion_channels=16, flow_channels=12)).double()
    # Far from the identity that it starts as.
    torch.nn.init.normal_(made.to_scale_shift, std=0.3)
    torch.nn.init.normal_(made.condition[-1].weight, std=0.3)
    return made


def test_the_inverse_is_exact(flow: ConditionalRealNvp) -> None:
    fused, center = torch.randn(3, 21, 16).double(), torch.rand(3, 21, 2).double()
    z = torch.randn(3, 21, 7, 2).double()
    x = flow(z, fused, center)
    back, _ = flow.inverse(x, fused, center)
    assert (x - center[:, :, None]).abs().max() > 0.05
    assert (back - z).abs().max() < 1e-9


def test_log_determinant_against_the_jacobian(flow: ConditionalRealNvp) -> None:
    fused, center = torch.randn(5, 16).double(), torch.rand(5, 2).double()
    x = torch.rand(5, 1, 2).double()
    _, log_det = flow.inverse(x, fused, center)
    for n in range(5):
        jacobian = torch.autograd.functional.jacobian(
            lambda p, n=n: flow.inverse(p[None, None], fused[n : n + 1], center[n : n + 1])[0][0, 0], x[n, 0]
        )
        assert float(log_det[n, 0]) == pytest.approx(float(torch.linalg.slogdet(jacobian)[1]), abs=1e-9)


def test_the_density_is_the_priors_over_the_volume_change(flow: ConditionalRealNvp) -> None:
    fused, center = torch.randn(1, 16).double(), torch.zeros(1, 2).double()
    z = torch.randn(1, 4, 2).double()
    density = flow.log_prob(flow(z, fused, center), fused, center)
    for m in range(4):
        jacobian = torch.autograd.functional.jacobian(lambda q: flow(q[None, None], fused, center)[0, 0], z[0, m])
        prior = -0.5 * float((z[0, m] ** 2).sum()) - math.log(2 * math.pi)
        assert float(density[0, m]) == pytest.approx(prior - float(torch.linalg.slogdet(jacobian)[1]), abs=1e-9)


def test_the_density_integrates_to_one(flow: ConditionalRealNvp) -> None:
    with torch.no_grad():
        flow.to_scale_shift.mul_(0.3)
    steps = torch.linspace(-6, 6, 1201).double()
    grid = torch.cartesian_prod(steps, steps)[None]
    density = flow.log_prob(grid, torch.zeros(1, 16).double(), torch.zeros(1, 2).double()).exp()
    assert float(density.sum() * (12 / 1200) ** 2) == pytest.approx(1.0, abs=0.01)


def test_untrained_it_is_a_gaussian_about_the_heatmaps_joint() -> None:
    torch.manual_seed(0)
    flow = ConditionalRealNvp(NetworkConfig())
    center = torch.tensor([[0.2, -0.3]])
    x = flow(torch.randn(1, 4000, 2), torch.randn(1, 128), center)[0]
    assert x.mean(dim=0).tolist() == pytest.approx([0.2, -0.3], abs=0.01)
    assert x.std(dim=0).tolist() == pytest.approx([0.2, 0.2], rel=0.05)
    assert torch.equal(flow(torch.zeros(1, 1, 2), torch.randn(1, 128), center)[0, 0], center[0])
