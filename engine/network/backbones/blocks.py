"""What the trunks and the decoder are built of."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Normalise(nn.Module):
    """`scale * image + offset`, a pair of numbers a channel: what a trunk was trained to see, out of RGB in [0, 1].

    Args:
        mean: Of red, green and blue, in [0, 1].
        std: The same.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        spread = torch.tensor(std).reshape(1, 3, 1, 1)
        # Constants, not weights: a checkpoint from elsewhere has no such entries.
        self.register_buffer("scale", 1 / spread, persistent=False)
        self.register_buffer("offset", -torch.tensor(mean).reshape(1, 3, 1, 1) / spread, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images `(N, 3, S, S)`."""
        return images * self.scale + self.offset


def imagenet_normalise() -> Normalise:
    """What torchvision's and timm's networks were trained to see."""
    return Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding `SAME`, for sizes that the stride divides.

    With a stride of 2 the padding is one longer at the right and at the bottom, which `nn.Conv2d` cannot say. In an
    exported graph the padding becomes an attribute of the convolution.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        kernel_size: Side of the kernel.
        stride: 1 or 2.
        groups: As of `nn.Conv2d`.
        bias: As of `nn.Conv2d`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> None:
        before, odd = divmod(kernel_size - stride, 2)
        padding = 0 if odd else before
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias)
        self.border = (before, before + 1, before, before + 1) if odd else None

    def forward(self, input: Tensor) -> Tensor:
        """Convolve maps `(N, C, H, W)`."""
        return super().forward(input if self.border is None else functional.pad(input, self.border))


class ConvNorm(nn.Sequential):
    """A convolution without bias, a batch normalisation, and an activation unless `activation` is None.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        kernel_size: Side of the kernel.
        stride: 1 or 2; the padding keeps `size / stride`.
        groups: As of `nn.Conv2d`.
        activation: Makes the activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        activation: Callable[[], nn.Module] | None = nn.ReLU,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False
            ),
            nn.BatchNorm2d(out_channels),
        ]
        super().__init__(*layers, *([] if activation is None else [activation()]))


def initialise(module: nn.Module) -> None:
    """Draw the weights of all convolutions as He et al. 2015 do, by the outputs that each input reaches."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            # Torch's own initialiser forgets the groups: a depthwise convolution would come out far too small.
            reached = part.weight[0, 0].numel() * part.out_channels / part.groups
            nn.init.normal_(part.weight, 0.0, math.sqrt(2 / reached))
            if part.bias is not None:
                nn.init.zeros_(part.bias)
