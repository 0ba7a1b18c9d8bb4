"""`usthand train` and `usthand evaluate`, by a network small enough to learn in a second."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("tensorboard")

from engine.hand_model import HandModel  # noqa: E402
from engine.network import config as network_config  # noqa: E402
from engine.network.network import UstHandNetwork  # noqa: E402
from engine.network.weights import load_weights, save_weights  # noqa: E402
from server import cli  # noqa: E402
from tests.training.conftest import SMALL  # noqa: E402
from training.datasets import Labelled, write_manifest, write_shard  # noqa: E402
from training.synthetic import SyntheticConfig, synthetic_windows  # noqa: E402


@dataclass
class Answer:
    code: int
    out: str
    err: str


Usthand = Callable[..., Answer]


@pytest.fixture
def usthand(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Usthand:
    """Run a command through the entry point itself; it knows the network `small`."""
    monkeypatch.setattr(network_config, "PRESETS", {**network_config.PRESETS, "small": SMALL})
    threads = torch.get_num_threads()

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["usthand", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        torch.set_num_threads(threads)
        code = ended.value.code
        return Answer(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two windows whose crops are larger than the network's, with exact labels."""
    return _rendered(tmp_path_factory.mktemp("windows"), seed=11)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two more."""
    return _rendered(tmp_path_factory.mktemp("others"), seed=12)


def _rendered(folder: Path, seed: int) -> Path:
    config = SyntheticConfig(size_px=96, views=3, frames=2, image_px=(160, 120), windows_per_scene=2)
    write_shard(folder, 0, [Labelled(*sample) for sample in synthetic_windows(config, 2, seed=seed)])
    write_manifest(folder, "made up", [2], 96, about={"labels": "exact"}, truth=True)
    return folder


def _weights(path: Path, training: dict[str, str]) -> Path:
    hand_model = HandModel.load()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UstHandNetwork(SMALL, hand_model, pretrained=False)
    save_weights(path, network, hand_model, training=training, metrics={})
    return path


def test_a_network_learns_from_windows_of_another_size(
    usthand: Usthand, windows: Path, others: Path, tmp_path: Path
) -> None:
    done = usthand(
        *("train", "--network", "small", "--data", windows, "--validation", others),
        *("--out", tmp_path / "run", "--epochs", 1, "--threads", 1),
    )
    assert done.code == 0, done.err
    assert "epoch 1 of 1, step 1: loss" in done.out
    assert "mpjpe_mm" in done.out
    training = load_weights(tmp_path / "run" / "weights.pt").training
    assert training["data"]["name"] == "made up, agreed across views, resized to 64 px"
    assert (training["joints"], training["steps"]) == ("model", 1)


def test_windows_do_not_judge_what_was_learnt_from_them(usthand: Usthand, windows: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(windows, copy)
    for arguments in (
        ("train", "--data", windows, "--validation", copy, "--out", tmp_path / "run"),
        ("evaluate", "--table", "methods", "--train", windows, "--data", copy, "--runs", tmp_path / "runs"),
    ):
        done = usthand(*arguments)
        assert done.code == 1
        assert "copy: are windows that --" in done.err
        assert "give others to judge by" in done.err
    assert list(tmp_path.iterdir()) == [copy]


def test_training_that_goes_astray_is_one_line(usthand: Usthand, windows: Path, tmp_path: Path) -> None:
    done = usthand(
        *("train", "--network", "small", "--data", windows, "--learning-rate", "1e30"),
        *("--out", tmp_path / "run", "--epochs", 3, "--threads", 1),
    )
    assert done.code == 1
    assert done.err.startswith("error: the loss is nan ")
    assert "lower the learning rate" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("training", "meant"), [({}, "model"), ({"joints": "model"}, "model"), ({"joints": "detector"}, "detector")]
)
def test_weights_are_measured_by_the_joints_that_they_learnt(
    usthand: Usthand, windows: Path, tmp_path: Path, training: dict[str, str], meant: str
) -> None:
    weights = _weights(tmp_path / "weights.pt", training)
    done = usthand("evaluate", "--weights", weights, "--data", windows, "--out", tmp_path / "share-0.25")
    assert done.code == 0, done.err
    name = "made up, the detector's joints" if meant == "detector" else "made up"
    assert f"2 windows of {name}, resized to 64 px" in done.out
    # What stands behind the point is part of the name.
    assert {path.name for path in tmp_path.iterdir()} == {"weights.pt", "share-0.25.md", "share-0.25.json"}
    assert (tmp_path / "share-0.25.md").read_text() == done.out.removesuffix("\n")
    (kept,) = json.loads((tmp_path / "share-0.25.json").read_text())
    assert list(kept["figures"]) == ["3"]
    # And by others only if one asks for it.
    asked = usthand("evaluate", "--weights", weights, "--data", windows, "--joints", "detector", "--views", 2)
    assert "made up, the detector's joints" in asked.out
    assert "\n| 2 | " in asked.out


def test_what_cannot_be_measured_is_one_line(usthand: Usthand, windows: Path, tmp_path: Path) -> None:
    weights = _weights(tmp_path / "weights.pt", {})
    for arguments, told in (
        (("--weights", weights, "--joints", "toes"), "--joints 'toes' is none of auto, detector, model"),
        (("--weights", weights, "--views", 9), "9 views were asked for of windows with 3"),
        (("--weights", weights, "--table", "1"), "one of --weights and --table"),
        (("--table", "1"), "table 1 needs --train"),
    ):
        done = usthand("evaluate", "--data", windows, *arguments)
        assert done.code == 1
        assert told in done.err
        assert done.err.count("\n") == 1
