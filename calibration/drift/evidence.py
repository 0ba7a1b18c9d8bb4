"""What one sighting says of the cameras' extrinsics: normal equations of a bundle adjustment without its points.

Every joint is a free point. It is linearised where its views meet and eliminated (Schur complement), so that what is
left speaks of the cameras only, and adds up over joints, hands and time. Each camera has seven parameters: a small
turn (rad) and a small move (m) of the world in the camera's own axes, `T_camera_world -> exp(turn, move)
T_camera_world`, and a delay (s): its pictures were exposed that much later than their stamps say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.drift.sighting import Sighting
from calibration.rig import Rig

PARAMETERS: Final = 7
TURN: Final = slice(0, 3)
MOVE: Final = slice(3, 6)
DELAY: Final = 6

NOISE_OF_PALM: Final = 0.03
"""Standard deviation of a joint in a picture, as a share of the palm's length there."""

PALM_M: Final = 0.095
_MIN_JOINTS: Final = 10
_MIN_DEPTH_M: Final = 0.05
# Wrist, and the knuckles of index, middle and little finger.
_PALM: Final = (0, 5, 9, 17)
# A sighting that misfits by more than this, in standard deviations, pulls no stronger: another hand may be in it.
_STRONGEST_MISFIT: Final = 8.0
_GAUSS_NEWTON_STEPS: Final = 2
# Hands that are smaller in the picture are hardly seen to turn.
_STIFFNESS_PX: Final = 20.0


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """A sum of what sightings say.

    Args:
        normal: `(7 V, 7 V)`, in units of the joints' variance.
        gradient: `(7 V,)`; the correction that fits best solves `normal @ x = gradient`.
        cost: Sum of squared residuals with the cameras as they are, joints at their best.
        rows: Numbers that were observed more than the joints have coordinates; the cost's expectation.
        joints: How many joints each view saw together with another view `(V,)`.
    """

    normal: NDArray[np.float64]
    gradient: NDArray[np.float64]
    cost: float
    rows: float
    joints: NDArray[np.float64]

    @property
    def views(self) -> int:
        """How many cameras it speaks of."""
        return len(self.joints)

    def scaled(self, factor: float) -> Evidence:
        """Return what is said with that weight."""
        return Evidence(
            self.normal * factor, self.gradient * factor, self.cost * factor, self.rows * factor, self.joints * factor
        )

    @classmethod
    def total(cls, parts: Iterable[Evidence]) -> Evidence:
        """Add up; there must be one at least."""
        parts = tuple(parts)
        return cls(
            sum((part.normal for part in parts[1:]), parts[0].normal),
            sum((part.gradient for part in parts[1:]), parts[0].gradient),
            sum(part.cost for part in parts),
            sum(part.rows for part in parts),
            sum((part.joints for part in parts[1:]), parts[0].joints),
        )

    def corrected(self, correction: NDArray[np.float64]) -> Evidence:
        """Return what is left to say once a correction `(7 V,)` was made."""
        step = self.normal @ correction
        cost = self.cost - 2 * float(correction @ self.gradient) + float(correction @ step)
        return replace(self, gradient=self.gradient - step, cost=max(cost, 0.0))


def velocities_px(before: Sighting, after: Sighting) -> NDArray[np.float64]:
    """How fast a hand's joints move through each view's picture `(V, 21, 2)`, pixels a second.

    The hand moves, turns, grows and shears as a whole: joints one by one would be noise. 0 where a view lost it.
    """
    elapsed_s = (after.stamps_ns - before.stamps_ns) * 1e-9
    velocities = np.zeros(before.keypoints_px.shape)
    for view in range(len(velocities)):
        moved = after.keypoints_px[view] - before.keypoints_px[view]
        both = np.asarray(np.isfinite(moved).all(axis=-1))
        if elapsed_s[view] <= 0 or np.count_nonzero(both) < _MIN_JOINTS:
            continue
        place = before.keypoints_px[view] - before.keypoints_px[view, both].mean(axis=0)
        shape = place[both].T @ place[both] + _STIFFNESS_PX**2 * np.eye(2)
        field = np.linalg.solve(shape, place[both].T @ moved[both])
        velocities[view, both] = (moved[both].mean(axis=0) + place[both] @ field) / elapsed_s[view]
    return velocities


