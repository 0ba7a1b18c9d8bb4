"""How fast this machine is: the whole way from decode to message, and the stages on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from engine.backends import open_runtime
from engine.backends.gpu_bench import joints_apart_mm, measure_frames
from engine.backends.pictures import PictureRuntime
from engine.backends.stage_times import stage_times_ms
from engine.backends.trial import trial_inputs
from engine.hand_model import HandModel
from engine.types import HandEngine
from server.dialects import DIALECTS
from server.encoding import encode_json
from server.messages import DEFAULT_FIELDS, hands_message
from server.pipeline import FrameSource
from server.solved import Solved

_SILENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Times of one stage.

    Args:
        name: The stage.
        p50_ms: Median.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
    """

    name: str
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What a run measured.

    Args:
        rig: The rig's name.
        views: Cameras.
        frame_sets: Frame sets that were timed.
        hands: Hands in them.
        rate_hz: Frame sets a second, decoding on the other side of the ring while the engine works.
        stages: Times of each stage, and of the whole frame set.
    """

    rig: str
    views: int
    frame_sets: int
    hands: int
    rate_hz: float
    stages: tuple[StageTimes, ...]


@dataclass(frozen=True, slots=True)
class GpuBench:
    """What a network's frames take on a GPU by themselves, from pictures in memory to the answer in memory.

    Args:
        backend: What executes it.
        hands: Hands in a frame.
        views: Cameras.
        stages: The parts on the GPU, staging on the host, and the whole.
        rate_hz: Frame sets a second with two under way.
        memory_mib: Memory of the GPU that is held.
        energy_mj: Millijoules of the whole GPU a frame set; None where they cannot be read.
        parity_mm: Largest distance of a joint to ONNX Runtime's in float32.
    """

    backend: str
    hands: int
    views: int
    stages: tuple[StageTimes, ...]
    rate_hz: float
    memory_mib: float
    energy_mj: float | None
    parity_mm: float


def gpu_bench(path: Path, backend: str, views: int, hand_model: HandModel | None = None) -> tuple[GpuBench, ...]:
    """Time frames of one and of two hands on the GPU; none where the backend runs on the CPU.

    Args:
        path: The network.
        backend: What executes it, as for `open_runtime`.
        views: Cameras.
        hand_model: The hand model that it was made with.

    Raises:
        EngineError: If it cannot be opened, or fails.
    """
    with closing(open_runtime(path, backend, hand_model=hand_model, views=views, hands=2)) as runtime:
        if not isinstance(runtime, PictureRuntime):
            return ()
        found = []
        with closing(open_runtime(path, "onnxruntime")) as reference:
            for hands in (1, 2):
                times = measure_frames(runtime, hands, views)
                named = {f"GPU: {name}": spent for name, spent in times.stages_ms.items()}
                named |= {"staged and launched": times.start_ms, "pictures to answer": times.whole_ms}
                found.append(
                    GpuBench(
                        backend=runtime.backend,
                        hands=hands,
                        views=views,
                        stages=tuple(_stage(name, spent) for name, spent in named.items()),
                        rate_hz=times.rate_hz,
                        memory_mib=times.memory_bytes / 2**20,
                        energy_mj=times.energy_mj,
                        parity_mm=joints_apart_mm(runtime, reference, hands, views, draws=2),
                    )
                )
        return tuple(found)


def measure(
    session: FrameSource,
    engine: HandEngine,
    rig: Rig,
    *,
    warm_up: int = 10,
    limit: int | None = None,
    advance: Callable[[str], None],
) -> BenchResult:
    """Time every frame set of a lossless session.

    The whole is the time from one message to the next: with the decode on other processes it is less than the sum of a
    frame set's stages when the machine has processors to spare, and more when it has not.

    Args:
        session: A lossless session, not started; it is stopped in any case.
        engine: What answers.
        rig: The calibration.
        warm_up: Frame sets that are not counted.
        limit: Stop after so many counted frame sets.
        advance: Told about each set.

    Raises:
        ValueError: If the session ends before a set was counted.
    """
    samples: dict[str, list[float]] = {}
    hands = 0
    try:
        session.start()
        last_s = silent_since_s = time.perf_counter()
        sequence = 0
        while limit is None or sequence - warm_up < limit:
            frame_set = session.next(0.5)
            if frame_set is None:
                if session.finished or time.perf_counter() - silent_since_s > _SILENCE_S:
                    break
                continue
            with frame_set:
                taken_s = time.perf_counter()
                found = engine.process(frame_set, rig)
                solved_s = time.perf_counter()
                solved = Solved(frame_set, rig, found, time.monotonic_ns(), sequence, engine.card.model_id)
                encode_json(hands_message(solved, DEFAULT_FIELDS, DIALECTS["mano"]))
            now_s = silent_since_s = time.perf_counter()
            if sequence >= warm_up:
                hands += len(found)
                stages_s = {"wait for frames": taken_s - last_s, "engine": solved_s - taken_s}
                stages_s |= {f"engine: {name}": seconds for name, seconds in engine.stages_s.items()}
                stages_s |= {"message": now_s - solved_s, "whole frame set": now_s - last_s}
                for name, seconds in stages_s.items():
                    samples.setdefault(name, []).append(seconds * 1e3)
            last_s = now_s
            sequence += 1
            advance(f"{len(found)} hands")
    finally:
        session.stop()
    if not samples:
        raise ValueError(
            f"{sequence} frame sets came, fewer than the {warm_up} of the warm-up; give a longer recording"
        )
    whole = samples["whole frame set"]
    return BenchResult(
        rig=rig.name,
        views=len(rig),
        frame_sets=len(whole),
        hands=hands,
        rate_hz=1e3 * len(whole) / sum(whole),
        stages=tuple(_stage(name, np.array(values)) for name, values in samples.items()),
    )


def network_stages(path: Path, views: int) -> tuple[StageTimes, ...]:
    """Time the parts of an exported network's step for one hand, by themselves, in ONNX Runtime.

    Args:
        path: The network.
        views: Cameras.
    """
    with closing(open_runtime(path, "onnxruntime")) as runtime:
        inputs = trial_inputs(runtime.card, 1, views)
    return tuple(_stage(f"network, one hand: {name}", times) for name, times in stage_times_ms(path, inputs).items())


def _stage(name: str, times_ms: NDArray[np.float64]) -> StageTimes:
    return StageTimes(name, *(float(np.percentile(times_ms, share)) for share in (50, 95, 99)))
