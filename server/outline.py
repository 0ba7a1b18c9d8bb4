"""The outline of a mesh in a picture: the edges between faces that look at the camera and faces that look away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class EdgeTable:
    """Which two faces meet at each edge of a mesh.

    Args:
        faces: Triangles `(F, 3)`.
    """

    def __init__(self, faces: NDArray[np.int32]) -> None:
        self._faces = np.asarray(faces)
        half_edges = np.sort(self._faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        self._edges, owner = np.unique(half_edges, axis=0, return_inverse=True)
        self._edge_of_half_edge = owner.reshape(-1)

    def outline(self, vertices_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find the outline.

        Args:
            vertices_px: Projected mesh `(Nv, 2)`; NaN where a vertex is behind the camera.

        Returns:
            Line segments `(S, 2, 2)` in pixels, none of them with NaN.
        """
        corners = vertices_px[self._faces]
        first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        front = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0
        front_count = np.bincount(self._edge_of_half_edge[np.repeat(front, 3)], minlength=len(self._edges))
        # One front face of two is the outline; an open border has one face only, and shows when that is in front.
        segments = vertices_px[self._edges[front_count == 1]]
        drawable: NDArray[np.float64] = segments[np.isfinite(segments).all(axis=(1, 2))]
        return drawable
