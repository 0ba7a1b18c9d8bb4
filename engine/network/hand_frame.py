"""The hand's own frame, in which the point cloud is seen, so that turning the world changes nothing in it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.network.constants import constant

# Coordinates in the hand's frame are counted in this length, about a palm's.
UNIT_M = 0.1
_EPSILON = 1e-9
# skew(a) row by row, as a matrix on a.
_SKEW = (
    (0.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (-1.0, 0.0, 0.0),
    (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0),
)  # fmt: skip
_WRIST, _INDEX, _MIDDLE, _LITTLE = 0, 5, 9, 17


@dataclass(frozen=True, eq=False, slots=True)
class HandFrame:
    """A rigid frame on the palm.

    Args:
        R_local_hand: `(B, 3, 3)`: x from the wrist to the middle knuckle, y across the palm towards the index finger.
        origin: The middle knuckle `(B, 3)`, metres, local frame.
    """

    R_local_hand: Tensor
    origin: Tensor

    def to_hand(self, points: Tensor) -> Tensor:
        """Bring points `(B, N, 3)` of the local frame, metres, into the hand's frame, in units of `UNIT_M`."""
        return (points - self.origin[:, None]) @ self.R_local_hand * (1 / UNIT_M)

    def to_local(self, points: Tensor) -> Tensor:
        """Bring points `(B, N, 3)` of the hand's frame back."""
        return points @ self.R_local_hand.transpose(-1, -2) * UNIT_M + self.origin[:, None]


def hand_frame(joints: Tensor) -> HandFrame:
    """Lay the frame on joints `(B, 21, 3)`, metres. No gradient flows through it: it only chooses how to look."""
    joints = joints.detach()
    return HandFrame(palm_rotation(joints), joints[:, _MIDDLE])


def palm_rotation(joints: Tensor) -> Tensor:
    """Axes of the palm of joints `(B, 21, 3)` as columns `(B, 3, 3)`, by Gram-Schmidt."""
    along = _normalised(joints[:, _MIDDLE] - joints[:, _WRIST])
    across = joints[:, _INDEX] - joints[:, _LITTLE]
    across = _normalised(across - (across * along).sum(dim=-1, keepdim=True) * along)
    axes = torch.stack([along, across], dim=-1)
    return torch.cat([axes, skew(axes[..., :1]) @ axes[..., 1:]], dim=-1)


def skew(columns: Tensor) -> Tensor:
    """Take columns a `(..., 3, 1)` to the matrices `(..., 3, 3)` of their cross product: S(a) b = a x b."""
    generators = constant(_SKEW, columns.device, columns.dtype)
    return (generators @ columns).reshape(*columns.shape[:-2], 3, 3)


def _normalised(vector: Tensor) -> Tensor:
    return vector * (vector.square().sum(dim=-1, keepdim=True) + _EPSILON).rsqrt()