def gather(rig: Rig, sighting: Sighting, velocities_px: NDArray[np.float64] | None = None) -> Evidence | None:
    """Work out what a sighting says.

    Args:
        rig: The calibration that is judged.
        sighting: What was seen.
        velocities_px: How fast the joints move in each view `(V, 21, 2)`, pixels a second: brings the views to one
            instant, as far as their stamps differ, and gives delays something to be seen by. None is a hand at rest.

    Returns:
        The evidence; None where too few joints are seen by two views, or their rays do not meet before the cameras.
    """
    seen = sighting.seen
    shared = seen.sum(axis=0) >= 2
    if np.count_nonzero(shared) < _MIN_JOINTS:
        return None
    seen = seen[:, shared]
    rays, speed = _rays(rig, sighting, shared, velocities_px)
    usable = seen & np.isfinite(rays).all(axis=-1)
    shared_still = usable.sum(axis=0) >= 2
    if np.count_nonzero(shared_still) < _MIN_JOINTS:
        return None
    usable, rays, speed = usable[:, shared_still], rays[:, shared_still], speed[:, shared_still]
    views = np.flatnonzero(usable.any(axis=1))
    R = np.stack([rig.cameras[v].T_camera_world[:3, :3] for v in views])
    t = np.stack([rig.cameras[v].T_camera_world[:3, 3] for v in views])
    part = _eliminate(R, t, np.where(usable[views, :, None], rays[views], 0.0), usable[views], speed[views])
    return None if part is None else _spread(part, views, len(rig))


def meet(rig: Rig, sighting: Sighting) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Place a hand's joints where all views' rays meet.

    Returns:
        The joints that two views or more saw `(J, 3)`, world, metres, and which of the 21 they are; None where too few
        are, or their rays do not meet before the cameras.
    """
    shared = sighting.seen.sum(axis=0) >= 2
    if np.count_nonzero(shared) < _MIN_JOINTS:
        return None
    rays, _ = _rays(rig, sighting, shared, None)
    usable = np.asarray(np.isfinite(rays).all(axis=-1))
    if (usable.sum(axis=0) < 2).any():
        return None
    R = np.stack([camera.T_camera_world[:3, :3] for camera in rig])
    t = np.stack([camera.T_camera_world[:3, 3] for camera in rig])
    rays = np.where(usable[..., None], rays, 0.0)
    points = _meet(R, t, rays, usable)
    for _ in range(_GAUSS_NEWTON_STEPS):
        linear = _linearise(R, t, points, rays, usable)
        if linear is None:
            return None
        points = points + linear.step
    return points, shared


@dataclass(frozen=True, eq=False, slots=True)
class ViewEvidence:
    """What one view's sight of a hand says of that view alone, the joints placed anew by all views.

    Args:
        joints: Which joints `(J,)`.
        by_place: Change of each ray with the camera's turn and move `(J, 2, 6)`.
        by_offset: ... and with an offset of the joint in the hand's own axes, metres `(J, 2, 3)`.
        information: Inverse covariance of each ray's residual `(J, 2, 2)`, once the joint is free.
        pull: The residuals, weighed by it `(J, 2)`.
    """

    joints: NDArray[np.intp]
    by_place: NDArray[np.float64]
    by_offset: NDArray[np.float64]
    information: NDArray[np.float64]
    pull: NDArray[np.float64]


def gather_view(
    rig: Rig, sighting: Sighting, view: int, velocities_px: NDArray[np.float64] | None = None
) -> ViewEvidence | None:
    """Work out what one view's sight of a hand says of that view; see `gather`.

    Returns:
        The evidence; None where the view did not see the hand, others did not, or its palm was not seen.
    """
    shared = sighting.seen.sum(axis=0) >= 2
    if not shared[list(_PALM)].all() or np.count_nonzero(shared) < _MIN_JOINTS:
        return None
    rays, _ = _rays(rig, sighting, shared, velocities_px)
    usable = np.asarray(np.isfinite(rays).all(axis=-1))
    if (usable.sum(axis=0) < 2).any() or not usable[view].all():
        return None
    R = np.stack([camera.T_camera_world[:3, :3] for camera in rig])
    t = np.stack([camera.T_camera_world[:3, 3] for camera in rig])
    rays = np.where(usable[..., None], rays, 0.0)
    points = _meet(R, t, rays, usable)
    first = _linearise(R, t, points, rays, usable)
    linear = None if first is None else _linearise(R, t, points + first.step, rays, usable)
    if first is None or linear is None:
        return None
    placed = np.full((21, 3), np.nan)
    placed[shared] = points + first.step
    by_place = np.concatenate(
        [linear.by_camera_point[view] @ _turned(linear.camera_points[view]), linear.by_camera_point[view]], axis=-1
    )
    weight = linear.weight[view][:, None, None]
    by_point = linear.by_point[view]
    information = weight * np.eye(2) - weight**2 * (by_point @ linear.inverse @ by_point.transpose(0, 2, 1))
    pull = linear.weight[view][:, None] * (linear.residual[view] - (by_point @ linear.step[..., None])[..., 0])
    misfit = float((linear.weight * (linear.residual**2).sum(axis=-1)).sum()) / max(
        2 * usable.sum() - 3 * len(points), 1
    )
    if misfit > _STRONGEST_MISFIT**2:
        return None
    return ViewEvidence(np.flatnonzero(shared), by_place, by_point @ _hand_axes(placed), information, pull)


def _hand_axes(joints_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """The hand's own axes `(3, 3)` as columns: along the palm, across it, out of it."""
    wrist, index, middle, little = (joints_world[joint] for joint in _PALM)
    along = (middle - wrist) / np.linalg.norm(middle - wrist)
    out = np.cross(index - wrist, little - wrist)
    out /= np.linalg.norm(out)
    return np.column_stack([along, np.cross(out, along), out])


