"""Levenberg and Marquardt's descent, for cameras and many small things that meet no other but cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.solving.numbers import eliminated

_FIRST_DAMPING: Final = 1e-3
_WORST_DAMPING: Final = 1e12
_CONVERGED: Final = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class Normal:
    """The normal equations of one linearisation, with what the cameras saw apart: F things of k numbers each.

    Args:
        H: Hessian of the cameras' free numbers `(q, q)`.
        g: Gradient by them `(q,)`.
        H_seen: Hessian `(F, k, k)` of each thing that was seen.
        g_seen: Gradient by it `(F, k)`.
        across: Mixed derivatives `(F, q, k)`.
        cost: What is to be made small.
    """

    H: NDArray[np.float64]
    g: NDArray[np.float64]
    H_seen: NDArray[np.float64]
    g_seen: NDArray[np.float64]
    across: NDArray[np.float64]
    cost: float


State = TypeVar("State")


class Problem(Protocol[State]):
    """What can be descended."""

    def linearise(self, state: State) -> Normal:
        """Return the normal equations about a state."""
        ...

    def moved(self, state: State, step: NDArray[np.float64], seen: NDArray[np.float64]) -> State:
        """Return the state after a step of the cameras' free numbers `(q,)` and of what was seen `(F, k)`."""
        ...


def descend(problem: Problem[State], state: State, max_iterations: int) -> tuple[State, Normal, int]:
    """Go down from a state until nothing is gained.

    Returns:
        Where it ends, the normal equations there, and how many steps were tried.
    """
    normal, damping = problem.linearise(state), _FIRST_DAMPING
    iterations = 0
    while iterations < max_iterations and damping < _WORST_DAMPING:
        iterations += 1
        try:
            trial = problem.moved(state, *_step(normal, damping))
        except CalibrationError:
            # A step to what cannot be a camera was too far.
            damping *= 8
            continue
        ahead = problem.linearise(trial)
        if not ahead.cost < normal.cost:
            damping *= 8
            continue
        gain = (normal.cost - ahead.cost) / max(normal.cost, 1e-30)
        state, normal, damping = trial, ahead, max(damping / 6, 1e-12)
        if gain < _CONVERGED:
            break
    return state, normal, iterations


def _step(normal: Normal, damping: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve the damped normal equations: steps of the cameras' free numbers and of what was seen."""
    H = normal.H + np.diag(damping * np.diag(normal.H) + 1e-12)
    diagonal = np.einsum("fii->fi", normal.H_seen)
    plain = np.eye(normal.H_seen.shape[2])
    inverse = np.linalg.inv(normal.H_seen + (damping * diagonal + 1e-12)[:, :, None] * plain)
    g = normal.g - np.einsum("fqk,fkl,fl->q", normal.across, inverse, normal.g_seen, optimize=True)
    step = np.asarray(np.linalg.solve(eliminated(H, normal.across, inverse), -g), dtype=np.float64)
    pull = normal.g_seen + step @ normal.across
    return step, -np.einsum("fij,fj->fi", inverse, pull)


def huber(
    lengths: NDArray[np.float64], robust: float | NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cost of residuals of these lengths and their weights: beyond `robust` the cost grows in proportion."""
    beyond = lengths > robust
    costs = np.where(beyond, robust * (lengths - robust / 2), lengths**2 / 2)
    return costs, np.where(beyond, robust / np.maximum(lengths, 1e-12), 1.0)
