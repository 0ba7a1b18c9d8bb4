"""An exported network's graph made ready for TensorRT: fixed sizes, half precision where it is safe, our own operator.

TensorRT 11 takes every type from the graph. So what shall be computed in half precision is said in the graph: the
trunk and the decoder, which are convolutions, between a cast at their entry and casts at their exits. Positions, and
all that is computed from them, stay float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper, shape_inference

from engine.backends.base import MAX_VIEWS, READ_OUTPUTS, REMEDY, expected_shapes
from engine.backends.packing import result_packing
from engine.errors import EngineError
from engine.model_card import ModelCard

Precision: TypeAlias = Literal["fp16", "bf16", "fp32"]

PRECISIONS: Final[tuple[Precision, ...]] = ("fp16", "bf16", "fp32")
"""What trunk and decoder may be computed in."""

HALF_STAGES: Final = ("backbone", "decoder")
"""Parts of the network that are computed in half precision."""

FULL_STAGES: Final = ("backbone.normalise", "backbone.stages.0")
"""Parts of them that stay float32: a staged trunk's first stage, where rounding moves joints more than in all the rest,
and what is done to pictures before it."""

NEAREST_STAGE: Final = "transformer"
"""Part of the network that looks for nearest points."""

PLUGIN_NAMESPACE: Final = "usthand"
PLUGIN_NAME: Final = "knn"

_HALF_TYPES: Final = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
# Inputs of these that are no data: sizes, scales, axes. Those of float32 must stay so.
_DATA_INPUTS: Final = {"Resize": (0,), "Reshape": (0,), "Unsqueeze": (0,), "Squeeze": (0,), "Slice": (0,)}
_REGRESSIONS: Final = ("Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class ReadyGraph:
    """A graph that TensorRT can parse.

    Args:
        content: The ONNX file's bytes.
        card: The network's.
        half_nodes: Operators in half precision.
        plugin_nodes: Operators that are the project's own.
    """

    content: bytes
    card: ModelCard
    half_nodes: int
    plugin_nodes: int


def ready_graph(
    content: bytes, source: str, *, views: int, hands: int, precision: Precision, plugin: bool
) -> ReadyGraph:
    """Make an exported network ready for TensorRT.

    Args:
        content: The file's bytes.
        source: Its name, for errors.
        views: V, fixed from here on.
        hands: B, fixed from here on.
        precision: Of trunk and decoder.
        plugin: Whether the search for nearest points becomes the project's own operator.

    Raises:
        EngineError: If the file is no exported network, or its graph is not as expected.
    """
    model = parse_network(content, source)
    card = network_card(model, source)
    keep_read_outputs(model)
    fix_sizes(model, card, views=views, hands=hands)
    fold_normalizations(model)
    half = make_half(model, precision, source) if precision != "fp32" else 0
    found = replace_nearest(model, card, source) if plugin else 0
    return ReadyGraph(model.SerializeToString(deterministic=True), card, half, found)


def parse_network(content: bytes, source: str) -> onnx.ModelProto:
    """Parse an exported file.

    Raises:
        EngineError: If it is no ONNX file, or keeps weights elsewhere.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own type is not onnx's
        raise EngineError(f"{source}: is no ONNX file, or an incomplete one; {REMEDY}") from error
    for entry in model.graph.initializer:
        if external_data_helper.uses_external_data(entry):
            raise EngineError(f"{source}: keeps {entry.name} in another file; {REMEDY}")
    return model


def network_card(model: onnx.ModelProto, source: str) -> ModelCard:
    """The card in a file's metadata.

    Raises:
        EngineError: If there is none, or a bad one.
    """
    return ModelCard.from_metadata({entry.key: entry.value for entry in model.metadata_props}, source)


def keep_read_outputs(model: onnx.ModelProto) -> None:
    """Drop outputs that no runtime reads, and the operators that only they need."""
    graph = model.graph
    for value in [value for value in graph.output if value.name not in READ_OUTPUTS]:
        graph.output.remove(value)
    _drop_dead_nodes(graph)
    _drop_unused_initializers(graph)


def fix_sizes(model: onnx.ModelProto, card: ModelCard, *, views: int, hands: int) -> None:
    """Give the inputs fixed sizes, so that each kernel is chosen, and each shape folded, for them alone."""
    if not 1 <= views <= MAX_VIEWS or hands < 1:
        raise EngineError(f"{views} views and {hands} hands cannot be planned for; use 1..{MAX_VIEWS} views, 1 hand up")
    shapes = expected_shapes(card)
    for value in model.graph.input:
        if value.name not in shapes:
            raise EngineError(f"network {card.model_id}: has an input {value.name!r} that is not known; {REMEDY}")
        dims = value.type.tensor_type.shape.dim
        for axis, (dim, size) in enumerate(zip(dims, shapes[value.name], strict=True)):
            dim.ClearField("dim_param")
            dim.dim_value = (hands, views)[axis] if size is None else size
    # What it said of sizes in between was of any number of views.
    del model.graph.value_info[:]
    answers = result_packing(card, hands, views).sections
    for value in model.graph.output:
        value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, answers[value.name].shape))


