"""Joints from several views: confidence-weighted DLT, and a robust reweighting that no single wrong view can drag.

All observations are normalised crop coordinates with a focal length of their own, so residuals are counted in crop
pixels: a pixel of a crop is the same share of the hand in every view, whatever the camera's distance or resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_RIDGE = 1e-9
_MIN_DEPTH_M = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class Observations:
    """What the views saw of one hand.

    Args:
        projections: `(V, 3, 4)`: homogeneous world points to normalised crop coordinates.
        points: Normalised crop coordinates `(V, J, 2)`; anything where `confidence` is 0.
        focals_px: Focal length of each crop `(V,)`, crop pixels.
        confidence: `(V, J)` in [0, 1]; 0 removes an observation.
    """

    projections: NDArray[np.float64]
    points: NDArray[np.float64]
    focals_px: NDArray[np.float64]
    confidence: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Triangulated:
    """Joints with how well the views agree on them.

    Args:
        joints_world: `(J, 3)`, metres.
        information: Inverse covariance `(J, 3, 3)`, 1/m^2: low along the rays where few views see a joint.
        weights: Robust weight of each observation `(V, J)`, in [0, 1], before its confidence.
        view_weight: Robust weight of each view `(V,)`, in [0, 1]; 0 where it saw nothing.
        residual_px: Distance of each observation to its projected joint `(V, J)`, crop pixels; NaN where there is none.
    """

    joints_world: NDArray[np.float64]
    information: NDArray[np.float64]
    weights: NDArray[np.float64]
    view_weight: NDArray[np.float64]
    residual_px: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RobustConfig:
    """How far observations are believed.

    Args:
        noise_px: Standard deviation of a good observation, crop pixels.
        outlier_px: Residual at which a joint's observation keeps a quarter of its weight (Geman-McClure scale).
        view_outlier_px: The same for a view's median residual.
        iterations: Reweighting rounds.
    """

    noise_px: float = 3.0
    outlier_px: float = 12.0
    view_outlier_px: float = 18.0
    iterations: int = 4


def weighted_dlt(
    projections: NDArray[np.float64], points: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Triangulate by the confidence-weighted direct linear transform (UST-Hand, sec. 3.4).

    Args:
        projections: `(..., V, 3, 4)`, broadcast over the joints.
        points: Normalised coordinates `(..., V, J, 2)`.
        weights: `(..., V, J)`; 0 removes an observation.

    Returns:
        Points `(..., J, 3)` in the projections' world frame.
    """
    rows = points[..., None] * projections[..., :, None, None, 2, :] - projections[..., :, None, :2, :]
    # Rows of one length, so that a view's focal length and the points' scale weigh nothing.
    rows = rows / np.linalg.norm(rows[..., :3], axis=-1, keepdims=True)
    rows = rows * weights[..., None, None]
    of_joint = np.moveaxis(rows, -4, -3)
    of_joint = of_joint.reshape(*of_joint.shape[:-3], -1, 4)
    normal = of_joint.swapaxes(-1, -2) @ of_joint
    vectors = np.linalg.eigh(normal)[1][..., 0]
    scale = vectors[..., 3:]
    safe = np.where(np.abs(scale) < 1e-12, 1e-12, scale)
    result: NDArray[np.float64] = vectors[..., :3] / safe
    return result


