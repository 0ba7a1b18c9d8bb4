"""The compiled kernels are those of the sources, for all GPUs that they are said to be for."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.kernels import build
from engine.kernels.library import KNN_POINTS, KernelLibrary, kernels_card, knn_plugin_kernel, knn_ptx
from tests.engine.kernels.test_library import Driver

_PTX, _MACHINE_CODE = 1, 2


def contents(binary: bytes) -> set[tuple[int, int]]:
    """Kind and target of all parts of a fatbin."""
    magic, _, header, size = struct.unpack_from("<IHHQ", binary)
    assert magic == 0xBA55ED50
    assert header + size == len(binary)
    found, at = set(), header
    while at < len(binary):
        kind, _, header, size = struct.unpack_from("<HHIQ", binary, at)
        (target,) = struct.unpack_from("<I", binary, at + 28)
        found.add((kind, target))
        at += header + size
    return found


def test_the_kernels_are_compiled_from_these_sources() -> None:
    card = kernels_card()
    remedy = "run python -m engine.kernels.build"
    sources = {path.name for path in build.FOLDER.iterdir() if path.suffix in (".cu", ".h")}
    assert card["sources"] == {name: build.digest(build.FOLDER / name) for name in sources}, remedy
    kept = {path.name for path in build.DATA.iterdir()} - {build.CARD}
    assert card["files"] == {name: build.digest(build.DATA / name) for name in kept}, remedy


def test_the_binary_holds_every_target() -> None:
    found = contents((build.DATA / build.BINARY).read_bytes())
    assert found == {(_MACHINE_CODE, target) for target in build.TARGETS} | {(_PTX, target) for target in (75, 120)}
    assert kernels_card()["targets"] == ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]


@pytest.mark.parametrize(("capability", "target"), [((7, 5), 75), ((8, 0), 80), ((9, 0), 80), ((12, 0), 80)])
def test_a_plugin_gets_the_newest_ptx_that_its_gpu_runs(capability: tuple[int, int], target: int) -> None:
    ptx = knn_ptx(capability).decode()
    assert f"\n.target sm_{target}\n" in ptx
    # Only from 8.0 on a warp finds its smallest number in one instruction.
    assert ("redux.sync.min.u32" in ptx) == (target >= 80)
    # Its own kernels and no others: those of a stream are in the binary.
    assert set(re.findall(r"\.entry (\w+)\(", ptx)) == {knn_plugin_kernel(held) for held in KNN_POINTS}
    for held in KNN_POINTS:
        # TensorRT gives inputs, numbers, outputs.
        arguments = ptx.split(f".entry {knn_plugin_kernel(held)}(", 1)[1].split(")", 1)[0]
        assert re.findall(r"\.param \.(u64|u32)", arguments) == ["u64", "u64", "u32", "u32", "u32", "u64"]


def test_nothing_that_is_compiled_names_this_machine() -> None:
    for path in build.DATA.iterdir():
        content = path.read_bytes()
        assert b"/tmp" not in content
        assert str(build.FOLDER).encode() not in content


@pytest.mark.slow
@pytest.mark.parametrize("target", build.TARGETS)
def test_each_kernel_compiles_for_each_target_into_registers_alone(target: int, tmp_path: Path) -> None:
    said = build.compile_with(
        nvcc(), ["-cubin", f"-arch=sm_{target}", "-Xptxas", "-v", "-o", str(tmp_path / "out"), "kernels.cu"]
    )
    kernels = len(KernelLibrary(Driver())._functions)
    assert said.count("Compiling entry function") == kernels
    assert said.count("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads") == kernels


@pytest.mark.slow
def test_the_same_sources_make_the_same_bytes(tmp_path: Path) -> None:
    card = kernels_card()
    if build.nvcc_version(nvcc()) != card["nvcc"]:
        pytest.skip(f"this nvcc is not {card['nvcc']}")
    if not build.steady():
        pytest.skip("this system does not let nvcc run without random addresses")
    assert build.build(nvcc(), tmp_path) == card


def nvcc() -> str:
    try:
        return build.find_nvcc()
    except EngineError as error:
        pytest.skip(str(error))
