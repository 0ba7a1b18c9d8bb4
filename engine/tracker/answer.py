"""What the network says of one hand, taken out of its batch, its mirror and its local frame into the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.backends.base import NetworkOutputs
from engine.tracker.aim import Aim
from engine.tracker.state import StreamState

_MIRROR = np.array([-1.0, 1.0, 1.0])
# M R M for M = diag(-1, 1, 1), element by element; so covariances are mirrored as well.
_MIRROR_MATRIX = np.outer(_MIRROR, _MIRROR)


@dataclass(frozen=True, eq=False, slots=True)
class NetworkAnswer:
    """The network's answer for one hand of its own side, in world coordinates.

    Args:
        aim: Where it looked.
        valid: Whether at least two views could be used.
        joints_world: Refined query points `(21, 3)`, canonical order, metres.
        mano_joints_world: The hand model's joints `(21, 3)` in the network's own shape, metres.
        rotations: Each of MANO's joints relative to its parent `(16, 3, 3)`; the root's in the world's axes.
        shape: MANO shape `(10,)`.
        translation: MANO translation `(3,)`, metres.
        covariance_mm2: Of each joint's position `(21, 3, 3)`, square millimetres, the world's axes.
        keypoints_crop_px: Each view's own joints `(V, 21, 2)`, pixel centres of its crop; anything where it is masked.
        view_confidence: `(V, 21)` in [0, 1]; 0 where masked.
        reprojection_crop_px: Distance of those joints to the projected query points `(V, 21)`, crop pixels.
        state: What the network remembers of it.
    """

    aim: Aim
    valid: bool
    joints_world: NDArray[np.float64]
    mano_joints_world: NDArray[np.float64]
    rotations: NDArray[np.float64]
    shape: NDArray[np.float64]
    translation: NDArray[np.float64]
    covariance_mm2: NDArray[np.float64]
    keypoints_crop_px: NDArray[np.float64]
    view_confidence: NDArray[np.float64]
    reprojection_crop_px: NDArray[np.float64]
    state: StreamState

    @property
    def finite(self) -> bool:
        """Whether everything that is said of the hand is a number."""
        return all(
            bool(np.isfinite(array).all())
            for array in (
                self.joints_world,
                self.mano_joints_world,
                self.rotations,
                self.shape,
                self.translation,
                self.covariance_mm2,
                self.keypoints_crop_px[self.aim.views],
                self.view_confidence,
                self.reprojection_crop_px[self.aim.views],
                self.state.values,
            )
        )


def hand_answer(outputs: NetworkOutputs, index: int, aim: Aim, size_px: int) -> NetworkAnswer:
    """Take one hand out of what the network answered.

    Args:
        outputs: The answers for a batch.
        index: The hand's place in it.
        aim: Where the network looked for it.
        size_px: Side of the crops.
    """
    points, matrix, image = (
        (_MIRROR, _MIRROR_MATRIX, np.array([-1.0, 1.0])) if aim.mirrored else (np.ones(3), np.ones((3, 3)), np.ones(2))
    )
    origin = aim.origin_world
    keypoints = outputs.keypoints[index].astype(np.float64) * image
    return NetworkAnswer(
        aim=aim,
        valid=bool(outputs.valid[index] > 0.5),
        joints_world=outputs.joints[index].astype(np.float64) * points + origin,
        mano_joints_world=outputs.mano_joints[index].astype(np.float64) * points + origin,
        rotations=outputs.rotations[index].astype(np.float64) * matrix,
        shape=outputs.shape[index].astype(np.float64),
        translation=outputs.translation[index].astype(np.float64) * points + origin,
        covariance_mm2=outputs.covariance_mm2[index].astype(np.float64) * matrix,
        keypoints_crop_px=(keypoints + 1) * (size_px / 2) - 0.5,
        view_confidence=outputs.view_confidence[index].astype(np.float64),
        reprojection_crop_px=outputs.reprojection_px[index].astype(np.float64),
        # The memory stays as the network sees the hand, in the mirror or not. A runtime may use its arrays again.
        state=StreamState(outputs.state[index].copy(), outputs.state_valid[index].copy()),
    )
