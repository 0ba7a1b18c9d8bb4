"""How long each part of an exported network takes in ONNX Runtime."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.backends.base import INPUT_NAMES, NetworkInputs, check_inputs, read_model
from engine.backends.onnxruntime_backend import (
    READ_OUTPUTS,
    checked_card,
    default_threads,
    open_session,
    session_options,
)

_KERNEL: Final = "_kernel_time"
_WARM_UP_STEPS: Final = 3
_UNKNOWN: Final = "inputs"


def stage_times_ms(
    path: Path, inputs: NetworkInputs, *, threads: int | None = None, steps: int = 30, depth: int = 1
) -> dict[str, NDArray[np.float64]]:
    """Time the stages of a network: its operators' own times, summed by the module that they came from.

    What ONNX Runtime does between operators is left out, and watching costs time too: a step as a whole is timed
    without this.

    Args:
        path: The exported file; its nodes are named `stage/operator_number`.
        inputs: What each step sees.
        threads: As in `open_runtime`.
        steps: So many are timed, after a few that warm up.
        depth: Parts of a module's path to tell apart: 1 is the network's parts, 2 and 3 are parts of these.

    Returns:
        Stage to its time in each step `(steps,)`, milliseconds, in the order of their first operator.

    Raises:
        EngineError: If the file or the inputs cannot be used.
    """
    options = session_options(default_threads() if threads is None else threads)
    with tempfile.TemporaryDirectory() as folder:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "stages")
        session = open_session(read_model(path), str(path), options)
        check_inputs(inputs, checked_card(session, str(path)))
        feed = {name: getattr(inputs, name) for name in INPUT_NAMES}
        for _ in range(_WARM_UP_STEPS + steps):
            session.run(READ_OUTPUTS, feed)
        events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    # ONNX Runtime writes a step's operators in their order, then the step.
    all_steps: list[dict[str, float]] = []
    times: dict[str, float] = {}
    stage = _UNKNOWN
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        if event["name"] == "model_run":
            times = {}
            all_steps.append(times)
        elif event["name"].endswith(_KERNEL):
            # Few operators that ONNX Runtime makes have names of their own: they belong to the one before.
            path_, slash, _ = event["name"].removeprefix("fused ").partition("/")
            stage = ".".join(path_.split(".")[:depth]) if slash else stage
            times[stage] = times.get(stage, 0.0) + event["dur"] / 1000
    timed = all_steps[_WARM_UP_STEPS:]
    return {name: np.array([step.get(name, 0.0) for step in timed]) for name in timed[0]}
