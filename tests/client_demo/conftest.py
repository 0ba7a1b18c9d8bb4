"""The service of the server's tests, the Python client on the path, and the other clients' cores, compiled once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calibration import Rig
from engine.synthetic.rigs import make_rig
from tests.server.conftest import FakeEngine, FakeSession, Running, eventually, make_hand, serving

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "client_demo" / "python"))

UNITY = ROOT / "client_demo" / "unity"
UNREAL = ROOT / "client_demo" / "unreal"


class MovingEngine(FakeEngine):
    """Moves the hands from frame set to frame set: both, then one, then both, so that no two messages are alike."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(())
        rights = [make_hand(rig, offset_m=0.001 * step) for step in range(40)]
        left = make_hand(rig, side="left", hand_id=4, offset_m=0.12)
        self.steps = [(right, left) if step % 8 else (left,) for step, right in enumerate(rights)]

    def process(self, frame_set, rig):
        super().process(frame_set, rig)
        return self.steps[frame_set.id % len(self.steps)]


@pytest.fixture
def rig() -> Rig:
    return make_rig(3, seed=5, width=320, height=240)


@pytest.fixture
def running(rig: Rig) -> Iterator[Running]:
    engine = FakeEngine((make_hand(rig), make_hand(rig, side="left", hand_id=4, offset_m=0.12)))
    with serving(FakeSession(rig), engine, rig) as running:
        eventually(lambda: running.pipeline.latest is not None)
        yield running


@pytest.fixture
def moving(rig: Rig) -> Iterator[Running]:
    """A service whose hands move, at 200 Hz."""
    with serving(FakeSession(rig, rate_hz=200), MovingEngine(rig), rig) as running:
        eventually(lambda: running.pipeline.latest is not None)
        yield running


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; on Debian: apt-get install {package}")
    return found


def _compiled(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "warning" not in output.lower(), output


@pytest.fixture(scope="session")
def compile_cs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[Path], str], Path]:
    """Compiles C# sources to a program (`exe`) or a `library`; a warning is an error."""
    compiler = _tool("mcs", "mono-mcs libmono-cil-dev")

    def compile_sources(sources: list[Path], target: str) -> Path:
        out = tmp_path_factory.mktemp("cs") / f"Compiled.{'exe' if target == 'exe' else 'dll'}"
        options = ["-langversion:7.2", "-warn:4", "-r:System.dll", f"-target:{target}", f"-out:{out}"]
        _compiled([compiler, *options, *map(str, sources)])
        return out

    return compile_sources


@pytest.fixture(scope="session")
def core_check_cs(compile_cs: Callable[[list[Path], str], Path]) -> list[str]:
    """The command that runs the C# core's check."""
    runtime = _tool("mono", "mono-runtime")
    sources = sorted((UNITY / "Runtime" / "Core").glob("*.cs")) + sorted((UNITY / "Tests~" / "CoreCheck").glob("*.cs"))
    return [runtime, str(compile_cs(sources, "exe"))]


@pytest.fixture(scope="session")
def gxx() -> str:
    """The C++ compiler."""
    return _tool("g++", "g++")


@pytest.fixture(scope="session")
def core_check_cpp(gxx: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the C++ core's check."""
    out = tmp_path_factory.mktemp("cpp") / "core_check"
    core = UNREAL / "Source" / "USTHandCore"
    sources = sorted((core / "Private").glob("*.cpp")) + sorted((UNREAL / "Tests" / "CoreCheck").glob("*.cpp"))
    sources = [source for source in sources if not source.name.endswith("Module.cpp")]
    flags = [
        "-std=c++17",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Wshadow",
        "-fno-exceptions",
        "-fno-rtti",
        "-fsanitize=undefined",
    ]
    _compiled([gxx, *flags, "-I", str(core / "Public"), *map(str, sources), "-o", str(out)])
    return [str(out)]


@pytest.fixture(params=["core_check_cs", "core_check_cpp"])
def core_check_command(request: pytest.FixtureRequest) -> Callable[..., tuple[int, str, str]]:
    """Runs the check of the C# or of the C++ core; returns its status and what it printed and complained."""
    command = request.getfixturevalue(request.param)

    def run(*arguments: object, timeout_s: float = 60) -> tuple[int, str, str]:
        done = subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s, check=False
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def core_check(core_check_command: Callable[..., tuple[int, str, str]]) -> Callable[..., str]:
    """Runs the check of the C# or of the C++ core, which must succeed; returns what it printed."""

    def run(*arguments: object, timeout_s: float = 60) -> str:
        status, printed, complaints = core_check_command(*arguments, timeout_s=timeout_s)
        assert status == 0, complaints + printed[-2000:]
        return printed

    return run
