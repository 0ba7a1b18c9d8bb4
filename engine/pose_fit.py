"""MANO parameters from measured joints, in real time: inverse kinematics by Gauss-Newton with an analytic Jacobian.

The fit is a maximum a posteriori estimate. Every joint pulls with its own information matrix, so a joint that two views
see under a small angle is held across the rays and left free along them; what the views leave open, a prior of how
fingers bend decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.finger_prior import FingerPrior, finger_prior
from engine.hand_model.model import MANO_PARENTS, MANO_TO_CANONICAL, HandModel, PosedHand, ShapedHand
from engine.hand_model.rotations import axis_angle_from_matrix, matrix_from_axis_angle, skew_from_vector

_JOINTS = len(MANO_PARENTS)
_PARAMETERS = 3 * _JOINTS + 3
_PALM = np.array([0, 1, 5, 9, 13, 17])
# Where each MANO joint stands among the 21 canonical ones.
_CANONICAL_OF_MANO = np.array([MANO_TO_CANONICAL.index(joint) for joint in range(_JOINTS)])
# MANO's finger joints are five chains of three: the last two of each are hinges that bend together.
_MIDDLE_HINGES = np.array([2, 5, 8, 11])
_END_HINGES = _MIDDLE_HINGES + 1
_DIAGONAL = np.arange(_PARAMETERS)
_FINGER_DIAGONAL = _DIAGONAL[3 : 3 * _JOINTS]
_FINGER_PARAMETERS = _FINGER_DIAGONAL.reshape(_JOINTS - 1, 3)
_FINGER_BLOCKS = (_FINGER_PARAMETERS[:, :, None], _FINGER_PARAMETERS[:, None, :])
_HINGE_PARAMETERS = np.concatenate(
    [_FINGER_PARAMETERS[_END_HINGES - 1], _FINGER_PARAMETERS[_MIDDLE_HINGES - 1]], axis=1
)
_HINGE_BLOCKS = (_HINGE_PARAMETERS[:, :, None], _HINGE_PARAMETERS[:, None, :])


def _moves() -> NDArray[np.float64]:
    """`(21, 16)`: 1 where turning a MANO joint moves a canonical joint."""
    moves = np.zeros((_JOINTS + 5, _JOINTS))
    for joint in range(_JOINTS):
        ancestor = MANO_PARENTS[joint]
        while ancestor >= 0:
            moves[joint, ancestor] = 1
            ancestor = MANO_PARENTS[ancestor]
    for tip, last in enumerate((15, 3, 6, 12, 9)):
        # Tips are appended as thumb, index, middle, ring, little; MANO has the little finger before the ring.
        moves[_JOINTS + tip] = moves[last]
        moves[_JOINTS + tip, last] = 1
    return moves[list(MANO_TO_CANONICAL)]


_MOVES = _moves()


@dataclass(frozen=True, slots=True)
class FitConfig:
    """Weights of the fit.

    Args:
        model_error_m: How far the model's joints and the measured ones lie apart when nothing is wrong: the two define
            a joint differently.
        steadiness_rad: Standard deviation of a joint's rotation between two frame sets.
        hinge_ratio: An end joint bends by this share of the middle joint's angle.
        hinge_rad: Standard deviation of that relation.
        limit_rad: Standard deviation of what exceeds a joint's limits.
        tracking_steps: Gauss-Newton steps from the last pose.
        starting_steps: The same when there is no last pose.
    """

    model_error_m: float = 0.003
    steadiness_rad: float = 0.6
    hinge_ratio: float = 0.6
    hinge_rad: float = 0.35
    limit_rad: float = 0.05
    tracking_steps: int = 3
    starting_steps: int = 12


@dataclass(frozen=True, eq=False, slots=True)
class FittedHand:
    """The hand model as it fits the joints best.

    Args:
        posed: The posed model.
        local_rotations: Each of MANO's joints relative to its parent `(16, 3, 3)`.
        translation: MANO's translation `(3,)`, metres.
        error_m: Root mean square distance of the model's joints from the measured ones, weighted by how sure they are.
    """

    posed: PosedHand
    local_rotations: NDArray[np.float64]
    translation: NDArray[np.float64]
    error_m: float

    @property
    def pose(self) -> NDArray[np.float64]:
        """MANO's axis-angle vectors `(48,)`."""
        return axis_angle_from_matrix(self.local_rotations).ravel()


