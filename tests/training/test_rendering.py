"""Rendered data sets: equal settings give equal windows, splits share nothing, and what was begun is finished."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.synthetic import SceneVariety
from training.datasets import ShardedWindows
from training.detected_labels import Labeller
from training.rendering import BenchSplit, RenderPlan, Split, bench_plan, learning_plan, render
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
    splits: tuple[Split, ...] = ("train", "validation", "bench-1", "bench-2")
    seeds = [
        replace(PLAN, split=split, seed=seed).shard_seed(shard)
        for split in splits
        for seed in (0, 1)
        for shard in range(1000)
    ]
    assert len(seeds) == 8000
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("split", ["bench-1", "bench-2"])
def test_the_benchmark_splits_are_what_they_were(split: BenchSplit) -> None:
    """A change here is another benchmark: give it another name."""
    plan = bench_plan(split)
    assert (plan.split, plan.windows, plan.seed, plan.config.views, plan.config.frames) == (split, 200, 0, 8, 5)
    config = plan.about()["config"]
    assert config["size_px"] == 224
    if split == "bench-1":
        assert config["windows_per_scene"] == 2
        # The version of data rendered before there were scenes is that of data rendered now; figures name it.
        settings = json.dumps(bench_plan(split, "detector").about(), sort_keys=True)
        assert hashlib.sha256(settings.encode()).hexdigest()[:12] == "987e51940ef2"
    else:
        assert config["windows_per_scene"] == 1
        shares = {"turned": 0.6, "acting": 0.6, "bare": 0.4, "holding": 0.4, "obstacle": 0.3, "partner": 0.35}
        assert config["scenes"] == shares


def test_training_has_the_new_scenes_and_says_so() -> None:
    new, old = (learning_plan("train", 40, 4, "exact", 0, plain=plain) for plain in (False, True))
    assert new.config.scenes == SceneVariety()
    assert new.about() != old.about()
    assert "scenes" in new.about()["config"]
    assert learning_plan("validation", 40, 4, "exact", 0).config.scenes is None


# Sums of all pixels, cameras and labels of a split's first window, each with a weight of its own.
FINGERPRINTS: dict[Split, tuple[float, float, float]] = {
    "bench-1": (-78555.2, 20.93377, -19.67455),
    "bench-2": (-65932.2, -84.54099, 2.34204),
    "validation": (-332.3, 17.13826, 8.37706),
}


def _fingerprint(plan: RenderPlan) -> tuple[float, float, float]:
    ((window, _),) = synthetic_windows(plan.config, 1, plan.shard_seed(0))
    weights = np.random.default_rng(0)
    crops, projections, labels = (
        float(array.astype(np.float64).ravel() @ weights.normal(size=array.size))
        for array in (window.crops, window.projections, window.labels)
    )
    return crops, projections, labels


@pytest.mark.parametrize("split", FINGERPRINTS)
def test_rendered_splits_stay_as_they_are(split: Split) -> None:
    """What was measured on these pictures holds for these alone.

    Another processor's last digits move the pixels' sum by some tens; any change of a pose, a picture or a seed, by
    thousands.
    """
    plan = learning_plan("validation", 40, 4, "exact", 0) if split == "validation" else bench_plan(split)
    crops, projections, labels = _fingerprint(plan)
    assert crops == pytest.approx(FINGERPRINTS[split][0], abs=300.0)
    assert (projections, labels) == pytest.approx(FINGERPRINTS[split][1:], abs=1e-3)


def test_varied_windows_repeat_and_differ() -> None:
    first, again, other = (synthetic_windows(TINY, 1, seed)[0][0] for seed in (1, 1, 2))
    assert np.array_equal(first.crops, again.crops)
    assert not np.array_equal(first.crops, other.crops)
    # Labels are exact: the truth projects to them, whatever was done to the picture.
    window, truth = synthetic_windows(TINY, 1, 3)[0]
    homogeneous = np.einsum("tvik,tjk->tvji", window.projections[..., :3], truth.joints_local)
    homogeneous += window.projections[:, :, None, :, 3]
    assert np.abs(homogeneous[..., :2] / homogeneous[..., 2:] - window.labels).max() < 1e-4


@pytest.mark.parametrize("left", [0.0, 1.0])
def test_windows_with_things_and_second_hands_have_exact_labels(left: float) -> None:
    crowded = replace(TINY, scenes=SceneVariety(holding=1.0, partner=1.0), left_share=left)
    (window, truth), (plain, _) = (
        synthetic_windows(config, 1, 3)[0] for config in (crowded, replace(TINY, left_share=left))
    )
    assert not np.array_equal(window.crops, plain.crops)
    homogeneous = np.einsum("tvik,tjk->tvji", window.projections[..., :3], truth.joints_local)
    homogeneous += window.projections[:, :, None, :, 3]
    assert np.abs(homogeneous[..., :2] / homogeneous[..., 2:] - window.labels).max() < 1e-4
    # One hand is the window's, and it is a right one: its fingers bend away from the back.
    joints = truth.joints_local
    assert truth.vertices_local is not None
    up = np.cross(joints[:, 17] - joints[:, 5], joints[:, 9] - joints[:, 0])
    bent = np.einsum("tji,ti->tj", joints[:, [8, 12, 16, 20]] - joints[:, [5, 9, 13, 17]], up)
    assert bent.mean() < 0.0


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
