"""What every trunk has in common: pictures in, maps at four strides out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

from torch import Tensor, nn

from engine.errors import EngineError

Features: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""F1 to F4 of UST-Hand sec. 3.1: `(N, C, S / stride, S / stride)` at strides 4, 8, 16, 32."""

STRIDES = (4, 8, 16, 32)


class Backbone(nn.Module, ABC):
    """A convolutional trunk.

    Args:
        default_input_px: Side of the pictures that it was made for; any multiple of 32 works.
        channels: Channels of F1 to F4.
        normalise: What the trunk wants done to RGB in [0, 1] first.
        landmarks: The trunk's own reading of a hand from the mean of F4, `engine.network.trunk_joints`; None for a
            trunk that has none.
    """

    def __init__(
        self,
        default_input_px: int,
        channels: tuple[int, int, int, int],
        normalise: nn.Module | None = None,
        landmarks: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.default_input_px = default_input_px
        self.channels = channels
        self.normalise = nn.Identity() if normalise is None else normalise

    def forward(self, images: Tensor) -> Features:
        """Turn pictures into maps.

        Args:
            images: `(N, 3, S, S)` RGB in [0, 1].

        Raises:
            EngineError: If S is no multiple of 32.
        """
        height, width = images.shape[-2:]
        if height % STRIDES[-1] or width % STRIDES[-1]:
            raise EngineError(
                f"{type(self).__name__}: a picture of {width}x{height} px; its sides must be multiples of {STRIDES[-1]}"
            )
        return self.features(self.normalise(images))

    @abstractmethod
    def features(self, images: Tensor) -> Features:
        """Turn normalised pictures `(N, 3, S, S)` into maps; each trunk has its own."""


class StagedBackbone(Backbone):
    """A trunk of four stages, one after the other, whose answers are F1 to F4.

    Args:
        stages: The stages.
        default_input_px: As of `Backbone`.
        channels: As of `Backbone`.
        normalise: As of `Backbone`.
        landmarks: As of `Backbone`.
    """

    def __init__(
        self,
        stages: tuple[nn.Module, nn.Module, nn.Module, nn.Module],
        default_input_px: int,
        channels: tuple[int, int, int, int],
        normalise: nn.Module | None = None,
        landmarks: nn.Linear | None = None,
    ) -> None:
        super().__init__(default_input_px, channels, normalise, landmarks)
        self.stages = nn.ModuleList(stages)

    def features(self, images: Tensor) -> Features:
        """Run the stages."""
        first, second, third, fourth = self.stages
        f1: Tensor = first(images)
        f2: Tensor = second(f1)
        f3: Tensor = third(f2)
        return f1, f2, f3, fourth(f3)
