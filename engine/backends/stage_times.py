"""How long each part of an exported network takes in ONNX Runtime."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.backends.base import INPUT_NAMES, READ_OUTPUTS, NetworkInputs, check_inputs, read_model
from engine.backends.onnxruntime_backend import (
    checked_card,
    default_threads,
    open_session,
    session_options,
)

_KERNEL: Final = "_kernel_time"
_NODE: Final = re.compile(r"(?P<stage>[a-z][\w.]*)/[A-Za-z]+_(?P<number>\d+)")
_WARM_UP_STEPS: Final = 3


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
        Stage to its time in each step `(steps,)`, milliseconds, in the network's order.

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
    # ONNX Runtime writes a step's operators within the step, some that it made without a name of the network's.
    all_steps: list[dict[str, float]] = []
    first_node: dict[str, int] = {}
    stage = "other"
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        if event["name"] == "model_run":
            all_steps.append({})
        elif event["name"].endswith(_KERNEL):
            named = _NODE.search(event["name"])
            if named is not None:
                stage = ".".join(named["stage"].split(".")[:depth])
                first_node[stage] = min(int(named["number"]), first_node.get(stage, int(named["number"])))
            all_steps[-1][stage] = all_steps[-1].get(stage, 0.0) + event["dur"] / 1000
    timed = all_steps[_WARM_UP_STEPS:]
    return {
        name: np.array([step.get(name, 0.0) for step in timed])
        for name in sorted(first_node, key=first_node.__getitem__)
    }
