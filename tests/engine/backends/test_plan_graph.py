"""The shipped network's graph made ready for TensorRT: what is half, what is float32, what became our operator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from engine.backends.base import INPUT_NAMES, READ_OUTPUTS
from engine.backends.plan_graph import (
    FULL_STAGES,
    HALF_STAGES,
    Precision,
    expected_searches,
    is_half,
    make_half,
    network_card,
    parse_network,
    ready_graph,
    replace_nearest,
    stage_of,
)
from engine.backends.trial import trial_inputs
from engine.errors import EngineError
from engine.factory import shipped_path
from tests.engine.backends.support import CARD, stub_model

VIEWS = 4
# ONNX Runtime leaves the rounding between two operators in float16 out; that of weights, at entry and exits is left.
WORST_MM = 0.1


@pytest.fixture(scope="module")
def lite() -> bytes:
    """The shipped network."""
    return shipped_path("lite").read_bytes()


def ready(content: bytes, precision: Precision = "fp16", *, plugin: bool = False) -> onnx.ModelProto:
    """Its graph, made ready for four views and one hand."""
    made = ready_graph(content, "lite.onnx", views=VIEWS, hands=1, precision=precision, plugin=plugin)
    return onnx.load_model_from_string(made.content)


def answers(content: bytes, inputs: object) -> dict[str, np.ndarray]:
    """What ONNX Runtime makes of a graph, nothing fused."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found = session.run(READ_OUTPUTS, {name: getattr(inputs, name) for name in INPUT_NAMES})
    return dict(zip(READ_OUTPUTS, found, strict=True))


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Type of each value."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*inferred.input, *inferred.value_info)}
    return types | {entry.name: entry.data_type for entry in inferred.initializer}


