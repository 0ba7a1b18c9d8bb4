"""The trunks of MediaPipe's hand landmark networks, with their weights: they have seen hands already.

The weights are Google's, under Apache-2.0 (see NOTICE), and are read from the networks that the detector runs. Batch
normalisations were folded into them, so the convolutions have biases instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor, nn

from engine.errors import EngineError
from engine.network.backbones.base import StagedBackbone
from engine.network.backbones.blocks import initialise
from engine.network.backbones.inverted_residual import Block, InvertedResidual, convolution
from engine.network.trunk_joints import LANDMARK_OUTPUTS

if TYPE_CHECKING:
    import onnx

Size = Literal["lite", "full"]

INPUT_PX: Final = 224
_STEM: Final = 24
# Outputs of a landmark network: joints in crop pixels, presence, right hand.
_HEADS: Final = ("Identity", "Identity_1", "Identity_2")
_EXPANSION: Final = 6
# Each tuple is a stage: its first row halves the map.
_BLOCKS: Final[dict[Size, tuple[tuple[Block, ...], ...]]] = {
    "lite": (
        (Block(24, 16, 3), Block(64, 16, 3, 2), Block(96, 16, 3)),
        (Block(96, 24, 5, 2), Block(144, 24, 5)),
        (
            Block(144, 48, 3, 2),
            *[Block(288, 48, 3)] * 2,
            Block(288, 64, 5),
            *[Block(384, 64, 5)] * 2,
        ),
        (Block(384, 112, 5, 2), *[Block(672, 112, 5)] * 3),
    ),
    "full": (
        (Block(24, 16, 3), Block(64, 24, 3, 2), Block(144, 24, 3)),
        (Block(144, 40, 5, 2), Block(240, 40, 5)),
        (
            Block(240, 80, 3, 2),
            *[Block(480, 80, 3)] * 2,
            Block(480, 112, 5),
            *[Block(672, 112, 5)] * 2,
        ),
        (Block(672, 192, 5, 2), *[Block(1152, 192, 5)] * 3),
    ),
}


class MediaPipeTrunk(StagedBackbone):
    """All convolutions of a landmark network.

    F1 to F3 are the narrow maps that the residual blocks hand on: the wide ones inside the blocks would cost the
    decoder six times as much. F4 is the network's own last map, which is wide: the landmarks are linear in its average,
    and at this size it costs next to nothing.

    Args:
        size: Which network.
        pretrained: With its weights; else with random ones.

    Raises:
        EngineError: If the weights cannot be read.
    """

    def __init__(self, size: Size, *, pretrained: bool = True) -> None:
        stages: list[list[nn.Module]] = []
        channels = []
        width = _STEM
        for rows in _BLOCKS[size]:
            stages.append([])
            for row in rows:
                # The lite network has one shortcut across a stride, where the number of channels stays the same.
                stages[-1].append(InvertedResidual(width, row, norm=False, pool_shortcut=row.channels == width))
                width = row.channels
            channels.append(width)
        wide = _EXPANSION * width
        stages[0][:0] = [convolution(3, _STEM, 3, 2, norm=False), nn.ReLU6()]
        stages[3] += [
            convolution(width, wide, 1, norm=False),
            nn.ReLU6(),
            convolution(wide, wide, 3, depthwise=True, norm=False),
            nn.ReLU6(),
        ]
        first, second, third, fourth = (nn.Sequential(*stage) for stage in stages)
        super().__init__(
            (first, second, third, fourth),
            INPUT_PX,
            (channels[0], channels[1], channels[2], wide),
            landmarks=nn.Linear(wide, LANDMARK_OUTPUTS),
        )
        if pretrained:
            _assign_in_order(self, read_convolutions(size), network_name(size))
            _assign_landmarks(self, read_landmark_head(size), network_name(size))
        else:
            initialise(self)


def network_name(size: Size) -> str:
    """Name of the file that holds the network."""
    return f"hand_landmark_{size}.onnx"


def read_convolutions(size: Size) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of every convolution of a landmark network, in the graph's order, float32.

    Raises:
        EngineError: If `onnx` is not installed, or the file is not the network that is expected.
    """
    graph, stored = _read(size)
    return [
        (_tensor(stored[node.input[1]]), _tensor(stored[node.input[2]]))
        for node in graph.node
        if node.op_type == "Conv"
    ]


def read_landmark_head(size: Size) -> tuple[Tensor, Tensor]:
    """Weight `(65, C)` and bias of the linear layers that read a hand of the mean of F4: joints, presence, side.

    Raises:
        EngineError: If `onnx` is not installed.
    """
    graph, stored = _read(size)
    behind = {node.input[0]: node.output[0] for node in graph.node if node.op_type == "Sigmoid"}
    rows = {}
    for node in graph.node:
        if node.op_type == "Gemm":
            output = behind.get(node.output[0], node.output[0])
            rows[output] = (_tensor(stored[node.input[1]]).T, _tensor(stored[node.input[2]]))
    weights, biases = zip(*(rows[name] for name in _HEADS), strict=True)
    return torch.cat(weights), torch.cat(biases)


def _read(size: Size) -> tuple[onnx.GraphProto, dict[str, onnx.TensorProto]]:
    """A landmark network's graph, and its weights by name."""
    try:
        import onnx
    except ImportError as error:
        raise EngineError("MediaPipe's weights: reading them needs onnx; install usthand[train]") from error
    with as_file(files("engine") / "detector" / "data" / network_name(size)) as path:
        graph = onnx.load(path).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    # Halves are stored and cast when the file is loaded.
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    return graph, stored


def _tensor(stored: onnx.TensorProto) -> Tensor:
    from onnx import numpy_helper

    return torch.from_numpy(numpy_helper.to_array(stored).astype("float32"))


def _assign_in_order(module: nn.Module, weights: Sequence[tuple[Tensor, Tensor]], source: str) -> None:
    """Set the convolutions of a module, in order."""
    convs = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    if len(convs) != len(weights):
        raise EngineError(f"{source}: {len(weights)} convolutions, not {len(convs)}; reinstall usthand")
    for index, (conv, (weight, bias)) in enumerate(zip(convs, weights, strict=True)):
        if conv.weight.shape != weight.shape:
            shapes = f"{tuple(weight.shape)}, not {tuple(conv.weight.shape)}"
            raise EngineError(f"{source}: convolution {index} is {shapes}; reinstall usthand")
        conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)


def _assign_landmarks(trunk: MediaPipeTrunk, weights: tuple[Tensor, Tensor], source: str) -> None:
    """Set the trunk's own reading of a hand."""
    weight, bias = weights
    head = trunk.landmarks
    if head is None or head.weight.shape != weight.shape:
        raise EngineError(f"{source}: its last layers are {tuple(weight.shape)}; reinstall usthand")
    head.weight, head.bias = nn.Parameter(weight), nn.Parameter(bias)
