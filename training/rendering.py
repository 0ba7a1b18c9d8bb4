"""Data sets of rendered windows: which seeds belong to which split, and rendering them in several processes.

A split's scenes, rigs and motions come from seeds of its own, so that no hand, motion, surroundings or rig of one is in
another. Shards are made one by one, each from its own seed: a rendering that was stopped goes on, and equal settings
give equal windows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np

from engine.synthetic import SceneVariety
from training.datasets.shards import MANIFEST, Labelled, shard_name, write_manifest, write_shard
from training.detected_labels import Labeller
from training.label_noise import PRESETS, noisy_labeller
from training.room import write_whole
from training.synthetic import SyntheticConfig, synthetic_windows

BenchSplit = Literal["bench-1", "bench-2"]
Split = Literal["train", "validation"] | BenchSplit

LABELS: Final = ("exact", "detector", *PRESETS)
"""Where labels may come from."""

# No two splits share a number.
_SPLIT_SEEDS: Final[dict[str, int]] = {"train": 0x7241, "validation": 0x5641, "bench-1": 0xBE01, "bench-2": 0xBE02}
# Of label noise, so that it draws other numbers than the scenes.
_NOISE: Final = 0x2D
_NO_NOISE: Final = {"sigma_px": 0.0, "half_confidence_px": 6.0, "outliers": 0.0}
_SETTINGS: Final = "settings.json"
_SHARD_WINDOWS: Final = 40
# Of the benchmark splits: fixed for good; another one gets another name.
BENCH_WINDOWS: Final = 200
BENCH_VIEWS: Final = 8
_BENCH_2_SCENES: Final = SceneVariety(turned=0.6, acting=0.6, bare=0.4, holding=0.4, obstacle=0.3, partner=0.35)


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """What is rendered.

    Args:
        split: Whose scenes.
        windows: How many windows.
        config: What they are like.
        labels: `exact`, `detector`: what it says of the crops, or one of `training.label_noise.PRESETS`.
        seed: Other seeds give other windows of the same split.
    """

    split: Split
    windows: int
    config: SyntheticConfig
    labels: str = "exact"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.labels not in LABELS:
            raise ValueError(f"labels {self.labels!r} are not known; use one of {', '.join(LABELS)}")

    @property
    def shards(self) -> list[int]:
        """Windows of each shard."""
        return [min(_SHARD_WINDOWS, self.windows - first) for first in range(0, self.windows, _SHARD_WINDOWS)]

    def about(self) -> dict[str, Any]:
        """Everything that decides the windows, as plain maps."""
        told: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        if self.config.scenes is None:
            # Data without it are the same as before there was such a thing, and keep their version: their settings are
            # told as they were then, when noise of the labels, which was off, was one.
            del told["config"]["scenes"]
            told["config"]["noise"] = dict(_NO_NOISE)
        return told

    def shard_seed(self, number: int) -> int:
        """Where all chance of a shard comes from: no two splits, seeds or shards share one."""
        return int(np.random.SeedSequence((_SPLIT_SEEDS[self.split], self.seed, number)).generate_state(1)[0])


def bench_plan(split: BenchSplit, labels: str = "exact") -> RenderPlan:
    """A benchmark split: windows of 8 views, of which fewer can be taken.

    Args:
        split: bench-1 has raised hands by themselves; bench-2 has things in the hand and in the way, second hands, and
            other lights, attitudes and activities, and each of its windows is of another scene.
        labels: What the windows are labelled by.

    Returns:
        The plan.
    """
    if split == "bench-1":
        config = SyntheticConfig(views=BENCH_VIEWS, varied=True, windows_per_scene=2)
    else:
        config = SyntheticConfig(views=BENCH_VIEWS, varied=True, windows_per_scene=1, scenes=_BENCH_2_SCENES)
    return RenderPlan(split, BENCH_WINDOWS, config, labels)


def learning_plan(
    split: Literal["train", "validation"], windows: int, views: int, labels: str, seed: int, *, plain: bool = False
) -> RenderPlan:
    """What networks learn from and are watched on.

    Args:
        split: Training scenes have all that `SceneVariety` draws; those of validation are plain, so that curves stay
            comparable.
        windows: How many.
        views: Cameras of a window.
        labels: What they are labelled by.
        seed: Other seeds give other windows.
        plain: Training scenes too are raised hands by themselves.

    Returns:
        The plan.
    """
    scenes = SceneVariety() if split == "train" and not plain else None
    return RenderPlan(split, windows, SyntheticConfig(views=views, varied=True, scenes=scenes), labels, seed)


def render(folder: Path, plan: RenderPlan, workers: int, advance: Callable[[str], None] = lambda _: None) -> None:
    """Render windows into a folder as a data set.

    Args:
        folder: Made if it is not there; one in which the same plan was begun is finished.
        plan: What to render.
        workers: Processes.
        advance: Told about each shard.

    Raises:
        ValueError: If the folder holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / _SETTINGS
    if settings.exists():
        if json.loads(settings.read_text(encoding="utf-8")) != plan.about():
            raise ValueError(f"{folder}: windows of other settings were begun here ({settings}); give another folder")
    elif any(folder.iterdir()):
        raise ValueError(f"{folder}: is not empty; give an empty folder, or one that this command began")
    else:
        write_whole(settings, json.dumps(plan.about(), indent=1))
    counts = plan.shards
    missing = [number for number in range(len(counts)) if not (folder / shard_name(number)).exists()]
    for number in range(len(counts) - len(missing)):
        advance(f"shard {number} was there")
    if missing:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            jobs = {pool.submit(_render_shard, folder, plan, number, counts[number]): number for number in missing}
            for job in as_completed(jobs):
                job.result()
                advance(f"shard {jobs[job]}")
    if not (folder / MANIFEST).exists():
        name = f"rendered {plan.split}, {plan.labels} labels"
        write_manifest(folder, name, counts, plan.config.size_px, about=plan.about(), truth=True)


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _render_shard(folder: Path, plan: RenderPlan, number: int, count: int) -> None:
    seed = plan.shard_seed(number)
    windows = [Labelled(window, truth) for window, truth in synthetic_windows(plan.config, count, seed)]
    write_shard(
        folder, number, [_labelled(item, plan.labels, (seed, index, _NOISE)) for index, item in enumerate(windows)]
    )


def _labelled(item: Labelled, labels: str, seed: tuple[int, int, int]) -> Labelled:
    """A window with other labels than the exact ones."""
    if labels == "exact" or item.truth is None:
        return item
    if labels == "detector":
        found, confidence = _detector().label(item.window)
    else:
        found, confidence = noisy_labeller(labels).label(item.window, item.truth, np.random.default_rng(seed))
    return replace(item, window=replace(item.window, labels=found, label_confidence=confidence))


@cache
def _detector() -> Labeller:
    """One a process: opening it takes longer than a window."""
    return Labeller()
