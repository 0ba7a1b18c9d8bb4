"""`usthand build-plan`: what it is asked for, and what it says."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")

from typer.testing import CliRunner

from engine.backends.plan_builder import BuildWatch
from engine.errors import EngineError
from engine.factory import shipped_path
from server.cli import app
from server.commands.build_plan import read_views
from tests.engine.backends.host_gpu import Machine
from tests.engine.backends.support import stub_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An exported file."""
    path = tmp_path / "stub.onnx"
    path.write_bytes(stub_model().SerializeToString())
    return path


def build(*arguments: str) -> Any:
    """Run the command."""
    return CliRunner().invoke(app, ["build-plan", *arguments])


@pytest.mark.parametrize(
    ("text", "views"), [("4", [4]), ("2,4", [2, 4]), ("1..8", list(range(1, 9))), ("8,1..2,2", [1, 2, 8])]
)
def test_numbers_of_views_are_read(text: str, views: list[int]) -> None:
    assert read_views(text) == views


@pytest.mark.parametrize("text", ["", "0", "9", "4..2", "1-4", "two", "1..9", "..", "2,"])
def test_what_is_no_number_of_views_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match=r"give 4, 2,4 or 1\.\.8"):
        read_views(text)


def test_a_plan_for_each_number_of_views_and_hands(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine().install(monkeypatch)
    arguments = (str(model), "--views", "2,3", "--hands", "2", "--precision", "fp32", "--no-plugin", "--plan")
    done = build(*arguments, str(tmp_path / "plans"))
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "plans").glob("*.plan"))) == 4
    assert f"4 plans of {model} by tensorrt 11.4.0.106" in done.output
    assert done.output.count("built in") == 4
    assert build(*arguments, str(tmp_path / "plans")).output.count("was there") == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--precision", "int8"), "--precision 'int8' is not known; use fp16, bf16, fp32"),
        (("--views", "12"), "--views '12' is no set of numbers from 1 to 8"),
        (("--compute-capability", "ada"), "--compute-capability 'ada' is not like 8.9"),
        (("--compute-capability", "8.9", "--precision", "fp32"), "builds for the GPU in this machine only"),
    ],
)
def test_what_cannot_be_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    Machine().install(monkeypatch)
    done = build(str(model), "--no-plugin", "--plan", str(model.parent), *arguments)
    assert done.exit_code != 0
    assert said in str(done.exception)


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("onnx.", "engine.backends.plan"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = build("lite", "--views", "4")
    assert isinstance(done.exception, EngineError)
    assert str(done.exception) == "build-plan needs onnx: pip install 'usthand[gpu]'"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = build(str(tmp_path / "nothere.onnx"), "--views", "4")
    assert isinstance(done.exception, EngineError)
    assert f"{tmp_path / 'nothere.onnx'}: there is no such file" in str(done.exception)


def test_the_network_that_ships_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[Path] = []

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        planned.append(path)
        raise EngineError("far enough")

    Machine().install(monkeypatch)
    monkeypatch.setattr("engine.backends.plan_builder.build_plan", refuse)
    assert "far enough" in str(build("lite", "--views", "4", "--plan", str(tmp_path)).exception)
    assert planned == [shipped_path("lite")]


@pytest.mark.parametrize("swallowed", [False, True])
def test_ctrl_c_ends_the_command_though_tensorrt_swallows_what_is_raised(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swallowed: bool
) -> None:
    trt = Machine().install(monkeypatch)
    plain = BuildWatch.step

    def pressed(watch: BuildWatch, name: str, step: int) -> bool:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            # As its Python package does, in any call: the next word of ours decides, or there is none.
            return swallowed
        return swallowed or plain(watch, name, step)

    monkeypatch.setattr(BuildWatch, "step", pressed)
    before = signal.getsignal(signal.SIGINT)
    arguments = (str(model), "--views", "3", "--precision", "fp32", "--no-plugin", "--plan", str(tmp_path / "plans"))
    done = build(*arguments)
    assert (done.exit_code, trt.builds) == (130, 1), done.output
    assert len(list((tmp_path / "plans").glob("*.plan"))) == swallowed
    assert signal.getsignal(signal.SIGINT) is before
