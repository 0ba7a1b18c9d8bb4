"""The kernels, compiled for the host."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.kernels.build import FOLDER


@pytest.fixture(scope="session")
def host_kernels(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return _compiled("host_kernels.cpp", tmp_path_factory)


@pytest.fixture(scope="session")
def host_hand(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return _compiled("host_hand.cpp", tmp_path_factory)


def _compiled(name: str, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ here to compile the kernels with")
    library = tmp_path_factory.mktemp("kernels") / "host.so"
    source = Path(__file__).with_name(name)
    # No contraction: a fused multiply and add would round once where the kernel rounds twice.
    flags = ["-O1", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, f"-I{FOLDER}", str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))