class PoseFitter:
    """Fits one side's hand model to joints.

    Args:
        model: The hand model of that side.
        config: Weights of the fit.
    """

    def __init__(self, model: HandModel, config: FitConfig | None = None) -> None:
        self._config = config or FitConfig()
        self._prior: FingerPrior = finger_prior(model)

    def fit(
        self,
        shaped: ShapedHand,
        joints_world: NDArray[np.float64],
        information: NDArray[np.float64],
        last: FittedHand | None = None,
    ) -> FittedHand:
        """Fit the model to a hand's joints.

        Args:
            shaped: The hand model in the hand's shape.
            joints_world: Measured joints `(21, 3)`, canonical order, metres.
            information: Inverse covariance of each `(21, 3, 3)`, 1/m^2.
            last: The hand in the frame set before; None at the start.

        Returns:
            The fitted hand.
        """
        model_covariance = self._config.model_error_m**2 * np.eye(3)
        # (inverse(information) + model covariance)^-1 without inverting what may be singular.
        blurred = np.linalg.solve(np.eye(3) + information @ model_covariance, information).astype(np.float64)
        rotations, translation = self._start(shaped, joints_world, last)
        steps = self._config.tracking_steps if last is not None else self._config.starting_steps
        for _ in range(steps):
            rotations, translation = self._step(shaped, joints_world, blurred, rotations, translation, last)
        posed = shaped.posed_from_rotations(rotations, translation)
        weight = np.trace(blurred, axis1=1, axis2=2)
        squared = ((posed.joints - joints_world) ** 2).sum(axis=1)
        error = float(np.sqrt((weight * squared).sum() / max(weight.sum(), 1e-12)))
        return FittedHand(posed, rotations, translation, error)

    def _start(
        self,
        shaped: ShapedHand,
        joints_world: NDArray[np.float64],
        last: FittedHand | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The last pose, or a relaxed hand, moved onto the measured palm."""
        if last is None:
            rotations = np.empty((_JOINTS, 3, 3))
            relaxed = np.einsum("ka,kai->ki", self._prior.mean_rad, self._prior.axes)
            rotations[1:] = matrix_from_axis_angle(relaxed)
        else:
            rotations = last.local_rotations.copy()
        rest = shaped.rest_joints_21[_PALM]
        target = joints_world[_PALM]
        middle_rest, middle_target = rest.mean(axis=0), target.mean(axis=0)
        u, _, vt = np.linalg.svd((target - middle_target).T @ (rest - middle_rest))
        turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
        rotations[0] = turn
        root = shaped.rest_joints[0]
        translation = middle_target + turn @ (root - middle_rest) - root
        return rotations, translation

    def _step(
        self,
        shaped: ShapedHand,
        targets: NDArray[np.float64],
        information: NDArray[np.float64],
        rotations: NDArray[np.float64],
        translation: NDArray[np.float64],
        last: FittedHand | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """One Gauss-Newton step in the tangent space of the rotations."""
        posed = shaped.posed_from_rotations(rotations, translation)
        jacobian = _joint_jacobian(posed)
        weighted = (information @ jacobian.reshape(21, 3, _PARAMETERS)).reshape(63, _PARAMETERS)
        normal = jacobian.T @ weighted
        gradient = weighted.T @ (targets - posed.joints).ravel()
        fingers = rotations[1:]
        if last is None:
            angles = axis_angle_from_matrix(fingers)
        else:
            changes = np.swapaxes(last.local_rotations[1:], 1, 2) @ fingers
            # In one call: it costs by the call, not by the matrix.
            angles, change = axis_angle_from_matrix(np.stack([fingers, changes]))
            steady = 1 / self._config.steadiness_rad**2
            normal[_FINGER_DIAGONAL, _FINGER_DIAGONAL] += steady
            gradient[_FINGER_DIAGONAL] -= steady * change.ravel()
        self._add_prior(normal, gradient, angles)
        normal[_DIAGONAL, _DIAGONAL] += 1e-6 * np.trace(normal) / _PARAMETERS
        step = np.linalg.solve(normal, gradient)
        turns = step[:-3].reshape(_JOINTS, 3)
        largest = float(np.abs(turns).max())
        turns = turns * min(1.0, 0.6 / max(largest, 1e-9))
        return rotations @ matrix_from_axis_angle(turns), translation + step[-3:]

    def _add_prior(
        self, normal: NDArray[np.float64], gradient: NDArray[np.float64], angles: NDArray[np.float64]
    ) -> None:
        """Add how fingers bend: each joint's spread about its mean, its limits, and hinges that bend together.

        Args:
            normal: Normal matrix `(51, 51)`, added to.
            gradient: Right-hand side `(51,)`, added to.
            angles: Axis-angle vectors of the finger joints `(15, 3)`, radians.
        """
        prior, config = self._prior, self._config
        # Rows: flexion, abduction and twist of each finger joint, as linear functions of the tangent step.
        rows = prior.axes @ _inverse_right_jacobian(angles)
        values = (prior.axes @ angles[:, :, None])[..., 0]
        precision = 1 / prior.sigma_rad**2
        error = prior.mean_rad - values
        pull = precision * error
        beyond = np.minimum(np.maximum(values, prior.low_rad), prior.high_rad) - values
        outside = beyond != 0
        stiff = 1 / config.limit_rad**2
        precision = precision + np.where(outside, stiff, 0.0)
        pull = pull + stiff * beyond
        blocks = (rows.transpose(0, 2, 1) * precision[:, None, :]) @ rows
        normal[_FINGER_BLOCKS] += blocks
        gradient[3 : 3 * _JOINTS] += (pull[:, None, :] @ rows).ravel()
        # Each hinge: six parameters, the end joint's and the middle joint's.
        row = np.concatenate([rows[_END_HINGES - 1, 0], -config.hinge_ratio * rows[_MIDDLE_HINGES - 1, 0]], axis=1)
        error = config.hinge_ratio * values[_MIDDLE_HINGES - 1, 0] - values[_END_HINGES - 1, 0]
        normal[_HINGE_BLOCKS] += row[:, :, None] * row[:, None, :] / config.hinge_rad**2
        # No parameter is in two hinges.
        gradient[_HINGE_PARAMETERS] += row * (error / config.hinge_rad**2)[:, None]


def _joint_jacobian(posed: PosedHand) -> NDArray[np.float64]:
    """Change of the 21 joints with a right-multiplied turn of each MANO joint and the translation `(63, 51)`."""
    centers = posed.joints[_CANONICAL_OF_MANO]
    # Zero where a turn moves nothing.
    arms = (posed.joints[:, None] - centers[None]) * _MOVES[:, :, None]
    jacobian = np.empty((21, 3, _PARAMETERS))
    turning = jacobian[:, :, : 3 * _JOINTS].reshape(21, 3, _JOINTS, 3)
    # The cross products of the joints' axes, which are columns of their rotations, with the arms.
    for x in range(3):
        y, z = (x + 1) % 3, (x + 2) % 3
        turning[:, x] = posed.rotations[:, y] * arms[:, :, z, None] - posed.rotations[:, z] * arms[:, :, y, None]
    jacobian[:, :, 3 * _JOINTS :] = np.eye(3)
    return jacobian.reshape(63, _PARAMETERS)


def _inverse_right_jacobian(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Change of axis-angle vectors `(K, 3)` with a right-multiplied turn `(K, 3, 3)`."""
    theta = np.linalg.norm(angles, axis=1)
    half = theta / 2
    small = theta < 1e-4
    safe = np.where(small, 1.0, theta)
    factor = np.where(small, 1 / 12, (1 - half / np.tan(np.where(small, 0.5, half))) / safe**2)
    skew = skew_from_vector(angles)
    jacobian: NDArray[np.float64] = np.eye(3) + 0.5 * skew + factor[:, None, None] * (skew @ skew)
    return jacobian
