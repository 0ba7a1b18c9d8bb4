"""Residual networks of basic blocks (He et al. 2015); the names of their weights are torchvision's."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from torch import Tensor, nn

from engine.network.backbones.base import Backbone, Features
from engine.network.backbones.blocks import imagenet_normalise, initialise
from engine.network.backbones.checkpoints import assign, read_checkpoint

Depth = Literal[18, 34]

INPUT_PX: Final = 256
_CHANNELS: Final = (64, 128, 256, 512)
_BLOCKS: Final[dict[Depth, tuple[int, int, int, int]]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_CLASSIFIER: Final = "fc."


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and what came in.

    Args:
        in_channels: Channels that come in.
        channels: Channels that go out.
        stride: 1 or 2.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Turn maps `(N, C, H, W)` into `(N, C', H / stride, W / stride)`."""
        out = self.relu(self.bn1(self.conv1(maps)))
        result: Tensor = self.relu(self.bn2(self.conv2(out)) + self.downsample(maps))
        return result


class ResNet(Backbone):
    """The paper's trunk (34) and its smaller sister (18). Weights are random until some are loaded.

    Args:
        depth: Layers with weights, as the network is named.
    """

    def __init__(self, depth: Depth) -> None:
        super().__init__(INPUT_PX, _CHANNELS, imagenet_normalise())
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        width = 64
        for number, (channels, blocks) in enumerate(zip(_CHANNELS, _BLOCKS[depth], strict=True), start=1):
            layer = nn.Sequential()
            for index in range(blocks):
                layer.append(BasicBlock(width, channels, 2 if number > 1 and index == 0 else 1))
                width = channels
            self.add_module(f"layer{number}", layer)
        initialise(self)

    def features(self, images: Tensor) -> Features:
        """Run the stem and the four layers."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        f1: Tensor = self.get_submodule("layer1")(maps)
        f2: Tensor = self.get_submodule("layer2")(f1)
        f3: Tensor = self.get_submodule("layer3")(f2)
        return f1, f2, f3, self.get_submodule("layer4")(f3)

    def load_imagenet_weights(self, path: Path) -> None:
        """Load the weights of torchvision's or timm's network of the same depth.

        Args:
            path: A state dict that `torch.save` wrote; the classifier's entries in it are not needed.

        Raises:
            EngineError: If the file cannot be read or is another network's.
        """
        state = read_checkpoint(path)
        assign(self, {name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIER)}, path)
