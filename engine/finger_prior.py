"""How fingers bend, as a prior of the pose fit: each joint's axes, its mean and spread about them, and its limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.hand_model.anatomy import joint_axes, joint_limits
from engine.hand_model.model import HandModel

# Standard deviations of flexion, abduction and twist, radians. Hinges hardly move but in flexion.
_KNUCKLE_SIGMA_RAD = (0.6, 0.2, 0.12)
_HINGE_SIGMA_RAD = (0.7, 0.06, 0.06)
_THUMB_BASE_SIGMA_RAD = (0.4, 0.4, 0.3)
_THUMB_KNUCKLE_SIGMA_RAD = (0.5, 0.25, 0.15)
_RELAXED_FINGER_RAD = 0.4
_RELAXED_THUMB_RAD = 0.15


@dataclass(frozen=True, eq=False, slots=True)
class FingerPrior:
    """Angles of MANO's 15 finger joints, in MANO's order.

    Args:
        axes: Flexion, abduction and twist axis of each joint `(15, 3, 3)`, unit rows in the model's frame; flexion is
            positive towards the palm.
        mean_rad: Mean angle about each axis `(15, 3)`.
        sigma_rad: Standard deviation `(15, 3)`.
        low_rad: Least angle `(15, 3)`.
        high_rad: Greatest angle `(15, 3)`.
    """

    axes: NDArray[np.float64]
    mean_rad: NDArray[np.float64]
    sigma_rad: NDArray[np.float64]
    low_rad: NDArray[np.float64]
    high_rad: NDArray[np.float64]


def finger_prior(model: HandModel) -> FingerPrior:
    """Make the prior of one side's model."""
    axes, limits = joint_axes(model), joint_limits()
    sigma = np.tile([_KNUCKLE_SIGMA_RAD, _HINGE_SIGMA_RAD, _HINGE_SIGMA_RAD], (5, 1))
    sigma[12:] = _THUMB_BASE_SIGMA_RAD, _THUMB_KNUCKLE_SIGMA_RAD, _HINGE_SIGMA_RAD
    mean = np.zeros((15, 3))
    mean[:12, 0] = _RELAXED_FINGER_RAD
    mean[12:, 0] = _RELAXED_THUMB_RAD
    return FingerPrior(
        axes=np.stack([axes.flexion, axes.abduction, axes.twist], axis=1),
        mean_rad=mean,
        sigma_rad=sigma,
        low_rad=limits.lower,
        high_rad=limits.upper,
    )
