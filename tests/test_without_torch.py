"""The tests on an install without the extra `train`: modules that need its packages are skipped, and say which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDERS = ("tests/engine", "tests/server/commands", "tests/training")
COLLECT = """
import sys
import pytest

for package in ("onnx", "onnx_ir", "onnxscript", "smplx", "tensorboard", "torch"):
    sys.modules[package] = None
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def test_modules_without_their_packages_are_skipped() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, *FOLDERS],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for module in ("training/conftest.py", "engine/network/test_trunk_joints.py", "engine/backends/test_staging.py"):
        assert f"tests/{module}:" in done.stdout
    assert "could not import 'torch'" in done.stdout
