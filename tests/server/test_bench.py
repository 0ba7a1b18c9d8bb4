"""`server.bench`, as far as no command's test sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.factory import shipped_path
from server.bench import network_stages


def test_a_networks_parts_are_timed_without_opening_it_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(_path: Path, *_sizes: object) -> str:
        raise AssertionError("ONNX Runtime was asked for")

    monkeypatch.setattr("engine.backends.best_backend", choose)
    monkeypatch.setattr("server.bench.stage_times_ms", lambda *_: {})
    assert network_stages(shipped_path("lite"), 2) == ()
