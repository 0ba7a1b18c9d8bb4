"""Which version of the code runs: saved with whatever is trained or exported."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path


def code_version() -> str:
    """The commit of a checkout, with `+changes` where files differ from it; else the package's version."""
    root = Path(__file__).resolve().parents[1]
    git = shutil.which("git")
    if git is not None and (root / ".git").exists():
        command = [git, "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes"]
        told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if told.returncode == 0:
            return told.stdout.strip()
    return f"usthand {version('usthand')}"
