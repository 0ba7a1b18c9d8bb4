"""The cloud's kernel, its source on the host, and its operator on a CPU, against the network's own functions."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.backends.gpu_cloud import GpuConditions, gpu_cloud, kernel_takes, kernel_takes_conditions  # noqa: E402
from engine.errors import EngineError  # noqa: E402
from engine.kernels.library import KernelLibrary  # noqa: E402
from engine.network.cloud import Cloud, make_cloud  # noqa: E402
from engine.network.config import PRESETS, NetworkConfig  # noqa: E402
from engine.network.flow import ConditionalRealNvp  # noqa: E402
from tests.engine.kernels.hands import a_flow, seen_hands  # noqa: E402
from tests.engine.kernels.test_library import Driver  # noqa: E402


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def numbers(cloud: Cloud) -> list[torch.Tensor]:
    frame = cloud.frame()
    return [cloud.keypoints, cloud.points, frame.R_local_hand, cloud.start_in(frame), cloud.anchors_in(frame)]


def by_host(kernels: ctypes.CDLL, flow: ConditionalRealNvp, given: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    fused, center, confidence, projections, noise, mask = given
    hands, views, hypotheses = noise.shape[:3]
    read = [
        flow.condition(fused),
        center,
        noise,
        confidence,
        mask,
        projections,
        flow.from_coordinate,
        flow.to_scale_shift,
    ]
    shapes = ((views, 21, 2), (21 * (1 + hypotheses), 3), (3, 3), (21, 3), (21 * hypotheses, 3))
    written = [torch.full((hands, *shape), torch.nan) for shape in shapes]
    pointers = (ctypes.c_void_p(one.data_ptr()) for one in (*read, *written))
    kernels.host_flow_cloud(*pointers, hands, views, hypotheses)
    return written


@pytest.mark.parametrize(("channels", "rows"), [(128, 42), (256, 168), (16, 3), (240, 1)])
def test_the_kernel_makes_the_conditions_of_the_flow(host_hand: ctypes.CDLL, channels: int, rows: int) -> None:
    flow = a_flow(replace(PRESETS["lite"], fusion_channels=channels))
    layers = GpuConditions(flow.condition)
    fused = torch.randn(rows, channels)
    wanted = flow.condition(fused)
    found = torch.full_like(wanted, torch.nan)
    read = (fused, layers.first_weight, layers.first_bias, layers.second_weight, layers.second_bias)
    pointers = (ctypes.c_void_p(one.data_ptr()) for one in (*read, found))
    host_hand.host_flow_conditions(*pointers, rows, channels)
    for one in (found, layers(fused)):
        np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=3e-6)


# Noise of a fraction of a micron in the points, ten times it in the hand's frame, which is counted in 10 cm.
@pytest.mark.parametrize(
    ("name", "hands", "views"),
    [
        ("lite", 1, 2),
        ("lite", 2, 3),
        ("resnet34", 1, 8),
        pytest.param("lite", 1, 8, marks=pytest.mark.slow),
        pytest.param("resnet34", 2, 5, marks=pytest.mark.slow),
    ],
)
def test_the_kernel_makes_the_cloud_of_the_network(host_hand: ctypes.CDLL, name: str, hands: int, views: int) -> None:
    flow = a_flow(PRESETS[name])
    given = seen_hands(PRESETS[name], hands, views, seed=views)
    wanted = make_cloud(flow, *given)
    # The samples lie apart, or there would be nothing to see of the flow's layers.
    spread = wanted.points.unflatten(1, (-1, 21)).std(dim=1)
    assert spread.min() > 1e-3
    for found in (numbers(gpu_cloud(flow, *given)), by_host(host_hand, flow, given)):
        for one, other, tolerance in zip(found, numbers(wanted), (2e-6, 2e-6, 1e-5, 3e-5, 3e-5), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=tolerance)


def test_points_of_one_view_and_of_none_are_finite(host_hand: ctypes.CDLL) -> None:
    config = replace(PRESETS["lite"], hypotheses=2)
    flow = a_flow(config)
    *given, mask = seen_hands(config, 1, 3, seed=1)
    for seen in ((0.0, 1.0, 0.0), (0.0, 0.0, 0.0)):
        mask[:] = torch.tensor(seen)
        wanted, found = make_cloud(flow, *given, mask), by_host(host_hand, flow, (*given, mask))
        assert all(torch.isfinite(one).all() for one in found)
        np.testing.assert_allclose(found[0], wanted.keypoints, rtol=1e-5, atol=2e-6)
        if not any(seen):
            np.testing.assert_array_equal(found[1], 0.0)


def test_the_operator_keeps_to_what_pytorch_asks_of_one() -> None:
    flow = a_flow(PRESETS["lite"])
    fused, center, confidence, projections, noise, mask = seen_hands(PRESETS["lite"], 2, 3, seed=2)
    weights = (flow.from_coordinate.detach(), flow.to_scale_shift.detach())
    given = (flow.condition(fused), center, noise, confidence, mask, projections, *weights)
    utils = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    torch.library.opcheck(torch.ops.usthand.flow_cloud.default, given, test_utils=utils)
    layers = GpuConditions(flow.condition)
    given = (fused, layers.first_weight, layers.first_bias, layers.second_weight, layers.second_bias)
    torch.library.opcheck(torch.ops.usthand.flow_conditions.default, given, test_utils=utils)


def test_a_flow_that_the_kernel_does_not_take_is_left() -> None:
    assert all(kernel_takes(ConditionalRealNvp(config)) for config in PRESETS.values())
    assert not kernel_takes(ConditionalRealNvp(NetworkConfig(flow_channels=32)))
    assert not kernel_takes(ConditionalRealNvp(NetworkConfig(flow_layers=2)))
    assert all(kernel_takes_conditions(ConditionalRealNvp(config)) for config in PRESETS.values())
    assert not kernel_takes_conditions(ConditionalRealNvp(NetworkConfig(fusion_channels=288)))
    assert not kernel_takes_conditions(ConditionalRealNvp(NetworkConfig(fusion_channels=72)))


class _Driver(Driver):
    """Writes down the launches of the cloud's kernel."""

    def cuLaunchKernel(self, function: str, *rest: Any) -> tuple[Any, ...]:  # noqa: N802
        *shape, shared, stream, parameters, extra = rest
        assert (shared, extra) == (0, 0)
        kinds = [ctypes.c_void_p] * (6 if "conditions" in function else 13) + [ctypes.c_int32] * 2
        addresses = (ctypes.c_void_p * len(kinds)).from_address(parameters)
        values = [kind.from_address(address).value for kind, address in zip(kinds, addresses, strict=True)]
        self.launched.append((function, tuple(shape), stream, values))
        return self.answer("cuLaunchKernel")


def test_how_they_are_launched() -> None:
    driver = _Driver()
    kernels = KernelLibrary(driver)
    kernels.flow_cloud(5, *range(1, 14), hands=2, views=8, hypotheses=32)
    # 693 points, eight a block.
    assert driver.launched == [("usthand_flow_cloud", (87, 2, 1, 384, 1, 1), 5, [*range(1, 14), 8, 32])]
    driver.launched.clear()
    kernels.flow_conditions(5, *range(1, 7), rows=169, channels=256)
    assert driver.launched == [("usthand_flow_conditions", (43, 1, 1, 288, 1, 1), 5, [*range(1, 7), 169, 256])]
    with pytest.raises(EngineError, match=r"9 views: the kernel takes 1\.\.8"):
        kernels.flow_cloud(5, *range(1, 14), hands=2, views=9, hypotheses=32)
