"""What a GPU makes of the network: is it right, how long a frame takes, and what other work takes on the same GPU.

    python -m benchmarks.gpu_speed --out gpu.json

Weights are random, made here by a seed: a network's time does not depend on them. So that its numbers are those of a
trained network's size, batch normalisation is first set to what it sees. `lite` has the weights that are shipped.

Sections run in the order of their weight; one that fails does not stop the next, and `--limit-s` bounds them all.
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._multi_view_attention import MultiViewAttention
from engine.backends.base import INPUT_NAMES, READ_OUTPUTS, NetworkInputs, NetworkOutputs
from engine.backends.gpu_bench import FrameTimes, joints_apart_mm, measure_frames
from engine.backends.gpu_settings import CompileSettings, GpuSettings
from engine.backends.torch_backend import load_exported
from engine.backends.torch_cuda_backend import TorchCudaRuntime
from engine.backends.trial import trial_inputs, trial_pictures
from engine.factory import shipped_path
from engine.hand_model import HandModel
from engine.model_card import ModelCard
from engine.network import point_transformer
from engine.network.card import make_card
from engine.network.config import preset
from engine.network.network import UstHandNetwork

_VIEWS: Final = 8
_SHOWN_KERNELS: Final = 60
_EXACT: Final = GpuSettings(precision="float32", tf32=False, fused_convolutions=False, compiled=None, captured=False)
_PLAIN: Final = GpuSettings(compiled=None, own_kernels=False)


def say(text: str = "") -> None:
    """Print a line at once: whoever watches may have to stop this."""
    print(text, flush=True)


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """The network in float32, in PyTorch's own kernels on the CPU.

    Args:
        network: The network.
        card: Its card.
    """

    network: UstHandNetwork
    card: ModelCard

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Take one step."""
        with torch.inference_mode():
            answer = self.network.step(*(torch.from_numpy(getattr(inputs, name)) for name in INPUT_NAMES))
        return NetworkOutputs(*(getattr(answer, name).numpy() for name in READ_OUTPUTS))


def random_network(name: str) -> Reference:
    """A preset with random weights, its batch normalisation set to what it sees of made-up crops."""
    torch.manual_seed(0)
    hand_model = HandModel.load()
    network = UstHandNetwork(preset(name), hand_model, pretrained=False).eval()
    card = make_card(network, hand_model, name=f"{name}-random", training={}, metrics={})
    reference = Reference(network, card)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for seed in (11, 12):
        reference.run(trial_inputs(reference.card, 1, 4, seed=seed))
    network.eval()
    return reference


class Report:
    """What was found, printed as it comes and kept for a file.

    Args:
        limit_s: No section starts later.
        out: Where to; None keeps nothing.
        only: Sections whose names hold one of these; none: all.
    """

    def __init__(self, limit_s: float, out: Path | None, only: Sequence[str] = ()) -> None:
        self.found: dict[str, Any] = {}
        self._end_s = time.monotonic() + limit_s
        self._out = out
        self._only = only

    @contextmanager
    def bounded(self, limit_s: float) -> Iterator[None]:
        """Raise TimeoutError in what takes longer."""

        def late(_number: int, _frame: FrameType | None) -> None:
            raise TimeoutError(f"longer than {limit_s:.0f} s")

        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def section(self, name: str, limit_s: float, work: Callable[[], dict[str, Any]]) -> None:
        """Run a section and keep what it found."""
        if self._only and not any(part in name for part in self._only):
            return
        left_s = self._end_s - time.monotonic()
        say(f"\n== {name}")
        if left_s < 5:
            say("   left out: the time is up")
            return
        started_s = time.monotonic()
        try:
            with self.bounded(min(limit_s, left_s)):
                self.found[name] = work()
        except Exception:  # noqa: BLE001 - the next section may still tell something
            say(traceback.format_exc(limit=-8))
            self.found[name] = {"failed": traceback.format_exc(limit=-1)}
        say(f"   ({time.monotonic() - started_s:.1f} s)")
        gc.collect()
        if self._out is not None:
            self._out.write_text(json.dumps(self.found, indent=1))


def spread(times: NDArray[np.float64]) -> str:
    """p50, p95 and p99 of times, for people."""
    return " / ".join(f"{float(np.percentile(times, share)):.3f}" for share in (50, 95, 99))


