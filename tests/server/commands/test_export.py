"""`usthand export` as people run it; the export itself is tested with the network."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from engine.backends import open_runtime  # noqa: E402
from engine.backends.trial import trial_inputs  # noqa: E402
from engine.hand_model import HandModel  # noqa: E402
from engine.model_card import ModelCard  # noqa: E402
from engine.network import export as network_export  # noqa: E402
from engine.network.config import preset  # noqa: E402
from engine.network.export import EXPORT_STEPS, ExportReport  # noqa: E402
from engine.network.network import UstHandNetwork  # noqa: E402
from engine.network.weights import save_weights, weights_digest  # noqa: E402
from server import cli  # noqa: E402
from server.bench import network_stages  # noqa: E402

LITE = replace(preset("lite"), input_px=64)


@dataclass
class Answer:
    returncode: int
    stdout: str
    stderr: str


@dataclass
class Asked:
    """What the command asked to be exported."""

    networks: list[UstHandNetwork] = field(default_factory=list)
    cards: list[ModelCard] = field(default_factory=list)


@pytest.fixture
def usthand(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run `usthand export` through the entry point itself, in this process."""
    for name in [name for name in os.environ if name.startswith("USTHAND_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["usthand", "export", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return Answer(code if isinstance(code, int) else 0, *capfd.readouterr())

    return run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """In place of the export, which takes most of a minute: note what was asked."""
    asked = Asked()

    def export_network(
        network: UstHandNetwork, card: ModelCard, path: Path, *, advance: Callable[[str], None]
    ) -> ExportReport:
        for _ in range(EXPORT_STEPS):
            advance("step")
        asked.networks.append(network)
        asked.cards.append(card)
        path.write_bytes(b"model")
        return ExportReport(nodes=7, size_bytes=2_000_000, parity_mm=0.0012)

    monkeypatch.setattr(network_export, "export_network", export_network)
    return asked


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "lite.pt"
    torch.manual_seed(5)
    network = UstHandNetwork(LITE, HandModel.load(), pretrained=False)
    save_weights(path, network, HandModel.load(), training={"data": "noise"}, metrics={"mpjpe_mm": 12.5})
    return path


def assert_one_clear_line(answer: Answer, *named: str) -> None:
    assert answer.returncode == 1, answer.stderr
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1, answer.stderr
    for text in named:
        assert text in answer.stderr


def test_without_weights_they_are_random_and_everybody_is_told(
    usthand: Callable[..., Answer], asked: Asked, tmp_path: Path
) -> None:
    out = tmp_path / "a.onnx"
    answer = usthand("--out", out, "--input-px", 64)
    assert answer.returncode == 0, answer.stderr
    assert "RANDOM" in answer.stderr
    assert "Random weights" in answer.stdout
    card = asked.cards[0]
    assert card.network == "lite"
    assert card.input_px == 64
    assert card.training == {"data": "none: random weights"}
    assert "Random weights" in card.notes
    assert card.model_id.startswith("lite-random-")
    assert f"{out}: {card.model_id}, 2.0 MB, 7 operators, joints within 0.0012 mm" in answer.stdout


def test_a_seed_makes_the_weights(usthand: Callable[..., Answer], asked: Asked, tmp_path: Path) -> None:
    for seed in (0, 0, 1):
        assert usthand("--out", tmp_path / "a.onnx", "--input-px", 64, "--seed", seed).returncode == 0
    first, same, other = (weights_digest(network.state_dict()) for network in asked.networks)
    assert first == same != other
    assert asked.cards[0].model_id == asked.cards[1].model_id != asked.cards[2].model_id


def test_trained_weights_bring_their_network(
    usthand: Callable[..., Answer], asked: Asked, weights: Path, tmp_path: Path
) -> None:
    answer = usthand("--weights", weights, "--out", tmp_path / "a.onnx", "--name", "mine")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    card = asked.cards[0]
    assert card.model_id.startswith("mine-")
    assert card.config == LITE.to_dict()
    assert (card.training, card.metrics, card.notes) == ({"data": "noise"}, {"mpjpe_mm": 12.5}, "")
    state = torch.load(weights, weights_only=True)["state_dict"]
    assert weights_digest(asked.networks[0].state_dict()) == weights_digest(state)


@pytest.mark.usefixtures("asked")
def test_what_does_not_go_together(usthand: Callable[..., Answer], weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.onnx"

    def refused(*arguments: object) -> Answer:
        answer = usthand("--out", out, *arguments)
        assert not out.exists()
        return answer

    assert_one_clear_line(refused("--network", "psychic"), "psychic", "lite or resnet34")
    assert_one_clear_line(refused("--input-px", 100), "input_px is 100", "multiple of 32")
    assert_one_clear_line(refused("--weights", weights, "--network", "resnet34"), "lite.pt", "lite, not resnet34")
    assert_one_clear_line(refused("--weights", weights, "--input-px", 128), "lite.pt", "64 px, not 128")
    assert_one_clear_line(refused("--weights", tmp_path / "no.pt"), "no.pt", "no such file")
    assert_one_clear_line(refused("--hand-model", tmp_path / "no.npz"), "no.npz")
    assert_one_clear_line(usthand("--out", tmp_path / "no" / "a.onnx"), f"{tmp_path / 'no'}", "make it first")
    assert_one_clear_line(usthand("--out", tmp_path), f"{tmp_path}", "is a folder")
    weights.write_bytes(b"words")
    assert_one_clear_line(refused("--weights", weights), "lite.pt", "not a readable file of weights")


def test_a_folder_that_may_not_be_written_to_is_refused_before_the_work(
    usthand: Callable[..., Answer], asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As who is not root sees a folder of root's.
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert_one_clear_line(usthand("--out", tmp_path / "a.onnx"), "may not be written to", f"{tmp_path}")
    assert asked.networks == []


@pytest.mark.usefixtures("asked")
def test_weights_of_another_hand_model(usthand: Callable[..., Answer], weights: Path, tmp_path: Path) -> None:
    content: dict[str, Any] = torch.load(weights, weights_only=True)
    content["hand_model"] = {"name": "mano", "sha256": "f" * 64}
    torch.save(content, weights)
    answer = usthand("--weights", weights, "--out", tmp_path / "a.onnx")
    assert_one_clear_line(answer, "lite.pt", "mano", "open-hand", "--hand-model")


@pytest.mark.parametrize("package", ["torch", "onnx", "onnxscript"])
def test_without_its_packages_it_says_what_to_install(
    usthand: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    answer = usthand("--out", tmp_path / "a.onnx")
    assert_one_clear_line(answer, f"export needs {package}", "pip install 'usthand[train]'")


def test_help_shows_how(usthand: Callable[..., Answer]) -> None:
    answer = usthand("--help")
    assert answer.returncode == 0
    assert "usthand export --network lite --weights lite.pt --out lite.onnx" in answer.stdout
    assert usthand().returncode == 2


@pytest.mark.slow
def test_an_exported_file_runs(usthand: Callable[..., Answer], tmp_path: Path) -> None:
    out = tmp_path / "a.onnx"
    answer = usthand("--network", "lite", "--input-px", 64, "--out", out)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("\n") == 1, answer.stderr
    answers = []
    for backend in ("onnxruntime", "torch"):
        runtime = open_runtime(out, backend, threads=1)
        assert runtime.card.network == "lite"
        answers.append(runtime.run(trial_inputs(runtime.card, 1, 3)))
    np.testing.assert_allclose(answers[0].joints, answers[1].joints, atol=1e-5)
    stages = {stage.name: stage for stage in network_stages(out, views=3)}
    assert {f"network, one hand: {part}" for part in ("backbone", "flow", "transformer", "mano_head")} <= set(stages)
    assert all(0 < stage.p50_ms <= stage.p95_ms <= stage.p99_ms for stage in stages.values())
