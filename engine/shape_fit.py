"""A hand's shape from the lengths of its bones, settling as evidence comes in.

Bone lengths do not depend on the pose, so the shape can be learnt beside it: from medians of the lengths that were
measured since the hand came into view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.hand_model.model import MANO_TO_CANONICAL, PARENTS_21, SHAPE_SIZE, HandModel, ShapedHand

# The twenty bones, and four distances across the palm that say how broad it is.
_BONES = np.array([(PARENTS_21[j], j) for j in range(1, 21)] + [(5, 9), (9, 13), (13, 17), (5, 17)])
_HISTORY = 150
_SETTLED = 60
_CARRIED = 5
# Once settled, only every so manyth frame is added: neighbouring frames say the same, other poses say more.
_SPARSE = 5
_SOLVE_STEPS = 4


class ShapeEstimator:
    """Learns the shape of one hand.

    Args:
        model: The hand model of its side.
        length_error_m: Standard deviation of a bone's median length about the model's.
    """

    def __init__(self, model: HandModel, length_error_m: float = 0.0025) -> None:
        self._model = model
        order = list(MANO_TO_CANONICAL)
        tips = model.tip_vertex_ids
        self._rest = np.concatenate([model.joint_regressor @ model.template_vertices, model.template_vertices[tips]])[
            order
        ]
        self._change = np.concatenate(
            [np.einsum("jv,vis->jis", model.joint_regressor, model.shape_directions), model.shape_directions[tips]]
        )[order]
        self._length_error_m = length_error_m
        self._lengths = np.empty((_HISTORY, len(_BONES)))
        self._seen = 0
        self._offered = 0
        self._shaped = model.with_shape(np.zeros(SHAPE_SIZE))

    @property
    def shaped(self) -> ShapedHand:
        """The hand model in the shape learnt so far."""
        return self._shaped

    @property
    def settled(self) -> bool:
        """Whether enough has been seen that the shape hardly changes any more."""
        return self._seen >= _SETTLED

    def carried(self) -> ShapeEstimator:
        """An estimator for the next hand of this side: it starts from this shape, and new evidence soon outvotes it."""
        heir = ShapeEstimator(self._model, self._length_error_m)
        heir._seen = min(self._seen, _CARRIED)
        heir._lengths[: heir._seen] = self._lengths[self._seen - heir._seen : self._seen]
        heir._shaped = self._shaped
        return heir

    def add(self, joints_world: NDArray[np.float64]) -> None:
        """Learn from one measurement of the joints `(21, 3)`, metres."""
        self._offered += 1
        if self._seen >= _HISTORY or (self.settled and self._offered % _SPARSE):
            return
        self._lengths[self._seen] = np.linalg.norm(joints_world[_BONES[:, 1]] - joints_world[_BONES[:, 0]], axis=1)
        self._seen += 1
        # Early frames change the shape most; later ones are added up before it moves again.
        if self._seen <= 10 or self._seen % 10 == 0:
            self._shaped = self._model.with_shape(self._solve(np.median(self._lengths[: self._seen], axis=0)))

    def _solve(self, lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape `(10,)` whose bones have these lengths best, with a unit normal prior."""
        shape = self._shaped.shape.copy()
        # Few measurements say little: their weight grows until the shape has settled.
        precision = min(1.0, self._seen / 10) / self._length_error_m**2
        for _ in range(_SOLVE_STEPS):
            joints = self._rest + self._change @ shape
            bones = joints[_BONES[:, 1]] - joints[_BONES[:, 0]]
            length = np.linalg.norm(bones, axis=1)
            change = self._change[_BONES[:, 1]] - self._change[_BONES[:, 0]]
            jacobian = np.einsum("bi,bis->bs", bones / length[:, None], change)
            normal = precision * jacobian.T @ jacobian + np.eye(SHAPE_SIZE)
            shape = shape + np.linalg.solve(normal, precision * jacobian.T @ (lengths - length) - shape)
        return np.clip(shape, -4, 4)
