"""What executes an exported network: ONNX Runtime, PyTorch or TensorRT, behind one protocol."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import sys
from pathlib import Path

from engine.backends.base import NetworkInputs, NetworkOutputs, NetworkRuntime
from engine.errors import EngineError
from engine.hand_model.model import HandModel

__all__ = [
    "NetworkInputs",
    "NetworkOutputs",
    "NetworkRuntime",
    "best_backend",
    "has_nvidia_driver",
    "open_runtime",
    "torch_gpu_reason",
]

_LOG = logging.getLogger(__name__)


def open_runtime(
    path: Path,
    backend: str = "auto",
    threads: int | None = None,
    hand_model: HandModel | None = None,
    *,
    views: int | None = None,
    hands: int = 1,
) -> NetworkRuntime:
    """Open an exported network.

    Args:
        path: The file, made by `usthand export`.
        backend: `auto`, which is `best_backend()`; `onnxruntime`; `torch`, which runs the file's weights in PyTorch, on
            a GPU where it sees one; or `tensorrt`.
        threads: So many are used on a CPU; None is one a core, at most 8.
        hand_model: The hand model whose digest the file names. Only `torch` reads it; None is the embedded one.
        views: Of the rig, for which `tensorrt` must have plans; None is content with plans for any number.
        hands: Then for 1 to so many.

    Returns:
        The network, ready to run.

    Raises:
        EngineError: If there is no such backend, or the file cannot be used, with the reason.
    """
    match best_backend(path, views, hands) if backend == "auto" else backend:
        case "onnxruntime":
            from engine.backends.onnxruntime_backend import OnnxRuntimeRuntime

            return OnnxRuntimeRuntime(path, threads)
        case "torch":
            if missing := _missing_for_torch():
                raise EngineError(f"backend 'torch' needs {', '.join(missing)}: pip install 'usthand[train]'")
            from engine.backends.torch_backend import TorchRuntime
            from engine.backends.torch_cuda_backend import TorchCudaRuntime, gpu_reason

            reason = gpu_reason()
            if reason is None:
                return TorchCudaRuntime(path, hand_model)
            _LOG.warning("backend torch runs on the CPU: %s", reason)
            return TorchRuntime(path, threads, hand_model)
        case "tensorrt":
            return _open_plans(path, views, hands)
        case _:
            raise EngineError(f"backend {backend!r} is not known; use auto, onnxruntime, tensorrt or torch")


def best_backend(path: Path, views: int | None = None, hands: int = 1) -> str:
    """The fastest backend that this machine has for a file: TensorRT with its plans, PyTorch on a GPU, ONNX Runtime.

    Nothing large is imported where there is no NVIDIA driver.

    Args:
        path: The file.
        views: As of `open_runtime`.
        hands: As of `open_runtime`.
    """
    if not has_nvidia_driver():
        return "onnxruntime"
    reason = _plans_reason(path, views, hands)
    if reason is None:
        return "tensorrt"
    _LOG.info("backend tensorrt is not used: %s", reason)
    reason = torch_gpu_reason()
    if reason is not None:
        _LOG.warning("there is an NVIDIA driver, and the CPU is used: %s", reason)
        return "onnxruntime"
    return "torch"


def torch_gpu_reason() -> str | None:
    """Why PyTorch cannot run a network on a GPU here; None if it can. PyTorch is imported where it is installed."""
    if missing := _missing_for_torch():
        return f"{' and '.join(missing)} not installed; pip install 'usthand[train,gpu]'"
    try:
        from engine.backends.torch_cuda_backend import gpu_reason
    except (ImportError, OSError) as error:
        return f"PyTorch does not load ({error}); install it again"
    return gpu_reason()


def _missing_for_torch() -> list[str]:
    """Packages that the backend torch needs and that are not installed."""
    return [name for name in ("torch", "onnx") if importlib.util.find_spec(name) is None]


def _open_plans(path: Path, views: int | None, hands: int) -> NetworkRuntime:
    from engine.backends.tensorrt_api import tensorrt_reason

    reason = tensorrt_reason()
    if reason is not None:
        raise EngineError(f"backend 'tensorrt' cannot be used: {reason}; or use --backend auto")
    from engine.backends.tensorrt_backend import TensorrtRuntime

    return TensorrtRuntime(path, views=views, hands=hands)


def _plans_reason(path: Path, views: int | None, hands: int) -> str | None:
    """Why TensorRT cannot run a file here; None if it can."""
    from engine.backends.tensorrt_api import tensorrt_reason

    reason = tensorrt_reason()
    if reason is not None:
        return reason
    from engine.backends.tensorrt_backend import TensorrtRuntime

    try:
        TensorrtRuntime.check(path, views=views, hands=hands)
    except EngineError as error:
        return str(error)
    return None


def has_nvidia_driver() -> bool:
    """Whether the CUDA driver's library can be loaded."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
