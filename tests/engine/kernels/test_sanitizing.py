"""What `benchmarks.sanitize_kernels` launches, by a CUDA driver that only hands out memory."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks import sanitize_kernels
from engine.errors import EngineError
from tests.engine.kernels.test_library import Code, Driver


@dataclass
class Allocating(Driver):
    """Memory is the host's; functions are numbers."""

    names: list[str] = field(default_factory=list)
    memory: list[Any] = field(default_factory=list)

    def cuModuleGetFunction(self, _: str, name: bytes) -> tuple[Any, ...]:  # noqa: N802
        self.names.append(name.decode())
        return self.answer("cuModuleGetFunction", len(self.names))

    def cuMemAlloc(self, size: int) -> tuple[Any, ...]:  # noqa: N802
        self.memory.append(ctypes.create_string_buffer(size))
        return self.answer("cuMemAlloc", ctypes.addressof(self.memory[-1]))

    def cuMemHostAlloc(self, size: int, _: int) -> tuple[Any, ...]:  # noqa: N802
        return self.cuMemAlloc(size)

    def cuMemcpyHtoD(self, target: int, source: int, size: int) -> tuple[Any, ...]:  # noqa: N802
        ctypes.memmove(target, source, size)
        return self.answer("cuMemcpyHtoD")

    def cuCtxSynchronize(self) -> tuple[Any, ...]:  # noqa: N802
        return self.answer("cuCtxSynchronize")

    def cuLaunchKernel(self, function: int, *shape: Any) -> tuple[Any, ...]:  # noqa: N802
        self.launched.append((self.names[function - 1], *shape[:6]))
        return self.answer("cuLaunchKernel")


def test_every_kernel_that_is_loaded_is_launched() -> None:
    driver = Allocating()
    launches = sanitize_kernels.launch_all(driver)
    assert set(launches) == set(driver.names)
    assert {name for name, *_ in driver.launched} == set(driver.names)
    assert launches.total() == len(driver.launched)
    # Under memcheck each takes some hundredths of a second.
    assert len(driver.launched) < 200


def test_a_kernel_that_was_forgotten_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanitize_kernels, "hand", lambda _kernels, _memory: None)
    with pytest.raises(EngineError, match=r"usthand_mano_input, usthand_mano: loaded, but not launched"):
        sanitize_kernels.launch_all(Allocating())


def test_what_the_driver_finds_is_said_with_where() -> None:
    driver = Allocating(fails={"cuCtxSynchronize": Code.CUDA_ERROR_ILLEGAL_ADDRESS})
    with pytest.raises(EngineError, match=r"after nearest_points: CUDA_ERROR_ILLEGAL_ADDRESS"):
        sanitize_kernels.launch_all(driver)
