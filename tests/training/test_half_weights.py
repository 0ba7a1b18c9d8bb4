"""A trunk's weights end as numbers that half precision holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.factory import shipped_path
from engine.hand_model import HandModel
from engine.network.backbones import build_backbone
from engine.network.weights import load_weights
from tests.training.conftest import SMALL
from tests.training.test_fit import CONFIG, Samples
from tests.training.test_levels import Source
from training.half_weights import round_to_half
from training.run import RunConfig, load_network, train


def _is_half(weight: Tensor) -> bool:
    return weight.equal(weight.half().float())


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def test_a_trunk_is_rounded_but_for_its_first_stage() -> None:
    torch.manual_seed(0)
    trunk = build_backbone("mediapipe-lite", pretrained=False)
    for conv in _convolutions(trunk):
        nn.init.normal_(conv.bias)  # type: ignore[arg-type] # these have one
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    round_to_half(trunk)
    for name, value in trunk.state_dict().items():
        if name.startswith("stages.0") or not name.startswith("stages."):
            assert value.equal(before[name]), name
        else:
            assert value.equal(before[name].half().float()), name
            assert not value.equal(before[name]), name


def test_what_is_normalised_later_is_left() -> None:
    for name in ("resnet18", "mobilenetv4-conv-small"):
        trunk = build_backbone(name, pretrained=False)
        before = {key: value.clone() for key, value in trunk.state_dict().items()}
        round_to_half(trunk)
        for key, value in trunk.state_dict().items():
            assert value.equal(before[key]), f"{name}: {key}"


def test_training_ends_with_it(hand_model: HandModel, small_samples: Samples, tmp_path: Path) -> None:
    network = replace(SMALL, backbone="mediapipe-lite")
    config = RunConfig(network=network, fit=replace(CONFIG, epochs=1, train_backbone=True))
    path = train(tmp_path, config, Source(small_samples), None, hand_model, device=torch.device("cpu"))
    learnt = load_weights(path).build(hand_model).backbone
    first, *others = learnt.stages
    assert not all(_is_half(conv.weight) for conv in _convolutions(first))
    for stage in others:
        for conv in _convolutions(stage):
            assert _is_half(conv.weight)
            assert _is_half(conv.bias)  # type: ignore[arg-type] # these have one


def test_the_shipped_network_was_rounded(hand_model: HandModel) -> None:
    network = load_network(shipped_path("lite"), hand_model)
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    round_to_half(network.backbone)
    for name, value in network.backbone.state_dict().items():
        assert value.equal(before[name]), name
