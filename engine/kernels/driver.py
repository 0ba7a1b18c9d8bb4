"""CUDA's driver: its answers, checked, and whether it and the GPU will do for the kernels."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, Final

from engine.errors import EngineError

_LEAST_CAPABILITY: Final = (7, 5)
# As the driver says it: a thousand times the version of the CUDA that it brings.
_LEAST_DRIVER: Final = 13000
_REMEDY: Final = "run `usthand doctor`, and see NVIDIA's CUDA driver documentation for the code"
_REMEDIES: Final = {
    "CUDA_ERROR_NOT_INITIALIZED": "make a CUDA context first (torch.cuda.init() or pycuda)",
    "CUDA_ERROR_INVALID_CONTEXT": "make a CUDA context current in this thread first (torch.cuda.init() or pycuda)",
    "CUDA_ERROR_NO_DEVICE": "no NVIDIA GPU is seen; check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "the kernels hold no code for this GPU; run python -m engine.kernels.build",
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION": "the driver is older than the kernels' CUDA 13; update it to 580 or newer",
    "CUDA_ERROR_INVALID_PTX": "the driver is older than the kernels' CUDA 13; update it to 580 or newer",
    "CUDA_ERROR_INVALID_IMAGE": "kernels.fatbin is damaged, or the driver is older than 580; install usthand again",
    "CUDA_ERROR_OUT_OF_MEMORY": "the GPU's memory is full; end what else uses it",
    "CUDA_ERROR_ILLEGAL_ADDRESS": "an earlier launch read or wrote outside of its memory; restart the process",
}


def checked(answer: tuple[Any, ...], call: str) -> Any:
    """What a call of the CUDA driver gave, without its code.

    Args:
        answer: The code, then what was asked for.
        call: What was called, for the error.

    Returns:
        Nothing, the one value, or all values.

    Raises:
        EngineError: If the code is not success.
    """
    code, *values = answer
    if int(code):
        name = getattr(code, "name", str(code))
        raise EngineError(f"{call}: {name}; {_REMEDIES.get(name, _REMEDY)}")
    if not values:
        return None
    return values[0] if len(values) == 1 else tuple(values)


def kernels_reason() -> str | None:
    """Why the kernels cannot run on this process's first GPU; None if they can."""
    try:
        driver: Any = import_driver()
        try:
            checked(driver.cuInit(0), "cuInit")
        except EngineError:
            raise
        except RuntimeError as error:
            raise no_driver(error) from error
        version = int(checked(driver.cuDriverGetVersion(), "cuDriverGetVersion"))
        if version < _LEAST_DRIVER:
            raise EngineError(
                f"the NVIDIA driver is one of CUDA {version // 1000}.{version % 1000 // 10}; the kernels need one of "
                "CUDA 13: update it to 580 or newer"
            )
        device = checked(driver.cuDeviceGet(0), "cuDeviceGet")
        check_capability(capability_of(driver, device), "the GPU")
    except EngineError as error:
        return str(error)
    return None


def import_driver() -> ModuleType:
    """`cuda.bindings.driver`.

    Raises:
        EngineError: If it is not installed.
    """
    try:
        return import_module("cuda.bindings.driver")
    except ImportError as error:
        raise EngineError(f"cuda-bindings is missing ({error}); run: pip install 'usthand[gpu]'") from error


def capability_of(driver: Any, device: Any) -> tuple[int, int]:
    """Compute capability of a device, like (9, 0).

    Raises:
        EngineError: If the driver does not say.
    """
    kinds = driver.CUdevice_attribute
    major = driver.cuDeviceGetAttribute(kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
    minor = driver.cuDeviceGetAttribute(kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
    return int(checked(major, "cuDeviceGetAttribute")), int(checked(minor, "cuDeviceGetAttribute"))


def no_driver(error: RuntimeError) -> EngineError:
    """The bindings look for the driver at their first call, and raise errors of their own where there is none."""
    if isinstance(error, EngineError):
        return error
    return EngineError(f"no NVIDIA driver was found ({error}); install one, or use --backend onnxruntime")


def check_capability(capability: tuple[int, int], device: str) -> None:
    """Refuse a GPU that the kernels do not run on.

    Raises:
        EngineError: If its compute capability is below 7.5.
    """
    if capability < _LEAST_CAPABILITY:
        raise EngineError(
            f"{device} has compute capability {capability[0]}.{capability[1]}; the kernels need 7.5 (Turing, 2018) or "
            "newer. Use --backend onnxruntime"
        )
