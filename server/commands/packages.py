"""Packages that some commands need and the default install does not bring."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from engine.errors import EngineError


def require_packages(command: str, packages: Sequence[str], extra: str = "train") -> None:
    """See that packages are there; `extra` is what installs them.

    Raises:
        EngineError: With those that are missing, and how to install them.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise EngineError(f"{command} needs {', '.join(missing)}: pip install 'usthand[{extra}]'")
