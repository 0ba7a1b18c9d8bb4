"""What is really so, for evaluation alone.

Only 2D labels supervise. A `Truth` is never part of a `Window`, and its arrays cannot be read while a training step
runs: whoever tries, by whatever way, gets an error instead of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_in_training_step: ContextVar[bool] = ContextVar("in_training_step", default=False)
_GUARDED: Final = frozenset({"joints_local", "vertices_local"})


class TruthReadError(RuntimeError):
    """Training tried to read what only evaluation may."""


@contextmanager
def training_step() -> Iterator[None]:
    """Lock every `Truth` for as long as the block runs."""
    token = _in_training_step.set(True)
    try:
        yield
    finally:
        _in_training_step.reset(token)


@dataclass(frozen=True, eq=False)
class Truth:
    """Where the hand of a window is.

    Args:
        joints_local: The 21 joints of each frame `(T, 21, 3)`, canonical order, metres, in the window's local frame
            (mirrored with it where the hand is a left one).
        vertices_local: The hand model's mesh `(T, Nv, 3)`, metres, same frame; None where the data has none.
    """

    joints_local: NDArray[np.float64]
    vertices_local: NDArray[np.float64] | None = None

    def __getattribute__(self, name: str) -> object:
        if name in _GUARDED and _in_training_step.get():
            raise TruthReadError(
                f"Truth.{name} was read inside a training step; 3D truth is for evaluation alone: train on "
                "Window.labels, and evaluate between the steps"
            )
        return super().__getattribute__(name)
