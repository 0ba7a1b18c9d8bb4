"""One small network, exported once: the file gives torch's answers for any views, and keeps its weights and a card."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

import onnx_ir  # noqa: E402

from engine import code_version  # noqa: E402
from engine.backends import NetworkOutputs, NetworkRuntime, open_runtime  # noqa: E402
from engine.backends.base import INPUT_NAMES, OUTPUT_NAMES  # noqa: E402
from engine.backends.stage_times import stage_times_ms  # noqa: E402
from engine.backends.trial import trial_inputs  # noqa: E402
from engine.errors import EngineError  # noqa: E402
from engine.hand_model import HandModel  # noqa: E402
from engine.model_card import ModelCard  # noqa: E402
from engine.network import export  # noqa: E402
from engine.network.card import make_card  # noqa: E402
from engine.network.config import NetworkConfig, preset  # noqa: E402
from engine.network.export import EXPORT_STEPS, ExportReport, by_torch, export_network  # noqa: E402
from engine.network.network import UstHandNetwork  # noqa: E402
from engine.network.weights import weight_names  # noqa: E402
from tests.engine.network.support import SMALL, stirred_network  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_grad")

CONFIG = replace(SMALL, name="tiny", blocks=1, flow_layers=2, fusion_rounds=1, temporal_frames=3)


@dataclass(frozen=True, eq=False)
class Exported:
    network: UstHandNetwork
    card: ModelCard
    path: Path
    report: ExportReport
    told: list[str]


def card_of(network: UstHandNetwork) -> ModelCard:
    return make_card(network, HandModel.load(), name="tiny", training={"data": "none"}, metrics={})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.set_num_threads(1)
    network = stirred_network(CONFIG)
    path = tmp_path_factory.mktemp("export") / "tiny.onnx"
    told: list[str] = []
    card = card_of(network)
    return Exported(network, card, path, export_network(network, card, path, advance=told.append), told)


@pytest.fixture(scope="module")
def runtime(exported: Exported) -> Iterator[NetworkRuntime]:
    runtime = open_runtime(exported.path, threads=1)
    yield runtime
    runtime.close()


def errors(one: NetworkOutputs, other: NetworkOutputs) -> dict[str, float]:
    """How far two answers differ, in shares of what each field may."""
    allowed = {"joints": 1e-5, "mano_joints": 1e-5, "translation": 1e-5, "keypoints": 1e-4, "view_confidence": 1e-4}
    # Directions of short bones, and squares of spreads, are known to less.
    allowed |= {"rotations": 5e-3, "shape": 1e-3, "reprojection_px": 1e-2, "covariance_mm2": 0.1, "valid": 1e-9}
    allowed |= {"state": 1e-3, "state_valid": 1e-9}
    return {
        name: float(np.abs(getattr(one, name) - getattr(other, name)).max()) / most for name, most in allowed.items()
    }


def assert_same(pairs: list[tuple[NetworkOutputs, NetworkOutputs]]) -> None:
    """Answers to several draws agree; a few may not, where rounding decides which of two points is the nearer one."""
    drawn = [errors(*pair) for pair in pairs]
    for name in drawn[0]:
        assert np.median([draw[name] for draw in drawn]) <= 1, (name, [draw[name] for draw in drawn])


@pytest.mark.parametrize("views", range(2, 9))
@pytest.mark.parametrize("hands", [1, 2])
def test_the_file_gives_torchs_answers(exported: Exported, runtime: NetworkRuntime, hands: int, views: int) -> None:
    drawn = [trial_inputs(exported.card, hands, views, seed=seed) for seed in range(5)]
    assert_same([(runtime.run(inputs), by_torch(exported.network, inputs)) for inputs in drawn])


@pytest.mark.parametrize("mask", [(1, 0, 1), (0, 1, 1, 0, 1), (1, 1, 0, 0, 0, 0, 0, 0)])
def test_the_file_gives_torchs_answers_with_masked_views(
    exported: Exported, runtime: NetworkRuntime, mask: tuple[int, ...]
) -> None:
    of_torch, without = [], []
    for seed in range(5):
        inputs = trial_inputs(exported.card, 2, len(mask), seed=seed)
        inputs.view_mask[0] = mask
        got = runtime.run(inputs)
        of_torch.append((got, by_torch(exported.network, inputs)))
        # What stands in a masked view is nothing to the answer.
        inputs.crops[0, np.array(mask) == 0] = 0
        inputs.noise[0, np.array(mask) == 0] = 0
        blank = runtime.run(inputs)
        without.append((replace(blank, keypoints=got.keypoints), got))
    assert_same(of_torch)
    assert_same(without)


@pytest.mark.parametrize("mask", [(1,), (0,), (0, 0), (0, 0, 1)])
def test_fewer_than_two_views_are_flagged_and_finite(runtime: NetworkRuntime, mask: tuple[int, ...]) -> None:
    inputs = trial_inputs(runtime.card, 1, len(mask))
    inputs.view_mask[:] = mask
    got = runtime.run(inputs)
    assert got.valid.tolist() == [0.0]
    for field in fields(got):
        assert np.isfinite(getattr(got, field.name)).all(), field.name


def test_a_state_goes_from_step_to_step(exported: Exported, runtime: NetworkRuntime) -> None:
    first = trial_inputs(exported.card, 2, 3)
    state, state_valid = np.zeros_like(first.state), np.zeros_like(first.state_valid)
    steps = []
    for seed in range(5):
        inputs = replace(trial_inputs(exported.card, 2, 3, seed=seed), state=state, state_valid=state_valid)
        got = runtime.run(inputs)
        steps.append((got, by_torch(exported.network, inputs)))
        assert got.state_valid.tolist() == [[0.0, 1.0] if seed == 0 else [1.0, 1.0]] * 2
        np.testing.assert_array_equal(got.state[:, :, :, 0], state[:, :, :, 1])
        state, state_valid = got.state, got.state_valid
    assert_same(steps)


def test_the_torch_backend_runs_the_same_file(exported: Exported, runtime: NetworkRuntime) -> None:
    other = open_runtime(exported.path, "torch")
    assert other.card == runtime.card == exported.card
    assert other.backend.startswith("torch 2.")
    drawn = [trial_inputs(exported.card, 1, views, seed=views) for views in (2, 3, 4, 5, 8)]
    assert_same([(other.run(inputs), runtime.run(inputs)) for inputs in drawn])
    with pytest.raises(EngineError, match="crops"):
        other.run(replace(drawn[0], crops=drawn[0].crops[:, :, 1:]))
    other.close()
    with pytest.raises(EngineError, match="closed"):
        other.run(drawn[0])


def test_the_torch_backend_wants_the_hand_model_of_the_card(exported: Exported) -> None:
    another = replace(HandModel.load(), sha256="f" * 64, name="another")
    with pytest.raises(
        EngineError, match=r"tiny.onnx: was made with hand model open-hand .*, not another .*--hand-model"
    ):
        open_runtime(exported.path, "torch", hand_model=another)


def test_the_torch_backend_refuses_a_file_that_lacks_a_weight(exported: Exported, tmp_path: Path) -> None:
    model = onnx.load(exported.path)
    weight = next(entry for entry in model.graph.initializer if entry.name.startswith("flow."))
    path = tmp_path / "renamed.onnx"
    name, weight.name = weight.name, "val_0"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match=rf"renamed.onnx: the weights lack {name}"):
        open_runtime(path, "torch")
    weight.name = name
    weight.raw_data = weight.raw_data[:-4]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match=rf"renamed.onnx: {name} cannot be read"):
        open_runtime(path, "torch")
    onnx.external_data_helper.set_external_data(weight, "elsewhere.bin")
    weight.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match=rf"renamed.onnx: keeps {name} in another file"):
        open_runtime(path, "torch")


def test_the_file_is_what_the_contract_says(exported: Exported) -> None:
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == list(INPUT_NAMES)
    assert [value.name for value in model.graph.output] == list(OUTPUT_NAMES)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    crops = model.graph.input[0].type.tensor_type
    assert crops.elem_type == onnx.TensorProto.UINT8
    assert [size.dim_param or size.dim_value for size in crops.shape.dim] == ["hands", "views", 64, 64, 3]
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Attention", "Det", "SequenceAt", "SplitToSequence", "Loop", "If", "Scan"}
    # TensorRT takes bytes, and can do nothing with them but turn them into numbers.
    assert {node.op_type for node in model.graph.node if "crops" in node.input} == {"Cast"}
    assert exported.report.nodes == len(model.graph.node)
    assert exported.report.size_bytes == exported.path.stat().st_size
    assert exported.report.parity_mm <= 0.01
    assert len(exported.told) == EXPORT_STEPS
    assert [file.name for file in exported.path.parent.iterdir()] == ["tiny.onnx"]


def test_the_file_names_nothing_of_the_machine(exported: Exported) -> None:
    content = exported.path.read_bytes()
    for words in ("/home", "/tmp", str(Path(export.__file__).parents[2]), sys.prefix, "site-packages", ".py", "torch"):  # noqa: S108
        assert words.encode() not in content, words
    model = onnx.load(exported.path)
    assert [entry.key for entry in model.metadata_props] == ["usthand.card"]
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_every_weight_is_in_the_file_under_its_name(exported: Exported) -> None:
    stored = {entry.name: entry for entry in onnx.load(exported.path).graph.initializer}
    state = exported.network.state_dict()
    for name in weight_names(exported.network):
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(stored[name]), state[name].numpy(), err_msg=name)


def test_small_numbers_that_keep_quotients_finite_are_in_the_file(exported: Exported) -> None:
    values = [onnx.numpy_helper.to_array(entry) for entry in onnx.load(exported.path).graph.initializer]
    assert any(value.ndim == 0 and value.dtype == np.float32 and 0 < value < 1e-7 for value in values)


def test_the_parts_of_the_network_are_told_apart_when_timed(exported: Exported) -> None:
    times = stage_times_ms(exported.path, trial_inputs(exported.card, 1, 2), threads=1, steps=3)
    parts = ["backbone", "decoder", "flow", "transformer", "mano_head"]
    assert [stage for stage in times if stage in parts] == parts
    assert "geometry" in times
    known = {name for name, _ in exported.network.named_children()} | {"geometry"}
    assert set(times) <= known
    assert times["backbone"].shape == (3,)
    assert "transformer.blocks.0" in stage_times_ms(
        exported.path, trial_inputs(exported.card, 1, 2), threads=1, steps=1, depth=3
    )


def test_a_card_names_its_weights_and_its_day(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    card = card_of(exported.network)
    assert card.created == "1970-01-02"
    assert card.model_id == exported.card.model_id
    assert card.commit
    assert card.config == CONFIG.to_dict()
    assert card_of(stirred_network(CONFIG, seed=1)).model_id != card.model_id


def test_without_a_checkout_the_version_is_the_commit(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_version.shutil, "which", lambda _: None)
    assert card_of(exported.network).commit.startswith("usthand ")


@pytest.mark.parametrize("change", [{"input_px": 96}, {"hypotheses": 5}, {"config": {}}, {"past": 7}])
def test_a_card_of_another_network_is_refused(exported: Exported, tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(EngineError, match=f"model card: {next(iter(change))}"):
        export_network(exported.network, replace(exported.card, **change), tmp_path / "a.onnx")


def test_a_network_that_looks_ahead_is_refused(tmp_path: Path) -> None:
    network = stirred_network(replace(CONFIG, lookahead=1))
    with pytest.raises(EngineError, match="lookahead 0"):
        export_network(network, card_of(network), tmp_path / "a.onnx")


def test_a_graph_that_answers_otherwise_is_not_written(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_traced", lambda *_: onnx_ir.load(exported.path))
    monkeypatch.setattr(export, "_name_by_stage", lambda *_: None)
    path = tmp_path / "a.onnx"
    path.write_bytes(b"as it was")
    another = stirred_network(CONFIG, seed=1)
    with pytest.raises(EngineError, match="no file was written"):
        export_network(another, card_of(another), path)
    assert path.read_bytes() == b"as it was"
    another.train()
    with pytest.raises(EngineError, match="no file was written"):
        export_network(another, card_of(another), path)
    assert another.training


def tensorrt_plan(path: Path) -> bytes:
    """Build an engine with TensorRT-RTX, which needs no GPU for it."""
    trt = pytest.importorskip("tensorrt_rtx")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(path.read_bytes())
    assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shapes = []
        for free in ((1, 1), (1, 4), (2, 8)):
            sizes = iter(free)
            shapes.append(tuple(next(sizes) if size == -1 else size for size in tensor.shape))
        profile.set_shape(tensor.name, *shapes)
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    return bytes(plan)


def test_tensorrt_builds_the_file(exported: Exported) -> None:
    assert len(tensorrt_plan(exported.path)) > 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lite", "resnet34"])
def test_networks_that_have_a_name_are_exported_the_same_each_time(name: str, tmp_path: Path) -> None:
    config: NetworkConfig = preset(name)
    torch.manual_seed(0)
    network = UstHandNetwork(config, HandModel.load())
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    card = card_of(network)
    report = export_network(network, card, first)
    assert report.parity_mm <= 0.01
    if name == "lite":
        export_network(network, card, second, views_hint=3)
        assert first.read_bytes() == second.read_bytes()
    tensorrt_plan(first)
