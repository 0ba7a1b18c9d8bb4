"""How kernels are loaded and launched, by a CUDA driver that writes down what it is asked."""

from __future__ import annotations

import ctypes
import re
import sys
from dataclasses import dataclass, field
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import EngineError
from engine.kernels import driver as cuda_driver
from engine.kernels.driver import kernels_reason
from engine.kernels.library import KernelLibrary, knn_kernel, knn_ptx


class Code(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_CONTEXT = 201
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_LAUNCH_FAILED = 719


@dataclass
class Driver:
    """Answers as `cuda.bindings.driver` does."""

    capability: tuple[int, int] = (9, 0)
    fails: dict[str, Code] = field(default_factory=dict)
    context: int = 7
    version: int = 13000
    launched: list[tuple[Any, ...]] = field(default_factory=list)
    pushed: list[int] = field(default_factory=list)

    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=0, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=1
    )

    def answer(self, name: str, *values: Any) -> tuple[Any, ...]:
        return (self.fails.get(name, Code.CUDA_SUCCESS), *values)

    def cuInit(self, _: int) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuInit")

    def cuDriverGetVersion(self) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuDriverGetVersion", self.version)

    def cuDeviceGet(self, _: int) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuDeviceGet", 0)

    def cuCtxGetDevice(self) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuCtxGetDevice", 0)

    def cuCtxGetCurrent(self) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuCtxGetCurrent", self.context)

    def cuCtxPushCurrent(self, context: int) -> tuple[Any, ...]:  # noqa: N802
        self.pushed.append(context)
        return self.answer("cuCtxPushCurrent")

    def cuCtxPopCurrent(self) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuCtxPopCurrent", self.pushed.pop())

    def cuDeviceGetAttribute(self, which: int, _: int) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuDeviceGetAttribute", self.capability[which])

    def cuModuleLoadData(self, image: bytes) -> tuple[Any, ...]:  # noqa: N802
        assert len(image) > 10_000
        return self.answer("cuModuleLoadData", "module")

    def cuModuleUnload(self, _: str) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuModuleUnload")

    def cuModuleGetFunction(self, _: str, name: bytes) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuModuleGetFunction", name.decode())

    def cuLaunchKernel(self, function: str, *rest: Any) -> tuple[Any, ...]:  # noqa: N802
        *shape, shared, stream, parameters, extra = rest
        assert (shared, extra) == (0, 0)
        kinds = [ctypes.c_void_p] * 4 + [ctypes.c_int32] if "crops" in function else []
        kinds = kinds or ([ctypes.c_void_p] * 2 if "gather" in function else [])
        kinds = kinds or [ctypes.c_void_p] * 3 + [ctypes.c_int32] * 3
        addresses = (ctypes.c_void_p * len(kinds)).from_address(parameters)
        values = [kind.from_address(address).value for kind, address in zip(kinds, addresses, strict=True)]
        self.launched.append((function, tuple(shape), stream, values, tuple(self.pushed)))
        return self.answer("cuLaunchKernel")


def knn(kernels: KernelLibrary, points_count: int, *, k: int = 8, batch: int = 2, wide: bool = False) -> None:
    kernels.knn(5, 2**40, 2**41, 2**42, batch=batch, queries_count=21, points_count=points_count, k=k, wide=wide)


@pytest.mark.parametrize(
    ("points_count", "wide", "name"),
    [
        (21, False, "usthand_knn_32_i32"),
        (33, True, "usthand_knn_384_i64"),
        (336, True, "usthand_knn_384_i64"),
        (672, False, "usthand_knn_672_i32"),
        (1344, True, "usthand_knn_1344_i64"),
    ],
)
def test_neighbours_are_asked_of_the_kernel_that_holds_the_points(points_count: int, wide: bool, name: str) -> None:
    driver = Driver()
    knn(KernelLibrary(driver), points_count, wide=wide)
    values = [2**40, 2**41, 2**42, 21, points_count, 8]
    assert driver.launched == [(name, (42, 1, 1, 32, 1, 1), 5, values, ())]
    assert knn_kernel(points_count, wide) == name


def test_every_pixel_of_a_crop_has_its_thread() -> None:
    driver = Driver()
    kernels = KernelLibrary(driver)
    kernels.sample_crops(5, 1, 2, 3, 4, count=16, size_px=224)
    ((name, shape, _, values, _),) = driver.launched
    assert name == "usthand_sample_crops"
    # Four pixels a thread.
    assert (shape[0] * shape[3] * 4, shape[1] * shape[4], shape[2] * shape[5]) == (224, 224, 16)
    assert values == [1, 2, 3, 4, 224]
    kernels.sample_crops(5, 1, 2, 3, 4, count=0, size_px=224)
    knn(kernels, 21, batch=0)
    assert len(driver.launched) == 1


