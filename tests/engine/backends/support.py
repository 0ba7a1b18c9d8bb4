"""A model file by hand: the inputs and outputs of a network, and next to nothing between them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.model_card import ModelCard

CARD = ModelCard(
    model_id="stub-1",
    network="stub",
    backbone="none",
    input_px=32,
    hypotheses=2,
    blocks=1,
    past=2,
    channels=3,
    lookahead=0,
    hand_model="none",
    hand_model_sha256="0" * 64,
    training={},
    metrics={},
    commit="none",
    created="2026-01-01",
    config={},
)
B, V = "hands", "views"
INPUTS: dict[str, list[str | int]] = {
    "crops": [B, V, 32, 32, 3],
    "projections": [B, V, 3, 4],
    "view_mask": [B, V],
    "noise": [B, V, 2, 21, 2],
    "state": [B, 1, 2, 2, 21, 3],
    "state_valid": [B, 2],
}
OUTPUTS: dict[str, list[str | int]] = {
    "joints": [B, 21, 3],
    "mano_joints": [B, 21, 3],
    "rotations": [B, 16, 3, 3],
    "shape": [B, 10],
    "translation": [B, 3],
    "vertices": [B, 30, 3],
    "covariance_mm2": [B, 21, 3, 3],
    "keypoints": [B, V, 21, 2],
    "view_confidence": [B, V, 21],
    "reprojection_px": [B, V, 21],
    "valid": [B],
    "state_out": [B, 1, 2, 2, 21, 3],
    "state_valid_out": [B, 2],
}
_TYPES = {"crops": TensorProto.UINT8}


def stub_model(
    *,
    metadata: Mapping[str, str] | None = None,
    inputs: Mapping[str, list[str | int]] = INPUTS,
    outputs: Mapping[str, list[str | int]] = OUTPUTS,
    types: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """A model that answers each output with the mean of its hand's noise; the state and its validity pass through.

    Args:
        metadata: The file's; None is the stub's card.
        inputs: Shapes by name.
        outputs: Shapes by name.
        types: Elements of inputs and outputs that are not what they should be.
    """
    kinds = {**_TYPES, **(types or {})}

    def info(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)

    nodes = [
        helper.make_node("ReduceMean", ["noise", "but_hands"], ["mean"], keepdims=0),
        helper.make_node("Shape", ["noise"], ["both"], start=0, end=2),
        helper.make_node("Shape", ["noise"], ["hands"], start=0, end=1),
    ]
    constants = [_axes("but_hands", [1, 2, 3, 4])]
    through = {"state_out": "state", "state_valid_out": "state_valid"}
    for name, shape in outputs.items():
        if name in through and through[name] in inputs:
            nodes.append(helper.make_node("Identity", [through[name]], [name]))
            continue
        free = 2 if shape[1:2] == [V] else 1
        rest = [size for size in shape[free:] if isinstance(size, int)]
        constants += [_axes(f"{name}_rest", rest), _axes(f"{name}_ones", [-1] + [1] * (len(shape) - 1))]
        nodes += [
            helper.make_node("Concat", ["both" if free == 2 else "hands", f"{name}_rest"], [f"{name}_shape"], axis=0),
            helper.make_node("Reshape", ["mean", f"{name}_ones"], [f"{name}_mean"]),
            helper.make_node("Expand", [f"{name}_mean", f"{name}_shape"], [f"{name}_all"]),
            helper.make_node("Cast", [f"{name}_all"], [name], to=kinds.get(name, TensorProto.FLOAT)),
        ]
    graph = helper.make_graph(
        nodes,
        "stub",
        [info(*entry) for entry in inputs.items()],
        [info(*entry) for entry in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, dict(CARD.to_metadata() if metadata is None else metadata))
    return model


def _axes(name: str, values: list[int]) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)