def told(name: str, times: FrameTimes) -> dict[str, Any]:
    """Print a measurement; the same as a map."""
    where = "page-locked" if times.locked else "staged"
    say(f"   {name}, pictures {where}: {times.views} views, {times.hands} hands; p50 / p95 / p99 ms")
    for stage, spent in times.stages_ms.items():
        say(f"     {'gpu: ' + stage:22} {spread(spent)}")
    say(f"     {'staged and launched':22} {spread(times.start_ms)}")
    say(f"     {'host to host':22} {spread(times.whole_ms)}")
    energy = "not readable" if times.energy_mj is None else f"{times.energy_mj:.0f} mJ a frame set"
    say(f"     {times.rate_hz:.0f} frame sets/s; {times.memory_bytes / 2**20:.0f} MiB of GPU memory; energy {energy}")
    shares = {
        stage: [float(np.percentile(spent, share)) for share in (50, 95, 99)]
        for stage, spent in {**times.stages_ms, "start": times.start_ms, "whole host": times.whole_ms}.items()
    }
    rest = {"hands": times.hands, "views": times.views, "rate_hz": times.rate_hz, "memory": times.memory_bytes}
    rest["locked"] = times.locked
    return {"ms": shares, **rest, "energy_mj": times.energy_mj}


def differences(found: NetworkOutputs, expected: NetworkOutputs) -> dict[str, float]:
    """The largest difference of each answer."""
    return {
        field.name: float(np.abs(getattr(found, field.name) - getattr(expected, field.name)).max())
        for field in fields(NetworkOutputs)
    }


def check_exact(reference: Reference) -> dict[str, Any]:
    """The GPU in float32 against the CPU, with crops and with pictures."""
    runtime = TorchCudaRuntime.from_network(reference.network, reference.card, _EXACT)
    say(f"   {runtime.backend}")
    result: dict[str, Any] = {"backend": runtime.backend}
    for hands, views in ((1, 4), (2, 3)):
        inputs = trial_inputs(reference.card, hands, views, seed=3)
        inputs.view_mask[0, 1] = 0.0
        apart = differences(runtime.run(inputs), reference.run(inputs))
        say(f"   {hands} hands, {views} views, one masked, GPU float32 against CPU, largest differences:")
        say("     " + ", ".join(f"{name} {value:.2g}" for name, value in apart.items()))
        result[f"{hands} hands {views} views"] = apart
    result["joints mm"] = joints_apart_mm(runtime, reference, 1, 4)
    say(f"   joints, 4 draws: {result['joints mm']:.5f} mm")
    runtime.close()
    return result


def equal_captured(runtime: TorchCudaRuntime, hands: int, views: int) -> bool:
    """Whether a captured frame answers, to the bit, what its kernels answer launched one by one."""
    equal = True
    for seed in range(3):
        inputs = trial_pictures(runtime.card, hands, views, seed=seed)
        captured = runtime.run_pictures(inputs)
        launched = runtime.run_uncaptured(inputs)
        equal = equal and all(
            np.array_equal(getattr(captured, field.name), getattr(launched, field.name)) for field in fields(captured)
        )
    return equal


def measure(
    reference: Reference, settings: GpuSettings, cases: tuple[tuple[int, int], ...], frames: int
) -> dict[str, Any]:
    """Build a runtime; its parity, its equality with uncaptured work, and its times, for each (hands, views)."""
    runtime = TorchCudaRuntime.from_network(reference.network, reference.card, settings)
    result: dict[str, Any] = {}
    for hands, views in cases:
        started_s = time.monotonic()
        runtime.run_pictures(trial_pictures(reference.card, hands, views))
        ready_s = time.monotonic() - started_s
        nodes = runtime.graph_nodes(hands, views)
        say(f"   {runtime.backend}: ready in {ready_s:.1f} s, {nodes} nodes in the graph")
        name = f"{hands} hands {views} views"
        result[name] = {"backend": runtime.backend, "ready_s": ready_s, "nodes": nodes}
        gc.collect()
        gc.freeze()
        result[name] |= told(name, measure_frames(runtime, hands, views, frames=frames))
        result[f"{name}, staged"] = told(name, measure_frames(runtime, hands, views, frames=frames, locked=False))
        apart = joints_apart_mm(runtime, reference, hands, views, draws=3)
        equal = equal_captured(runtime, hands, views)
        say(f"     joints against float32: {apart:.4f} mm; captured equals launched one by one: {equal}")
        result[name] |= {"joints mm": apart, "captured equals": equal}
    runtime.close()
    return result


def kernel_times(reference: Reference, settings: GpuSettings, frames: int) -> dict[str, Any]:
    """What a frame's time on the GPU is made of, kernel by kernel, as the profiler sees a captured frame."""
    runtime = TorchCudaRuntime.from_network(reference.network, reference.card, settings)
    inputs = trial_pictures(reference.card, 1, _VIEWS)
    runtime.run_pictures(inputs)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(frames):
            runtime.run_pictures(inputs)
    runtime.close()
    events = sorted(profile.key_averages(), key=lambda event: -event.self_device_time_total)
    rows = {
        event.key: (event.count / frames, event.self_device_time_total / frames)
        for event in events
        if event.self_device_time_total
    }
    total_us = sum(spent for _, spent in rows.values())
    say(f"   {total_us:.0f} us of kernels and copies a frame; calls a frame, us a frame:")
    for name, (calls, spent) in list(rows.items())[:_SHOWN_KERNELS]:
        say(f"     {calls:6.1f} {spent:8.1f}  {name[:100]}")
    return {"us": total_us, "kernels": rows}


