"""Compile the kernels ahead: `python -m engine.kernels.build`, with nvcc of CUDA 13 on the path.

What is compiled is kept in `data/` and goes into the wheel, so that nobody needs a compiler: one binary with code for
each generation of GPUs and PTX for what comes after them, and the PTX of the nearest-points kernels alone, which
TensorRT takes into a plan. `kernels.json` says what it was made of; a test holds it to the sources. The same sources
and the same nvcc make the same bytes, if the system lets nvcc run without random addresses: it orders some of its work
by them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from engine.errors import EngineError

FOLDER: Final = Path(__file__).resolve().parent
DATA: Final = FOLDER / "data"
SOURCES: Final = (
    "block_math.h",
    "crops.cu",
    "crops_core.h",
    "flow.cu",
    "gather.cu",
    "hand_math.h",
    "heatmaps.cu",
    "interaction.cu",
    "kernels.cu",
    "knn.cu",
    "knn_core.h",
    "knn_plugin.cu",
    "knn_warp.h",
    "mano.cu",
    "maps_core.h",
    "points.cu",
    "stpt.cu",
)
CARD: Final = "kernels.json"
BINARY: Final = "kernels.fatbin"

TARGETS: Final = (75, 80, 86, 89, 90, 100, 120)
"""Compute capabilities, ten times over, that have machine code; others of the same first figure run what is below."""

PTX_TARGETS: Final = (75, 120)
"""Of these there is PTX too, which the driver compiles: of the oldest for anything, of the newest for what is newer."""

PLUGIN_SOURCE: Final = "knn_plugin.cu"
PLUGIN_PTX: Final = {75: "knn.sm75.ptx", 80: "knn.sm80.ptx"}
"""PTX of the nearest-points kernels, by the lowest compute capability that runs it."""

_FLAGS: Final = ("-O3", "--std=c++17", "-Werror", "all-warnings")


def build(nvcc: str, data: Path = DATA) -> dict[str, Any]:
    """Compile everything into a folder.

    Args:
        nvcc: The compiler.
        data: Where to.

    Returns:
        What `kernels.json` says.

    Raises:
        EngineError: If nvcc fails, with what it says.
    """
    data.mkdir(parents=True, exist_ok=True)
    codes = [f"-gencode=arch=compute_{target},code=sm_{target}" for target in TARGETS]
    codes += [f"-gencode=arch=compute_{target},code=compute_{target}" for target in PTX_TARGETS]
    compile_with(nvcc, ["-fatbin", *codes, "-Xfatbin", "-compress-all", "-o", str(data / BINARY), "kernels.cu"])
    for target, name in PLUGIN_PTX.items():
        compile_with(nvcc, ["-ptx", f"-arch=compute_{target}", "-o", str(data / name), PLUGIN_SOURCE])
    card = {
        "nvcc": nvcc_version(nvcc),
        "targets": [f"sm_{target}" for target in TARGETS],
        "ptx": [f"compute_{target}" for target in PTX_TARGETS],
        "sources": {name: digest(FOLDER / name) for name in SOURCES},
        "files": {name: digest(data / name) for name in (BINARY, *PLUGIN_PTX.values())},
    }
    (data / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def compile_with(nvcc: str, arguments: Sequence[str]) -> str:
    """Run nvcc in the sources' folder, warnings being errors; what it says.

    Raises:
        EngineError: If it fails.
    """
    # In the folder, by bare names: no path of this machine is compiled in.
    done = subprocess.run(  # noqa: S603
        [*steady(), nvcc, *_FLAGS, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EngineError(f"{nvcc} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


@cache
def steady() -> tuple[str, ...]:
    """What a command is started with to have the same addresses each time; nothing where that may not be had."""
    setarch = shutil.which("setarch")
    if setarch is None or subprocess.run([setarch, "-R", "true"], capture_output=True, check=False).returncode:  # noqa: S603
        return ()
    return setarch, "-R"


def nvcc_version(nvcc: str) -> str:
    """Which nvcc it is, like 13.0.88."""
    said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    found = re.search(r"\bV([\d.]+)", said)
    if found is None:
        raise EngineError(f"{nvcc} --version does not say which it is; give nvcc of CUDA 13")
    return found[1]


def find_nvcc() -> str:
    """The nvcc on the path, or where CUDA's own installer puts it.

    Raises:
        EngineError: If there is none.
    """
    found = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if found is None:
        raise EngineError(
            "nvcc is not on the path; install CUDA 13's compiler, or leave the compiled kernels as they are"
        )
    return found


def digest(path: Path) -> str:
    """Sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Compile, and say what into."""
    try:
        card = build(find_nvcc())
    except EngineError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{DATA}: {', '.join(card['files'])} for {', '.join(card['targets'])} by nvcc {card['nvcc']}\n")


if __name__ == "__main__":
    main()
