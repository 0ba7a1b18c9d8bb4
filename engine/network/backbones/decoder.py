"""Cascaded upsampling (sec. 3.1): the deep maps, brought back to an eighth of the picture's resolution."""

from __future__ import annotations

from torch import Tensor, nn

from engine.network.backbones.base import Features
from engine.network.backbones.blocks import ConvNorm, initialise


def _smooth(channels: int, light: bool) -> nn.Sequential:
    """A 3x3 convolution, or its depthwise-separable counterpart."""
    if not light:
        return ConvNorm(channels, channels, 3)
    return nn.Sequential(ConvNorm(channels, channels, 3, groups=channels), ConvNorm(channels, channels, 1))


class Decoder(nn.Module):
    """F_ms: F4, twice as large and fused with F3; that, twice as large and fused with F2.

    Fusing is adding, after a 1x1 convolution has brought what the trunk says to the decoder's width, and smoothing.

    Args:
        channels: Channels of F1 to F4.
        out_channels: Channels of F_ms, and of everything in between.
        light: Depthwise-separable convolutions, for a CPU.
    """

    def __init__(self, channels: tuple[int, int, int, int], out_channels: int, *, light: bool = False) -> None:
        super().__init__()
        self.lateral2, self.lateral3, self.lateral4 = (
            ConvNorm(width, out_channels, 1, activation=None) for width in channels[1:]
        )
        self.smooth2, self.smooth3 = (_smooth(out_channels, light) for _ in range(2))
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="bilinear")
        initialise(self)

    def forward(self, features: Features) -> Tensor:
        """Fuse F1 to F4 into F_ms `(N, out_channels, S / 8, S / 8)`; F1 is not needed."""
        _, f2, f3, f4 = features
        fused = self.smooth3(self.enlarge(self.lateral4(f4)) + self.lateral3(f3))
        f_ms: Tensor = self.smooth2(self.enlarge(fused) + self.lateral2(f2))
        return f_ms
