"""The kernels that read maps on a GPU, against the network's modules on the CPU. Their answers are poisoned before."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from engine.backends.gpu_maps import PointFeaturesByKernel  # noqa: E402
from engine.kernels.maps_op import heatmap_joints, sample_maps, see_points  # noqa: E402
from engine.kernels.operators import loaded_library  # noqa: E402
from engine.network.joint_graph import sample_features  # noqa: E402
from tests.engine.kernels.test_maps import (  # noqa: E402
    MAPS,
    PLACES,
    POISON,
    SEEN,
    a_head,
    heatmap_arguments,
    what_is_seen,
)

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def kernels_are_there() -> None:
    """Or PyTorch's operators would be compared with themselves."""
    torch.zeros(1, device="cuda")
    assert loaded_library(0) is not None


@pytest.mark.parametrize("size", [*MAPS, (16, 128, 32, 32)], ids=str)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
def test_joints_of_maps(size: tuple[int, int, int, int], layout: torch.memory_format) -> None:
    head = a_head(size[1])
    arguments = [tensor.cuda() for tensor in heatmap_arguments(head)]
    features = torch.randn(size, device="cuda").to(memory_format=layout)
    heatmap_joints(features, *arguments)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        joints, confidence, samples = heatmap_joints(features, *arguments)
    for _ in range(3):
        features.normal_()
        features[0, :, 0, 0] += 2.0
        joints.fill_(POISON)
        confidence.fill_(POISON)
        samples.fill_(POISON)
        graph.replay()
        _, wanted, sure = head(features.cpu())
        torch.testing.assert_close(joints.cpu(), wanted, rtol=0, atol=5e-6)
        torch.testing.assert_close(confidence.cpu(), sure, rtol=0, atol=5e-6)
        torch.testing.assert_close(samples.cpu(), sample_features(features.cpu(), joints.cpu()), rtol=0, atol=5e-5)


@pytest.mark.parametrize("size", [*MAPS, (16, 128, 32, 32)], ids=str)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
def test_maps_at_places(size: tuple[int, int, int, int], layout: torch.memory_format) -> None:
    maps = torch.randn(size, device="cuda").to(memory_format=layout)
    places = torch.empty(size[0], 21, 2, device="cuda").uniform_(-1.2, 1.2)
    places[:, : len(PLACES)] = PLACES.cuda()
    sample_maps(maps, places)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        samples = sample_maps(maps, places)
    for _ in range(3):
        maps.normal_()
        places[:, len(PLACES) :].uniform_(-1.2, 1.2)
        samples.fill_(POISON)
        graph.replay()
        wanted = sample_features(maps.cpu(), places.cpu())
        torch.testing.assert_close(samples.cpu(), wanted, rtol=0, atol=5e-5)


@pytest.mark.parametrize(("preset", "batch", "views"), [*SEEN, ("resnet34", 2, 16)])
def test_points_in_all_views(preset: str, batch: int, views: int) -> None:
    count = 21 * 33
    part, inputs = what_is_seen(preset, batch, views, count)
    ours = PointFeaturesByKernel(part)
    mapped = torch.nn.functional.linear(inputs[0].permute(0, 1, 3, 4, 2), ours.to_maps).permute(0, 1, 4, 2, 3)
    given = [tensor.cuda() for tensor in (mapped, ours.across, ours.down, *inputs[1:], ours.rows)]
    see_points(*given)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        features = see_points(*given)
    for _ in range(3):
        given[0].normal_()
        given[4].mul_(0.9)
        features.fill_(POISON)
        graph.replay()
        wanted = see_points(*(tensor.cpu() for tensor in given))
        torch.testing.assert_close(features.cpu(), wanted, rtol=1e-4, atol=3e-4)


def test_point_features_answer_as_on_a_cpu() -> None:
    part, inputs = what_is_seen("lite", 2, 3, 693)
    wanted = part(*inputs)
    found = PointFeaturesByKernel(part).cuda()(*(tensor.cuda() for tensor in inputs))
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=3e-4)
