"""A network made ready for a GPU: its convolutions in half precision, with batch normalisation folded into them.

What is read from their maps stays float32: heatmaps, where joints are sampled, triangulation, the hand. So does the
first stage of a staged trunk, a small part of its work: what is rounded there moves joints more than all the rest.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from engine.backends import gpu_cloud, gpu_hand, gpu_interaction, gpu_maps, gpu_stpt
from engine.network.backbones.base import Backbone, Features, StagedBackbone
from engine.network.backbones.resnet import ResNet
from engine.network.network import UstHandNetwork

_Module = TypeVar("_Module", bound=nn.Module)

# Tensor cores read channels in groups of eight: two groups hold the twelve of a cell.
_STEM_CHANNELS = 16


def for_gpu(network: UstHandNetwork, precision: torch.dtype, *, own_kernels: bool = True) -> UstHandNetwork:
    """A copy of a network, on the same device, that computes the same with fewer and smaller numbers.

    Args:
        network: Ready to evaluate.
        precision: Of the convolutions but the heatmaps' own, and those of a staged trunk's first stage.
        own_kernels: Whether parts that have a kernel of the project's own are replaced by it.

    Returns:
        The copy. It makes no mesh, and no heatmaps where a kernel reads them, and cannot be trained or exported.
    """
    ready = copy.deepcopy(network).eval().requires_grad_(False)
    fold_batch_norms(ready)
    ready.makes_mesh = False
    ready.backbone = _Trunk(ready.backbone, precision)
    ready.decoder = _InPrecision(ready.decoder, precision)  # type: ignore[assignment] # it is called as the decoder is
    saigb = ready.joint_graph.saigb
    saigb.to_maps = _InPrecision(saigb.to_maps, precision)  # type: ignore[assignment] # it is called as the maps are
    if own_kernels:
        gpu_maps.read_maps_by_kernels(ready)
        gpu_interaction.interact_by_kernels(ready)
        gpu_cloud.make_cloud_by_kernels(ready)
        gpu_stpt.refine_by_kernels(ready)
        gpu_hand.pose_by_kernels(ready)
    return ready


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch normalisation that directly follows its convolution into it, in place.

    Which one follows which is read from the order of the children, which the trunks keep.
    """
    before: tuple[nn.Module, str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and before is not None:
            owner, conv_name, conv = before
            setattr(owner, conv_name, fuse_conv_bn_eval(conv, child))
            setattr(module, name, nn.Identity())
        elif not isinstance(child, nn.Conv2d):
            fold_batch_norms(child)
        before = (module, name, child) if isinstance(child, nn.Conv2d) else None


class _InPrecision(nn.Module):
    """A part that computes in another precision and answers in float32.

    Args:
        part: The part.
        precision: Its own.
    """

    def __init__(self, part: nn.Module, precision: torch.dtype) -> None:
        super().__init__()
        self.part = _in_precision(part, precision)
        self.precision = precision

    def forward(self, maps: Tensor | Features) -> Tensor:
        """Answer for maps, or for all maps of a trunk."""
        if isinstance(maps, Tensor):
            answer: Tensor = self.part(maps.to(self.precision))
        else:
            answer = self.part(tuple(level.to(self.precision) for level in maps))
        return answer.float()


class _Trunk(Backbone):
    """A trunk that computes in another precision; its deepest map, from which others read, comes in float32.

    Args:
        trunk: The trunk.
        precision: Its own, but for the first stage of a staged one.
    """

    def __init__(self, trunk: Backbone, precision: torch.dtype) -> None:
        super().__init__(trunk.default_input_px, trunk.channels, trunk.normalise, trunk.landmarks)
        trunk.landmarks, trunk.normalise = None, nn.Identity()
        self.in_cells, self.precision = isinstance(trunk, ResNet), precision
        if isinstance(trunk, ResNet):
            trunk.conv1 = _on_cells(trunk.conv1)
        if isinstance(trunk, StagedBackbone):
            first, self.precision = copy.deepcopy(trunk.stages[0]), torch.float32
        self.trunk = _in_precision(trunk, precision)
        if isinstance(trunk, StagedBackbone):
            trunk.stages[0] = nn.Sequential(_in_precision(first, torch.float32), _Cast(precision))

    def features(self, images: Tensor) -> Features:
        """Run the trunk on normalised pictures."""
        images = images.to(self.precision)
        if self.in_cells:
            images = _cells(images)
        levels: Features = self.trunk.features(images.contiguous(memory_format=torch.channels_last))
        return *levels[:-1], levels[-1].float()


class _Cast(nn.Module):
    """Brings maps to another precision."""

    def __init__(self, precision: torch.dtype) -> None:
        super().__init__()
        self.precision = precision

    def forward(self, maps: Tensor) -> Tensor:
        """Cast maps."""
        return maps.to(self.precision)


def _cells(images: Tensor) -> Tensor:
    """Pictures `(N, 3, S, S)` as cells of 2x2 pixels, with the border that a convolution of `_on_cells` needs.

    Returns:
        `(N, 16, S / 2 + 3, S / 2 + 3)`: a cell's pixels row by row, each red, green and blue; zero channels after them.
    """
    count, colours, height, width = images.shape
    pixels = images.reshape(count, colours, height // 2, 2, width // 2, 2)
    cells = pixels.permute(0, 2, 4, 3, 5, 1).reshape(count, height // 2, width // 2, 4 * colours)
    return functional.pad(cells, (0, _STEM_CHANNELS - 4 * colours, 2, 1, 2, 1)).permute(0, 3, 1, 2)


def _on_cells(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution of what `_cells` makes: 7x7 pixels of stride 2 are 4x4 cells of stride 1.

    A window starts three pixels before its place, in the middle of a cell: weights of zero come before its first row
    and column. The border, of two cells before and one after, is in the cells.
    """
    weight = functional.pad(conv.weight, (1, 0, 1, 0))
    outputs, colours, height, width = weight.shape
    weight = weight.reshape(outputs, colours, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4)
    weight = weight.reshape(outputs, 4 * colours, height // 2, width // 2)
    made = nn.Conv2d(_STEM_CHANNELS, outputs, height // 2, bias=conv.bias is not None)
    weight = functional.pad(weight, (0, 0, 0, 0, 0, _STEM_CHANNELS - 4 * colours))
    made.weight, made.bias = nn.Parameter(weight, requires_grad=False), conv.bias
    return made


def _in_precision(module: _Module, precision: torch.dtype) -> _Module:
    """A module, its weights in a precision and laid out as tensor cores read them."""
    ready: _Module = module.to(dtype=precision, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ready
