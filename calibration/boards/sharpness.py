"""How blurred a board is, measured on its own edges."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_ALONG: Final = np.linspace(0.25, 0.75, 9)
_STEP_PX: Final = 0.25
_REACH_PX: Final = 12.0


def edge_width_px(
    grey: NDArray[np.uint8],
    edges: NDArray[np.int64],
    ids: NDArray[np.int64],
    corners_px: NDArray[np.float64],
    clear_px: float,
) -> float:
    """Measure the rise from black to white across the board's edges.

    A rise's width is the step's height over its steepest slope. Motion widens the edges across it only, so edges are
    taken apart by their direction in the picture, and the wider half counts.

    Args:
        grey: The picture.
        edges: Pairs of corners `(E, 2)` that an edge connects.
        ids: Which corners were found `(N,)`.
        corners_px: Where `(N, 2)`.
        clear_px: How far from an edge its own sides reach, pixels.

    Returns:
        Pixels; infinite if no edge has both its ends.
    """
    row_of = np.full(int(max(edges.max(), ids.max())) + 1, -1)
    row_of[ids] = np.arange(len(ids))
    ends = row_of[edges]
    ends = ends[(ends >= 0).all(axis=1)]
    if not len(ends):
        return float("inf")
    start, end = corners_px[ends[:, 0]], corners_px[ends[:, 1]]
    length = np.linalg.norm(end - start, axis=1)
    normal = np.column_stack([start[:, 1] - end[:, 1], end[:, 0] - start[:, 0]]) / length[:, None]
    offsets = np.arange(-_reach(clear_px), _reach(clear_px) + _STEP_PX / 2, _STEP_PX)
    middle = start[:, None] + (end - start)[:, None] * _ALONG[:, None]
    where = (middle[:, :, None] + normal[:, None, None] * offsets[:, None]).astype(np.float32)
    sampled = cv2.remap(
        grey.astype(np.float32),
        where[..., 0].reshape(-1, len(offsets)),
        where[..., 1].reshape(-1, len(offsets)),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # The mean along an edge takes the noise out, which would otherwise make slopes look steep.
    profiles = np.asarray(sampled, dtype=np.float64).reshape(len(ends), len(_ALONG), -1).mean(axis=1)
    over = round(1.0 / _STEP_PX)
    slope = np.abs(profiles[:, over:] - profiles[:, :-over]).max(axis=1)
    height = float(np.percentile(profiles, 97) - np.percentile(profiles, 3))
    widths = height / np.maximum(slope, 1e-3)
    # Two directions: those of the first edge's and those across it.
    upright = np.abs(np.sum(normal * normal[0], axis=1)) > np.sqrt(0.5)
    return float(max(np.median(widths[group]) for group in (upright, ~upright) if group.any()))


def _reach(clear_px: float) -> float:
    return float(np.clip(clear_px, 3.0, _REACH_PX))
