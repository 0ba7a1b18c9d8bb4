"""Building plans: what is there is not built again, what was measured is kept, and how far it is is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")

from engine.backends.plan_builder import BuildWatch, BuiltPlan, PlanSettings, build_plan
from engine.backends.tensorrt_api import find_library
from engine.errors import EngineError
from tests.engine.backends.host_gpu import Machine
from tests.engine.backends.support import stub_model

SETTINGS = PlanSettings("fp32", plugin=False)


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for TensorRT."""
    return Machine().install(monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An exported file."""
    path = tmp_path / "stub.onnx"
    path.write_bytes(stub_model().SerializeToString())
    return path


def built(model: Path, settings: PlanSettings = SETTINGS, **options: Any) -> BuiltPlan:
    """Build a plan for three views beside a model."""
    return build_plan(model, model.parent / "plans", find_library(), settings, **{"views": 3, "hands": 1, **options})


def test_what_is_there_is_not_built_again(trt: Any, model: Path) -> None:
    first = built(model)
    assert (trt.builds, built(model), trt.builds) == (1, BuiltPlan(first.path, first.size_bytes, 0.0), 1)
    assert built(model, force=True).path == first.path
    assert trt.builds == 2


@pytest.mark.parametrize("change", ["model", "size", "driver", "library", "damage"])
def test_what_does_not_fit_is_built_anew(trt: Any, model: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    first = built(model)
    options: dict[str, Any] = {}
    if change == "model":
        model.write_bytes(stub_model(inputs=dict(reversed(_inputs().items()))).SerializeToString())
    elif change == "size":
        options = {"hands": 2}
    elif change == "driver":
        monkeypatch.setattr("engine.backends.gpu_device._driver_version", lambda _cuda: "590.1")
    elif change == "library":
        trt.__version__ = "11.5.0"
    else:
        first.path.write_bytes(b"")
    assert (built(model, **options).path == first.path) == (change == "damage")
    assert trt.builds == 2


def _inputs() -> dict[str, Any]:
    from tests.engine.backends.support import INPUTS

    return INPUTS


def test_the_card_says_what_was_built(trt: Any, model: Path) -> None:
    assert trt
    card = json.loads(built(model).path.with_suffix(".json").read_text())
    assert card["model"] == "stub-1"
    assert card["key"]["gpu"] == "Host GPU"
    assert (card["key"]["compute_capability"], card["key"]["library"]) == ("8.9", "tensorrt 11.4.0.106")
    assert (card["half_operators"], card["plugin_operators"]) == (0, 0)


def test_what_was_measured_is_kept_for_the_next_build(trt: Any, model: Path) -> None:
    built(model)
    built(model, hands=2)
    assert trt.timings == [b"", b"measured "]


def test_how_far_it_is_only_grows_to_the_end(trt: Any, model: Path) -> None:
    assert trt
    told: list[tuple[str, float]] = []
    built(model, watch=BuildWatch(lambda phase, share: told.append((phase, share))))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 0.4 < shares[-1] <= 1.0
    assert {phase for phase, _ in told} >= {"Building engine", "Timing tactics"}


def test_a_build_that_is_stopped_or_fails_leaves_no_plan(trt: Any, model: Path) -> None:
    with pytest.raises(EngineError, match=r"built no plan \(it was stopped"):
        built(model, watch=BuildWatch(lambda _phase, _share: None, stopped=lambda: True))
    trt.fails = True
    with pytest.raises(EngineError, match=r"network stub-1: tensorrt .* built no plan \(no kernel for the node"):
        built(model)
    assert not list((model.parent / "plans").glob("*.plan"))


def test_phases_that_nobody_announced_do_not_harm() -> None:
    told: list[float] = []
    watch = BuildWatch(lambda _phase, share: told.append(share))
    watch.finish("never begun")
    assert watch.step("never begun", 3)
    watch.start("empty", 0)
    watch.step("empty", 0)
    watch.start("within", 2)
    assert told[-1] == 1.0
