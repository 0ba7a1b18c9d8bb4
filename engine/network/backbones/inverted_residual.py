"""Inverted residual blocks with ReLU6 (MobileNetV2, EfficientNet-Lite), padded as TensorFlow pads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from engine.network.backbones.blocks import SameConv2d


@dataclass(frozen=True, slots=True)
class Block:
    """One row of a block table.

    Args:
        expanded: Channels of the depthwise convolution.
        channels: Channels that go out.
        kernel_size: Side of the depthwise kernel.
        stride: 1 or 2.
    """

    expanded: int
    channels: int
    kernel_size: int
    stride: int = 1


def convolution(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, *, depthwise: bool = False, norm: bool
) -> nn.Sequential:
    """A convolution with a bias, or with a batch normalisation in TensorFlow's settings instead."""
    conv = SameConv2d(
        in_channels, out_channels, kernel_size, stride, groups=in_channels if depthwise else 1, bias=not norm
    )
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01)) if norm else nn.Sequential(conv)


class InvertedResidual(nn.Module):
    """Widen (unless the width stays), convolve each channel, narrow; add what came in where the shapes allow it.

    Args:
        in_channels: Channels that come in.
        block: The row of the table.
        norm: Whether batch normalisations stand where biases would.
        pool_shortcut: Add what came in also across a stride of 2, by its 2x2 maxima.
    """

    def __init__(self, in_channels: int, block: Block, *, norm: bool, pool_shortcut: bool = False) -> None:
        super().__init__()
        wide = block.expanded
        layers: list[nn.Module] = []
        if wide != in_channels:
            layers += [convolution(in_channels, wide, 1, norm=norm), nn.ReLU6()]
        layers += [convolution(wide, wide, block.kernel_size, block.stride, depthwise=True, norm=norm), nn.ReLU6()]
        self.layers = nn.Sequential(*layers, convolution(wide, block.channels, 1, norm=norm))
        self.shortcut: nn.Module | None = None
        if block.stride == 1 and block.channels == in_channels:
            self.shortcut = nn.Identity()
        elif pool_shortcut:
            self.shortcut = nn.MaxPool2d(2)

    def forward(self, maps: Tensor) -> Tensor:
        """Turn maps `(N, C, H, W)` into `(N, C', H / stride, W / stride)`."""
        out: Tensor = self.layers(maps)
        return out if self.shortcut is None else out + self.shortcut(maps)
