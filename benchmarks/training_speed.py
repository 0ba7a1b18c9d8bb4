"""How fast training is and where its time goes: `python -m benchmarks.training_speed windows`.

Steps of `usthand train` on the first windows of a data set: with a fixed trunk, whose maps are kept, and with one that
learns. Each part is timed inside whole steps, and the rest is what no part counts: losses, geometry
between the modules, clipping. An image is one crop: windows a step times frames times views.
Parts are counted in processor time, so that other programs on the machine change shares little.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from engine.hand_model import HandModel
from engine.network.config import preset
from engine.network.network import UstHandNetwork
from training.datasets import ShardedWindows
from training.feeds import Feed, WindowFeed
from training.fit import FitConfig, StepReport, fit
from training.levels import build_levels
from training.methods import Answer
from training.samples import Batch
from training.usthand import UstHandMethod

PARTS: Final = {
    "backbone": "trunk",
    "decoder": "decoder",
    "heatmap_head": "2D stage",
    "joint_graph": "2D stage",
    "interaction": "2D stage",
    "flow": "2D stage",
    "point_features": "point network",
    "transformer": "point network",
    "mano_head": "hand model",
}
"""What the network's modules are counted as."""

_WARM_UP: Final = 1


class Stopwatch:
    """Seconds by part of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what runs inside."""
        start_s = time.process_time()
        yield
        self.add(name, time.process_time() - start_s)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def watch(self, module: nn.Module, name: str) -> None:
        """Count a module's forward calls."""
        started_s: list[float] = []

        def before(*_: Any) -> None:
            started_s.append(time.process_time())

        def after(*_: Any) -> None:
            self.add(name, time.process_time() - started_s.pop())

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)


class TimedFeed:
    """A feed whose fetching is counted.

    Args:
        inner: The feed.
        clock: Where it is counted.
    """

    def __init__(self, inner: Feed, clock: Stopwatch) -> None:
        self._inner = inner
        self._clock = clock

    @property
    def views(self) -> int:
        """The inner feed's."""
        return self._inner.views

    def __len__(self) -> int:
        return len(self._inner)

    def batch(
        self, indices: Sequence[int], views: Sequence[Sequence[int]] | None = None, most: int | None = None
    ) -> Batch:
        """Fetch, and count it."""
        with self._clock.part("data"):
            return self._inner.batch(indices, views, most)


class TimedMethod:
    """A method that knows when a step's forward pass was over: what comes then is the backward pass.

    Args:
        inner: The method.
    """

    def __init__(self, inner: UstHandMethod) -> None:
        self._inner = inner
        self.name = inner.name
        self.module = inner.module
        self.forward_ended_s = 0.0

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The inner method's."""
        found = self._inner.losses(batch, generator)
        self.forward_ended_s = time.process_time()
        return found

    def predict(self, batch: Batch, generator: torch.Generator) -> Answer:
        """The inner method's."""
        return self._inner.predict(batch, generator)


def measure(network: UstHandNetwork, feed: Feed, config: FitConfig, images: int) -> None:
    """Train for some steps and print where the time went."""
    clock = Stopwatch()
    for name, part in PARTS.items():
        module = getattr(network, name)
        if isinstance(module, nn.Module):
            clock.watch(module, part)
    method = TimedMethod(UstHandMethod(network))
    steps: list[float] = []
    walls: list[float] = []
    last_s, last_wall_s = time.process_time(), time.perf_counter()

    def on_step(report: StepReport) -> None:
        nonlocal last_s, last_wall_s
        now_s = time.process_time()
        if report.step < _WARM_UP:
            clock.seconds.clear()
        else:
            steps.append(now_s - last_s)
            walls.append(time.perf_counter() - last_wall_s)
            clock.add("backward and optimiser", now_s - method.forward_ended_s)
        last_s, last_wall_s = time.process_time(), time.perf_counter()

    fit(method, TimedFeed(feed, clock), config, on_step=on_step)
    whole = sum(steps)
    told = {**clock.seconds, "the rest": whole - sum(clock.seconds.values())}
    made = images * len(steps)
    print(f"  {made / whole:.1f} images a processor second, {made / sum(walls):.1f} a second; {images} a step")
    for part, seconds in sorted(told.items(), key=lambda item: -item[1]):
        print(f"    {part:24} {100 * seconds / whole:5.1f} %")


def main() -> None:
    """Measure both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder of windows")
    parser.add_argument("--network", default="lite", help="name of a network")
    parser.add_argument("--batch-size", type=int, default=8, help="windows a step")
    parser.add_argument("--steps", type=int, default=6, help="steps that are timed, each way")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    steps = arguments.steps + _WARM_UP
    source = ShardedWindows(arguments.data, last=arguments.batch_size * steps)
    images = arguments.batch_size * source[0].frames * source[0].views
    config = FitConfig(epochs=1, batch_size=arguments.batch_size, precision=arguments.precision)
    print(f"{arguments.network}, {arguments.threads} threads, {arguments.precision}, {source[0].views} views")
    with tempfile.TemporaryDirectory() as scratch:
        network = UstHandNetwork(preset(arguments.network), HandModel.load())
        start_s = time.process_time()
        levels = build_levels(Path(scratch), network.backbone, source, threads=arguments.threads)
        took_s = time.process_time() - start_s
        size = sum(path.stat().st_size for path in Path(scratch).iterdir())
        crops = len(source) * source[0].frames * source[0].views
        print(
            f"trunk fixed: it sees {crops / took_s:.0f} crops a processor second, once; "
            f"{size / crops / 1e3:.0f} kB of each are kept"
        )
        measure(network, levels, replace(config, train_backbone=False), images)
        print("trunk learns:")
        measure(UstHandNetwork(preset(arguments.network), HandModel.load()), WindowFeed(source), config, images)
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()
