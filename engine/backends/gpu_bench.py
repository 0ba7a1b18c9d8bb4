"""How fast a GPU takes a network's frames, from pictures in the host's memory to one answer in the host's memory."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.backends.base import NetworkInputs, NetworkOutputs
from engine.backends.pictures import PictureInputs, PictureRuntime
from engine.backends.trial import in_one_mapping, trial_inputs, trial_pictures
from engine.model_card import ModelCard

# Pictures that are looked at in turn: one set would lie in the processor's cache.
_SETS: Final = 6
_WARM_UP: Final = 20
_MM_PER_M: Final = 1e3


class _Runs(Protocol):
    """What answers steps of crops."""

    @property
    def card(self) -> ModelCard:
        """Which network it is."""

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Take one step."""


@dataclass(frozen=True, eq=False, slots=True)
class FrameTimes:
    """What was measured.

    Args:
        hands: B.
        views: V.
        locked: Whether the pictures lay in locked memory, as a camera's do.
        stages_ms: Each part on the GPU, by events.
        start_ms: Staging on the host until the frame is launched.
        whole_ms: From pictures in the host's memory to the answer in it, one frame at a time.
        rate_hz: Frame sets a second with two under way.
        memory_bytes: Memory of the GPU that is held.
        energy_mj: Millijoules of the whole GPU a frame set, two under way; None where they cannot be read.
    """

    hands: int
    views: int
    locked: bool
    stages_ms: dict[str, NDArray[np.float64]]
    start_ms: NDArray[np.float64]
    whole_ms: NDArray[np.float64]
    rate_hz: float
    memory_bytes: int
    energy_mj: float | None


def measure_frames(
    runtime: PictureRuntime, hands: int, views: int, *, frames: int = 1000, locked: bool = True
) -> FrameTimes:
    """Time a runtime's frames.

    Args:
        runtime: The runtime; it gets ready first, which is not counted.
        hands: B.
        views: V.
        frames: So many are timed, one at a time and then two.
        locked: Whether the pictures lie in memory that is locked for the GPU, as a camera's do; else the host copies
            what a frame needs of them, as it does where that memory cannot be locked.

    Raises:
        EngineError: If it fails.
    """
    inputs = [trial_pictures(runtime.card, hands, views, seed=seed) for seed in range(_SETS)]
    if locked:
        inputs, memory = in_one_mapping(inputs)
        locked = runtime.lock(memory)
    for number in range(_WARM_UP):
        runtime.run_pictures(inputs[number % _SETS])
    start_ms, whole_ms = np.empty(frames), np.empty(frames)
    for number in range(frames):
        started_s = time.perf_counter()
        ticket = runtime.submit(inputs[number % _SETS])
        launched_s = time.perf_counter()
        runtime.collect(ticket)
        ended_s = time.perf_counter()
        start_ms[number], whole_ms[number] = (launched_s - started_s) * 1e3, (ended_s - started_s) * 1e3
    read_energy = energy_reader()
    before_mj = read_energy() if read_energy is not None else 0.0
    elapsed_s = _pipelined_s(runtime, inputs, frames)
    energy_mj = (read_energy() - before_mj) / frames if read_energy is not None else None
    return FrameTimes(
        hands=hands,
        views=views,
        locked=locked,
        stages_ms=runtime.stage_times_ms(inputs[0], min(frames, 200)),
        start_ms=start_ms,
        whole_ms=whole_ms,
        rate_hz=frames / elapsed_s,
        memory_bytes=runtime.memory_bytes(),
        energy_mj=energy_mj,
    )


def _pipelined_s(runtime: PictureRuntime, inputs: Sequence[PictureInputs], frames: int) -> float:
    """Seconds for so many frames, each started before the one before it is collected."""
    started_s = time.perf_counter()
    ticket = runtime.submit(inputs[0])
    for number in range(1, frames):
        following = runtime.submit(inputs[number % len(inputs)])
        runtime.collect(ticket)
        ticket = following
    runtime.collect(ticket)
    return time.perf_counter() - started_s


def joints_apart_mm(
    runtime: _Runs,
    reference: _Runs,
    hands: int,
    views: int,
    *,
    draws: int = 4,
) -> float:
    """The largest distance of a joint to the one that another runtime of the same network gives, millimetres."""
    apart = 0.0
    for seed in range(draws):
        inputs = trial_inputs(runtime.card, hands, views, seed=seed)
        distances_m = np.linalg.norm(runtime.run(inputs).joints - reference.run(inputs).joints, axis=-1)
        apart = max(apart, float(distances_m.max()) * _MM_PER_M)
    return apart


def energy_reader(device: int = 0) -> Callable[[], float] | None:
    """What reads the energy that a GPU has used, millijoules; None where nvidia-ml-py or the GPU cannot tell.

    NVML counts all GPUs of the machine, whatever CUDA_VISIBLE_DEVICES leaves to this process: where there are several
    and that is set, it cannot be told which one works here.
    """
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        if os.environ.get("CUDA_VISIBLE_DEVICES") and nvml.nvmlDeviceGetCount() > 1:
            return None
        handle = nvml.nvmlDeviceGetHandleByIndex(device)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return None
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