def measure_without_kernel(reference: Reference, frames: int) -> dict[str, Any]:
    """The same frame with PyTorch's topk in place of the kernel, both in PyTorch's own kernels."""
    result = {}
    fits = point_transformer.kernel_fits
    for name, chosen in (("kernel", fits), ("topk", lambda *_: False)):
        point_transformer.kernel_fits = chosen
        try:
            runtime = TorchCudaRuntime.from_network(reference.network, reference.card, _PLAIN)
            inputs = trial_pictures(reference.card, 1, _VIEWS)
            times = runtime.stage_times_ms(inputs, frames)
            result[name] = float(np.median(times["network"]))
            say(f"   network with {name}: {result[name]:.3f} ms, {runtime.graph_nodes(1, _VIEWS)} nodes")
            runtime.close()
        finally:
            point_transformer.kernel_fits = fits
    return result


def measure_multi_view_attention(frames: int) -> dict[str, Any]:
    """Work of HandMvNet's size, eager: crops in the host's memory to joints in the host's memory."""
    result = {}
    crops = torch.randint(0, 256, (_VIEWS, 256, 256, 3), dtype=torch.uint8).pin_memory()
    for dtype in (torch.float32, torch.bfloat16):
        model = MultiViewAttention().eval().to(device="cuda", dtype=dtype)
        times = np.empty(frames)
        with torch.inference_mode():
            for number in range(-20, frames):
                started_s = time.perf_counter()
                model(crops.cuda(non_blocking=True)).float().cpu()
                times[max(number, 0)] = (time.perf_counter() - started_s) * 1e3
        name = str(dtype).removeprefix("torch.")
        result[name] = [float(np.percentile(times, share)) for share in (50, 95, 99)]
        say(f"   ResNet50, 8 views, attention, eager {name}: {spread(times)} ms, {1e3 / result[name][0]:.0f} a second")
    return result


def main() -> None:
    """Run all sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--limit-s", type=float, default=420, help="no section runs on after so many seconds")
    parser.add_argument("--frames", type=int, default=1000, help="frames a measurement")
    parser.add_argument("--network", default="resnet34", help="the preset that is measured first")
    parser.add_argument("--search", action="store_true", help="also compile with a search for kernels: minutes")
    parser.add_argument(
        "--only", action="append", default=[], help="run the sections whose names hold this; may be given several times"
    )
    arguments = parser.parse_args()
    report = Report(arguments.limit_s, arguments.out, arguments.only)
    frames = arguments.frames
    say(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    started_s = time.monotonic()
    reference = random_network(arguments.network)
    say(f"network {arguments.network} with random weights: {time.monotonic() - started_s:.1f} s")
    compiled = GpuSettings()
    name = arguments.network

    report.section("float32 on the GPU against the CPU", 60, lambda: check_exact(reference))
    report.section(f"{name}: compiled, captured", 200, lambda: measure(reference, compiled, ((1, 8), (2, 8)), frames))
    report.section(f"{name}: kernel by kernel", 90, lambda: kernel_times(reference, compiled, 50))
    report.section(f"{name}: PyTorch alone, captured", 90, lambda: measure(reference, _PLAIN, ((1, 8),), frames))
    report.section("work of HandMvNet's size", 60, lambda: measure_multi_view_attention(200))
    report.section("kNN: kernel against topk", 60, lambda: measure_without_kernel(reference, 100))
    shipped = Reference(*load_exported(shipped_path("lite")))
    report.section("lite: compiled, captured", 150, lambda: measure(shipped, compiled, ((1, 8), (1, 4)), frames))
    report.section(f"{name}: 4 views", 120, lambda: measure(reference, compiled, ((1, 4),), frames))
    others = replace(compiled, own_kernels=False)
    report.section(f"{name}: compiled without our kernels", 150, lambda: measure(reference, others, ((1, 8),), frames))
    apart = replace(compiled, fused_convolutions=False)
    report.section(f"{name}: unfused convolutions", 150, lambda: measure(reference, apart, ((1, 8),), frames))
    exact = replace(compiled, compiled=None, tf32=False)
    report.section(f"{name}: no TF32", 60, lambda: measure(reference, exact, ((1, 8),), 200))
    half = replace(compiled, compiled=None, precision="bfloat16")
    report.section(f"{name}: bfloat16", 60, lambda: measure(reference, half, ((1, 8),), 200))
    if arguments.search:
        searched = replace(compiled, compiled=CompileSettings(search=True))
        report.section(f"{name}: kernels searched for", 400, lambda: measure(reference, searched, ((1, 8),), frames))
    say("\nall sections are through")


if __name__ == "__main__":
    main()
