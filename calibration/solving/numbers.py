"""The numbers of cameras that an adjustment turns: which there are, which are held, which are one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.camera import Camera
from calibration.solving.projection import lens_of, with_lens


@dataclass(frozen=True, eq=False, slots=True)
class LensBelief:
    """What is known of a lens before any picture: a mean and a standard deviation for each number.

    Args:
        mean: Values `(L,)` in the order of `lens_of`.
        sigma: Standard deviations `(L,)`: 0 holds a number at its mean, infinity says nothing.
        aspect_sigma: Standard deviation of fx / fy about 1; infinity says nothing.
    """

    mean: NDArray[np.float64]
    sigma: NDArray[np.float64]
    aspect_sigma: float = np.inf


class CameraNumbers:
    """All numbers of a rig's cameras in one vector: each camera's lens and then its place, camera by camera.

    A place's numbers are a turn by the camera's axes in radians and a shift in metres, after the turn.

    Args:
        cameras: The rig.
        beliefs: What is known of each lens, by camera id.
        moving: Ids of the cameras whose places are free.
        shared: Groups of camera ids that have one and the same lens; what is believed of the first holds for all.
        noise_px: What a measurement's error is expected to be, which weighs beliefs against it.

    Raises:
        ValueError: If lenses that are said to be one differ in their model or their values.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        beliefs: Mapping[str, LensBelief],
        moving: Collection[str],
        shared: Sequence[Collection[str]] = (),
        noise_px: float = 0.3,
    ) -> None:
        self._noise = noise_px
        sizes = [lens_of(camera).size for camera in cameras]
        starts = np.concatenate([[0], np.cumsum(np.array(sizes) + 6)])
        self.size = int(starts[-1])
        self.lens = [slice(int(a), int(a) + size) for a, size in zip(starts, sizes, strict=False)]
        self.place = [slice(lens.stop, lens.stop + 6) for lens in self.lens]
        self.own = [slice(lens.start, place.stop) for lens, place in zip(self.lens, self.place, strict=True)]
        first = _first_of_groups(cameras, shared)
        self._beliefs = [beliefs[c.id] if first[number] == number else None for number, c in enumerate(cameras)]
        # Rows are all numbers, columns those that are free: a number that is held has an empty row, and numbers that
        # are one have their one in the same column.
        columns = np.full(self.size, -1)
        count = 0
        for number, camera in enumerate(cameras):
            if first[number] == number:
                free = np.flatnonzero(beliefs[camera.id].sigma > 0)
                columns[self.lens[number].start + free] = count + np.arange(free.size)
                count += free.size
            else:
                columns[self.lens[number]] = columns[self.lens[first[number]]]
            if camera.id in moving:
                columns[self.place[number]] = count + np.arange(6)
                count += 6
        self.tie = np.zeros((self.size, count))
        free = np.flatnonzero(columns >= 0)
        self.tie[free, columns[free]] = 1.0

    def moved(self, cameras: Sequence[Camera], step: NDArray[np.float64]) -> tuple[Camera, ...]:
        """Return the cameras after a step `(Q,)` of all numbers.

        Raises:
            CalibrationError: If the step leads to what cannot be a camera.
        """
        moved = []
        for number, camera in enumerate(cameras):
            turn, shift = step[self.place[number]][:3], step[self.place[number]][3:]
            T = camera.T_camera_world.copy()
            if np.any(step[self.place[number]]):
                R = Rotation.from_rotvec(turn).as_matrix()
                T[:3, :3] = rigid(R @ T[:3, :3])
                T[:3, 3] = R @ T[:3, 3] + shift
            lens = step[self.lens[number]]
            changed = with_lens(camera, lens_of(camera) + lens) if np.any(lens) else camera
            moved.append(replace(changed, T_camera_world=T))
        return tuple(moved)

    def believed(self, cameras: Sequence[Camera]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return cost, gradient `(Q,)` and Hessian `(Q, Q)` of what is known of the lenses, in squared pixels."""
        cost, gradient, hessian = 0.0, np.zeros(self.size), np.zeros((self.size, self.size))
        for camera, own, belief in zip(cameras, self.lens, self._beliefs, strict=True):
            if belief is None:
                continue
            lens = lens_of(camera)
            weight = np.zeros(lens.size)
            told = np.isfinite(belief.sigma) & (belief.sigma > 0)
            weight[told] = (self._noise / belief.sigma[told]) ** 2
            off = lens - belief.mean
            cost += float(weight @ off**2) / 2
            gradient[own] += weight * off
            hessian[own, own] += np.diag(weight)
            if np.isfinite(belief.aspect_sigma):
                # fx / fy - 1 = 0, to first order in the difference.
                row = np.zeros(lens.size)
                row[:2] = (1.0 / lens[1], -1.0 / lens[1])
                pull = (self._noise / belief.aspect_sigma) ** 2
                aspect = lens[0] / lens[1] - 1.0
                cost += pull * aspect**2 / 2
                gradient[own] += pull * aspect * row
                hessian[own, own] += pull * np.outer(row, row)
        return cost, gradient, hessian


def _first_of_groups(cameras: Sequence[Camera], shared: Sequence[Collection[str]]) -> list[int]:
    """Return, for each camera, the number of the first one that has its lens."""
    first = list(range(len(cameras)))
    for group in shared:
        members = [number for number, camera in enumerate(cameras) if camera.id in group]
        for number in members[1:]:
            one, other = cameras[members[0]], cameras[number]
            if one.model != other.model or not np.array_equal(lens_of(one), lens_of(other)):
                raise ValueError(f"cameras {one.id} and {other.id} share a lens but differ in it; start them from one")
            first[number] = members[0]
    return first


def rigid(R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the rounding of many products out of rotations `(..., 3, 3)`."""
    U, _, Vt = np.linalg.svd(R)
    nearest: NDArray[np.float64] = U @ Vt
    return nearest


def turned(poses: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn poses `(F, 4, 4)` about their own origins by the world's axes, and shift them: steps `(F, 6)`."""
    moved = poses.copy()
    moved[:, :3, :3] = rigid(Rotation.from_rotvec(steps[:, :3]).as_matrix() @ poses[:, :3, :3])
    moved[:, :3, 3] += steps[:, 3:]
    return moved


def eliminated(
    H: NDArray[np.float64], across: NDArray[np.float64], inverse: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what is left of `H` `(q, q)` once others are eliminated (Schur complement).

    Args:
        H: The Hessian of what stays.
        across: Mixed derivatives `(F, q, k)` with each of F others of k numbers.
        inverse: Inverses `(F, k, k)` of the others' own Hessians.
    """
    shape = (len(H), across.shape[0] * across.shape[2])
    left = (across @ inverse).transpose(1, 0, 2).reshape(shape)
    reduced: NDArray[np.float64] = H - left @ across.transpose(1, 0, 2).reshape(shape).T
    return reduced


def inverted(H: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert a Hessian `(q, q)` whose numbers have units far apart; rows of numbers that nothing speaks of are zero."""
    root = np.sqrt(np.maximum(np.diag(H), 0.0))
    scale = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    # Unscaled, what is known little would be lost in the rounding of what is known well, and look certain.
    inverse: NDArray[np.float64] = np.linalg.pinv(H * np.outer(scale, scale), hermitian=True) * np.outer(scale, scale)
    return inverse
