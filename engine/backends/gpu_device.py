"""The GPU in this machine, as the CUDA driver describes it."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.errors import EngineError

_KERNEL_DRIVER: Final = Path("/proc/driver/nvidia/version")
_VERSION: Final = re.compile(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU.

    Args:
        name: What its maker calls it.
        capability: Its compute capability, like (9, 0).
        driver: Version of its driver.
    """

    name: str
    capability: tuple[int, int]
    driver: str

    @property
    def capability_text(self) -> str:
        """Its compute capability, for people."""
        return f"{self.capability[0]}.{self.capability[1]}"


def find_gpu(ordinal: int = 0) -> Gpu:
    """Ask the CUDA driver about a GPU; no context is made.

    Raises:
        EngineError: If cuda-bindings or the driver is missing, or there is no such GPU.
    """
    try:
        cuda: Any = importlib.import_module("cuda.bindings.driver")
    except ImportError as error:
        raise EngineError(f"the package cuda-bindings is missing ({error}); pip install 'usthand[gpu]'") from error
    try:
        (code,) = cuda.cuInit(0)
    except RuntimeError as error:
        # Where there is no driver, its library is missing.
        raise EngineError(f"no NVIDIA driver was found ({error}); install one, then see nvidia-smi") from error
    if code != 0:
        raise EngineError(f"the NVIDIA driver gives no GPU ({code.name}); see nvidia-smi and CUDA_VISIBLE_DEVICES")
    count = _answer(cuda.cuDeviceGetCount())
    if ordinal >= count:
        raise EngineError(f"GPU {ordinal} was asked for, and this process may use {count}; see CUDA_VISIBLE_DEVICES")
    device = _answer(cuda.cuDeviceGet(ordinal))
    kinds = cuda.CUdevice_attribute
    major = _answer(cuda.cuDeviceGetAttribute(kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device))
    minor = _answer(cuda.cuDeviceGetAttribute(kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device))
    name = _answer(cuda.cuDeviceGetName(128, device)).split(b"\0", 1)[0].decode()
    return Gpu(name, (int(major), int(minor)), _driver_version(cuda))


def _driver_version(cuda: Any) -> str:
    """The driver's own version where the system tells it, else that of the CUDA that it brings."""
    try:
        found = _VERSION.search(_KERNEL_DRIVER.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = None
    if found is not None:
        return found[1]
    number = int(_answer(cuda.cuDriverGetVersion()))
    return f"CUDA {number // 1000}.{number % 1000 // 10}"


def _answer(answer: tuple[Any, ...]) -> Any:
    code, *values = answer
    if code != 0:
        raise EngineError(f"the CUDA driver failed ({code.name}); see nvidia-smi")
    return values[0]
