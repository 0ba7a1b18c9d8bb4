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
    return compiled("host_kernels.cpp", tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="session")
def host_gather(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled("host_gather.cpp", tmp_path_factory.mktemp("gather"))


@pytest.fixture(scope="session")
def host_hand(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled("host_hand.cpp", tmp_path_factory.mktemp("hand"))


@pytest.fixture(scope="session")
def host_maps(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled("host_maps.cpp", tmp_path_factory.mktemp("maps"))


def compiled(source: str, folder: Path) -> ctypes.CDLL:
    """A file beside this one, with the kernels that it includes."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ here to compile the kernels with")
    library = folder / "host.so"
    # No contraction: a fused multiply and add would round once where the kernel rounds twice.
    flags = ["-O1", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC"]
    here = Path(__file__).with_name(source)
    subprocess.run([compiler, *flags, f"-I{FOLDER}", f"-I{folder}", str(here), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))
