"""A calibrated camera: intrinsics with lens distortion, and its place in the world.

Conventions of the whole project stand here: camera axes are OpenCV's (+x right, +y down, +z forward), integer pixel
coordinates are pixel centres, lengths are metres, and `T_a_b` maps coordinates in b to coordinates in a.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import CalibrationError
from calibration.lens import DISTORTION_COUNTS, CameraModel, distort, invertible_radius, undistort

_ROTATION_TOLERANCE = 1e-3
_MAX_DISTORTION = 1e6
# Of the focal length: the sides of pixels that are 6 degrees from upright to each other.
_MAX_SKEW = 0.1
_MAX_DISTANCE_M = 1e3
_MIN_DEPTH_M = 1e-6


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole or fisheye camera with its pose in the world.

    Args:
        id: The name that rig files, messages and previews use.
        width: Image width in pixels.
        height: Image height in pixels.
        K: Intrinsic matrix `(3, 3)`, pixels.
        distortion: OpenCV's order; 5 or 8 numbers (`brown-conrady`) or 4 (`fisheye`).
        T_camera_world: Rigid transform `(4, 4)` from world to camera coordinates, metres.
        model: The lens model.
        rms_px: Reprojection error that the calibration reported, if it did.

    Raises:
        CalibrationError: If a value cannot be a camera's; every reason is listed.
    """

    id: str
    width: int
    height: int
    K: NDArray[np.float64]
    distortion: NDArray[np.float64] = field(default_factory=lambda: np.zeros(5))
    T_camera_world: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    model: CameraModel = "brown-conrady"
    rms_px: float | None = None

    def __post_init__(self) -> None:
        for name in ("K", "distortion", "T_camera_world"):
            value = np.array(getattr(self, name), dtype=np.float64)
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        with np.errstate(all="ignore"):
            reasons = self._problems()
        if reasons:
            raise CalibrationError({self.id: reasons})

    def _problems(self) -> list[str]:
        problems: list[str] = []
        if self.model not in get_args(CameraModel):
            return [f"model {self.model!r} is not known; use one of {', '.join(get_args(CameraModel))}"]
        if self.width <= 0 or self.height <= 0:
            problems.append(f"image size {self.width}x{self.height} is not positive")
        if self.K.shape != (3, 3) or not np.isfinite(self.K).all():
            problems.append("K must be 3x3 with finite numbers")
        else:
            problems += self._intrinsic_problems()
        counts = DISTORTION_COUNTS[self.model]
        if self.distortion.ndim != 1 or self.distortion.size not in counts:
            problems.append(
                f"distortion has {self.distortion.size} numbers; {self.model} takes {' or '.join(map(str, counts))}"
            )
        elif not np.isfinite(self.distortion).all():
            problems.append("distortion has a number that is not finite")
        elif np.abs(self.distortion).max() > _MAX_DISTORTION:
            problems.append(f"distortion has {np.abs(self.distortion).max():.3g}; no lens has more than 1e6")
        return problems + self._transform_problems()

    def _intrinsic_problems(self) -> list[str]:
        problems = []
        fx, fy, cx, cy = self.K[0, 0], self.K[1, 1], self.K[0, 2], self.K[1, 2]
        if fx <= 0 or fy <= 0:
            problems.append(f"focal length ({fx:g}, {fy:g}) px must be positive")
        elif max(fx, fy) > 100 * max(self.width, self.height) or max(fx / fy, fy / fx) > 4:
            problems.append(
                f"focal length ({fx:g}, {fy:g}) px does not fit an image of {self.width}x{self.height}; is K in pixels?"
            )
        if not (-self.width <= cx <= 2 * self.width and -self.height <= cy <= 2 * self.height):
            problems.append(
                f"principal point ({cx:g}, {cy:g}) px is far outside the image of {self.width}x{self.height}"
            )
        if not np.allclose(self.K[2], (0, 0, 1)) or self.K[1, 0] != 0:
            problems.append("K must be upper triangular with last row 0 0 1")
        if abs(self.K[0, 1]) > _MAX_SKEW * abs(fx):
            problems.append(
                f"K has a skew of {self.K[0, 1]:g} px, which no sensor has; does the principal point stand in the "
                "second column? It belongs into the third"
            )
        return problems

    def _transform_problems(self) -> list[str]:
        T = self.T_camera_world
        if T.shape != (4, 4) or not np.isfinite(T).all():
            return ["T_camera_world must be 4x4 with finite numbers"]
        R = T[:3, :3]
        problems = []
        deviation = float(np.abs(R @ R.T - np.eye(3)).max())
        if not deviation <= _ROTATION_TOLERANCE or np.linalg.det(R) < 0:
            problems.append(
                f"the rotation of T_camera_world is not one (R R^T is off by {deviation:.2g}, determinant "
                f"{np.linalg.det(R):.3g}); give an orthonormal matrix with determinant +1"
            )
        if not np.allclose(T[3], (0, 0, 0, 1)):
            problems.append("the last row of T_camera_world must be 0 0 0 1")
        if not (distance_m := float(np.linalg.norm(T[:3, 3]))) <= _MAX_DISTANCE_M:
            problems.append(f"the world's origin is {distance_m:.4g} m away; is the translation in another unit?")
        return problems

    @property
    def center_world(self) -> NDArray[np.float64]:
        """Optical centre `(3,)` in world coordinates, metres."""
        R, t = self.T_camera_world[:3, :3], self.T_camera_world[:3, 3]
        center: NDArray[np.float64] = -R.T @ t
        return center

    def to_camera(self, points_world: ArrayLike) -> NDArray[np.float64]:
        """Move points `(..., 3)` from world to camera coordinates, metres."""
        points = np.asarray(points_world, dtype=np.float64)
        moved: NDArray[np.float64] = points @ self.T_camera_world[:3, :3].T + self.T_camera_world[:3, 3]
        return moved

    def project(self, points_world: ArrayLike) -> NDArray[np.float64]:
        """Project world points to pixels.

        Args:
            points_world: Points `(..., 3)`, metres.

        Returns:
            Distorted pixels `(..., 2)`; NaN where a point is not in front of the camera, or so far off its axis that
            the lens model is not invertible there and would fold it back into the image.
        """
        return self.project_camera(self.to_camera(points_world))

    def project_camera(self, points_camera: ArrayLike) -> NDArray[np.float64]:
        """Project points `(..., 3)` in camera coordinates to distorted pixels `(..., 2)`; NaN as in `project`."""
        points = np.asarray(points_camera, dtype=np.float64)
        flat = points.reshape(-1, 3)
        depth = flat[:, 2:]
        rays = flat[:, :2] / np.maximum(depth, _MIN_DEPTH_M)
        seen = (depth[:, 0] > _MIN_DEPTH_M) & (np.hypot(rays[:, 0], rays[:, 1]) <= self._invertible_radius)
        # Mostly all are seen: to sort them out would cost as much again.
        if seen.all():
            return self._pixels(rays).reshape(*points.shape[:-1], 2)
        pixels = np.full((len(flat), 2), np.nan)
        pixels[seen] = self._pixels(rays[seen])
        return pixels.reshape(*points.shape[:-1], 2)

    def _pixels(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distorted pixels `(N, 2)` of rays `(N, 2)` within the invertible range."""
        if self._distorts:
            rays = distort(rays, self.distortion, self.model)
        pixels: NDArray[np.float64] = rays @ self.K[:2, :2].T + self.K[:2, 2]
        return pixels

    def unproject(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Undo projection and distortion.

        Args:
            pixels: Distorted pixels `(..., 2)`.

        Returns:
            Normalised coordinates `(..., 2)`: the ray is `(x, y, 1)` in camera coordinates. NaN where the lens model
            cannot be inverted, which is where it maps no ray to that pixel.
        """
        pixels = np.asarray(pixels, dtype=np.float64)
        flat = pixels.reshape(-1, 2)
        y = (flat[:, 1] - self.K[1, 2]) / self.K[1, 1]
        x = (flat[:, 0] - self.K[0, 2] - self.K[0, 1] * y) / self.K[0, 0]
        rays = np.column_stack([x, y])
        if self._distorts:
            rays = undistort(rays, self.distortion, self.model, self._invertible_radius)
        return rays.reshape(pixels.shape)

    @cached_property
    def _distorts(self) -> bool:
        return self.model == "fisheye" or bool(self.distortion.any())

    @cached_property
    def _invertible_radius(self) -> float:
        return invertible_radius(self.distortion, self.model)

    def contains(self, pixels: ArrayLike, margin_px: float = 0.0) -> NDArray[np.bool_]:
        """Say which pixels `(..., 2)` lie inside the image, grown by a margin; NaN is outside."""
        pixels = np.asarray(pixels, dtype=np.float64)
        x, y = pixels[..., 0], pixels[..., 1]
        return np.asarray(
            (x >= -0.5 - margin_px)
            & (x <= self.width - 0.5 + margin_px)
            & (y >= -0.5 - margin_px)
            & (y <= self.height - 0.5 + margin_px)
        )

    def moved(self, way_world: NDArray[np.float64]) -> Camera:
        """Return the same camera, further on in the world by `(3,)`, metres."""
        # What is known of its lens goes along.
        _ = self._distorts, self._invertible_radius
        camera = copy.copy(self)
        T = self.T_camera_world.copy()
        T[:3, 3] -= T[:3, :3] @ way_world
        T.setflags(write=False)
        # Nothing that was checked changes: this is done for every hand in every frame set.
        object.__setattr__(camera, "T_camera_world", T)
        return camera

    def with_transform(self, T_camera_world: ArrayLike) -> Camera:
        """Return the same camera at another place in the world."""
        return replace(self, T_camera_world=np.asarray(T_camera_world, dtype=np.float64))
