"""How fast training windows are rendered: views an hour and core, and where the time goes.

    python -m benchmarks.synthetic_speed
    python -m benchmarks.synthetic_speed --windows 40 --workers 2 --labels detector --json

Windows are those of `usthand synth-windows`, plain ones and ones with things, second hands and lights. The first table
is of one process and in its processor time, which other work on the machine changes little; a stage's time is its own,
without that of the stages it calls. With --workers, whole data sets are also written by so many processes, in wall time
from their start.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import cv2

import engine.synthetic.scene as scenes
import training.synthetic as windows_module
from benchmarks._footage import print_table
from engine.synthetic import HandScene
from engine.synthetic.rasterizer import Raster
from training.datasets.shards import Labelled, write_shard
from training.detected_labels import Labeller
from training.rendering import learning_plan, render
from training.synthetic import synthetic_windows
from training.variety import Conditions

KINDS: Final = ("plain", "scenes")

# What is timed: whose, and which of its functions.
_STAGES: Final[dict[str, tuple[object, str]]] = {
    "pose and light": (HandScene, "_surfaces"),
    "project and shade": (HandScene, "raster"),
    "rasterize": (scenes, "rasterize"),
    "lay over the backdrop": (Raster, "over"),
    "paint the backdrop": (windows_module, "busy_backdrop"),
    "cut the crop": (windows_module, "sample_crop"),
    "blur, noise and JPEG": (Conditions, "seen"),
}
_REST: Final = "all else"
_WRITE: Final = "write the shard"
_LABEL: Final = "detect labels"


@dataclass(frozen=True, slots=True)
class Speed:
    """What one kind of windows took.

    Args:
        kind: plain, or scenes.
        views: How many views were rendered.
        stages_ms: Processor time of each stage, milliseconds a view.
        hourly: Views an hour and core.
    """

    kind: str
    views: int
    stages_ms: dict[str, float]
    hourly: float


@dataclass(frozen=True, slots=True)
class Whole:
    """What a data set took, in wall time.

    Args:
        kind: plain, or scenes.
        workers: Processes.
        views: How many views were written.
        seconds: From the start of the processes to the end.
        hourly: Views an hour.
    """

    kind: str
    workers: int
    views: int
    seconds: float
    hourly: float


class _Clock:
    """Processor time of stages that call each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = time.process_time()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._switch()
        self._running.append(name)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return function(*args, **kwargs)

        return wrapped

    def _switch(self) -> None:
        now = time.process_time()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def measure(kind: str, windows: int, labels: str) -> Speed:
    """Render windows in this process.

    Args:
        kind: plain, or scenes.
        windows: How many, of four views and five frames.
        labels: With the time of the detector, or without.

    Returns:
        What they took.
    """
    plan = learning_plan("train", windows, 4, labels, 0, plain=kind == "plain")
    labeller = Labeller() if labels == "detector" else None
    # What a process does once is no part of a rate.
    synthetic_windows(plan.config, 1, 1)
    clock = _Clock()
    with ExitStack() as patched, tempfile.TemporaryDirectory() as folder:
        for name, (owner, function) in _STAGES.items():
            patched.enter_context(patch.object(owner, function, clock.timed(name, getattr(owner, function))))
        with clock.stage(_REST):
            made = synthetic_windows(plan.config, windows, plan.shard_seed(0))
        with clock.stage(_LABEL):
            for window, _ in made if labeller is not None else ():
                labeller.label(window)
        with clock.stage(_WRITE):
            write_shard(Path(folder), 0, [Labelled(window, truth) for window, truth in made])
    views = sum(int(window.view_mask.sum()) for window, _ in made)
    stages = {name: 1e3 * clock.seconds.get(name, 0.0) / views for name in (*_STAGES, _REST, _LABEL, _WRITE)}
    if labeller is None:
        del stages[_LABEL]
    return Speed(kind, views, stages, 3.6e6 / sum(stages.values()))


def measure_whole(kind: str, windows: int, labels: str, workers: int) -> Whole:
    """Write a data set in several processes.

    Args:
        kind: plain, or scenes.
        windows: How many, of four views and five frames.
        labels: exact, or the detector's.
        workers: Processes.

    Returns:
        What it took.
    """
    plan = learning_plan("train", windows, 4, labels, 0, plain=kind == "plain")
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        render(Path(folder) / "data", plan, workers)
        seconds = time.monotonic() - start
    views = windows * plan.config.views * plan.config.frames
    return Whole(kind, workers, views, seconds, 3600.0 * views / seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=24, help="windows of each kind in one process; default 24")
    parser.add_argument("--workers", type=int, default=0, help="also write data sets by so many processes; 0 is not")
    parser.add_argument("--whole-windows", type=int, default=160, help="windows of each such data set; default 160")
    parser.add_argument("--labels", choices=("exact", "detector"), default="exact", help="as of usthand synth-windows")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    speeds = [measure(kind, options.windows, options.labels) for kind in KINDS]
    wholes = [
        measure_whole(kind, options.whole_windows, options.labels, options.workers) for kind in KINDS if options.workers
    ]
    if options.json:
        print(json.dumps([*map(asdict, speeds), *map(asdict, wholes)], indent=1))
        return
    rows = [[name, *(f"{speed.stages_ms[name]:.2f}" for speed in speeds)] for name in speeds[0].stages_ms]
    rows.append(["together", *(f"{sum(speed.stages_ms.values()):.2f}" for speed in speeds)])
    rows.append(["views an hour and core", *(f"{speed.hourly:,.0f}" for speed in speeds)])
    print_table("milliseconds a view, processor time", ["stage", *KINDS], rows)
    if wholes:
        whole_rows = [
            [one.kind, str(one.workers), str(one.views), f"{one.seconds:.1f}", f"{one.hourly:,.0f}"] for one in wholes
        ]
        print_table("wall time", ["data set", "processes", "views", "seconds", "views an hour"], whole_rows)


if __name__ == "__main__":
    main()
