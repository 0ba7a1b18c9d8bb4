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
    return compiled(tmp_path_factory, "host_kernels.cpp")


@pytest.fixture(scope="session")
def host_maps(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled(tmp_path_factory, "host_maps.cpp")


def compiled(tmp_path_factory: pytest.TempPathFactory, source: str) -> ctypes.CDLL:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ here to compile the kernels with")
    library = tmp_path_factory.mktemp("kernels") / "host.so"
    path = Path(__file__).with_name(source)
    # No contraction: a fused multiply and add would round once where the kernel rounds twice.
    flags = ["-O1", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, f"-I{FOLDER}", str(path), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))
