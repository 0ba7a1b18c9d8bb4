"""Which backend runs: the best that there is, and the reason where that is not the GPU."""

from __future__ import annotations

import logging
import sys
import types
from pathlib import Path

import pytest

from engine import backends
from engine.backends import best_backend, open_runtime, torch_gpu_reason
from engine.errors import EngineError


def torch_that_says(monkeypatch: pytest.MonkeyPatch, reason: str | None) -> None:
    """A machine with an NVIDIA driver, whose PyTorch can or cannot use the GPU."""
    stand_in = types.ModuleType("engine.backends.torch_cuda_backend")
    stand_in.gpu_reason = lambda: reason
    monkeypatch.setitem(sys.modules, "engine.backends.torch_cuda_backend", stand_in)
    monkeypatch.setattr(backends, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "absent" else object())


def test_without_a_driver_nothing_large_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "has_nvidia_driver", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "engine.backends.torch_cuda_backend", raising=False)
    assert best_backend(Path("lite.onnx")) == "onnxruntime"
    assert "engine.backends.torch_cuda_backend" not in sys.modules


def test_with_a_gpu_torch_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_that_says(monkeypatch, None)
    assert best_backend(Path("lite.onnx")) == "torch"


def test_a_gpu_that_torch_cannot_use_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    torch_that_says(monkeypatch, "PyTorch 2.9 is built without CUDA")
    assert best_backend(Path("lite.onnx")) == "onnxruntime"
    assert "the CPU is used: PyTorch 2.9 is built without CUDA" in caplog.text


def test_a_gpu_without_torch_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    torch_that_says(monkeypatch, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else object())
    assert best_backend(Path("lite.onnx")) == "onnxruntime"
    assert "the CPU is used: torch not installed; pip install 'usthand[train,gpu]'" in caplog.text


def test_a_torch_that_does_not_load_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_that_says(monkeypatch, None)
    monkeypatch.setitem(sys.modules, "engine.backends.torch_cuda_backend", None)
    assert "PyTorch does not load" in (torch_gpu_reason() or "")


def test_torch_without_a_gpu_runs_on_the_cpu_and_says_why(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from engine.factory import shipped_path

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.INFO):
        runtime = open_runtime(shipped_path("lite"), "torch")
    assert " CPU, " in runtime.backend
    assert "runs on the CPU: PyTorch" in caplog.text
    runtime.close()


def test_the_gpu_runtime_refuses_a_machine_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from engine.backends.torch_cuda_backend import TorchCudaRuntime

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineError, match=r"cannot run on a GPU: PyTorch .*; use --backend onnxruntime"):
        TorchCudaRuntime(Path("lite.onnx"))
