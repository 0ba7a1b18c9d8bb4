"""Footage becomes windows of crops with 2D labels, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from capture.frames import FrameSet
from engine.synthetic import HandScene, make_rig
from tests.training.scripted import Recording, ScriptedEngine
from training import footage
from training.footage import WINDOW_FRAMES, frame_sets_of, is_labelled, label_footage, windows_before
from training.samples import Window

SETS = 9


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording.of(make_rig(2, seed=5, width=320, height=240), HandScene(seed=7), SETS)


@pytest.fixture
def no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where labels do not matter, none are made."""

    class NoLabels:
        name = "none"

        def label(self, window: Window) -> tuple[object, object]:
            return window.labels, window.label_confidence

    monkeypatch.setattr(footage, "Labeller", NoLabels)


def _last_sets(folder: Path, recording: Recording, engine: ScriptedEngine, stride: int = 1) -> list[int]:
    data = label_footage(folder, recording.frame_sets(), recording.rig, engine, name="made up", stride=stride)
    last_sets: list[int] = data.about["last_frame_sets"]
    assert len(last_sets) == len(data)
    return last_sets


@pytest.mark.parametrize("side", ["right", "left"])
def test_labels_lie_on_the_hand_whichever_it_is(side: str, tmp_path: Path) -> None:
    scene = HandScene(seed=7, side="left" if side == "left" else "right")
    recording = Recording.of(make_rig(2, seed=5, width=320, height=240), scene, WINDOW_FRAMES)
    told: list[str] = []
    data = label_footage(
        tmp_path, recording.frame_sets(), recording.rig, ScriptedEngine(scene), name="made up", advance=told.append
    )
    assert len(data) == 1
    assert len(told) == WINDOW_FRAMES
    assert data.truth(0) is None
    assert data.about["labels"] == "mediapipe-full"
    assert (data.about["engine"], data.about["calibration_id"]) == ("scripted-1", recording.rig.id)
    window = data[0]
    assert window.view_mask.all()
    # The window's origin is the middle of its joints; a left hand lies there in the mirror, as all training data.
    joints = np.stack([scene.truth(number)[0].joints_world for number in range(WINDOW_FRAMES)])
    local = joints - joints.mean(axis=(0, 1))
    if side == "left":
        local = local * [-1.0, 1.0, 1.0]
    ones = np.concatenate([local, np.ones((*local.shape[:-1], 1))], axis=-1)
    projected = np.einsum("tvij,tkj->tvki", window.projections, ones)
    expected = projected[..., :2] / projected[..., 2:]
    seen = window.label_confidence > 0.5
    assert seen.mean() > 0.8
    error = np.linalg.norm(window.labels - expected, axis=-1)[seen]
    # Of 2, the crop's side: the detector's own error on rendered hands is some 5 of 224 pixels.
    assert np.median(error) < 0.1


@pytest.mark.usefixtures("no_detector")
def test_views_of_a_window_are_of_their_own_exposures(recording: Recording, tmp_path: Path) -> None:
    late_ns = (-40_000_000, 40_000_000)
    sets = [
        replace(
            frame_set,
            frames=tuple(
                frame and replace(frame, timestamp_ns=frame.timestamp_ns + late)
                for frame, late in zip(frame_set.frames, late_ns, strict=True)
            ),
        )
        for frame_set in recording.sets[:WINDOW_FRAMES]
    ]
    (window,) = label_footage(tmp_path, sets, recording.rig, ScriptedEngine(recording.scene), name="made up")
    middles = np.stack([recording.scene.truth(i)[0].joints_world.mean(axis=0) for i in range(WINDOW_FRAMES)])
    ways = np.diff(middles, axis=0) * recording.scene.rate_hz * 0.04
    assert np.linalg.norm(ways, axis=1).max() > 0.001
    for view, (camera, sign) in enumerate(zip(recording.rig, (-1, 1), strict=True)):
        for number, projection in enumerate(window.projections[:, view].astype(np.float64)):
            center = middles.mean(axis=0) - np.linalg.solve(projection[:, :3], projection[:, 3])
            # A hand that goes on stands before a camera as before one that goes back. Nothing is known of the first.
            expected = camera.center_world - (0.0 if number == 0 else sign * ways[number - 1])
            np.testing.assert_allclose(center, expected, atol=1e-4)


