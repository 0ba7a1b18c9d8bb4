"""Which TensorRT is used, and why none can be."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from engine.backends import best_backend, open_runtime
from engine.backends.gpu_device import Gpu, find_gpu
from engine.backends.tensorrt_api import (
    RuntimeCache,
    TensorrtLibrary,
    TimingCache,
    aim_at,
    capability_reason,
    find_library,
    tensorrt_reason,
)
from engine.errors import EngineError
from engine.factory import shipped_path
from tests.engine.backends.host_gpu import Machine

MODULES = ("tensorrt", "tensorrt_bindings", "tensorrt_rtx", "tensorrt_rtx_bindings")


@pytest.fixture
def gpu_machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine where all is there; the `tensorrt` module."""
    pytest.importorskip("onnx")
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    return Machine().install(monkeypatch)


def rtx(version: str = "1.7.1.116") -> Any:
    """A stand-in for TensorRT-RTX."""
    module: Any = types.ModuleType("tensorrt_rtx")
    module.__version__ = version
    module.ComputeCapability = types.SimpleNamespace(SM75=1, SM89=2)
    return module


def test_nothing_stands_in_the_way_where_all_is_there(gpu_machine: Any) -> None:
    assert gpu_machine.__version__
    assert tensorrt_reason() is None


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("tensorrt", r"neither tensorrt nor tensorrt-rtx is installed: pip install 'usthand\[gpu\]'"),
        ("pycuda.driver", r"the package pycuda is missing or does not load .*: pip install 'usthand\[gpu\]'|; pip"),
        ("cuda.bindings.driver", "the package cuda-bindings is missing"),
        ("onnx", "the package onnx is missing or does not load"),
    ],
)
def test_a_package_that_is_missing_is_named(
    gpu_machine: Any, monkeypatch: pytest.MonkeyPatch, missing: str, said: str
) -> None:
    assert gpu_machine
    monkeypatch.setitem(sys.modules, missing, None)
    reason = tensorrt_reason()
    assert reason is not None
    with pytest.raises(EngineError, match=said):
        raise EngineError(reason)
    with pytest.raises(EngineError, match=r"backend 'tensorrt' cannot be used: .*; or use --backend auto"):
        open_runtime(shipped_path("lite"), "tensorrt")