def _turned(camera_points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Change of points `(..., 3)` in camera axes with a small turn of the world about the camera `(..., 3, 3)`."""
    x, y, z = np.moveaxis(camera_points, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, z, -y, -z, zero, x, y, -x, zero], axis=-1).reshape(*x.shape, 3, 3)


def _rays(
    rig: Rig, sighting: Sighting, joints: NDArray[np.bool_], velocities_px: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rays of the joints at one instant, at depth 1, and how fast they move a second, both `(V, J, 2)`."""
    views = len(rig)
    rays = np.full((views, int(np.count_nonzero(joints)), 2), np.nan)
    speed = np.zeros_like(rays)
    middle_s = sighting.time_s
    for view, camera in enumerate(rig):
        pixels = sighting.keypoints_px[view, joints]
        finite = np.isfinite(pixels).all(axis=-1)
        if not finite.any():
            continue
        if velocities_px is not None:
            speed[view] = velocities_px[view, joints] / _focals_px(camera)
            pixels = pixels - velocities_px[view, joints] * (sighting.stamps_ns[view] * 1e-9 - middle_s)
        rays[view, finite] = camera.unproject(pixels[finite])
    return rays, speed


def _focals_px(camera: Camera) -> NDArray[np.float64]:
    return np.array([camera.K[0, 0], camera.K[1, 1]])


@dataclass(frozen=True, eq=False, slots=True)
class _Linear:
    """Observations linearised about points; see `_linearise`."""

    camera_points: NDArray[np.float64]
    residual: NDArray[np.float64]
    weight: NDArray[np.float64]
    by_camera_point: NDArray[np.float64]
    by_point: NDArray[np.float64]
    pull: NDArray[np.float64]
    inverse: NDArray[np.float64]

    @property
    def step(self) -> NDArray[np.float64]:
        """Where the points would go `(J, 3)`."""
        step: NDArray[np.float64] = (self.inverse @ self.pull[..., None])[..., 0]
        return step


def _linearise(
    R: NDArray[np.float64],
    t: NDArray[np.float64],
    points: NDArray[np.float64],
    rays: NDArray[np.float64],
    usable: NDArray[np.bool_],
) -> _Linear | None:
    """Linearise all observations about points `(J, 3)`; None where one lies behind a camera that saw it."""
    camera_points = points @ R.transpose(0, 2, 1) + t[:, None]
    depth = camera_points[..., 2]
    if np.where(usable, depth, 1.0).min() < _MIN_DEPTH_M:
        return None
    depth = np.maximum(depth, _MIN_DEPTH_M)
    flat = camera_points[..., :2] / depth[..., None]
    residual = np.where(usable[..., None], rays - flat, 0.0)
    sigma = NOISE_OF_PALM * PALM_M / np.median(depth, axis=1)
    weight = usable / sigma[:, None] ** 2
    by_camera_point = np.zeros((*depth.shape, 2, 3))
    by_camera_point[..., 0, 0] = by_camera_point[..., 1, 1] = 1 / depth
    by_camera_point[..., 2] = -flat / depth[..., None]
    by_point = by_camera_point @ R[:, None]
    weighted = by_point * weight[..., None, None]
    shape = np.einsum("vjai,vjak->jik", weighted, by_point)
    pull = np.einsum("vjai,vja->ji", weighted, residual)
    inverse = np.linalg.inv(shape + 1e-9 * np.trace(shape, axis1=1, axis2=2)[:, None, None] * np.eye(3))
    return _Linear(camera_points, residual, weight, by_camera_point, by_point, pull, inverse)


def _eliminate(
    R: NDArray[np.float64],
    t: NDArray[np.float64],
    rays: NDArray[np.float64],
    usable: NDArray[np.bool_],
    speed: NDArray[np.float64],
) -> Evidence | None:
    """Place the joints and eliminate them."""
    points = _meet(R, t, rays, usable)
    first = _linearise(R, t, points, rays, usable)
    linear = None if first is None else _linearise(R, t, points + first.step, rays, usable)
    if linear is None:
        return None
    count, joints = usable.shape
    by_camera = np.zeros((count, joints, 2, PARAMETERS))
    by_camera[..., TURN] = linear.by_camera_point @ _turned(linear.camera_points)
    by_camera[..., MOVE] = linear.by_camera_point
    by_camera[..., DELAY] = speed
    weighted = by_camera * linear.weight[..., None, None]
    size = count * PARAMETERS
    normal = np.zeros((count, PARAMETERS, count, PARAMETERS))
    own = weighted.reshape(count, -1, PARAMETERS).transpose(0, 2, 1) @ by_camera.reshape(count, -1, PARAMETERS)
    normal[np.arange(count), :, np.arange(count), :] = own
    coupling = (weighted.transpose(0, 1, 3, 2) @ linear.by_point).transpose(0, 2, 1, 3).reshape(size, joints, 3)
    solved = np.einsum("pji,jik->pjk", coupling, linear.inverse)
    reduced = normal.reshape(size, size) - solved.reshape(size, -1) @ coupling.reshape(size, -1).T
    gradient = np.einsum("vjap,vja->vp", weighted, linear.residual).reshape(size)
    gradient = gradient - np.einsum("pji,ji->p", solved, linear.pull)
    cost = float(np.einsum("vja,vj->", linear.residual**2, linear.weight))
    # What one more step of the points would take away is not the cameras' fault.
    cost -= float(np.einsum("ji,ji->", linear.pull, linear.step))
    rows = 2 * np.count_nonzero(usable) - 3 * joints
    evidence = Evidence(reduced, gradient, max(cost, 0.0), float(rows), usable.sum(axis=1).astype(np.float64))
    misfit = evidence.cost / max(rows, 1)
    return evidence if misfit <= _STRONGEST_MISFIT**2 else _muted(evidence, _STRONGEST_MISFIT**2 / misfit)


def _muted(evidence: Evidence, factor: float) -> Evidence:
    """The same with less weight, but of as many joints: what it asks for counts for less."""
    return replace(evidence.scaled(factor), rows=evidence.rows, joints=evidence.joints)


def _meet(
    R: NDArray[np.float64], t: NDArray[np.float64], rays: NDArray[np.float64], usable: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Where the rays of each joint meet `(J, 3)`, world, by linear least squares."""
    rows = rays[..., None] * R[:, None, 2:, :] - R[:, None, :2, :]
    right = t[:, None, :2] - rays * t[:, None, 2:]
    weighted = rows * usable[..., None, None]
    shape = np.einsum("vjri,vjrk->jik", weighted, rows)
    pull = np.einsum("vjri,vjr->ji", weighted, right)
    shape = shape + 1e-12 * np.trace(shape, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    points: NDArray[np.float64] = np.linalg.solve(shape, pull[..., None])[..., 0]
    return points


def _spread(part: Evidence, views: NDArray[np.intp], count: int) -> Evidence:
    """Put the evidence of some views into that of all."""
    places = (views[:, None] * PARAMETERS + np.arange(PARAMETERS)).ravel()
    normal = np.zeros((count * PARAMETERS, count * PARAMETERS))
    normal[np.ix_(places, places)] = part.normal
    gradient = np.zeros(count * PARAMETERS)
    gradient[places] = part.gradient
    joints = np.zeros(count)
    joints[views] = part.joints
    return Evidence(normal, gradient, part.cost, part.rows, joints)
