"""ONNX Runtime's builds report to their maker unless they are told not to before they are imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["engine.detector.networks", "training.levels"])
def test_nothing_is_left_for_it_in_the_home_folder(tmp_path: Path, module: str) -> None:
    if module == "training.levels":
        pytest.importorskip("torch")
    # Not what surrounds the tests: on machines that look like continuous integration nothing is reported anyway.
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", f"import {module}"], env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("*onnxruntime*")) == []
