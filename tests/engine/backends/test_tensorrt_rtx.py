"""The real TensorRT-RTX builds the shipped network's plans, on a machine without a GPU too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("tensorrt_rtx_bindings", reason="tensorrt-rtx is not installed: pip install tensorrt-rtx")

from engine.backends.plan_builder import BuildWatch, PlanSettings, build_plan
from engine.backends.plan_graph import is_half, parse_network, ready_graph
from engine.backends.tensorrt_api import TensorrtLibrary, strongly_typed_network
from engine.factory import shipped_path

pytestmark = [
    pytest.mark.slow,
    # Its timing cache does nothing, which it says when asked.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def library() -> TensorrtLibrary:
    """TensorRT-RTX, whatever else is installed."""
    import tensorrt_rtx_bindings as module

    return TensorrtLibrary("tensorrt-rtx", module.__version__, module, None)


@pytest.mark.parametrize(("views", "hands"), [(1, 1), (2, 1), (8, 2)])
def test_it_builds_the_shipped_network(library: TensorrtLibrary, tmp_path: Path, views: int, hands: int) -> None:
    told: list[float] = []
    settings = PlanSettings(capability=(8, 9))
    watch = BuildWatch(lambda _phase, share: told.append(share))
    plan = build_plan(shipped_path("lite"), tmp_path, library, settings, views=views, hands=hands, watch=watch)
    assert plan.size_bytes > 10_000_000
    assert told == sorted(told)
    assert told[-1] > 0.5
    card = json.loads(plan.path.with_suffix(".json").read_text())
    assert card["key"]["gpu"] == "any"
    assert card["half_operators"] > 50
    assert build_plan(shipped_path("lite"), tmp_path, library, settings, views=views, hands=hands).seconds == 0.0


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_its_network_has_the_types_of_the_graph(library: TensorrtLibrary, precision: str) -> None:
    trt = library.module
    content = shipped_path("lite").read_bytes()
    ready = ready_graph(content, "lite", views=2, hands=1, precision=precision, plugin=False)  # type: ignore[arg-type]
    log = library.logger()
    builder = trt.Builder(log)
    network = strongly_typed_network(library, builder)
    parser = trt.OnnxParser(network, log)
    assert parser.parse(ready.content)
    half = {"fp16": trt.float16, "bf16": trt.bfloat16, "fp32": trt.float32}[precision]
    inside = {node.name for node in parse_network(ready.content, "lite").graph.node if is_half(node)}
    found = 0
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        types = {layer.get_output(number).dtype for number in range(layer.num_outputs)}
        if layer.type == trt.LayerType.CONVOLUTION and layer.name in inside:
            found += 1
            assert types == {half}, layer.name
        elif layer.type in (trt.LayerType.GRID_SAMPLE, trt.LayerType.MATRIX_MULTIPLY, trt.LayerType.REDUCE):
            assert types == {trt.float32}, layer.name
    assert found == 45
    assert {network.get_output(index).dtype for index in range(network.num_outputs)} == {trt.float32}
