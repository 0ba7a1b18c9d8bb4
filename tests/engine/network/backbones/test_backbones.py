"""Trunks and decoder: maps at the right strides, gradients everywhere, and the same answers once exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from engine.errors import EngineError
from engine.network.backbones import BACKBONES, Backbone, Decoder, build_backbone

F_MS_CHANNELS = 16
# The larger networks of two kinds are the smaller ones with another table.
KINDS = ("resnet18", "mediapipe-lite", "mobilenetv4-conv-small", "efficientnet-lite0")


class Encoder(nn.Module):
    def __init__(self, name: str, *, light: bool) -> None:
        super().__init__()
        self.backbone = build_backbone(name)
        self.decoder = Decoder(self.backbone.channels, F_MS_CHANNELS, light=light)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(images)
        return self.decoder(features), features[3]


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return build_backbone(request.param).eval()


@pytest.mark.parametrize("size_px", [64, 160])
def test_maps_have_strides_of_4_to_32(backbone: Backbone, size_px: int) -> None:
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, size_px, size_px))
    assert [tuple(maps.shape) for maps in features] == [
        (2, channels, size_px // stride, size_px // stride)
        for channels, stride in zip(backbone.channels, (4, 8, 16, 32), strict=True)
    ]
    assert backbone.default_input_px % 32 == 0


def test_a_size_that_32_does_not_divide_is_refused(backbone: Backbone) -> None:
    with pytest.raises(EngineError, match="100x100 px; its sides must be multiples of 32"):
        backbone(torch.rand(1, 3, 100, 100))


def test_views_do_not_see_each_other(backbone: Backbone) -> None:
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        together = backbone(images)
        alone = backbone(images[1:])
    for both, one in zip(together, alone, strict=True):
        torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-4)


def test_random_weights_keep_the_scale_of_what_they_see() -> None:
    # Too small an initialisation ends in denormal numbers, which a CPU computes with many times slower.
    for name in BACKBONES:
        with torch.no_grad():
            features = build_backbone(name, pretrained=False).eval()(torch.rand(1, 3, 64, 64))
        for maps in features:
            assert 1e-3 < maps.std() < 1e3, name


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("pretrained", [True, False])
def test_gradients_reach_the_first_convolution(name: str, pretrained: bool) -> None:
    backbone = build_backbone(name, pretrained=pretrained).train()
    decoder = Decoder(backbone.channels, F_MS_CHANNELS)
    decoder(backbone(torch.rand(2, 3, 64, 64))).square().mean().backward()
    first = next(part for part in backbone.modules() if isinstance(part, nn.Conv2d))
    assert first.weight.grad is not None
    assert first.weight.grad.isfinite().all()
    assert first.weight.grad.abs().max() > 0


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EngineError, match="backbone vgg16: unknown; the known ones are resnet18, resnet34, mediapipe"):
        build_backbone("vgg16")


@pytest.mark.parametrize("light", [False, True])
def test_decoder_fuses_three_maps_at_an_eighth(light: bool) -> None:
    channels = (8, 12, 24, 40)
    decoder = Decoder(channels, F_MS_CHANNELS, light=light).eval()
    features = [
        torch.rand(3, count, 96 // stride, 96 // stride, requires_grad=True)
        for count, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    f_ms = decoder(tuple(features))
    assert f_ms.shape == (3, F_MS_CHANNELS, 12, 12)
    f_ms.sum().backward()
    assert [maps.grad is not None and bool(maps.grad.any()) for maps in features] == [False, True, True, True]


def test_a_light_decoder_is_smaller() -> None:
    sizes = [
        sum(weight.numel() for weight in Decoder((8, 8, 8, 8), 64, light=light).parameters()) for light in (True, False)
    ]
    assert sizes[0] < sizes[1] / 4


# The exporter of torch 2.13 asks torch in a way that torch itself deprecates.
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize(
    "name",
    # Those that presets are made of, or are the small brothers of, at once.
    [name if name in ("resnet18", "mediapipe-lite") else pytest.param(name, marks=pytest.mark.slow) for name in KINDS],
)
def test_exported_encoder_answers_alike_for_any_number_of_views(name: str, tmp_path: Path) -> None:
    encoder = Encoder(name, light=name != "resnet18").eval()
    program = torch.onnx.export(
        encoder,
        (torch.rand(2, 3, 96, 96),),
        dynamo=True,
        opset_version=20,
        input_names=["images"],
        output_names=["f_ms", "f4"],
        dynamic_shapes=({0: torch.export.Dim("views", min=1, max=64)},),
        verbose=False,
    )
    assert program is not None
    path = tmp_path / "encoder.onnx"
    program.save(path)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    # Padding that differs at opposite sides is the convolution's own: an extra operator would copy the whole map.
    assert "Pad" not in {node.op_type for node in program.model.graph}
    for views in (1, 5):
        images = torch.rand(views, 3, 96, 96)
        with torch.no_grad():
            expected = encoder(images)
        for wanted, got in zip(expected, session.run(None, {"images": images.numpy()}), strict=True):
            assert np.abs(got - wanted.numpy()).max() <= 1e-4 * wanted.abs().max().item()