def test_a_machine_without_a_driver_is_said(gpu_machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(_flags: int) -> Any:
        raise RuntimeError("libcuda.so.1 was not found")

    assert gpu_machine
    monkeypatch.setattr(sys.modules["cuda.bindings.driver"], "cuInit", no_driver)
    assert "no NVIDIA driver was found (libcuda.so.1 was not found); install one" in str(tensorrt_reason())


def test_a_driver_that_gives_no_gpu_is_said(gpu_machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoDevice(int):
        name = "CUDA_ERROR_NO_DEVICE"

    assert gpu_machine
    monkeypatch.setattr(sys.modules["cuda.bindings.driver"], "cuInit", lambda _flags: (NoDevice(100),))
    assert "the NVIDIA driver gives no GPU (CUDA_ERROR_NO_DEVICE)" in str(tensorrt_reason())
    monkeypatch.setattr(sys.modules["cuda.bindings.driver"], "cuInit", lambda _flags: (0,))
    monkeypatch.setattr(sys.modules["cuda.bindings.driver"], "cuDeviceGetCount", lambda: (0, 0))
    assert "GPU 0 was asked for, and this process may use 0" in str(tensorrt_reason())


def test_a_library_that_does_not_load_is_said(gpu_machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise OSError(f"lib{name}.so: cannot open shared object file")

    assert gpu_machine
    monkeypatch.setattr("engine.backends.tensorrt_api.importlib.import_module", broken)
    assert "tensorrt is installed but does not load (libtensorrt.so: cannot open" in str(tensorrt_reason())


def test_a_library_that_is_too_old_is_said(gpu_machine: Any) -> None:
    gpu_machine.__version__ = "8.6.1"
    assert "tensorrt 8.6.1 is too old; 10.13 or newer is needed" in str(tensorrt_reason())


def test_the_rtx_library_is_taken_where_the_other_is_not(gpu_machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", rtx())
    assert str(find_library()) == "tensorrt 11.4.0.106"
    assert not find_library().is_rtx
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    found = find_library()
    assert (str(found), found.is_rtx, found.plugins) == ("tensorrt-rtx 1.7.1.116", True, None)
    assert gpu_machine


@pytest.mark.parametrize(
    ("name", "capability", "said"),
    [
        ("tensorrt", (7, 0), r"has compute capability 7\.0; tensorrt 11 needs 7\.5 or newer"),
        (
            "tensorrt-rtx",
            (9, 0),
            r"has compute capability 9\.0; tensorrt-rtx 11 is made for 7\.5, .*: install tensorrt",
        ),
        ("tensorrt", (9, 0), None),
        ("tensorrt-rtx", (8, 9), None),
    ],
)
def test_a_gpu_that_a_library_does_not_run_on_is_said(name: str, capability: tuple[int, int], said: str | None) -> None:
    library = TensorrtLibrary(name, "11", types.ModuleType("trt"), None)
    reason = capability_reason(library, Gpu("A GPU", capability, "580.1"))
    if said is None:
        assert reason is None
    else:
        with pytest.raises(EngineError, match=said):
            raise EngineError(reason)


def test_only_rtx_builds_for_another_gpu_and_only_for_those_that_it_knows() -> None:
    config = types.SimpleNamespace(set_compute_capability=lambda target, index: targets.append((target, index)))
    targets: list[tuple[int, int]] = []
    library = TensorrtLibrary("tensorrt-rtx", "1.7", rtx(), None)
    aim_at(library, config, (8, 9))
    assert (targets, config.num_compute_capabilities) == ([(2, 0)], 1)
    with pytest.raises(EngineError, match=r"cannot build for compute capability 9\.0; give one of 7\.5"):
        aim_at(library, config, (9, 0))
    with pytest.raises(EngineError, match="builds for the GPU in this machine only; leave --compute-capability out"):
        aim_at(TensorrtLibrary("tensorrt", "11", rtx(), None), config, (8, 9))


def test_the_gpu_is_described(gpu_machine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    assert gpu_machine
    assert find_gpu() == Gpu("Host GPU", (8, 9), "CUDA 13.0")
    said = tmp_path / "version"
    said.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 12.3.0"
    )
    monkeypatch.setattr("engine.backends.gpu_device._KERNEL_DRIVER", said)
    assert find_gpu().driver == "580.65.06"


def test_without_a_plan_auto_takes_another_backend_and_tensorrt_names_the_command(
    gpu_machine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert gpu_machine
    monkeypatch.setenv("USTHAND_PLANS", str(tmp_path))
    path = shipped_path("lite")
    with pytest.raises(EngineError, match=r"no TensorRT plan in .*; run `usthand build-plan .*lite\.onnx --views N`"):
        open_runtime(path, "tensorrt")
    monkeypatch.setattr("engine.backends.has_nvidia_driver", lambda: True)
    with caplog.at_level("INFO"):
        assert best_backend(path) != "tensorrt"
    assert "backend tensorrt is not used: " in caplog.text
    assert "no TensorRT plan in" in caplog.text


def test_a_cache_that_cannot_be_used_is_made_anew(tmp_path: Any) -> None:
    module = rtx()
    module.CudaGraphStrategy = types.SimpleNamespace(DISABLED=0)
    cache = types.SimpleNamespace(deserialize=lambda content: content == b"good", serialize=lambda: b"good")
    config = types.SimpleNamespace(create_runtime_cache=lambda: cache, set_runtime_cache=lambda _cache: None)
    engine = types.SimpleNamespace(create_runtime_config=lambda: config)
    path = tmp_path / "runtime.cache"
    library = TensorrtLibrary("tensorrt-rtx", "1.7", module, None)
    assert not RuntimeCache(library, engine, path).kept
    for content, kept in ((b"damaged", False), (b"good", True)):
        path.write_bytes(content)
        assert RuntimeCache(library, engine, path).kept == kept
    # One that may not be read: here, since it is a folder.
    assert not RuntimeCache(library, engine, tmp_path).kept
    given: list[bytes] = []
    building = types.SimpleNamespace(create_timing_cache=given.append, set_timing_cache=lambda *_: True)
    TimingCache(TensorrtLibrary("tensorrt", "11", module, None), building, tmp_path)
    assert given[0] == b""


def test_a_driver_that_is_too_old_is_said(gpu_machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_machine
    monkeypatch.setattr(sys.modules["cuda.bindings.driver"], "cuDriverGetVersion", lambda: (0, 12080))
    assert "the NVIDIA driver is one of CUDA 12.8" in str(tensorrt_reason())