@pytest.mark.usefixtures("no_detector")
def test_windows_come_in_the_order_of_time_and_so_far_apart(recording: Recording, tmp_path: Path) -> None:
    engine = ScriptedEngine(recording.scene)
    assert _last_sets(tmp_path / "1", recording, engine) == [4, 5, 6, 7, 8]
    assert _last_sets(tmp_path / "2", recording, engine, stride=3) == [4, 7]
    assert frame_sets_of(tmp_path / "1") == SETS
    assert is_labelled(tmp_path / "1", recording.rig, name="made up")
    assert not is_labelled(tmp_path, recording.rig, name="made up")


@pytest.mark.usefixtures("no_detector")
def test_no_window_crosses_the_border_in_time(recording: Recording, tmp_path: Path) -> None:
    _last_sets(tmp_path / "data", recording, ScriptedEngine(recording.scene))
    # The first of the sets that judge is 6: windows of sets 0-4 and 1-5 end before it.
    learnt = windows_before(tmp_path / "data", 6)
    assert len(learnt) == 2
    assert len(windows_before(tmp_path / "data", 5)) == 1
    assert len(windows_before(tmp_path / "data", SETS)) == 5
    with pytest.raises(ValueError, match="no window ends before frame set 4; hold fewer back"):
        windows_before(tmp_path / "data", 4)


@pytest.mark.usefixtures("no_detector")
def test_a_hand_that_was_away_begins_anew(recording: Recording, tmp_path: Path) -> None:
    # It is seen in the sets 0-1, then 3-8: the short sight gives one window of its own.
    engine = ScriptedEngine(recording.scene, blind=frozenset({2}))
    assert _last_sets(tmp_path / "data", recording, engine) == [1, 7, 8]
    # Another hand's id in set 5 ends one sight, is a short one, and begins a third.
    assert _last_sets(tmp_path / "other", recording, ScriptedEngine(recording.scene, ids={5: 9})) == [4, 5, 8]


@pytest.mark.usefixtures("no_detector")
def test_a_short_sight_repeats_its_end(recording: Recording, tmp_path: Path) -> None:
    engine = ScriptedEngine(recording.scene, blind=frozenset(range(2, SETS)))
    data = label_footage(tmp_path, recording.frame_sets(), recording.rig, engine, name="made up")
    assert len(data) == 1
    window = data[0]
    assert len(window.crops) == WINDOW_FRAMES
    for later in (2, 3, 4):
        assert np.array_equal(window.projections[later], window.projections[1])
        assert np.array_equal(window.crops[later], window.crops[1])
    assert not np.array_equal(window.projections[1], window.projections[0])


@pytest.mark.usefixtures("no_detector")
def test_labelling_that_was_stopped_begins_anew(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footage, "_SHARD_WINDOWS", 2)

    def stopped() -> Iterator[FrameSet]:
        yield from recording.sets[:-1]
        raise KeyboardInterrupt

    engine = ScriptedEngine(recording.scene)
    with pytest.raises(KeyboardInterrupt):
        label_footage(tmp_path, stopped(), recording.rig, engine, name="made up")
    assert {path.name for path in tmp_path.iterdir()} == {"windows-00000.npz", "windows-00001.npz"}
    assert not is_labelled(tmp_path, recording.rig, name="made up")
    # A shorter recording leaves nothing of the longer one.
    assert len(label_footage(tmp_path, recording.sets[:5], recording.rig, engine, name="made up")) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"windows-00000.npz", "manifest.json"}
    with pytest.raises(ValueError, match=r"is not empty \(it has manifest.json\)"):
        label_footage(tmp_path, recording.frame_sets(), recording.rig, engine, name="made up")


@pytest.mark.usefixtures("no_detector")
def test_what_cannot_be_labelled_is_said(recording: Recording, tmp_path: Path) -> None:
    blind = ScriptedEngine(recording.scene, blind=frozenset(range(SETS)))
    with pytest.raises(ValueError, match=f"made up: no hand was seen by two cameras in {SETS} frame sets"):
        _last_sets(tmp_path / "data", recording, blind)
    far = ScriptedEngine(recording.scene, off_m=5.0)
    with pytest.raises(ValueError, match="no hand was seen by two cameras"):
        _last_sets(tmp_path / "far", recording, far)
    alone = recording.subset(1)
    with pytest.raises(ValueError, match="made up: has 1 camera; windows need two"):
        label_footage(tmp_path / "one", alone.sets, alone.rig, ScriptedEngine(recording.scene), name="made up")
    assert not (tmp_path / "one").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        _last_sets(tmp_path / "full", recording, ScriptedEngine(recording.scene))
