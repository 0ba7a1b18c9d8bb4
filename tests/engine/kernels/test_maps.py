"""The kernels that read maps, on the host, against the network's own modules; and how they are launched."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

torch = pytest.importorskip("torch")

from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402

from engine.backends.gpu_maps import PointFeaturesByKernel, sample_with_heatmaps  # noqa: E402
from engine.errors import EngineError  # noqa: E402
from engine.kernels.library import KernelLibrary, heatmap_parts  # noqa: E402
from engine.kernels.maps_op import SAMPLE_MAPS, heatmap_joints, sample_maps, see_points  # noqa: E402
from engine.network.config import PRESETS  # noqa: E402
from engine.network.heatmaps import HeatmapHead  # noqa: E402
from engine.network.joint_graph import sample_features  # noqa: E402
from engine.network.point_cloud import PointFeatures  # noqa: E402
from tests.engine.kernels.test_library import Driver  # noqa: E402

POISON = -99.0


def address(tensor: torch.Tensor) -> ctypes.c_void_p:
    assert tensor.is_contiguous()
    assert tensor.data_ptr() % 16 == 0
    return ctypes.c_void_p(tensor.data_ptr())


def a_head(channels: int) -> HeatmapHead:
    """One whose maps have a peak here and there, as after training."""
    head = HeatmapHead(channels).requires_grad_(False)
    torch.nn.init.normal_(head.to_heatmaps.weight, 0.0, 0.2 / channels**0.5)
    torch.nn.init.normal_(head.to_heatmaps.bias, 0.0, 0.1)
    return head


def heatmap_arguments(head: HeatmapHead) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return head.to_heatmaps.weight.flatten(1), head.to_heatmaps.bias, head.sharpness


MAPS = [(2, 128, 32, 32), (1, 64, 28, 28), (3, 16, 8, 8), (1, 4, 5, 7), (1, 128, 33, 35)]


@pytest.mark.parametrize("size", MAPS, ids=str)
def test_joints_of_maps_are_those_of_the_heatmaps(host_maps: ctypes.CDLL, size: tuple[int, int, int, int]) -> None:
    torch.manual_seed(sum(size))
    count, channels, height, width = size
    head = a_head(channels)
    features = torch.randn(size)
    features[0, :, 0, 0] += 2.0
    parts = torch.full((count, 21, heatmap_parts(height, width), 4), POISON)
    joints, confidence = torch.full((count, 21, 2), POISON), torch.full((count, 21), POISON)
    samples = torch.full((count, 21, channels), POISON)
    given = features.permute(0, 2, 3, 1).contiguous(), *heatmap_arguments(head)
    written = parts, joints, confidence, samples
    host_maps.host_heatmaps(*map(address, (*given, *written)), count, channels, height, width)
    _, wanted, sure = head(features)
    torch.testing.assert_close(joints, wanted, rtol=0, atol=2e-6)
    torch.testing.assert_close(confidence, sure, rtol=0, atol=2e-6)
    torch.testing.assert_close(samples, sample_features(features, joints), rtol=0, atol=3e-5)
    assert (parts != POISON).all()
    assert 0 < sure.min() < sure.max()


def test_a_map_of_great_values_overflows_nowhere(host_maps: ctypes.CDLL) -> None:
    head = a_head(16)
    features = 1e3 * torch.randn(1, 16, 8, 8)
    joints, confidence = torch.empty(1, 21, 2), torch.empty(1, 21)
    written = torch.empty(1, 21, 2, 4), joints, confidence, torch.empty(1, 21, 16)
    given = features.permute(0, 2, 3, 1).contiguous(), *heatmap_arguments(head)
    host_maps.host_heatmaps(*map(address, (*given, *written)), 1, 16, 8, 8)
    _, wanted, sure = head(features)
    torch.testing.assert_close(joints, wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(confidence, sure)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_heatmaps_operator_is_the_head(layout: torch.memory_format) -> None:
    head = a_head(64)
    features = torch.randn(2, 64, 28, 28).to(memory_format=layout)
    torch.library.opcheck(torch.ops.usthand.heatmap_joints.default, (features, *heatmap_arguments(head)))
    joints, confidence, samples = heatmap_joints(features, *heatmap_arguments(head))
    _, wanted, sure = head(features)
    torch.testing.assert_close(joints, wanted)
    torch.testing.assert_close(samples, sample_features(features, wanted))
    torch.testing.assert_close(confidence, sure)


@pytest.mark.parametrize(
    ("features", "channels", "words"),
    [
        (torch.zeros(2, 132, 8, 8), 132, r"a multiple of 4 and at most 128, not torch\.float32 of \(2, 132, 8, 8\)"),
        (torch.zeros(2, 18, 8, 8), 18, "a multiple of 4"),
        (torch.zeros(2, 16, 8, 8).half(), 16, "float16"),
        (torch.zeros(2, 16, 8, 8), 20, r"weight is torch\.float32 of \(21, 20\); it must be float32 of \(21, 16\)"),
    ],
)
def test_what_the_heatmaps_operator_does_not_take(features: torch.Tensor, channels: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        heatmap_joints(features, *heatmap_arguments(a_head(channels)))


def test_a_graph_takes_features_at_joints_from_where_the_joints_come_from() -> None:
    arguments = heatmap_arguments(a_head(16))

    def work(maps: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, ...]:
        joints, _, _ = heatmap_joints(maps, *arguments)
        return sample_maps(maps, joints), sample_maps(maps, places), sample_maps(2 * maps, joints)

    given = torch.randn(2, 16, 8, 8), torch.zeros(2, 21, 2)
    graph = make_fx(work)(*given)
    sample_with_heatmaps(graph)
    graph.recompile()
    # Other places, and other maps, are looked up as before.
    assert len(graph.graph.find_nodes(op="call_function", target=SAMPLE_MAPS)) == 2
    for one, other in zip(graph(*given), work(*given), strict=True):
        torch.testing.assert_close(one, other)


PLACES = torch.tensor(
    [
        [0.0, 0.0],
        [-1.0, 1.0],
        [0.99, -0.98],
        [-1.01, 0.3],
        [1.01, 0.98],
        [-2.0, 2.0],
        [1e9, 0.0],
        [3e4, 0.1],
        [0.3, -1e30],
    ]
)
"""In the middle, at the outermost cells, outside by less than half a cell, and by more than one."""


@pytest.mark.parametrize("size", MAPS, ids=str)
def test_maps_are_sampled_as_the_network_does(host_maps: ctypes.CDLL, size: tuple[int, int, int, int]) -> None:
    torch.manual_seed(sum(size))
    count, channels, height, width = size
    maps = torch.randn(size)
    places = torch.cat([PLACES.expand(count, -1, -1), torch.empty(count, 12, 2).uniform_(-1.2, 1.2)], dim=1)
    samples = torch.full((count, 21, channels), POISON)
    given = maps.permute(0, 2, 3, 1).contiguous(), places, samples
    host_maps.host_samples(*map(address, given), count, channels, height, width, 21)
    wanted = sample_features(maps, places)
    torch.testing.assert_close(samples, wanted, rtol=0, atol=3e-5)
    assert not wanted[:, 5:9].any()
    assert wanted[:, :4].any(dim=-1).all()
    torch.testing.assert_close(sample_maps(maps, places), wanted)


def test_no_number_is_no_place(host_maps: ctypes.CDLL) -> None:
    maps, places = torch.randn(1, 8, 8, 4), torch.tensor([[[math.nan, 0.0], [0.0, math.nan], [math.inf, 0.0]]])
    samples = torch.full((1, 3, 4), POISON)
    host_maps.host_samples(*map(address, (maps, places, samples)), 1, 4, 8, 8, 3)
    assert not samples.any()


SEEN = [("resnet34", 1, 8), ("resnet34", 2, 2), ("lite", 1, 3), ("lite", 2, 5)]


def what_is_seen(preset: str, batch: int, views: int, count: int) -> tuple[PointFeatures, tuple[torch.Tensor, ...]]:
    """A part of a network and its inputs: points in the crops, around them and behind cameras; one view is masked."""
    config = PRESETS[preset]
    part = PointFeatures(config).requires_grad_(False)
    side = config.input_px // 8
    # Great logits: views are told apart.
    torch.nn.init.normal_(part.to_weight.weight, 0.0, 0.3)
    turned, _ = torch.linalg.qr(torch.randn(batch, views, 3, 3))
    turned = turned * turned.det()[..., None, None]
    away = torch.tensor([0.02, -0.01, 0.5]).expand(batch, views, 3)
    projections = torch.cat([turned, away[..., None]], dim=-1)
    projections[..., :2, :] *= 5.0
    points = 0.12 * torch.randn(batch, count, 3)
    # Behind some cameras, and far off.
    points[:, :2] *= 10.0
    mask = torch.ones(batch, views)
    mask[0, 1] = 0.0
    confidence = torch.rand(batch, views, count) * mask[..., None]
    maps = torch.relu(torch.randn(batch * views, config.feature_channels, side, side))
    maps = maps.to(memory_format=torch.channels_last).unflatten(0, (batch, views))
    return part, (maps, projections, points, confidence, mask)


@pytest.mark.parametrize(("preset", "batch", "views"), SEEN)
def test_points_are_seen_as_by_the_network(host_maps: ctypes.CDLL, preset: str, batch: int, views: int) -> None:
    torch.manual_seed(views)
    count = 42
    part, inputs = what_is_seen(preset, batch, views, count)
    wanted = part(*inputs)
    ours = PointFeaturesByKernel(part)
    torch.testing.assert_close(ours(*inputs), wanted, rtol=0, atol=1e-5)

    maps, projections, points, confidence, mask = inputs
    channels, side = maps.shape[2], maps.shape[3]
    mapped = torch.nn.functional.linear(maps.permute(0, 1, 3, 4, 2), ours.to_maps)
    features = torch.full((batch, count, channels), POISON)
    given = (mapped, ours.across, ours.down, projections, points, confidence, mask, ours.rows, features)
    host_maps.host_points(*map(address, given), batch, channels, side, side, views, count)
    torch.testing.assert_close(ours.to_features(features), wanted, rtol=0, atol=1e-5)
    moved = points[:, None] @ projections[..., :3].transpose(-1, -2) + projections[..., 3][:, :, None]
    assert (moved[..., 2] < 0.01).any()
    inside = (moved[..., :2].abs() < moved[..., 2:]).all(dim=-1)
    assert 0.2 < inside.float().mean() < 0.9


def test_all_views_masked_are_all_alike() -> None:
    part, inputs = what_is_seen("lite", 1, 2, 5)
    inputs = *inputs[:-1], torch.zeros(1, 2)
    ours = PointFeaturesByKernel(part)
    torch.testing.assert_close(ours(*inputs), part(*inputs), rtol=0, atol=1e-5)


def test_the_operators_keep_to_what_pytorch_asks_of_one() -> None:
    part, (maps, *inputs) = what_is_seen("lite", 2, 3, 7)
    ours = PointFeaturesByKernel(part)
    given = (maps, ours.across, ours.down, *inputs, ours.rows)
    torch.library.opcheck(torch.ops.usthand.see_points.default, given)
    torch.library.opcheck(torch.ops.usthand.sample_maps.default, (maps[0], torch.zeros(3, 21, 2)))


def test_what_the_operators_of_places_do_not_take() -> None:
    maps = torch.zeros(2, 16, 8, 8)
    with pytest.raises(
        ValueError, match=r"places is torch\.float32 of \(3, 21, 2\); it must be float32 of \(2, 21, 2\)"
    ):
        sample_maps(maps, torch.zeros(3, 21, 2))
    with pytest.raises(ValueError, match="sample_maps takes float32 maps"):
        sample_maps(torch.zeros(2, 18, 8, 8), torch.zeros(2, 21, 2))
    part, (maps, *inputs) = what_is_seen("lite", 1, 2, 7)
    ours = PointFeaturesByKernel(part)
    with pytest.raises(ValueError, match=r"across is torch\.float32 of \(27, 64\); it must be float32 of \(28, 64\)"):
        see_points(maps, ours.across[1:], ours.down, *inputs, ours.rows)


@dataclass
class MapsDriver(Driver):
    """Of these kernels' arguments, so many pointers come first, and so many numbers after them."""

    ARGUMENTS: ClassVar = {
        "usthand_heatmap_parts": (5, 3),
        "usthand_heatmap_joints": (6, 3),
        "usthand_sample_maps": (3, 3),
        "usthand_see_points": (9, 5),
    }

    def cuLaunchKernel(self, function: str, *rest: Any) -> tuple[Any, ...]:  # noqa: N802
        *shape, _, stream, parameters, _ = rest
        pointers, numbers = self.ARGUMENTS[function]
        kinds = [ctypes.c_void_p] * pointers + [ctypes.c_int32] * numbers
        addresses = (ctypes.c_void_p * len(kinds)).from_address(parameters)
        values = [kind.from_address(at).value for kind, at in zip(kinds, addresses, strict=True)]
        self.launched.append((function, tuple(shape), stream, values))
        return self.answer("cuLaunchKernel")


