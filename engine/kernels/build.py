"""Compile the kernels ahead, for every GPU that they run on: who installs the project needs no compiler.

Run where a kernel was changed, with CUDA 13's nvcc on the path:

    python -m engine.kernels.build

Each source becomes one file of machine code for the `ARCHITECTURES` and of PTX for later ones; `kernels.json` has the
digests of what they were made of, and a test compares them. knn.ptx is what a TensorRT plugin embeds.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from engine.errors import EngineError

FOLDER: Final = Path(__file__).parent
DATA: Final = FOLDER / "data"
MANIFEST: Final = DATA / "kernels.json"
SOURCES: Final = {"knn": ("knn.cu", "knn_core.h"), "crops": ("crops.cu", "crops_core.h")}
"""What each file of kernels is made of; the first is compiled."""

ARCHITECTURES: Final = (75, 80, 86, 89, 90, 100, 120)
"""Compute capabilities, times ten, that machine code is made for: Turing to Blackwell."""

# The oldest PTX serves a plugin on any of them, the newest what comes after them.
_PTX: Final = (ARCHITECTURES[0], ARCHITECTURES[-1])
_PLUGIN: Final = "knn"


def main() -> None:
    """Compile all kernels into the package's data."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise EngineError("nvcc is not on the path; install CUDA 13's toolkit, or keep the kernels that are there")
    DATA.mkdir(exist_ok=True)
    for name in SOURCES:
        compile_fatbin(nvcc, name, DATA / f"{name}.fatbin")
    _run(nvcc, "-ptx", f"-arch=compute_{_PTX[0]}", SOURCES[_PLUGIN][0], "-o", str(DATA / f"{_PLUGIN}.ptx"))
    version = re.findall(r"release [\d.]+, V([\d.]+)", _run(nvcc, "--version"))
    manifest = {
        "nvcc": version[0] if version else "unknown",
        "architectures": [f"sm_{number}" for number in ARCHITECTURES],
        "ptx": [f"compute_{number}" for number in _PTX],
        "sources": source_digests(),
        "files": {path.name: digest(path) for path in sorted(DATA.iterdir()) if path != MANIFEST},
    }
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def compile_fatbin(nvcc: str, name: str, out: Path) -> str:
    """Compile one of `SOURCES` for all architectures; what the compiler says of registers and spills."""
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in ARCHITECTURES]
    targets += [f"-gencode=arch=compute_{number},code=compute_{number}" for number in _PTX]
    return _run(nvcc, "-fatbin", "-Xptxas=-v", "-compress-mode=size", *targets, SOURCES[name][0], "-o", str(out))


def source_digests() -> dict[str, str]:
    """SHA-256 of every source, by name."""
    return {name: digest(FOLDER / name) for names in SOURCES.values() for name in names}


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(nvcc: str, *arguments: str) -> str:
    # In the sources' folder, so that no path of this machine gets into the files.
    command = [nvcc, "-O3", "-std=c++17", "-Werror=all-warnings", *arguments]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)  # noqa: S603 - our own arguments
    if done.returncode:
        raise EngineError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    try:
        main()
    except EngineError as error:
        sys.exit(f"error: {error}")
