"""Opening and running model files, small ones made by hand; and what is said of files and inputs that are wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from engine.backends import NetworkInputs, NetworkRuntime, open_runtime  # noqa: E402
from engine.backends.base import INPUT_NAMES, OUTPUT_NAMES, NetworkOutputs  # noqa: E402
from engine.backends.onnxruntime_backend import OnnxRuntimeRuntime, default_threads  # noqa: E402
from engine.backends.stage_times import stage_times_ms  # noqa: E402
from engine.backends.trial import trial_inputs  # noqa: E402
from engine.errors import EngineError  # noqa: E402
from engine.model_card import CARD_KEY  # noqa: E402
from tests.engine.backends.support import CARD, INPUTS, OUTPUTS, stub_model  # noqa: E402

FLOAT, DOUBLE, BYTE, INT = 1, 11, 2, 6


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a stub, or bytes, to a file."""

    def written(content: bytes | None = None, **changes: object) -> Path:
        path = tmp_path / "stub.onnx"
        path.write_bytes(stub_model(**changes).SerializeToString() if content is None else content)
        return path

    return written


@pytest.fixture(params=["onnxruntime", "torch"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each that runs without a GPU."""
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture
def runtime(write: Callable[..., Path]) -> NetworkRuntime:
    return open_runtime(write(), threads=1)


@pytest.fixture(autouse=True)
def nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> object:
    yield
    assert capfd.readouterr().err == ""


def refusal(path: Path, backend: str = "auto", **options: object) -> str:
    with pytest.raises(EngineError) as refused:
        open_runtime(path, backend, **options)
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


def test_names_are_those_of_the_types() -> None:
    assert tuple(field.name for field in fields(NetworkInputs)) == INPUT_NAMES
    read = [name.removesuffix("_out") for name in OUTPUT_NAMES if name != "vertices"]
    assert [field.name for field in fields(NetworkOutputs)] == read


@pytest.mark.parametrize("hands", [1, 2])
@pytest.mark.parametrize("views", [1, 2, 5, 8])
def test_a_step_goes_in_and_comes_out(runtime: NetworkRuntime, hands: int, views: int) -> None:
    inputs = trial_inputs(CARD, hands, views)
    outputs = runtime.run(inputs)
    mean = inputs.noise.mean(axis=(1, 2, 3, 4))
    for field in fields(outputs):
        array = getattr(outputs, field.name)
        shape = OUTPUTS[f"{field.name}_out" if field.name.startswith("state") else field.name]
        assert array.shape == tuple({"hands": hands, "views": views}.get(size, size) for size in shape)
        assert array.dtype == np.float32
        if not field.name.startswith("state"):
            np.testing.assert_allclose(array.reshape(hands, -1).max(axis=1), mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(outputs.state, inputs.state)
    np.testing.assert_array_equal(outputs.state_valid, inputs.state_valid)


def test_a_runtime_says_what_it_runs(write: Callable[..., Path]) -> None:
    runtime = open_runtime(write(), "onnxruntime", threads=2)
    assert runtime.card == CARD
    assert runtime.backend.startswith("onnxruntime 1.")
    assert runtime.backend.endswith("CPU, 2 threads")
    assert open_runtime(write(), threads=1).backend.endswith("CPU, 1 thread")
    assert isinstance(open_runtime(write(), "auto"), OnnxRuntimeRuntime)
    assert 1 <= default_threads() <= 8


def test_a_backend_that_is_not_there(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_bindings", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "cannot be used: neither tensorrt nor tensorrt-rtx is installed" in refusal(write(), "tensorrt")
    assert "'psychic'" in refusal(write(), "psychic")


def test_threads_are_one_or_more(write: Callable[..., Path], backend: str) -> None:
    assert "threads is 0" in refusal(write(), backend, threads=0)


def test_the_torch_backend_without_torch(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "engine.backends.torch_backend", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert refusal(write(), "torch") == "backend 'torch' needs torch: pip install 'usthand[train]'"
    # Whoever lacks both is told so at once.
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert refusal(write(), "torch") == "backend 'torch' needs torch, onnx: pip install 'usthand[train]'"


def test_a_file_that_is_no_model(tmp_path: Path, write: Callable[..., Path], backend: str) -> None:
    assert "none.onnx: no such file" in refusal(tmp_path / "none.onnx", backend)
    assert f"{tmp_path}: cannot be read" in refusal(tmp_path, backend)
    whole = stub_model().SerializeToString()
    for content in (
        b"",
        b"not a model at all",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        whole[: len(whole) // 2],
        whole[:-40],
    ):
        line = refusal(write(content), backend)
        assert "stub.onnx: " in line
        assert "usthand export" in line
        assert ".cc" not in line


def test_a_file_without_a_card_of_this_version(write: Callable[..., Path], backend: str) -> None:
    assert "is no UST-Hand model; make one with `usthand export`" in refusal(write(metadata={}), backend)
    newer = {CARD_KEY: CARD.to_metadata()[CARD_KEY].replace("usthand.model/1", "usthand.model/2")}
    assert "usthand.model/2 needs a newer usthand" in refusal(write(metadata=newer), backend)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_file_that_keeps_its_weights_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    model = stub_model()
    weights = onnx.numpy_helper.from_array(np.ones(300, np.float32), "weights")
    model.graph.initializer.append(weights)
    model.graph.node.append(onnx.helper.make_node("Neg", ["weights"], ["unused"]))
    path = tmp_path / "stub.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=1000)
    assert (tmp_path / "weights.bin").is_file()
    if absolute:
        parsed = onnx.load(path, load_external_data=False)
        for entry in parsed.graph.initializer[-1].external_data:
            if entry.key == "location":
                entry.value = str(tmp_path / "weights.bin")
        path.write_bytes(parsed.SerializeToString())
    line = refusal(path)
    assert "stub.onnx: " in line
    assert "external data" in line.lower()


def changed(shapes: dict[str, list[str | int]], name: str, axis: int, size: str | int) -> dict[str, list[str | int]]:
    return {**shapes, name: [size if at == axis else old for at, old in enumerate(shapes[name])]}


def renamed(shapes: dict[str, list[str | int]], old: str, new: str) -> dict[str, list[str | int]]:
    return {new if name == old else name: shape for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": renamed(INPUTS, "crops", "images")}, ("input crops",)),
        ({"inputs": {**INPUTS, "extra": [1]}}, ("input extra",)),
        ({"outputs": renamed(OUTPUTS, "joints", "points")}, ("output joints",)),
        ({"outputs": {**OUTPUTS, "extra": ["hands", 1]}}, ("output extra",)),
        ({"types": {"crops": FLOAT}}, ("input crops", "tensor(float)", "tensor(uint8)")),
        ({"types": {"view_mask": INT}}, ("input view_mask", "tensor(int32)", "tensor(float)")),
        ({"types": {"shape": DOUBLE}}, ("output shape", "tensor(double)", "tensor(float)")),
        ({"inputs": {**INPUTS, "projections": ["hands", 3, 4]}}, ("input projections", "3 axes", "with 4")),
        ({"outputs": {**OUTPUTS, "valid": ["hands", 1]}}, ("output valid", "2 axes", "with 1")),
        ({"inputs": changed(INPUTS, "crops", 1, 4)}, ("input crops", "fixed to 4", "axis 1")),
        ({"inputs": changed(INPUTS, "state", 0, 1)}, ("input state", "fixed to 1", "axis 0")),
        ({"inputs": changed(INPUTS, "crops", 2, 64)}, ("input crops", "64", "32")),
        ({"inputs": changed(INPUTS, "noise", 2, 16)}, ("input noise", "16", "2")),
        ({"inputs": changed(INPUTS, "state_valid", 1, "past")}, ("input state_valid", "past", "2")),
    ],
)
def test_a_file_that_is_another_network(
    write: Callable[..., Path], changes: dict[str, object], words: tuple[str, ...]
) -> None:
    line = refusal(write(**changes))
    assert "stub.onnx: " in line
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"view_mask": np.ones(2, np.float32)}, ("view_mask", "(2,)")),
        ({"view_mask": np.ones((1, 9), np.float32)}, ("view_mask", "(1, 9)", "1..8")),
        ({"view_mask": np.ones((0, 2), np.float32)}, ("view_mask", "(0, 2)")),
        ({"view_mask": np.ones((1, 3), np.float32)}, ("crops", "(1, 3, 32, 32, 3)")),
        ({"view_mask": np.ones((1, 2))}, ("view_mask", "float64", "float32")),
        ({"crops": np.zeros((1, 2, 32, 32, 3), np.float32)}, ("crops", "uint8")),
        ({"noise": np.zeros((1, 2, 3, 21, 2), np.float32)}, ("noise", "(1, 2, 3, 21, 2)", "(1, 2, 2, 21, 2)")),
        ({"state": np.zeros((2, 1, 2, 2, 21, 3), np.float32)}, ("state", "(1, 1, 2, 2, 21, 3)")),
    ],
)
def test_inputs_that_are_another_networks(
    runtime: NetworkRuntime, changes: dict[str, object], words: tuple[str, ...]
) -> None:
    inputs = replace(trial_inputs(CARD, 1, 2), **changes)
    with pytest.raises(EngineError) as refused:
        runtime.run(inputs)
    for word in (*words, "stub-1" if "view_mask has" not in str(refused.value) else "view"):
        assert word in str(refused.value)


def test_a_failure_inside_says_what_failed(write: Callable[..., Path]) -> None:
    # One number a hand does not make 5 x 1 x 7.
    model = stub_model()
    ones = next(entry for entry in model.graph.initializer if entry.name == "joints_ones")
    ones.CopyFrom(onnx.numpy_helper.from_array(np.array([5, 1, 7]), "joints_ones"))
    runtime = open_runtime(write(model.SerializeToString()))
    with pytest.raises(EngineError, match=r"stub-1: onnxruntime failed \(.*Reshape") as failed:
        runtime.run(trial_inputs(CARD, 2, 2))
    assert "\n" not in str(failed.value)
    assert "/onnxruntime/" not in str(failed.value)


def test_a_closed_runtime_says_so(runtime: NetworkRuntime) -> None:
    runtime.close()
    runtime.close()
    with pytest.raises(EngineError, match="stub-1 is closed"):
        runtime.run(trial_inputs(CARD, 1, 2))


def test_trial_inputs_are_made_again_from_their_seed() -> None:
    one, same, other = (trial_inputs(CARD, 2, 3, seed=seed) for seed in (1, 1, 2))
    for name in INPUT_NAMES:
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.crops, other.crops)
    # Every camera looks at the hand: the local origin lies in the crops' middle, in front of it.
    assert np.allclose(one.projections[..., :2, 3], 0, atol=1e-6)
    assert (one.projections[..., 2, 3] > 0.3).all()


def test_stages_are_told_apart_by_the_names_of_operators(write: Callable[..., Path]) -> None:
    model = stub_model()
    for number, node in enumerate(model.graph.node):
        node.name = f"{'first.part' if number < 3 else 'second'}/{node.op_type}_{number}"
    path = write(model.SerializeToString())
    times = stage_times_ms(path, trial_inputs(CARD, 1, 2), threads=1, steps=5)
    assert list(times) == ["first", "second"]
    assert all(len(steps) == 5 and (steps >= 0).all() and steps.sum() > 0 for steps in times.values())
    assert list(stage_times_ms(path, trial_inputs(CARD, 1, 2), threads=1, steps=1, depth=2)) == ["first.part", "second"]