def residuals_px(observed: Observations, joints_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances `(..., V, J)` in crop pixels of observations to projected joints `(..., J, 3)`; huge behind a view."""
    return _distances_px(*_differences_px(observed, joints_world))


def _distances_px(difference: NDArray[np.float64], moved: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances `(..., V, J)` in crop pixels, of what `_differences_px` gives."""
    distance = np.sqrt(difference[..., 0] ** 2 + difference[..., 1] ** 2)
    distance = np.where(moved[..., 2] > _MIN_DEPTH_M, distance, 1e6)
    return distance


def _differences_px(
    observed: Observations, joints_world: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Projected joints minus observations `(..., V, J, 2)`, crop pixels; and joints in crop axes `(..., V, J, 3)`."""
    turned = joints_world[..., None, :, :] @ observed.projections[:, :, :3].transpose(0, 2, 1)
    moved = turned + observed.projections[:, None, :, 3]
    flat = moved[..., :2] / np.maximum(moved[..., 2:], _MIN_DEPTH_M)
    return (flat - observed.points) * observed.focals_px[:, None, None], moved


def triangulate(observed: Observations, config: RobustConfig | None = None) -> Triangulated | None:
    """Triangulate a hand robustly.

    The start is a consensus: of all pairs of views, the one whose joints the other views contradict least. From there
    a weighted DLT is reweighted by Geman-McClure weights of each joint's and of each view's residual, and refined by
    Gauss-Newton steps on the geometric error.

    Args:
        observed: What the views saw.
        config: How far observations are believed.

    Returns:
        The joints; None with fewer than two views.
    """
    config = config or RobustConfig()
    usable = observed.confidence > 0
    views = np.flatnonzero(usable.any(axis=1))
    if len(views) < 2:
        return None
    # What was removed may hold anything, NaN too.
    observed = replace(observed, points=np.where(usable[..., None], observed.points, 0.0))
    # Triangulate about the cameras' common middle: the DLT is best conditioned near the origin.
    origin = _rays_middle(observed, views)
    shifted = observed.projections.copy()
    shifted[:, :, 3] += observed.projections[:, :, :3] @ origin
    local = Observations(shifted, observed.points, observed.focals_px, observed.confidence)
    joints = _consensus(local, views, config)
    for _ in range(config.iterations):
        difference, moved = _differences_px(local, joints)
        weights, _ = _robust_weights(_distances_px(difference, moved), usable, config)
        joints = joints + _step(local, difference, moved, weights)
    difference, moved = _differences_px(local, joints)
    residual = _distances_px(difference, moved)
    weights, view_weight = _robust_weights(residual, usable, config)
    jacobian = _jacobian(local, moved)
    information = _information(jacobian, weights * local.confidence) / config.noise_px**2
    # Where the views disagree by more than their noise the answer is less sure than their number says.
    total = (weights * local.confidence).sum(axis=0)
    spread = (weights * local.confidence * residual**2).sum(axis=0) / np.maximum(2 * total, 1e-9)
    information = information / np.maximum(1.0, spread / config.noise_px**2)[:, None, None]
    return Triangulated(
        joints_world=joints + origin,
        information=information,
        weights=weights,
        view_weight=view_weight,
        residual_px=np.where(usable, residual, np.nan),
    )


def _rays_middle(observed: Observations, views: NDArray[np.intp]) -> NDArray[np.float64]:
    """The point nearest to the rays through the middles of the views' joints, metres."""
    rotations = observed.projections[views, :, :3]
    centers = -np.einsum("vki,vk->vi", rotations, observed.projections[views, :, 3])
    weights = observed.confidence[views][..., None]
    middle = (observed.points[views] * weights).sum(axis=1) / weights.sum(axis=1)
    directions = np.einsum("vki,vk->vi", rotations, np.column_stack([middle, np.ones(len(views))]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    normal = across.sum(axis=0) + _RIDGE * np.eye(3)
    point: NDArray[np.float64] = np.linalg.solve(normal, np.einsum("vik,vk->i", across, centers))
    return point


def _consensus(observed: Observations, views: NDArray[np.intp], config: RobustConfig) -> NDArray[np.float64]:
    """Joints of the pair of views that the others contradict least."""
    if len(views) == 2:
        return weighted_dlt(observed.projections, observed.points, observed.confidence)
    pairs = np.array([(a, b) for i, a in enumerate(views) for b in views[i + 1 :]])
    joints = weighted_dlt(observed.projections[pairs], observed.points[pairs], observed.confidence[pairs])
    both = (observed.confidence[pairs] > 0).all(axis=1)
    if not both.all():
        everybody = weighted_dlt(observed.projections, observed.points, observed.confidence)
        joints = np.where(both[..., None], joints, everybody)
    residual = residuals_px(observed, joints)
    cost = (np.minimum(residual / config.outlier_px, 1.0) ** 2 * observed.confidence).sum(axis=(1, 2))
    best: NDArray[np.float64] = joints[int(np.argmin(cost))]
    return best


def _robust_weights(
    residual: NDArray[np.float64], usable: NDArray[np.bool_], config: RobustConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Geman-McClure weights of observations `(V, J)` and of views `(V,)`."""
    views = np.flatnonzero(usable.any(axis=1))
    if len(views) == 2:
        # Two views cannot outvote each other: they are believed alike, by how far they agree.
        both = usable[views].all(axis=0)
        residual = residual.copy()
        residual[np.ix_(views, np.flatnonzero(both))] = residual[views][:, both].mean(axis=0)
    median = view_medians(residual, usable)
    view_weight = 1 / (1 + (median / config.view_outlier_px) ** 2) ** 2
    joint_weight = 1 / (1 + (residual / config.outlier_px) ** 2) ** 2
    return np.where(usable, joint_weight * view_weight[:, None], 0.0), view_weight


def view_medians(values: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median over each view's own joints `(V,)` of values `(V, J)`; infinite where it has none.

    Args:
        values: One a joint and view.
        usable: Which of them there are `(V, J)`.
    """
    ordered = np.sort(np.where(usable, values, np.inf), axis=1)
    count, rows = usable.sum(axis=1), np.arange(len(usable))
    median: NDArray[np.float64] = (ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]) / 2
    return median


def _jacobian(observed: Observations, moved: NDArray[np.float64]) -> NDArray[np.float64]:
    """Change of each observation in crop pixels with its joint `(V, J, 2, 3)`, 1/m, from joints in crop axes."""
    depth = np.maximum(moved[..., 2], _MIN_DEPTH_M)
    flat = moved[..., :2] / depth[..., None]
    rows = observed.projections[:, None, :2, :3] - flat[..., None] * observed.projections[:, None, 2:, :3]
    scaled: NDArray[np.float64] = rows * (observed.focals_px[:, None] / depth)[..., None, None]
    return scaled


def _information(jacobian: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the views of J^T w J `(J, 3, 3)`."""
    information: NDArray[np.float64] = ((jacobian.transpose(0, 1, 3, 2) * weights[..., None, None]) @ jacobian).sum(
        axis=0
    )
    return information


def _step(
    observed: Observations,
    difference: NDArray[np.float64],
    moved: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """One Gauss-Newton step `(J, 3)`, metres, on the weighted geometric error of every joint.

    Args:
        observed: What the views saw.
        difference: Projected joints minus observations `(V, J, 2)`, crop pixels.
        moved: The joints in crop axes `(V, J, 3)`.
        weights: Robust weights `(V, J)`.
    """
    weights = weights * observed.confidence
    jacobian = _jacobian(observed, moved)
    gradient = -((difference * weights[..., None])[..., None, :] @ jacobian)[..., 0, :].sum(axis=0)
    normal = _information(jacobian, weights)
    damping = _RIDGE * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-6
    step = np.linalg.solve(normal + damping * np.eye(3), gradient[..., None])[..., 0]
    length = np.linalg.norm(step, axis=1, keepdims=True)
    limited: NDArray[np.float64] = step * np.minimum(1.0, 0.1 / np.maximum(length, 1e-12))
    return limited