def fold_normalizations(model: onnx.ModelProto) -> None:
    """Fold each batch normalization into the convolution before it, in float64, so that no half rounds in between."""
    graph = model.graph
    weights = {entry.name: entry for entry in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers = _readers(graph)
    outputs = {value.name for value in graph.output}
    folded = []
    for node in graph.node:
        before = makers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        if before is None or before.op_type != "Conv" or before.output[0] in outputs:
            continue
        shared = len(readers[before.output[0]]) > 1 or len(readers[before.input[1]]) > 1
        if shared or not all(name in weights for name in (*before.input[1:], *node.input[1:])):
            continue
        epsilon = next((entry.f for entry in node.attribute if entry.name == "epsilon"), 1e-5)
        scale, shift, mean, variance = (numpy_helper.to_array(weights[name]).astype(float) for name in node.input[1:])
        gain = scale / np.sqrt(variance + epsilon)
        kernel = numpy_helper.to_array(weights[before.input[1]]).astype(float)
        bias = numpy_helper.to_array(weights[before.input[2]]).astype(float) if len(before.input) > 2 else 0.0
        names = [f"{before.name}/folded_kernel", f"{before.name}/folded_bias"]
        values = (kernel * gain.reshape(-1, *[1] * (kernel.ndim - 1)), (bias - mean) * gain + shift)
        for name, value in zip(names, values, strict=True):
            graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
        del before.input[1:]
        before.input.extend(names)
        before.output[0] = node.output[0]
        folded.append(node)
    for node in folded:
        graph.node.remove(node)
    _drop_unused_initializers(graph)


def make_half(model: onnx.ModelProto, precision: Precision, source: str) -> int:
    """Compute trunk and decoder in half precision.

    Returns:
        How many operators that are.

    Raises:
        EngineError: If the graph has no such parts.
    """
    half = _HALF_TYPES[precision]
    graph = model.graph
    chosen = [node for node in graph.node if is_half(node)]
    if not chosen:
        raise EngineError(f"{source}: none of its operators is named {' or '.join(HALF_STAGES)}; {REMEDY}")
    types = _types(model)
    weights = {entry.name: entry for entry in graph.initializer}
    inside = {name for node in chosen for name in node.output if types.get(name) == TensorProto.FLOAT}
    casts = _Casts(graph, half)
    for node in chosen:
        data = _DATA_INPUTS.get(node.op_type)
        for index, name in enumerate(node.input):
            is_data = data is None or index in data
            if not name or not is_data or name in inside:
                continue
            if name in weights:
                node.input[index] = casts.weight(weights[name])
            elif types.get(name) == TensorProto.FLOAT:
                node.input[index] = casts.entry(name)
    _cast_exits(graph, chosen, inside)
    _insert_before_readers(graph, casts.nodes)
    _drop_unused_initializers(graph)
    return len(chosen)


class _Casts:
    """What is made in half precision of values from outside, each once."""

    def __init__(self, graph: onnx.GraphProto, half: int) -> None:
        self._graph = graph
        self._half = half
        self._made: dict[str, str] = {}
        self.nodes: list[onnx.NodeProto] = []

    def weight(self, entry: onnx.TensorProto) -> str:
        """Name of a weight in half precision; that of itself if it is no float32."""
        if entry.data_type != TensorProto.FLOAT:
            return str(entry.name)
        if entry.name not in self._made:
            name = f"{entry.name}/half"
            self._graph.initializer.append(_half_tensor(numpy_helper.to_array(entry), name, self._half))
            self._made[entry.name] = name
        return self._made[entry.name]

    def entry(self, name: str) -> str:
        """Name of a value in half precision."""
        if name not in self._made:
            made = f"{name}/half"
            self.nodes.append(helper.make_node("Cast", [name], [made], f"cast/{name}", to=self._half))
            self._made[name] = made
        return self._made[name]


def _half_tensor(values: NDArray[np.float32], name: str, half: int) -> onnx.TensorProto:
    """A constant in half precision; what is beyond its range becomes the largest that it holds, as limits want it."""
    if half == TensorProto.FLOAT16:
        largest = float(np.finfo(np.float16).max)
        return numpy_helper.from_array(np.clip(values, -largest, largest).astype(np.float16), name)
    return helper.make_tensor(name, half, values.shape, values.flatten().tolist())


def _cast_exits(graph: onnx.GraphProto, chosen: list[onnx.NodeProto], inside: set[str]) -> None:
    """Give what leaves the half precision to others as float32, under its name."""
    numbers = {id(node) for node in chosen}
    readers = _readers(graph)
    outputs = {value.name for value in graph.output}
    for node in chosen:
        for index, name in enumerate(node.output):
            if name not in inside:
                continue
            others = [reader for reader in readers[name] if id(reader) not in numbers]
            if not others and name not in outputs:
                continue
            within = f"{name}/half_out"
            for reader in readers[name]:
                if id(reader) in numbers:
                    reader.input[:] = [within if read == name else read for read in reader.input]
            node.output[index] = within
            cast = helper.make_node("Cast", [within], [name], f"cast/{name}", to=TensorProto.FLOAT)
            graph.node.insert(next(at for at, other in enumerate(graph.node) if other is node) + 1, cast)


def _insert_before_readers(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        at = next(at for at, other in enumerate(graph.node) if node.output[0] in other.input)
        graph.node.insert(at, node)


def replace_nearest(model: onnx.ModelProto, card: ModelCard, source: str) -> int:
    """Make the search for nearest points one operator, `usthand::knn`.

    It is found by what `engine.network.point_transformer.nearest` exports to: the indices of the smallest sums of
    squared differences of points.

    Returns:
        How many searches there were.

    Raises:
        EngineError: If they are not as many as the network's blocks want.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    weights = {entry.name: entry for entry in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type == "TopK" and stage_of(node) == NEAREST_STAGE:
            points = _searched(node, makers)
            count = weights.get(node.input[1])
            if points is not None and count is not None and _is_ascending(node):
                found.append((node, points, int(numpy_helper.to_array(count).reshape(-1)[0])))
    expected = expected_searches(card)
    if len(found) != expected:
        raise EngineError(
            f"{source}: {len(found)} searches for nearest points were found where {expected} are expected; {REMEDY}, "
            "or build the plan with --no-plugin"
        )
    for node, (of, among), count in found:
        # The plugin's indices are 32 bits wide; the graph goes on with 64.
        narrow = f"{node.output[1]}/narrow"
        search = helper.make_node(
            PLUGIN_NAME,
            [of, among],
            [narrow],
            f"{node.name}/{PLUGIN_NAME}",
            k=count,
            plugin_namespace=PLUGIN_NAMESPACE,
            plugin_version="1",
        )
        widen = helper.make_node("Cast", [narrow], [node.output[1]], f"cast/{node.output[1]}", to=TensorProto.INT64)
        at = next(at for at, other in enumerate(graph.node) if other is node)
        graph.node.remove(node)
        graph.node.insert(at, widen)
        graph.node.insert(at, search)
    _drop_dead_nodes(graph)
    _drop_unused_initializers(graph)
    return len(found)


def expected_searches(card: ModelCard) -> int:
    """How often the network looks for nearest points: in each block for the joints' own, and among the anchors."""
    switches = ("use_spatial_attention", "use_cross_attention")
    return card.blocks * sum(bool(card.config.get(switch, True)) for switch in switches)


def is_half(node: onnx.NodeProto) -> bool:
    """Whether an operator may be computed in half precision; a trunk's own regression of joints may not."""
    if stage_of(node) not in HALF_STAGES or node.op_type in _REGRESSIONS:
        return False
    return not f"{node.name.partition('/')[0]}.".startswith(tuple(f"{stage}." for stage in FULL_STAGES))


def stage_of(node: onnx.NodeProto) -> str:
    """The part of the network that an operator is of, as export named it."""
    return str(node.name).partition("/")[0].partition(".")[0]


def _searched(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> tuple[str, str] | None:
    """Queries and points of a search; None if it is another use of the operator."""
    total = makers.get(node.input[0])
    if total is None or total.op_type != "ReduceSum":
        return None
    square = makers.get(total.input[0])
    if square is None or square.op_type not in ("Pow", "Mul"):
        return None
    if square.op_type == "Mul" and square.input[0] != square.input[1]:
        return None
    difference = makers.get(square.input[0])
    if difference is None or difference.op_type != "Sub":
        return None
    sides = [makers.get(name) for name in difference.input]
    if any(side is None or side.op_type != "Unsqueeze" for side in sides):
        return None
    queries, points = (str(side.input[0]) for side in sides if side is not None)
    return queries, points


def _is_ascending(node: onnx.NodeProto) -> bool:
    values = {entry.name: entry.i for entry in node.attribute}
    return (values.get("largest", 1), values.get("sorted", 1), values.get("axis", -1)) == (0, 1, -1)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of each value of a graph."""
    inferred = shape_inference.infer_shapes(model, strict_mode=False, data_prop=False).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _readers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Who reads each value, one entry a reader and place."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in (*node.input, *node.output):
            readers.setdefault(name, [])
        for name in node.input:
            readers[name].append(node)
    return readers


def _drop_dead_nodes(graph: onnx.GraphProto) -> None:
    """Drop operators whose answers nobody reads."""
    needed = {value.name for value in graph.output}
    dead = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
        else:
            dead.append(node)
    for node in dead:
        graph.node.remove(node)


def _drop_unused_initializers(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [entry for entry in graph.initializer if entry.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
