"""STPT's kernels on the host, and their operator on a CPU, against the network's own transformer."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.backends import gpu_stpt  # noqa: E402
from engine.kernels.layouts import size_of, stpt_layout  # noqa: E402
from engine.network.config import JOINTS, NetworkConfig, preset  # noqa: E402
from engine.network.point_transformer import PointTransformer  # noqa: E402

HANDS = 2


def transformer(config: NetworkConfig) -> PointTransformer:
    """One whose every part does something: as made, the step hardly moves a point."""
    torch.manual_seed(config.point_channels)
    made = PointTransformer(config).eval().requires_grad_(False)
    for block in made.blocks:
        block.to_move.weight.normal_(0, 0.02)
        block.to_move.bias.normal_(0, 0.01)
    for module in made.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.3)
    return made


def inputs(config: NetworkConfig, seed: int) -> dict[str, Any]:
    """Points as a hand's are: anchors about the query points."""
    torch.manual_seed(seed)
    channels, copies = config.point_channels, config.hypotheses
    places = torch.randn(HANDS, JOINTS, 3)
    anchors = places.repeat(1, copies, 1) + 0.3 * torch.randn(HANDS, JOINTS * copies, 3)
    valid = torch.ones(HANDS, config.past + 1)
    valid[0, 1] = valid[1, 4] = 0.0
    return {
        "places": places,
        "features": torch.randn(HANDS, JOINTS, channels),
        "anchor_places": anchors,
        "anchor_features": torch.randn(HANDS, JOINTS * copies, channels),
        "valid": valid,
        "state": torch.randn(HANDS, config.blocks, 2, config.past, JOINTS, channels),
    }


def assert_close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["lite", "resnet34"])
def test_the_operator_answers_as_the_transformer(name: str) -> None:
    config = preset(name)
    plain = transformer(config)
    given = inputs(config, seed=1)
    assert gpu_stpt.fits(config)
    refined, features, state = gpu_stpt.KernelTransformer(plain)(**given)
    expected = plain(**given)
    assert_close(refined[-1], expected[0][-1])
    assert_close(features, expected[1])
    assert_close(state, expected[2])
    # Or there would be little to see.
    assert float((expected[0][-1] - given["places"]).abs().mean()) > 0.05


@pytest.mark.parametrize("name", ["lite", "resnet34"])
def test_the_kernels_answer_as_the_operator(host_kernels: ctypes.CDLL, name: str) -> None:
    # A first block and a last one.
    config = replace(preset(name), blocks=2)
    plain = transformer(config)
    given = inputs(config, seed=2)
    # Equal distances: the lower number comes first, as in the operator.
    given["anchor_places"][:, 5:40] = given["anchor_places"][:, 4:5]
    by_kernels = gpu_stpt.KernelTransformer(plain)
    channels, count = config.point_channels, config.blocks
    size = size_of(stpt_layout(channels))
    host_kernels.host_stpt_size.restype = ctypes.c_size_t
    assert host_kernels.host_stpt_size(channels) == 4 * size

    keys_values = torch.nn.functional.linear(
        plain.anchor_norm(given["anchor_features"]), by_kernels.key_value_weight, by_kernels.key_value_bias
    ).contiguous()
    asked = torch.full((HANDS, JOINTS, 3, channels), torch.nan)
    kept = torch.full_like(given["state"], torch.nan)
    places, features, points = given["places"], given["features"], HANDS * JOINTS
    pointer = ctypes.c_void_p
    host_kernels.host_stpt_start(
        *(pointer(tensor.data_ptr()) for tensor in (by_kernels.weights, features, asked)), points, channels
    )
    assert not asked.isnan().any()
    for number in range(count):
        written = tuple(torch.full_like(tensor, torch.nan) for tensor in (places, features, asked))
        read = (places, features, asked, given["anchor_places"], keys_values, given["valid"], given["state"])
        tensors = (by_kernels.weights, *read, *written, kept)
        host_kernels.host_stpt_refine(
            (pointer * len(tensors))(*(tensor.data_ptr() for tensor in tensors)),
            *(points, given["anchor_places"].shape[1], number, count, channels),
        )
        places, features, asked = written
    expected = by_kernels(**given)
    assert_close(places, expected[0][-1])
    assert_close(features, expected[1])
    assert_close(kept, expected[2])
    # The last block asks nothing of the next.
    assert asked.isnan().all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("valid", torch.ones(HANDS, 4)), ("state", torch.zeros(1)), ("places", torch.zeros(HANDS, JOINTS, 3).double())],
)
def test_what_the_kernels_would_not_take_is_refused(name: str, value: Any) -> None:
    config = preset("lite")
    given = inputs(config, seed=3) | {name: value}
    with pytest.raises(ValueError, match=f"usthand::stpt: {name} is torch"):
        gpu_stpt.KernelTransformer(transformer(config))(**given)


def test_other_transformers_stay_as_they_are() -> None:
    for other in ({"use_cross_attention": False}, {"temporal_frames": 3}, {"lookahead": 2}, {"point_channels": 64}):
        assert not gpu_stpt.fits(NetworkConfig(**other))
