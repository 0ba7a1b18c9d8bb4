"""`scripts/setup` where the virtual environment is not simply made."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parents[1] / "scripts" / "setup"


def stand_in(path: Path, version: tuple[int, int], asked: Path) -> Path:
    """A Python of that version, which writes to `asked` the modules that it should run instead of running them."""
    path.parent.mkdir(exist_ok=True)
    as_version = f"import sys; sys.version_info = {(*version, 0)}; exec(sys.argv[1])"
    path.write_text(
        f"""#!/bin/sh
case "$1" in
--version) echo Python {version[0]}.{version[1]}.0 ;;
-c) exec {shlex.quote(sys.executable)} -c {shlex.quote(as_version)} "$2" ;;
-m) echo "$2 $3" >> {shlex.quote(str(asked))} ;;
esac
"""
    )
    path.chmod(0o755)
    return path


def set_up(python: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": str(python), "USTHAND_VENV": str(venv)}
    return subprocess.run([SETUP], env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_a_python_that_will_not_do_is_named_and_leaves_nothing_in_the_way(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    asked = tmp_path / "asked"
    python = stand_in(tmp_path / "python", version, asked)
    done = set_up(python, tmp_path / "venv")
    assert done.returncode == 1
    assert f"Python 3.11 to 3.13 is needed, and {python} (Python 3.{version[1]}.0) is none" in done.stderr
    assert not asked.exists()


@pytest.mark.parametrize("version", [(3, 11), (3, 13)])
def test_an_environment_that_was_begun_and_not_finished_is_made_again(tmp_path: Path, version: tuple[int, int]) -> None:
    # As Debian leaves it where python3-venv is not installed: with Python, without pip.
    asked, venv = tmp_path / "asked", tmp_path / "venv"
    python = stand_in(tmp_path / "python", version, asked)
    venv.mkdir()
    stand_in(venv / "bin" / "python", version, asked)
    done = set_up(python, venv)
    assert done.returncode == 0, done.stderr
    assert asked.read_text().splitlines() == [f"venv {venv}", "pip install"]
