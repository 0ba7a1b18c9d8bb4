"""What executes an exported network: ONNX Runtime or PyTorch, behind one protocol."""

from __future__ import annotations

from pathlib import Path

from engine.backends.base import NetworkInputs, NetworkOutputs, NetworkRuntime
from engine.errors import EngineError
from engine.hand_model.model import HandModel

__all__ = ["NetworkInputs", "NetworkOutputs", "NetworkRuntime", "open_runtime"]


def open_runtime(
    path: Path, backend: str = "auto", threads: int | None = None, hand_model: HandModel | None = None
) -> NetworkRuntime:
    """Open an exported network.

    Args:
        path: The file, made by `usthand export`.
        backend: `auto`, which is `onnxruntime`; `onnxruntime`; or `torch`, which runs the file's weights in PyTorch.
        threads: So many are used; None is one a core, at most 8.
        hand_model: The hand model whose digest the file names. Only `torch` reads it; None is the embedded one.

    Returns:
        The network, ready to run.

    Raises:
        EngineError: If there is no such backend, or the file cannot be used, with the reason.
    """
    match backend:
        case "auto" | "onnxruntime":
            from engine.backends.onnxruntime_backend import OnnxRuntimeRuntime

            return OnnxRuntimeRuntime(path, threads)
        case "torch":
            try:
                from engine.backends.torch_backend import TorchRuntime
            except ModuleNotFoundError as error:
                raise EngineError(f"backend 'torch' needs {error.name}: pip install usthand[train]") from error

            return TorchRuntime(path, threads, hand_model)
        case "tensorrt":
            raise EngineError("backend 'tensorrt' is not in this version; use onnxruntime or torch")
        case _:
            raise EngineError(f"backend {backend!r} is not known; use auto, onnxruntime or torch")
