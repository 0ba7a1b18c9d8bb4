"""An exported network in ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import onnxruntime as ort

from engine.backends.base import (
    INPUT_NAMES,
    INPUT_RANKS,
    OUTPUT_RANKS,
    READ_OUTPUTS,
    REMEDY,
    NetworkInputs,
    NetworkOutputs,
    check_inputs,
    expected_shapes,
    read_model,
)
from engine.errors import EngineError
from engine.model_card import ModelCard

_MAX_THREADS: Final = 8
# Its errors come as exceptions: on stderr they would be there a second time.
_FATAL_ONLY: Final = 4


class OnnxRuntimeRuntime:
    """An exported network in ONNX Runtime.

    Args:
        path: The file.
        threads: So many compute one step; None is one a core, at most 8.

    Raises:
        EngineError: If the file cannot be read or is no such network, with the reason.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self._open(read_model(path), str(path), threads)

    @classmethod
    def from_bytes(cls, content: bytes, source: str, threads: int | None = None) -> OnnxRuntimeRuntime:
        """Open the content of a file; `source` is its name, for errors."""
        runtime = cls.__new__(cls)
        runtime._open(content, source, threads)
        return runtime

    def _open(self, content: bytes, source: str, threads: int | None) -> None:
        self._threads = default_threads() if threads is None else threads
        self._session: ort.InferenceSession | None = open_session(content, source, session_options(self._threads))
        self._card = checked_card(self._session, source)
        self._run_options = ort.RunOptions()
        self._run_options.log_severity_level = _FATAL_ONLY

    @property
    def card(self) -> ModelCard:
        """Which network it is."""
        return self._card

    @property
    def backend(self) -> str:
        """ONNX Runtime's version, what it runs on, and its threads."""
        return f"onnxruntime {ort.__version__} CPU, {self._threads} thread{'s' if self._threads > 1 else ''}"

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Take one step.

        Raises:
            EngineError: If the inputs are not the network's, the runtime fails, or it is closed.
        """
        if self._session is None:
            raise EngineError(f"network {self._card.model_id} is closed; open it again")
        check_inputs(inputs, self._card)
        feed = {name: getattr(inputs, name) for name in INPUT_NAMES}
        try:
            answers = self._session.run(READ_OUTPUTS, feed, self._run_options)
        except Exception as error:  # onnxruntime raises types of its own that are not public
            raise EngineError(f"network {self._card.model_id}: onnxruntime failed ({reason(error)})") from error
        return NetworkOutputs(*answers)

    def close(self) -> None:
        """Give back threads and memory."""
        self._session = None


def default_threads() -> int:
    """One a core that this process may use, at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MAX_THREADS)


def session_options(threads: int) -> ort.SessionOptions:
    """Options of a session: so many threads, and nothing on stderr.

    Raises:
        EngineError: If there is no thread.
    """
    if threads < 1:
        raise EngineError(f"threads is {threads}; use one at least")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Threads that wait for the next operator must not burn the cores that cameras and renderers need: where two cores
    # were shared with others, spinning made a step two to three times slower and took twice its processor time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def open_session(content: bytes, source: str, options: ort.SessionOptions) -> ort.InferenceSession:
    """Open a session on a file's content.

    Raises:
        EngineError: If it is no whole ONNX file, or one that keeps weights in other files.
    """
    # A model file is whole: whoever gives one may not have other files of this machine read as its weights.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises types of its own that are not public
        raise EngineError(
            f"{source}: onnxruntime cannot open it as a model ({reason(error)}); it may be incomplete; {REMEDY}"
        ) from error


def reason(error: Exception) -> str:
    """What an error of onnxruntime says, on one line and without its source files and codes."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"\S+\.(cc|h|cpp):\d+ ?", "", text)
    return text[:200] or type(error).__name__


def checked_card(session: ort.InferenceSession, source: str) -> ModelCard:
    """Read the card of an open file, and hold the file to it.

    Raises:
        EngineError: If there is no card, or inputs or outputs are not those of such a network.
    """
    card = ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map, source)
    _check_arguments(source, "input", session.get_inputs(), INPUT_RANKS)
    _check_arguments(source, "output", session.get_outputs(), OUTPUT_RANKS)
    wanted = expected_shapes(card)
    for argument in session.get_inputs():
        for axis, (have, want) in enumerate(zip(argument.shape, wanted[argument.name], strict=True)):
            if want is None and isinstance(have, int):
                raise EngineError(
                    f"{source}: input {argument.name} is fixed to {have} along axis {axis}, where hands or views vary; "
                    f"{REMEDY}"
                )
            if want is not None and have != want:
                raise EngineError(
                    f"{source}: input {argument.name} has {have} along axis {axis}, its model card says {want}; "
                    f"{REMEDY}"
                )
    return card


def _check_arguments(source: str, kind: str, arguments: Sequence[ort.NodeArg], ranks: dict[str, int]) -> None:
    found = {argument.name: argument for argument in arguments}
    for name in ranks:
        if name not in found:
            raise EngineError(f"{source}: has no {kind} {name}; {REMEDY}")
    for name, argument in found.items():
        if name not in ranks:
            raise EngineError(f"{source}: {kind} {name} is not known; {REMEDY}")
        element = "tensor(uint8)" if name == "crops" else "tensor(float)"
        if argument.type != element or len(argument.shape) != ranks[name]:
            raise EngineError(
                f"{source}: {kind} {name} is {argument.type} with {len(argument.shape)} axes; it must be {element} "
                f"with {ranks[name]}; {REMEDY}"
            )
