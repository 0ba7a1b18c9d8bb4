"""From an exported network to a plan: TensorRT compiles it for one GPU, and so many hands and views."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from engine.backends.base import read_model
from engine.backends.gpu_device import Gpu, find_gpu
from engine.backends.plan_graph import Precision, ReadyGraph, ready_graph
from engine.backends.plans import ANY, PlanKey, file_digest, kernels_digest, read_plan, write_plan, write_whole
from engine.backends.tensorrt_api import TensorrtLibrary, TimingCache, aim_at, capability_reason, strongly_typed_network
from engine.errors import EngineError

_WORKSPACE_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """How plans are built.

    Args:
        precision: Of trunk and decoder; geometry is always float32.
        plugin: Whether the project's own kernel finds nearest points, where the library takes plugins.
        capability: Build for GPUs of this compute capability instead of the one in this machine; TensorRT-RTX only.
    """

    precision: Precision = "fp16"
    plugin: bool = True
    capability: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """A plan that is on disk.

    Args:
        path: Its file.
        size_bytes: Of it.
        seconds: So long it took to build; 0 if it was there.
    """

    path: Path
    size_bytes: int
    seconds: float


class BuildWatch:
    """Told how far a build is.

    Args:
        advance: Called with the name of the phase and the share of the whole that is done, 0..1.
        stopped: Asked whether to give up.
    """

    def __init__(self, advance: Callable[[str, float], None], stopped: Callable[[], bool] = lambda: False) -> None:
        self._advance = advance
        self._stopped = stopped
        # Phases within phases, the outermost first: name, steps done, steps in all.
        self._phases: list[tuple[str, int, int]] = []
        self._shown = 0.0

    def start(self, name: str, steps: int) -> None:
        """A phase begins, within those that are under way."""
        self._phases.append((name, 0, max(steps, 1)))
        self._show()

    def step(self, name: str, step: int) -> bool:
        """A phase took a step, the first being 0; whether to go on."""
        for index, (other, _, steps) in enumerate(self._phases):
            if other == name:
                self._phases[index] = (name, min(step + 1, steps), steps)
                break
        self._show()
        return not self._stopped()

    def finish(self, name: str) -> None:
        """A phase ends, and all within it."""
        names = [other for other, _, _ in self._phases]
        if name in names:
            del self._phases[names.index(name) :]
        self._show()

    def _show(self) -> None:
        share, width = 0.0, 1.0
        for _, done, steps in self._phases:
            share += width * done / steps
            width /= steps
        # A phase that TensorRT did not announce must not turn the bar back.
        self._shown = max(self._shown, min(share, 1.0))
        self._advance(self._phases[-1][0] if self._phases else "", self._shown)


def plan_key(
    model_sha256: str, library: TensorrtLibrary, gpu: Gpu | None, settings: PlanSettings, views: int, hands: int
) -> PlanKey:
    """What a plan must be for.

    Args:
        model_sha256: Digest of the exported file.
        library: That builds or runs it.
        gpu: That it is run on; None where it is built for `settings.capability` without one.
        settings: How it is built.
        views: V.
        hands: B.

    Raises:
        EngineError: If there is neither a GPU nor a compute capability.
    """
    if settings.capability is None and gpu is None:
        raise EngineError("there is no GPU to build a plan for; give --compute-capability")
    elsewhere = settings.capability is not None
    capability = settings.capability or (gpu.capability if gpu is not None else (0, 0))
    return PlanKey(
        model_sha256=model_sha256,
        gpu=ANY if elsewhere or gpu is None else gpu.name,
        compute_capability=f"{capability[0]}.{capability[1]}",
        driver=ANY if elsewhere or gpu is None else gpu.driver,
        library=str(library),
        precision=settings.precision,
        plugin=plugin_kind(library) if settings.plugin else "topk",
        kernels=kernels_digest(),
        views=views,
        hands=hands,
    )


def plugin_kind(library: TensorrtLibrary) -> str:
    """How a plan of a library finds nearest points: by our kernel within it, or by TopK."""
    return "aot" if library.plugins is not None and hasattr(library.plugins, "aot_impl") else "topk"


def build_plan(
    model: Path,
    folder: Path,
    library: TensorrtLibrary,
    settings: PlanSettings,
    *,
    views: int,
    hands: int,
    force: bool = False,
    watch: BuildWatch | None = None,
) -> BuiltPlan:
    """Build a plan, unless it is there.

    Args:
        model: The exported file.
        folder: Where plans are kept.
        library: That builds it.
        settings: How.
        views: V.
        hands: B.
        force: Build it even if it is there.
        watch: Told how far it is.

    Raises:
        EngineError: If the file cannot be used, the library does not run on the GPU, or TensorRT fails, with its last
            words.
        OSError: If the plan cannot be written.
    """
    content = read_model(model)
    gpu = None if settings.capability is not None else find_gpu()
    if gpu is not None and (reason := capability_reason(library, gpu)) is not None:
        # It may build all the same, and then refuse to run what it built.
        raise EngineError(reason)
    key = plan_key(file_digest(content), library, gpu, settings, views, hands)
    if not force:
        try:
            found = read_plan(folder, key, model)
        except EngineError:
            # There is none that fits: that is what this is for.
            pass
        else:
            return BuiltPlan(found.path, len(found.content), 0.0)
    ready = ready_graph(
        content, str(model), views=views, hands=hands, precision=settings.precision, plugin=key.plugin != "topk"
    )
    started = time.monotonic()
    timings = folder / f"timing-{file_digest(f'{key.gpu} {key.driver} {key.library}'.encode())[:12]}.cache"
    plan, measured = compile_graph(ready, library, settings, timings, watch)
    seconds = time.monotonic() - started
    about = {
        "model": ready.card.model_id,
        "file": model.name,
        "half_operators": ready.half_nodes,
        "plugin_operators": ready.plugin_nodes,
        "seconds": round(seconds, 2),
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = write_plan(folder, key, plan, about)
    if measured is not None:
        write_whole(timings, measured)
    return BuiltPlan(path, len(plan), seconds)


def compile_graph(
    ready: ReadyGraph,
    library: TensorrtLibrary,
    settings: PlanSettings,
    timings: Path,
    watch: BuildWatch | None = None,
) -> tuple[bytes, bytes | None]:
    """Compile a graph.

    Returns:
        The plan, and what TensorRT measured of its kernels, to keep; None if nothing.

    Raises:
        EngineError: If TensorRT does not take the graph, or fails.
    """
    trt, log = library.module, library.logger()
    if ready.plugin_nodes:
        from engine.backends.knn_plugin import register_plugin

        register_plugin(library, find_gpu())
    builder = trt.Builder(log)
    network = strongly_typed_network(library, builder)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(ready.content):
        reasons = "; ".join(str(parser.get_error(index).desc()) for index in range(parser.num_errors))
        raise EngineError(f"network {ready.card.model_id}: {library} does not take its graph ({reasons}); see the log")
    config = builder.create_builder_config()
    # Geometry is float32, not the ten bits of TF32: a millimetre is at stake.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    aim_at(library, config, settings.capability)
    cache = TimingCache(library, config, timings)
    # Held until the build is done: the config does not hold it.
    monitor = None if watch is None else _monitor(trt, watch)
    if monitor is not None:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = log.last_error or "it was stopped"
        raise EngineError(f"network {ready.card.model_id}: {library} built no plan ({reason}); see the log")
    return bytes(plan), cache.content()


def _monitor(trt: Any, watch: BuildWatch) -> Any:
    """TensorRT's progress monitor; its calls come from threads of TensorRT's."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc] # a class of an untyped module
        """Passes progress on."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """A phase begins."""
            del parent_phase
            watch.start(phase_name, num_steps)

        def phase_finish(self, phase_name: str) -> None:
            """A phase ends."""
            watch.finish(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """A step of a phase is done; whether to go on."""
            return watch.step(phase_name, step)

    return Monitor()
