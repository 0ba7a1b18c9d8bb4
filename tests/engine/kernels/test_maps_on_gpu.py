"""The kernels that read maps on a GPU, against the network's own modules on the CPU. Their answers are poisoned before."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from engine.kernels.maps_op import heatmap_joints  # noqa: E402
from engine.kernels.torch_op import loaded_library  # noqa: E402
from tests.engine.kernels.test_maps import MAPS, POISON, a_head, heatmap_arguments  # noqa: E402

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
        joints, confidence = heatmap_joints(features, *arguments)
    for _ in range(3):
        features.normal_()
        features[0, :, 0, 0] += 2.0
        joints.fill_(POISON)
        confidence.fill_(POISON)
        graph.replay()
        _, wanted, sure = head(features.cpu())
        torch.testing.assert_close(joints.cpu(), wanted, rtol=0, atol=5e-6)
        torch.testing.assert_close(confidence.cpu(), sure, rtol=0, atol=5e-6)
