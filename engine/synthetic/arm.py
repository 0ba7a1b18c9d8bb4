"""A forearm with a sleeve, grown from the open edge of the hand mesh, so that the hand does not end in air."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hand_model import HandModel, PosedHand
from engine.hand_model.rotations import axis_angle_from_matrix, matrix_from_axis_angle

_STATIONS_M: Final = np.array([0.006, 0.014, 0.024, 0.04, 0.06, 0.085, 0.085, 0.0865, 0.12, 0.18, 0.28, 0.45, 0.7])
"""Distance of each ring from the wrist's edge along the forearm, metres; the sleeve begins where two are alike."""

_FIRST_SLEEVE_RING: Final = 6
_BEND_LENGTH_M: Final = 0.04
_HALF_WIDTH_M: Final = 0.0275
"""Half a forearm's width behind the wrist; towards the elbow it becomes rounder and thicker."""


@dataclass(frozen=True, eq=False)
class Arm:
    """How a forearm continues one hand model's mesh.

    Args:
        edge: The mesh's open edge `(E,)`: vertex ids in order around the wrist.
        faces: Triangles of hand and forearm `(F, 3)`; ids from the hand's vertex count on are the rings'.
        is_sleeve: Which of the rings' vertices are cloth `(R * E,)`.
        along_m: Distance of the rings' vertices from the wrist's edge `(R * E,)`, metres.
    """

    edge: NDArray[np.int64]
    faces: NDArray[np.int32]
    is_sleeve: NDArray[np.bool_]
    along_m: NDArray[np.float64]

    @classmethod
    def of(cls, model: HandModel) -> Arm | None:
        """Find where a forearm attaches; None where the mesh has no single open edge.

        Args:
            model: The hand.

        Returns:
            The forearm's topology.
        """
        edge = _open_edge(model.faces)
        if edge is None:
            return None
        size, rings = len(edge), len(_STATIONS_M)
        first = len(model.template_vertices)
        ids = np.concatenate([edge[None], first + np.arange(rings * size).reshape(rings, size)])
        # The edge's direction along its own triangles makes the outside of the tube the outside of the hand.
        a, b = ids[:-1], np.roll(ids[:-1], -1, axis=1)
        c, d = ids[1:], np.roll(ids[1:], -1, axis=1)
        tube = np.concatenate([np.stack([b, a, c], 2).reshape(-1, 3), np.stack([b, c, d], 2).reshape(-1, 3)])
        last = ids[-1]
        cap = np.stack([np.full(size - 2, last[0]), last[2:], last[1:-1]], axis=1)
        ring = np.repeat(np.arange(rings), size)
        return cls(
            edge=edge,
            faces=np.concatenate([model.faces, tube, cap]).astype(np.int32),
            is_sleeve=ring >= _FIRST_SLEEVE_RING,
            along_m=_STATIONS_M[ring],
        )

    def vertices(
        self,
        posed: PosedHand,
        hand_vertices: NDArray[np.float64],
        forearm_rotation: NDArray[np.float64],
        *,
        bare: bool = False,
    ) -> NDArray[np.float64]:
        """Place the rings.

        Args:
            posed: The hand.
            hand_vertices: Its mesh `(Nv, 3)`, metres, in the frame of the hand's joints.
            forearm_rotation: From the hand's rest axes to the forearm's `(3, 3)`, in the hand's rest axes.
            bare: Without a sleeve.

        Returns:
            The rings' vertices `(R * E, 3)`, metres, in the same frame.
        """
        rotation = posed.rotations[0]
        # In the hand's rest axes, where the forearm continues along the side the wrist is on.
        edge = (hand_vertices[self.edge] - posed.joints[0]) @ rotation
        away = -1.0 if posed.shaped.model.side == "left" else 1.0
        middle = edge.mean(axis=0)
        offsets = edge - middle
        angle = np.arctan2(offsets[:, 1], offsets[:, 2])
        bend = axis_angle_from_matrix(forearm_rotation)
        turned = matrix_from_axis_angle(bend * np.clip(_STATIONS_M / _BEND_LENGTH_M, 0.0, 1.0)[:, None])
        steps = np.diff(_STATIONS_M, prepend=0.0)
        centers = middle + np.cumsum(turned[:, :, 0] * (away * steps)[:, None], axis=0)
        rings = np.empty((len(_STATIONS_M), len(self.edge), 3))
        for number, station in enumerate(_STATIONS_M):
            grown = _HALF_WIDTH_M * (1.0 + 2.0 * min(station, 0.2))
            thick = grown * min(0.78 + 1.2 * station, 0.95)
            tube = np.column_stack([np.zeros(len(angle)), thick * np.sin(angle), grown * np.cos(angle)])
            share = min(station / 0.05, 1.0)
            shape = (1.0 - share) * offsets + share * tube
            if number >= _FIRST_SLEEVE_RING and not bare:
                shape = shape * (1.16 if number > _FIRST_SLEEVE_RING else 1.02)
            rings[number] = centers[number] + shape @ turned[number].T
        return np.asarray(rings.reshape(-1, 3) @ rotation.T + posed.joints[0], dtype=np.float64)


def _open_edge(faces: NDArray[np.int32]) -> NDArray[np.int64] | None:
    """Walk around the edge that has a triangle on one side only, in those triangles' direction."""
    directed = {(int(a), int(b)) for face in faces for a, b in zip(face, np.roll(face, -1), strict=True)}
    following = {a: b for a, b in directed if (b, a) not in directed}
    if len(following) < 3:
        return None
    start = min(following)
    loop = [start]
    while (vertex := following.get(loop[-1], start)) != start and len(loop) <= len(following):
        loop.append(vertex)
    return np.array(loop) if len(loop) == len(following) else None
