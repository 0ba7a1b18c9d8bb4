"""Only a network that became better is kept, and what judges was not learnt from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calibration import Rig
from engine.errors import EngineError
from engine.hand_model import HandModel
from engine.synthetic import HandScene, make_rig
from engine.types import HandEngine
from server.commands.adapt import _tell as tell
from tests.training.scripted import Recording, ScriptedEngine
from training import adapt as adapting
from training.adapt import ADAPTED, RUNNING, AdaptConfig, Verdict, adapt, judge
from training.footage import label_footage
from training.run import RunConfig

SETS = 10
FIRST_JUDGED = 8


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording.of(make_rig(3, seed=5, width=320, height=240), HandScene(seed=7), SETS)


@dataclass
class Script:
    """Stands in for training and export: how good what comes out of them is."""

    scene: HandScene
    running_off_m: float = 0.01
    adapted_off_m: float = 0.0
    adapted_blind: frozenset[int] = frozenset()
    learnt: list[int] = field(default_factory=list)
    engines: dict[str, list[ScriptedEngine]] = field(default_factory=dict)

    def open(self, model: str) -> HandEngine:
        adapted = model.endswith(".onnx")
        if adapted:
            assert Path(model).read_text() == "exported"
        engine = (
            ScriptedEngine(self.scene, self.adapted_off_m, self.adapted_blind)
            if adapted
            else ScriptedEngine(self.scene, self.running_off_m)
        )
        self.engines.setdefault(ADAPTED if adapted else model, []).append(engine)
        return engine


@pytest.fixture
def script(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script(recording.scene)

    def train(folder: Path, config: RunConfig, data: Any, *_: object, **__: object) -> Path:
        assert not config.fit.train_backbone
        script.learnt.append(len(data))
        return folder / "weights.pt"

    def export(path: Path, *_: object) -> Path:
        path.write_text("exported")
        return path

    monkeypatch.setattr(adapting, "train", train)
    monkeypatch.setattr(adapting, "_export", export)
    monkeypatch.setattr(adapting, "load_network", lambda *_: SimpleNamespace(config=None))
    return script


@pytest.fixture
def folder(recording: Recording, tmp_path: Path) -> Path:
    """Begun: the recording is labelled."""
    engine = ScriptedEngine(recording.scene)
    label_footage(tmp_path / "windows", recording.frame_sets(), recording.rig, engine, name="made up")
    return tmp_path


@pytest.fixture
def adapted(recording: Recording, script: Script, folder: Path, hand_model: HandModel) -> Callable[[], Verdict]:
    config = AdaptConfig(held_out=1.0 - FIRST_JUDGED / SETS)
    return lambda: adapt(
        folder,
        recording.frame_sets,
        recording.rig,
        "detector",
        Path("start.onnx"),
        hand_model,
        config,
        name="made up",
        opened=script.open,
    )


def test_a_better_network_is_kept(adapted: Callable[[], Verdict], script: Script, folder: Path) -> None:
    verdict = adapted()
    assert verdict.better
    assert verdict.left_out
    assert verdict.model == folder / "model.onnx"
    assert verdict.model.read_text() == "exported"
    assert not (folder / "candidate-model.onnx").exists()
    assert set(verdict.figures) == {RUNNING, ADAPTED}
    running, better = verdict.figures[RUNNING], verdict.figures[ADAPTED]
    assert better.median_px < running.median_px
    assert better.hands == running.hands > 0
    # Ten sets give windows that end with sets 4 to 9; those of the judged sets 8 and 9 are not learnt from.
    assert script.learnt == [4]
    judges = [engine for engines in script.engines.values() for engine in engines if engine.seen]
    assert len(judges) == 2 * 3, "each engine, once a camera that is left out"
    for engine in judges:
        assert engine.seen == [8, 9]
    assert all(engine.closed for engines in script.engines.values() for engine in engines)


@pytest.mark.parametrize("off_m", [0.03, 0.01], ids=["worse", "as good"])
def test_another_one_is_not(adapted: Callable[[], Verdict], script: Script, folder: Path, off_m: float) -> None:
    script.adapted_off_m = off_m
    verdict = adapted()
    assert not verdict.better
    assert verdict.model is None
    assert not list(folder.glob("*.onnx"))
    assert verdict.figures[ADAPTED].median_px >= verdict.figures[RUNNING].median_px


def test_one_that_loses_hands_is_not_kept_for_being_nearer_on_the_others(
    adapted: Callable[[], Verdict], script: Script, folder: Path
) -> None:
    script.adapted_blind = frozenset({9})
    verdict = adapted()
    assert verdict.figures[ADAPTED].median_px < verdict.figures[RUNNING].median_px
    assert verdict.figures[ADAPTED].answered < verdict.figures[RUNNING].answered
    assert not verdict.better
    assert not verdict.keeps_hands
    assert verdict.model is None
    assert not list(folder.glob("*.onnx"))


def test_windows_of_another_recording_or_calibration_are_not_learnt_from(
    recording: Recording, script: Script, folder: Path, hand_model: HandModel
) -> None:
    def adapt_to(rig: Rig, name: str, stride: int = 1) -> None:
        adapt(
            folder,
            recording.frame_sets,
            rig,
            "detector",
            Path("start.onnx"),
            hand_model,
            AdaptConfig(stride=stride),
            name=name,
            opened=script.open,
        )

    with pytest.raises(ValueError, match="windows: holds windows of footage made up, not take 2; give another"):
        adapt_to(recording.rig, "take 2")
    camera = recording.rig.cameras[0]
    moved = replace(camera, T_camera_world=recording.rig.cameras[1].T_camera_world)
    with pytest.raises(ValueError, match="holds windows of calibration_id"):
        adapt_to(replace(recording.rig, cameras=(moved, *recording.rig.cameras[1:])), "made up")
    with pytest.raises(ValueError, match="holds windows of stride 1, not 2"):
        adapt_to(recording.rig, "made up", stride=2)
    assert script.learnt == []


def test_what_cannot_run_is_said_before_the_work(recording: Recording, hand_model: HandModel, tmp_path: Path) -> None:
    def fail(model: str) -> HandEngine:
        raise EngineError(f"model {model!r} is not known")

    def adapt_from(start: Path, opened: Callable[[str], HandEngine]) -> None:
        adapt(
            tmp_path / "out",
            recording.frame_sets,
            recording.rig,
            "nonsense",
            start,
            hand_model,
            AdaptConfig(),
            name="made up",
            opened=opened,
        )

    with pytest.raises(EngineError, match="'nonsense' is not known"):
        adapt_from(tmp_path / "start.onnx", fail)
    with pytest.raises(EngineError, match=r"start\.pt: no such file"):
        adapt_from(tmp_path / "start.pt", lambda _: ScriptedEngine(recording.scene))
    assert not (tmp_path / "out").exists()


def test_two_cameras_judge_themselves(recording: Recording) -> None:
    pair = recording.subset(2)
    engines: dict[str, ScriptedEngine] = {}

    def opened(name: str, off_m: float) -> HandEngine:
        assert name not in engines, "with two cameras an engine is opened once"
        engines[name] = ScriptedEngine(recording.scene, off_m)
        return engines[name]

    figures = judge(
        lambda: iter(pair.sets[:2]),
        pair.rig,
        {"good": lambda: opened("good", 0.0), "off": lambda: opened("off", 0.015)},
    )
    assert figures["good"].median_px < figures["off"].median_px
    assert figures["good"].hands == figures["off"].hands == 4
    assert all(engine.closed for engine in engines.values())


def test_hands_that_one_engine_misses_judge_neither(recording: Recording) -> None:
    figures = judge(
        lambda: iter(recording.sets[:3]),
        recording.rig,
        {
            "all": lambda: ScriptedEngine(recording.scene),
            "some": lambda: ScriptedEngine(recording.scene, 0.015, blind=frozenset({0})),
        },
    )
    assert figures["all"].hands == figures["some"].hands == figures["some"].answered == 6
    assert figures["all"].answered == 9


def test_without_a_common_hand_there_is_no_verdict(recording: Recording) -> None:
    with pytest.raises(ValueError, match=r"no hand was answered by all engines .*all 3, none 0.*the calibration fits"):
        judge(
            lambda: iter(recording.sets[:1]),
            recording.rig,
            {
                "all": lambda: ScriptedEngine(recording.scene),
                "none": lambda: ScriptedEngine(recording.scene, blind=frozenset({0})),
            },
        )


@pytest.mark.parametrize("share", [0.0, 0.05, 0.95, 1.0])
def test_something_is_learnt_and_something_judges(share: float) -> None:
    with pytest.raises(ValueError, match="hold back a share between"):
        AdaptConfig(held_out=share)


@pytest.mark.parametrize(
    ("running_off_m", "adapted_off_m", "far_off"),
    [(0.04, 0.05, True), (0.05, 0.003, False), (0.003, 0.05, False), (0.003, 0.0, False)],
    ids=["both far", "only the running one", "only the adapted one", "neither"],
)
def test_the_calibration_is_doubted_where_both_are_far_off(
    adapted: Callable[[], Verdict],
    script: Script,
    capsys: pytest.CaptureFixture[str],
    running_off_m: float,
    adapted_off_m: float,
    far_off: bool,
) -> None:
    # A camera that was turned looks like hands that are elsewhere, whoever says where.
    script.running_off_m, script.adapted_off_m = running_off_m, adapted_off_m
    verdict = adapted()
    assert verdict.far_off == far_off
    tell(verdict, "detector")
    assert ("usthand calibrate refine" in capsys.readouterr().err) == far_off