@pytest.mark.parametrize(("precision", "half"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)])
def test_convolutions_are_half_and_geometry_is_float32(lite: bytes, precision: Precision, half: int) -> None:
    model = ready(lite, precision)
    if precision == "fp16":
        onnx.checker.check_model(model, full_check=True)
        types = element_types(model)
        for node in model.graph.node:
            kinds = {types[name] for name in (*node.input, *node.output) if name in types}
            if node.name.startswith("cast/"):
                assert kinds == {half, TensorProto.FLOAT}
            elif is_half(node):
                assert types[node.input[0]] == half, node.name
            else:
                assert half not in kinds, node.name
    weights = {entry.name: entry for entry in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv" and stage_of(node) in HALF_STAGES]
    first = [node for node in convolutions if node.name.startswith(FULL_STAGES)]
    others = [node for node in convolutions if node not in first]
    assert (len(first), len(others)) == (9, 45)
    for chosen, kind in ((first, TensorProto.FLOAT), (others, half)):
        assert {weights[name].data_type for node in chosen for name in node.input[1:]} == {kind}
    assert not any(node.op_type == "BatchNormalization" and stage_of(node) in HALF_STAGES for node in model.graph.node)
    full = [node for node in model.graph.node if not is_half(node)]
    read = {name for node in full for name in node.input if name in weights}
    assert half not in {weights[name].data_type for name in read}


def test_few_casts_stand_between(lite: bytes) -> None:
    model = ready(lite)
    casts = [node for node in model.graph.node if node.name.startswith("cast/")]
    assert Counter(node.attribute[0].i for node in casts)[TensorProto.FLOAT16] == 1
    assert len(casts) <= 4


def test_joints_stay_where_they_are(lite: bytes) -> None:
    card = network_card(parse_network(lite, "lite"), "lite")
    half = ready(lite).SerializeToString()
    for seed in range(3):
        inputs = trial_inputs(card, 1, VIEWS, seed=seed)
        got, expected = answers(half, inputs), answers(lite, inputs)
        far_mm = 1e3 * np.linalg.norm(got["joints"] - expected["joints"], axis=-1).max()
        assert 0.0 < far_mm < WORST_MM


def test_without_half_precision_nothing_changes_but_rounding(lite: bytes) -> None:
    card = network_card(parse_network(lite, "lite"), "lite")
    inputs = trial_inputs(card, 1, VIEWS)
    got, expected = answers(ready(lite, "fp32").SerializeToString(), inputs), answers(lite, inputs)
    assert np.abs(got["joints"] - expected["joints"]).max() < 1e-5


def test_sizes_are_fixed_and_what_nobody_reads_is_gone(lite: bytes) -> None:
    model = ready(lite)
    assert {value.name for value in model.graph.output} == set(READ_OUTPUTS)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    assert shapes["crops"] == [1, VIEWS, 224, 224, 3]
    assert all(size > 0 for shape in shapes.values() for size in shape)
    read = {name for node in model.graph.node for name in node.input} | set(READ_OUTPUTS)
    assert all(read.intersection(node.output) for node in model.graph.node)
    assert {entry.name for entry in model.graph.initializer} <= read


def test_every_search_becomes_our_operator(lite: bytes) -> None:
    model = ready(lite, plugin=True)
    searches = [node for node in model.graph.node if node.op_type == "knn"]
    card = network_card(model, "lite")
    assert len(searches) == expected_searches(card) == 2 * card.blocks
    assert not any(node.op_type == "TopK" for node in model.graph.node)
    made = {name for node in model.graph.node for name in node.output}
    for node in searches:
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        assert attributes["plugin_namespace"] == b"usthand"
        assert attributes["k"] in (card.config["spatial_neighbors"], card.config["anchor_neighbors"])
        assert set(node.input) <= made
        widen = next(other for other in model.graph.node if node.output[0] in other.input)
        assert (widen.op_type, widen.attribute[0].i) == ("Cast", TensorProto.INT64)


def test_our_operator_is_given_what_topk_looked_at(lite: bytes) -> None:
    """Run the graph with the operator as what it stands for: the answers are the same to the bit."""
    model = ready(lite, "fp32", plugin=True)
    graph = model.graph
    at = 0
    while at < len(graph.node):
        node = graph.node[at]
        if node.op_type != "knn":
            at += 1
            continue
        del graph.node[at]
        count = next(entry.i for entry in node.attribute if entry.name == "k")
        prefix = node.name
        graph.initializer.extend(
            numpy_helper.from_array(np.array([value], np.int64), f"{prefix}/{name}")
            for name, value in {"two": 2, "one": 1, "last": -1, "count": count}.items()
        )
        pieces = [
            helper.make_node("Unsqueeze", [node.input[0], f"{prefix}/two"], [f"{prefix}/a"]),
            helper.make_node("Unsqueeze", [node.input[1], f"{prefix}/one"], [f"{prefix}/b"]),
            helper.make_node("Sub", [f"{prefix}/a", f"{prefix}/b"], [f"{prefix}/c"]),
            helper.make_node("Mul", [f"{prefix}/c", f"{prefix}/c"], [f"{prefix}/d"]),
            helper.make_node("ReduceSum", [f"{prefix}/d", f"{prefix}/last"], [f"{prefix}/e"], keepdims=0),
            helper.make_node("TopK", [f"{prefix}/e", f"{prefix}/count"], [f"{prefix}/g", f"{prefix}/f"], largest=0),
            helper.make_node("Cast", [f"{prefix}/f"], [node.output[0]], to=TensorProto.INT32),
        ]
        for piece in reversed(pieces):
            graph.node.insert(at, piece)
    card = network_card(model, "lite")
    inputs = trial_inputs(card, 1, VIEWS)
    got = answers(model.SerializeToString(), inputs)
    expected = answers(ready(lite, "fp32").SerializeToString(), inputs)
    for name, value in expected.items():
        assert got[name].tobytes() == value.tobytes(), name


def test_a_graph_without_the_searches_is_refused() -> None:
    model = stub_model()
    with pytest.raises(
        EngineError, match=r"0 searches for nearest points were found where 2 are expected.*--no-plugin"
    ):
        replace_nearest(model, CARD, "stub.onnx")


def test_a_graph_without_a_trunk_is_refused() -> None:
    content = stub_model().SerializeToString()
    with pytest.raises(EngineError, match="none of its operators is named backbone or decoder; make one with"):
        ready_graph(content, "stub.onnx", views=2, hands=1, precision="fp16", plugin=False)


@pytest.mark.parametrize(("views", "hands"), [(0, 1), (9, 1), (1, 0)])
def test_sizes_that_no_network_takes_are_refused(views: int, hands: int) -> None:
    content = stub_model().SerializeToString()
    with pytest.raises(EngineError, match=f"{views} views and {hands} hands cannot be planned for"):
        ready_graph(content, "stub.onnx", views=views, hands=hands, precision="fp32", plugin=False)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(EngineError, match="is no ONNX file, or an incomplete one"):
        ready_graph(b"nonsense", "x.onnx", views=1, hands=1, precision="fp32", plugin=False)


def test_pictures_are_normalised_in_float32() -> None:
    """As in PyTorch on a GPU: what is rounded before the first convolution counts most."""
    names = dict.fromkeys(("images", "scaled", "first", "maps"), TensorProto.FLOAT)
    values = {name: helper.make_tensor_value_info(name, kind, [1, 3, 8, 8]) for name, kind in names.items()}
    scale = numpy_helper.from_array(np.full((1, 3, 1, 1), 2, np.float32), "scale")
    weight = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "weight")
    nodes = [
        helper.make_node("Mul", ["images", "scale"], ["scaled"], "backbone.normalise/Mul_0"),
        helper.make_node("Conv", ["scaled", "weight"], ["first"], "backbone.stages.0.0/Conv_1"),
        helper.make_node("Conv", ["first", "weight"], ["maps"], "backbone.stages.1.0/Conv_2"),
    ]
    graph = helper.make_graph(nodes, "trunk", [values["images"]], [values["maps"]], [scale, weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    assert make_half(model, "fp16", "trunk.onnx") == 1
    types = element_types(model)
    assert (types["scaled"], types["first"], types["first/half"]) == (
        TensorProto.FLOAT,
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
    )
