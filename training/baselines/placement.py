"""Where a hand of known pose and size is, from its joints in one view or several."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_SMALLEST: Final = 1e-9
_RIDGE: Final = 1e-6


def best_translation(projections: Tensor, points: Tensor, weights: Tensor, joints: Tensor) -> Tensor:
    """The translation that brings joints onto their rays with the least weighted squared distance.

    Each observation is two planes through the camera, as in a DLT; all of a hand's joints share one unknown.

    Args:
        projections: `(N, V, 3, 4)`: homogeneous points to (u d, v d, d).
        points: u, v of the joints in each view `(N, V, J, 2)`.
        weights: `(N, V, J)`; 0 removes an observation.
        joints: `(N, J, 3)`, metres, in the axes of the projections' frame.

    Returns:
        `(N, 3)`, metres; finite also where nothing has a weight.
    """
    rows = points[..., None] * projections[:, :, None, 2:, :] - projections[:, :, None, :2, :]
    lengths = rows[..., :3].square().sum(dim=-1, keepdim=True).clamp_min(_SMALLEST)
    rows = rows * (weights[..., None, None] * lengths.rsqrt())
    sides = rows[..., :3]
    offsets = rows[..., 3] + (sides @ joints[:, None, :, :, None])[..., 0]
    flat_sides, flat_offsets = sides.flatten(1, 3), offsets.flatten(1, 3)[..., None]
    normal = flat_sides.transpose(-1, -2) @ flat_sides
    trace = normal.diagonal(dim1=-2, dim2=-1).sum(dim=-1)[:, None, None].clamp_min(_SMALLEST)
    eye = torch.eye(3, device=normal.device, dtype=normal.dtype)
    solved = torch.linalg.solve(normal / trace + _RIDGE * eye, -(flat_sides.transpose(-1, -2) @ flat_offsets) / trace)
    return solved[..., 0]


def camera_rotations(projections: Tensor) -> Tensor:
    """R_camera_local `(..., 3, 3)` of crop projections `(..., 3, 4)`, whose pixels are square and not sheared."""
    return torch.nn.functional.normalize(projections[..., :3], dim=-1)
