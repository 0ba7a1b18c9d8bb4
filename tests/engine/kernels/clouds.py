"""Points to look for neighbours among, easy ones and awkward ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KINDS = ("random", "doubled", "grid", "one place", "far away")


def cloud(
    kind: str, batch: int, queries: int, points: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Queries `(B, Q, 3)` and points `(B, P, 3)`, float32."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(batch, points, 3))
    asked = rng.normal(size=(batch, queries, 3))
    match kind:
        case "doubled":
            found[:, points // 2 :] = found[:, : points - points // 2]
            asked = found[:, rng.integers(0, points, queries)]
        case "grid":
            found = rng.integers(-2, 3, size=found.shape).astype(float)
            asked = rng.integers(-2, 3, size=asked.shape).astype(float)
        case "one place":
            found[:] = 1.25
        case "far away":
            # Squares that float32 holds only just, and differences that it does not see.
            found, asked = found * 1e-3 + 1e4, asked * 1e17
    return np.ascontiguousarray(asked, np.float32), np.ascontiguousarray(found, np.float32)
