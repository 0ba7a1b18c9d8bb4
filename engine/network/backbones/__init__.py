"""The trunks that a network can see with, and the decoder that brings their maps together (sec. 3.1)."""

from __future__ import annotations

from typing import Final

from engine.errors import EngineError
from engine.network.backbones.base import Backbone, Features
from engine.network.backbones.decoder import Decoder
from engine.network.backbones.efficientnet_lite import EfficientNetLite0
from engine.network.backbones.mediapipe import MediaPipeTrunk
from engine.network.backbones.mobilenet_v4 import MobileNetV4ConvSmall
from engine.network.backbones.resnet import ResNet

BACKBONES: Final = (
    "resnet18",
    "resnet34",
    "mediapipe-lite",
    "mediapipe-full",
    "mobilenetv4-conv-small",
    "efficientnet-lite0",
)
"""Names that `build_backbone` knows."""


def build_backbone(name: str, *, pretrained: bool = True) -> Backbone:
    """Build a trunk.

    Args:
        name: One of `BACKBONES`.
        pretrained: With weights that are at hand: MediaPipe's are embedded, EfficientNet-Lite0's are used if their
            package is installed, the others have none and start from random ones either way. A ResNet loads weights
            with `load_imagenet_weights`.

    Raises:
        EngineError: If nothing has this name, or weights that should be there cannot be read.
    """
    match name:
        case "resnet18":
            return ResNet(18)
        case "resnet34":
            return ResNet(34)
        case "mediapipe-lite":
            return MediaPipeTrunk("lite", pretrained=pretrained)
        case "mediapipe-full":
            return MediaPipeTrunk("full", pretrained=pretrained)
        case "mobilenetv4-conv-small":
            return MobileNetV4ConvSmall()
        case "efficientnet-lite0":
            return EfficientNetLite0(pretrained=pretrained)
        case _:
            raise EngineError(f"backbone {name}: unknown; the known ones are {', '.join(BACKBONES)}")


__all__ = ["BACKBONES", "Backbone", "Decoder", "Features", "build_backbone"]