def test_heatmaps_are_two_launches() -> None:
    driver = MapsDriver()
    kernels = KernelLibrary(driver)
    kernels.heatmaps(5, 1, 2, 3, 4, 6, 7, 8, 9, count=16, channels=64, height=28, width=28)
    assert driver.launched == [
        ("usthand_heatmap_parts", (13, 16, 1, 192, 1, 1), 5, [1, 2, 3, 4, 6, 64, 28, 28]),
        ("usthand_heatmap_joints", (336, 1, 1, 32, 1, 1), 5, [6, 1, 4, 7, 8, 9, 64, 28, 28]),
    ]
    for channels in (0, 18, 132):
        with pytest.raises(EngineError, match=f"maps of {channels} channels"):
            kernels.heatmaps(5, 1, 2, 3, 4, 6, 7, 8, 9, count=1, channels=channels, height=8, width=8)
    assert len(driver.launched) == 2


def test_places_are_sampled_by_a_thread_for_four_channels() -> None:
    driver = MapsDriver()
    kernels = KernelLibrary(driver)
    kernels.sample_maps(5, 1, 2, 3, count=16, channels=64, height=28, width=30, places_count=21)
    assert driver.launched == [("usthand_sample_maps", (6, 16, 1, 16, 4, 1), 5, [1, 2, 3, 28, 30, 21])]
    with pytest.raises(EngineError, match="maps of 132 channels"):
        kernels.sample_maps(5, 1, 2, 3, count=16, channels=132, height=28, width=30, places_count=21)


def test_a_point_is_seen_by_a_warp_for_each_view() -> None:
    driver = MapsDriver()
    kernels = KernelLibrary(driver)
    sizes = {"batch": 2, "channels": 128, "height": 32, "width": 30, "points_count": 693}
    kernels.see_points(5, *range(1, 10), **sizes, views=8)
    assert driver.launched == [
        ("usthand_see_points", (693, 2, 1, 256, 1, 1), 5, [*range(1, 10), 128, 32, 30, 8, 693]),
    ]
    with pytest.raises(EngineError, match=r"points in 17 views: the kernel joins 1\.\.16"):
        kernels.see_points(5, *range(1, 10), **sizes, views=17)
    with pytest.raises(EngineError, match="maps of 6 channels"):
        kernels.see_points(5, *range(1, 10), **(sizes | {"channels": 6}), views=8)