def test_pixels_are_fetched_by_many_threads_a_crop() -> None:
    driver = Driver()
    kernels = KernelLibrary(driver)
    kernels.gather_pixels(5, 2**40, 2**41, count=16)
    kernels.gather_pixels(5, 2**40, 2**41, count=0)
    ((name, shape, stream, values, _),) = driver.launched
    assert (name, stream, values) == ("usthand_gather_pixels", 5, [2**40, 2**41])
    # One crop a row of blocks; eight threads in a row bring a line.
    assert (shape[1], shape[2], shape[4], shape[5]) == (16, 1, 1, 1)
    assert shape[3] % 8 == 0


@pytest.mark.parametrize(
    ("points_count", "k", "words"),
    [(336, 33, "33 nearest of 336"), (5, 8, "8 nearest of 5"), (21, 0, "0 nearest"), (1345, 8, "1344 at most")],
)
def test_sizes_that_the_kernel_does_not_hold_are_refused(points_count: int, k: int, words: str) -> None:
    driver = Driver()
    with pytest.raises(EngineError, match=words):
        knn(KernelLibrary(driver), points_count, k=k)
    with pytest.raises(EngineError, match=r"crops of 100 px.*32"):
        KernelLibrary(driver).sample_crops(5, 1, 2, 3, 4, count=1, size_px=100)
    assert not driver.launched


def test_a_thread_without_the_context_borrows_it() -> None:
    driver = Driver()
    kernels = KernelLibrary(driver)
    driver.context = 0
    knn(kernels, 21)
    assert driver.launched[0][-1] == (7,)
    driver.fails["cuLaunchKernel"] = Code.CUDA_ERROR_LAUNCH_FAILED
    with pytest.raises(EngineError):
        knn(kernels, 21)
    assert not driver.pushed


@pytest.mark.parametrize(
    ("call", "code", "remedy"),
    [
        ("cuCtxGetDevice", Code.CUDA_ERROR_INVALID_CONTEXT, r"torch\.cuda\.init"),
        ("cuModuleLoadData", Code.CUDA_ERROR_NO_BINARY_FOR_GPU, r"engine\.kernels\.build"),
        ("cuModuleGetFunction", Code.CUDA_ERROR_ILLEGAL_ADDRESS, "restart the process"),
        ("cuLaunchKernel", Code.CUDA_ERROR_LAUNCH_FAILED, "usthand doctor"),
    ],
)
def test_what_the_driver_refuses_is_said_with_its_code(call: str, code: Code, remedy: str) -> None:
    with pytest.raises(EngineError, match=rf"{call}.*: {code.name}; .*{remedy}"):
        knn(KernelLibrary(Driver(fails={call: code})), 21)


def test_a_gpu_that_is_too_old_is_refused() -> None:
    with pytest.raises(EngineError, match=r"capability 7\.0; the kernels need 7\.5.*--backend onnxruntime"):
        KernelLibrary(Driver(capability=(7, 0)))
    with pytest.raises(EngineError, match=r"capability 6\.1"):
        knn_ptx((6, 1))
    KernelLibrary(Driver(capability=(7, 5))).close()


def test_unloaded_kernels_are_not_launched() -> None:
    driver = Driver()
    kernels = KernelLibrary(driver)
    kernels.close()
    kernels.close()
    with pytest.raises(EngineError, match="unloaded"):
        knn(kernels, 21)
    assert not driver.launched


def test_a_machine_without_the_bindings_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(EngineError, match=r"cuda-bindings.*pip install 'usthand\[gpu\]'"):
        KernelLibrary()
    assert "pip install" in (kernels_reason() or "")


def test_a_machine_without_a_driver_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any) -> Any:
        raise RuntimeError("libcuda.so.1 is not there")

    driver = SimpleNamespace(cuInit=absent, cuCtxGetDevice=absent)
    monkeypatch.setattr(cuda_driver, "import_module", lambda _: driver)
    with pytest.raises(EngineError, match=r"no NVIDIA driver was found \(libcuda.*--backend onnxruntime"):
        KernelLibrary()
    assert "no NVIDIA driver was found" in (kernels_reason() or "")


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        (Driver(), None),
        (Driver(version=12080), r"the NVIDIA driver is one of CUDA 12\.8; .* update it to 580 or newer"),
        (Driver(capability=(7, 0)), r"the GPU has compute capability 7\.0; the kernels need 7.5"),
    ],
)
def test_what_stands_against_a_gpu_is_known_before_a_context_is_made(
    driver: Driver, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_driver, "import_driver", lambda: driver)
    assert (kernels_reason() is None) == (said is None)
    assert re.match(said or "None", str(kernels_reason()))
