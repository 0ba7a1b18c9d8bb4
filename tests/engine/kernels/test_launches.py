"""What the operators launch on a GPU, launched on the host: their own grids, pointers and numbers, of awkward sizes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.backends import gpu_cloud, gpu_hand  # noqa: E402
from engine.kernels import flow_op, interaction_op, knn_op, mano_op, maps_op, stpt_op  # noqa: E402
from engine.kernels.layouts import last_layout, round_layout, size_of, stpt_layout  # noqa: E402
from engine.kernels.library import KernelLibrary  # noqa: E402
from engine.network.config import preset  # noqa: E402
from tests.engine.kernels.conftest import compiled  # noqa: E402
from tests.engine.kernels.hands import a_flow, a_head, seen_hands, seen_joints  # noqa: E402
from tests.engine.kernels.test_sanitizing import Allocating  # noqa: E402


@dataclass
class HostDriver(Allocating):
    """Runs what is launched before it returns."""

    host: Any = None

    def cuLaunchKernel(self, function: int, *rest: Any) -> tuple[Any, ...]:  # noqa: N802
        *shape, depth, _, _, arguments, _ = rest
        assert depth == 1
        assert self.host.host_launch(self.names[function - 1].encode(), *shape, ctypes.c_void_p(arguments)) == 0
        return super().cuLaunchKernel(function, *rest)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> HostDriver:
    folder = tmp_path_factory.mktemp("launch")
    named = HostDriver()
    KernelLibrary(named)
    (folder / "names.inc").write_text("".join(f"USTHAND_KERNEL({name})\n" for name in named.names))
    return HostDriver(host=compiled("host_launch.cpp", folder))


@pytest.fixture
def launched(driver: HostDriver, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostDriver]:
    """The operators launch on the host, into memory of no numbers."""
    driver.launched.clear()
    kernels = KernelLibrary(driver)
    for module in (flow_op, interaction_op, mano_op, maps_op, stpt_op, knn_op):
        monkeypatch.setattr(module, "loaded_library", lambda _: kernels)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: SimpleNamespace(cuda_stream=0))
    new_empty, empty_like = Tensor.new_empty, torch.empty_like
    monkeypatch.setattr(Tensor, "new_empty", lambda *given: new_empty(*given).fill_(torch.nan))
    monkeypatch.setattr(torch, "empty_like", lambda given: empty_like(given).fill_(torch.nan))
    torch.manual_seed(1)
    yield driver
    assert driver.launched


def transposed(given: Any) -> Any:
    """The same numbers, each column of a tensor's in one piece."""
    return given.mT.contiguous().mT if isinstance(given, Tensor) and given.ndim > 1 else given


def assert_same(launch: Callable[..., Any], parts: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """An operator's two ways, also of tensors that do not lie in order."""
    for change in (lambda tensor: tensor, transposed):
        arguments = [change(one) for one in given]
        with torch.no_grad():
            found, wanted = launch(*arguments), parts(*arguments)
        if isinstance(wanted, Tensor):
            found, wanted = (found,), (wanted,)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


def weights(count: int, layout: Any, channels: int) -> Tensor:
    return torch.randn(count, size_of(layout(channels))) * channels**-0.5


def mask(batch: int, views: int) -> Tensor:
    made = torch.ones(batch, views)
    made[:, 1] = 0.0
    return made


@pytest.mark.parametrize(("channels", "height", "width"), [(4, 1, 1), (60, 7, 9), (128, 5, 13)])
def test_what_reads_maps(launched: HostDriver, channels: int, height: int, width: int) -> None:
    maps = torch.randn(2, channels, height, width)
    head = (maps, torch.randn(21, channels) * 0.2, torch.randn(21), torch.tensor(8.0))
    assert_same(maps_op._heatmaps_launched, maps_op._heatmaps_by_parts, head)
    places = torch.rand(2, 5, 2) * 3 - 1.5
    assert_same(maps_op._samples_launched, maps_op._samples_by_parts, (maps, places))
    projections = torch.randn(1, 2, 3, 4)
    projections[..., 2, 3] = 2.0
    encoding = torch.randn(width, channels), torch.randn(height, channels)
    seen = torch.randn(1, 6, 3) * 0.3, torch.rand(1, 2, 6), mask(1, 2), torch.randn(3, channels)
    given = (maps[None], *encoding, projections, *seen)
    assert_same(maps_op._points_launched, maps_op._points_by_parts, given)


@pytest.mark.parametrize(("channels", "hands", "views", "rounds"), [(128, 2, 2, 1), (256, 1, 2, 2)])
def test_the_interaction(launched: HostDriver, channels: int, hands: int, views: int, rounds: int) -> None:
    tokens, confidence = torch.randn(hands, views, 21, channels), torch.rand(hands, views, 21)
    learned = weights(rounds, round_layout, channels), weights(1, last_layout, channels)[0]
    given = (tokens, confidence, mask(hands, views), *learned)
    assert_same(interaction_op._launched, interaction_op._by_parts, given)


@pytest.mark.parametrize(("channels", "hands", "anchors", "blocks"), [(96, 2, 17, 2), (128, 1, 97, 1)])
def test_the_transformer(launched: HostDriver, channels: int, hands: int, anchors: int, blocks: int) -> None:
    given = (
        torch.randn(hands, 21, 3),
        torch.randn(hands, 21, channels),
        torch.randn(hands, anchors, 3),
        torch.randn(hands, anchors, blocks, 2, channels),
        mask(hands, 5),
        torch.randn(hands, blocks, 2, 4, 21, channels),
        weights(blocks, stpt_layout, channels),
    )
    assert_same(stpt_op._launched, stpt_op._by_parts, given)
    assert_same(knn_op._launched, knn_op._sorted, (given[0], given[2], 7))


@pytest.mark.parametrize(("hands", "views"), [(1, 3), (2, 2)])
def test_the_cloud(launched: HostDriver, hands: int, views: int) -> None:
    config = replace(preset("lite"), hypotheses=2)
    flow = a_flow(config)
    fused, *seen = seen_hands(config, hands, views, 1)
    center, confidence, projections, noise, view_mask = seen
    layers = gpu_cloud.GpuConditions(flow.condition)
    learned = (layers.first_weight, layers.first_bias, layers.second_weight, layers.second_bias)
    assert_same(flow_op._conditions_launched, flow_op._conditions_by_parts, (fused, *learned))
    with torch.no_grad():
        conditions = flow.condition(fused)
    rest = (confidence, view_mask, projections, flow.from_coordinate, flow.to_scale_shift)
    given = (conditions, center, noise, *(one.detach() for one in rest))
    assert_same(flow_op._cloud_launched, flow_op._cloud_by_parts, given)


@pytest.mark.parametrize("corrected", [False, True])
def test_the_hand(launched: HostDriver, corrected: bool) -> None:
    config = preset("lite")
    head = gpu_hand.GpuManoHead(a_head(config, corrected=corrected))
    layer, joints = head.layer, seen_joints(2, 1)
    features = torch.randn(2, 21, config.point_channels)
    given = (joints, features, head.norm_weight, head.norm_bias, head.weight, head.bias)
    assert_same(mano_op._input_launched, mano_op._input_by_parts, given)
    constants = (layer.joint_template, layer.joint_directions, layer.tip_weights, head.tip_directions)
    assert_same(mano_op._pose_launched, mano_op._pose_by_parts, (joints, torch.randn(2, 106), *constants))
