"""Rendered data sets: equal settings give equal windows, splits share nothing, and what was begun is finished."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.datasets import ShardedWindows
from training.detected_labels import Labeller
from training.rendering import RenderPlan, bench_plan, render
from training.synthetic import SyntheticConfig, synthetic_windows, varied_rig
from training.variety import Conditions, busy_backdrop

TINY = SyntheticConfig(size_px=64, views=2, frames=2, image_px=(160, 120), windows_per_scene=1, varied=True)
PLAN = RenderPlan("train", 2, TINY)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "data"
    render(folder, PLAN, workers=1)
    return folder


def test_what_was_begun_is_finished_and_is_the_same(rendered: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(rendered, again)
    for name in ("manifest.json", "windows-00000.npz", "truth-00000.npz"):
        (again / name).unlink()
    told: list[str] = []
    render(again, PLAN, workers=1, advance=told.append)
    assert told == ["shard 0"]
    data = ShardedWindows(rendered)
    assert ShardedWindows(again).version == data.version
    assert (len(data), data[0].views, data[0].frames, data[0].size_px) == (2, 2, 2, 64)
    assert not data.detected
    assert data.truth(1) is not None
    render(again, PLAN, workers=1, advance=told.append)
    assert told[-1] == "shard 0 was there"


def test_other_settings_do_not_mix(rendered: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other settings"):
        render(rendered, replace(PLAN, split="validation"), workers=1)
    (tmp_path / "something").write_text("")
    with pytest.raises(ValueError, match="not empty"):
        render(tmp_path, PLAN, workers=1)


def test_labels_are_simulated(rendered: Path, tmp_path: Path) -> None:
    exact = ShardedWindows(rendered)
    for name, detected in (("mediapipe", True), ("wilor-like", False)):
        folder = tmp_path / name
        render(folder, replace(PLAN, labels=name), workers=1)
        noisy = ShardedWindows(folder)
        assert noisy.name == f"rendered train, {name} labels"
        # MediaPipe's joints lie elsewhere in the hand than the hand model's.
        assert noisy.detected == detected
        for index in range(2):
            np.testing.assert_array_equal(noisy[index].crops, exact[index].crops)
            off = np.linalg.norm(noisy[index].labels - exact[index].labels, axis=-1)[noisy[index].label_confidence > 0]
            assert 0.0 < np.median(off) < 0.3
        assert not np.array_equal(noisy[0].labels - exact[0].labels, noisy[1].labels - exact[1].labels)
    with pytest.raises(ValueError, match="use one of exact, detector, mediapipe"):
        replace(PLAN, labels="gaussian")


def test_splits_share_no_seed() -> None:
    # What a scene is follows from its shard's seed alone; these are the first thousand shards of each split.
    from training.rendering import _SPLIT_SEEDS

    seeds = [
        int(np.random.SeedSequence((number, seed, shard)).generate_state(1)[0])
        for number in _SPLIT_SEEDS.values()
        for seed in (0, 1)
        for shard in range(1000)
    ]
    assert len(set(seeds)) == len(seeds)


def test_the_benchmark_split_is_what_it_was() -> None:
    """A change here is another benchmark: give it another name."""
    plan = bench_plan()
    assert (plan.split, plan.windows, plan.seed, plan.config.views, plan.config.frames) == ("bench-1", 200, 0, 8, 5)
    about = json.loads(json.dumps(plan.about()))
    assert about["config"]["size_px"] == 224
    assert about["config"]["windows_per_scene"] == 2


def test_varied_windows_repeat_and_differ() -> None:
    first, again, other = (synthetic_windows(TINY, 1, seed)[0][0] for seed in (1, 1, 2))
    assert np.array_equal(first.crops, again.crops)
    assert not np.array_equal(first.crops, other.crops)
    # Labels are exact: the truth projects to them, whatever was done to the picture.
    window, truth = synthetic_windows(TINY, 1, 3)[0]
    homogeneous = np.einsum("tvik,tjk->tvji", window.projections[..., :3], truth.joints_local)
    homogeneous += window.projections[:, :, None, :, 3]
    assert np.abs(homogeneous[..., :2] / homogeneous[..., 2:] - window.labels).max() < 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_varied_rigs_see_the_hands(seed: int) -> None:
    rig = varied_rig(6, seed)
    for camera in rig:
        assert camera.contains(camera.project([0.0, 0.0, 0.0]))
        assert 0.3 < float(np.linalg.norm(camera.center_world)) < 3.5


def test_conditions_change_the_picture_and_not_its_size() -> None:
    rng = np.random.default_rng(0)
    picture = busy_backdrop(96, 96, rng)
    assert picture.shape == (96, 96, 3)
    assert picture.std() > 5.0
    for _ in range(20):
        conditions = Conditions.draw(rng)
        seen = conditions.seen(picture, np.random.default_rng(1))
        assert seen.shape == picture.shape
        assert seen.dtype == np.uint8
        assert np.array_equal(seen, conditions.seen(picture, np.random.default_rng(1)))


def test_the_detector_labels_what_it_sees() -> None:
    config = SyntheticConfig(views=2, frames=1, windows_per_scene=1)
    window, _ = synthetic_windows(config, 1, seed=4)[0]
    mask = window.view_mask.copy()
    mask[0, 1] = 0.0
    labels, confidence = Labeller("lite").label(replace(window, view_mask=mask))
    assert confidence[0, 0].min() > 0.5
    assert confidence[0, 1].max() == 0.0
    # Within a tenth of the crop, definitions of joints included.
    assert np.median(np.linalg.norm(labels[0, 0] - window.labels[0, 0], axis=-1)) < 0.2
    with pytest.raises(ValueError, match="224 px"):
        Labeller("lite").label(synthetic_windows(TINY, 1, seed=4)[0][0])
