"""MobileNetV4-Conv-S (Qin et al. 2024, arXiv:2404.10518), from random weights: none are embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import Tensor, nn

from engine.network.backbones.base import StagedBackbone
from engine.network.backbones.blocks import ConvNorm, imagenet_normalise, initialise

INPUT_PX: Final = 224


@dataclass(frozen=True, slots=True)
class Row:
    """One universal inverted bottleneck.

    Args:
        first_kernel: Of the depthwise convolution before the widening; 0 for none.
        kernel: Of the one between widening and narrowing; 0 for none.
        expansion: Wide channels for each that comes in.
        channels: Channels that go out.
        stride: 1 or 2, of the middle convolution.
    """

    first_kernel: int
    kernel: int
    expansion: int
    channels: int
    stride: int = 1


_STAGE_3: Final = (Row(5, 5, 3, 96, 2), *[Row(0, 3, 2, 96)] * 4, Row(3, 0, 4, 96))
_STAGE_4: Final = (
    Row(3, 3, 6, 128, 2),
    Row(5, 5, 4, 128),
    Row(0, 5, 4, 128),
    Row(0, 5, 3, 128),
    *[Row(0, 3, 4, 128)] * 2,
)


class UniversalInvertedBottleneck(nn.Module):
    """Convolve each channel, widen, convolve each channel, narrow; either of the former two may be absent.

    Args:
        in_channels: Channels that come in.
        row: The row of the table.
    """

    def __init__(self, in_channels: int, row: Row) -> None:
        super().__init__()
        wide = in_channels * row.expansion
        layers: list[nn.Module] = []
        if row.first_kernel:
            layers.append(ConvNorm(in_channels, in_channels, row.first_kernel, groups=in_channels, activation=None))
        layers.append(ConvNorm(in_channels, wide, 1))
        if row.kernel:
            layers.append(ConvNorm(wide, wide, row.kernel, row.stride, groups=wide))
        layers.append(ConvNorm(wide, row.channels, 1, activation=None))
        self.layers = nn.Sequential(*layers)
        self.adds = row.stride == 1 and row.channels == in_channels

    def forward(self, maps: Tensor) -> Tensor:
        """Turn maps `(N, C, H, W)` into `(N, C', H / stride, W / stride)`."""
        out: Tensor = self.layers(maps)
        return out + maps if self.adds else out


def _stage(in_channels: int, rows: tuple[Row, ...]) -> nn.Sequential:
    widths = (in_channels, *(row.channels for row in rows[:-1]))
    return nn.Sequential(*(UniversalInvertedBottleneck(*pair) for pair in zip(widths, rows, strict=True)))


class MobileNetV4ConvSmall(StagedBackbone):
    """The trunk, up to its last map of 128 channels."""

    def __init__(self) -> None:
        super().__init__(
            (
                nn.Sequential(ConvNorm(3, 32, 3, 2), ConvNorm(32, 32, 3, 2), ConvNorm(32, 32, 1)),
                nn.Sequential(ConvNorm(32, 96, 3, 2), ConvNorm(96, 64, 1)),
                _stage(64, _STAGE_3),
                _stage(96, _STAGE_4),
            ),
            INPUT_PX,
            (32, 64, 96, 128),
            imagenet_normalise(),
        )
        initialise(self)
