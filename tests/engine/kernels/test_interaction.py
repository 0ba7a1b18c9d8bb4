"""The interaction's kernels on the host, and their operator on a CPU, against the network's own interaction."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.backends import gpu_interaction  # noqa: E402
from engine.kernels.layouts import last_layout, round_layout, size_of  # noqa: E402
from engine.network.config import JOINTS, NetworkConfig, preset  # noqa: E402
from engine.network.feature_interaction import FeatureInteraction  # noqa: E402

HANDS = 2


def interaction_of(config: NetworkConfig) -> FeatureInteraction:
    """One whose every part does something."""
    torch.manual_seed(config.fusion_channels)
    made = FeatureInteraction(config.pose_channels + config.feature_channels, config).eval().requires_grad_(False)
    for module in made.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.3)
    for gcn in made.gcns:
        gcn.learned_adjacency.normal_(0, 0.3)
    return made


def given(config: NetworkConfig, views: int, seed: int) -> tuple[Any, Any, Any]:
    """Graph, confidence and mask; one view of the second hand is masked."""
    torch.manual_seed(seed)
    graph = torch.randn(HANDS, views, JOINTS, config.pose_channels + config.feature_channels)
    mask = torch.ones(HANDS, views)
    mask[1, 1] = 0.0
    return graph, torch.rand(HANDS, views, JOINTS) * mask[..., None], mask


def assert_close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["lite", "resnet34"])
@pytest.mark.parametrize("views", [2, 8])
def test_the_operator_answers_as_the_interaction(name: str, views: int) -> None:
    config = preset(name)
    plain = interaction_of(config)
    assert gpu_interaction.fits(config)
    inputs = given(config, views, seed=1)
    assert_close(gpu_interaction.KernelInteraction(plain)(*inputs), plain(*inputs))


def test_more_views_than_the_kernels_take_stay_with_pytorch() -> None:
    plain = interaction_of(preset("lite"))
    inputs = given(preset("lite"), 9, seed=1)
    assert torch.equal(gpu_interaction.KernelInteraction(plain)(*inputs), plain(*inputs))


@pytest.mark.parametrize(
    ("name", "views"), [("lite", 2), ("resnet34", 3), pytest.param("lite", 8, marks=pytest.mark.slow)]
)
def test_the_kernels_answer_as_the_interaction(host_kernels: ctypes.CDLL, name: str, views: int) -> None:
    config = preset(name)
    plain = interaction_of(config)
    made = gpu_interaction.KernelInteraction(plain)
    graph, confidence, mask = given(config, views, seed=2)
    channels = config.fusion_channels
    host_kernels.host_interaction_size.restype = ctypes.c_size_t
    assert host_kernels.host_interaction_size(channels, False) == 4 * size_of(round_layout(channels))
    assert host_kernels.host_interaction_size(channels, True) == 4 * size_of(last_layout(channels))
    tokens = plain.embed(torch.cat([graph, confidence[..., None]], dim=-1)) + plain.joint_embedding
    convolved, attended, fused = (torch.full_like(tokens, torch.nan) for _ in range(3))
    asked = torch.full((HANDS, views, JOINTS, 3, channels), torch.nan)
    tensors = (made.rounds, made.last, tokens, confidence, mask, convolved, asked, attended, fused)
    host_kernels.host_interaction(
        (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors)),
        *(HANDS, views, config.fusion_rounds, channels),
    )
    assert_close(fused, plain(graph, confidence, mask))


def test_what_the_kernels_would_not_take_is_refused() -> None:
    config = preset("lite")
    graph, confidence, mask = given(config, 2, seed=3)
    with pytest.raises(ValueError, match="usthand::interaction: view_mask is "):
        gpu_interaction.KernelInteraction(interaction_of(config))(graph, confidence, mask[:1])


def test_other_interactions_stay_as_they_are() -> None:
    others = ({"use_gcn": False}, {"use_casa": False}, {"attention_heads": 8}, {"fusion_channels": 64})
    for other in (*others, {"fusion_rounds": 0}):
        assert not gpu_interaction.fits(NetworkConfig(**other))
