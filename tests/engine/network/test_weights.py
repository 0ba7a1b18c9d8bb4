"""Files of weights: what is saved is loaded, and what is no such file is refused with its reason."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.errors import EngineError  # noqa: E402
from engine.hand_model import HandModel  # noqa: E402
from engine.network.network import UstHandNetwork  # noqa: E402
from engine.network.weights import load_weights, save_weights, weight_names, weights_digest  # noqa: E402
from tests.engine.network.support import SMALL, random_inputs, stirred_network  # noqa: E402

CONFIG = replace(SMALL, blocks=1, flow_layers=2, fusion_rounds=1)


@pytest.fixture(scope="module")
def network() -> UstHandNetwork:
    return stirred_network(CONFIG)


@pytest.fixture
def path(tmp_path: Path, network: UstHandNetwork) -> Path:
    path = tmp_path / "small.pt"
    save_weights(path, network, HandModel.load(), training={"data": "noise", "steps": 3}, metrics={"mpjpe_mm": 99.0})
    return path


def edit(path: Path, **changes: Any) -> None:
    """Change entries of a file; None takes one out."""
    content = torch.load(path, weights_only=True)
    content.update(changes)
    torch.save({key: value for key, value in content.items() if value is not None}, path)


def refusal(path: Path) -> str:
    with pytest.raises(EngineError) as refused:
        load_weights(path).build(HandModel.load())
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 300
    return line


@pytest.mark.usefixtures("no_grad")
def test_what_is_saved_is_loaded(path: Path, network: UstHandNetwork) -> None:
    weights = load_weights(path)
    assert weights.config == CONFIG
    assert (weights.training, weights.metrics) == ({"data": "noise", "steps": 3}, {"mpjpe_mm": 99.0})
    assert weights.hand_model_sha256 == HandModel.load().sha256
    built = weights.build(HandModel.load())
    assert not built.training
    inputs = random_inputs(CONFIG).frame(0)
    state = network.empty_state(2)
    assert torch.equal(built.step(*inputs, *state).joints, network.step(*inputs, *state).joints)
    assert [file.name for file in path.parent.iterdir()] == ["small.pt"]


def test_equal_weights_have_equal_digests(network: UstHandNetwork, path: Path) -> None:
    digest = weights_digest(network.state_dict())
    state = load_weights(path).state_dict
    assert weights_digest(dict(reversed(state.items()))) == digest
    name = next(iter(weight_names(network)))
    state[name] = state[name] + 1
    assert weights_digest(state) != digest


def test_files_that_are_none(tmp_path: Path, path: Path) -> None:
    assert "none.pt: no such file" in refusal(tmp_path / "none.pt")
    assert "no such file" in refusal(tmp_path)
    whole = path.read_bytes()
    for content in (b"", b"words", whole[: len(whole) // 2], b"PK\x03\x04" + bytes(50), b"\x80\x04K*."):
        path.write_bytes(content)
        line = refusal(path)
        assert "small.pt: " in line
        assert "usthand train" in line
    for content in (torch.ones(3), [1], {"state_dict": {}}, {}):
        torch.save(content, path)
        assert "holds no usthand.weights/1" in refusal(path)


def test_a_file_runs_no_code(path: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"schema": "usthand.weights/1", "training": Trap()}, path)
    assert "not a readable file of weights" in refusal(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": "usthand.weights/2"}, ("usthand.weights/2 needs a newer usthand",)),
        ({"schema": 2}, ("2", "usthand.weights/1")),
        ({"metrics": None}, ("metrics is missing",)),
        ({"training": [1]}, ("training is missing or no map",)),
        ({"hand_model": {"name": "open-hand"}}, ("hand_model has no sha256",)),
        ({"hand_model": {"name": "mano", "sha256": "f" * 64}}, ("mano", "ffffffffffff", "open-hand", "--hand-model")),
        ({"config": {"name": "small", "colour": 3}}, ("colour", "not known")),
        ({"config": {**asdict(CONFIG), "blocks": "1"}}, ("blocks",)),
        ({"config": {**asdict(CONFIG), "input_px": 70}}, ("input_px", "70")),
        ({"config": {**asdict(CONFIG), "blocks": 2}}, ("lack transformer.blocks.1",)),
        ({"config": {**asdict(CONFIG), "blocks": 0}}, ("have transformer.",)),
        ({"config": {**asdict(CONFIG), "flow_channels": 32}}, ("flow.", "shape", "is needed")),
        ({"state_dict": {}}, ("lack ",)),
        ({"state_dict": {"a": 1}}, ("'a'", "no tensor")),
        ({"state_dict": {"a": torch.tensor([1.0, np.nan])}}, ("a has values that are not finite",)),
    ],
)
def test_files_of_another_version_network_or_hand(path: Path, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    edit(path, **changes)
    line = refusal(path)
    for word in words:
        assert word in line
