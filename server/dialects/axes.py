"""Changes of axes and of unit, between frames of either handedness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class AxisChange:
    """A frame's axes said in another frame's, and its unit in the other's.

    A vector v becomes C v and a rotation R becomes C R C^T, so that rotated vectors become the rotated vectors:
    (C R C^T)(C v) = C (R v). In quaternions, the axis is C times the old one, and where C mirrors (det C = -1) the
    sense of the turn is the other one: (det(C) C v, w).

    Args:
        matrix: C `(3, 3)`, orthogonal.
        scale: New units in an old one; 100 for metres to centimetres.
    """

    matrix: NDArray[np.float64]
    scale: float = 1.0

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Change positions `(..., 3)`."""
        changed: NDArray[np.float64] = self.scale * (points @ self.matrix.T)
        return changed

    def quaternions(self, quaternions_xyzw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Change rotations `(..., 4)`."""
        axes = np.linalg.det(self.matrix) * (quaternions_xyzw[..., :3] @ self.matrix.T)
        return np.concatenate([axes, quaternions_xyzw[..., 3:]], axis=-1)

    def covariances(self, covariances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn covariances `(..., 3, 3)`; their unit stays."""
        changed: NDArray[np.float64] = self.matrix @ covariances @ self.matrix.T
        return changed

    def inverse(self) -> AxisChange:
        """Return the change back."""
        return AxisChange(self.matrix.T, 1.0 / self.scale)

    def after(self, first: AxisChange) -> AxisChange:
        """Return the change that does `first`, then this."""
        return AxisChange(self.matrix @ first.matrix, self.scale * first.scale)


def named_axes(matrix: NDArray[np.float64]) -> str:
    """Say which axes of the old frame the new x, y and z are, such as `+x -y -z`; for signed permutations."""
    names = []
    for row in matrix:
        axis = int(np.argmax(np.abs(row)))
        names.append(("+" if row[axis] > 0 else "-") + "xyz"[axis])
    return " ".join(names)
