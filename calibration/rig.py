"""A rig: the calibrated cameras that see one volume, in a fixed order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError


@dataclass(frozen=True, eq=False)
class Rig:
    """Calibrated cameras in the order of every V axis.

    Args:
        cameras: At least one camera, each with its own id.
        name: A name for people.

    Raises:
        CalibrationError: If there is no camera or two share an id.
    """

    cameras: tuple[Camera, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not self.cameras:
            raise CalibrationError({"": ["no camera is listed; give at least one"]})
        ids = self.camera_ids
        if doubled := sorted({i for i in ids if ids.count(i) > 1}):
            raise CalibrationError({i: ["the id is used more than once; give each camera its own"] for i in doubled})

    @property
    def camera_ids(self) -> tuple[str, ...]:
        """Ids in the order of the V axis."""
        return tuple(camera.id for camera in self.cameras)

    @cached_property
    def id(self) -> str:
        """A short digest of everything that changes a projection: equal ids project equally."""
        digest = hashlib.sha256()
        for camera in self.cameras:
            digest.update(f"{camera.id}\0{camera.width}x{camera.height}\0{camera.model}\0".encode())
            # Coefficients that are left out are zeros, and minus zero is zero: neither changes a projection.
            distortion = np.zeros(8)
            distortion[: camera.distortion.size] = camera.distortion
            for values in (camera.K, distortion, camera.T_camera_world):
                digest.update(np.ascontiguousarray(values + 0.0, dtype="<f8").tobytes())
        return digest.hexdigest()[:12]

    def __len__(self) -> int:
        return len(self.cameras)

    def __iter__(self) -> Iterator[Camera]:
        return iter(self.cameras)

    def camera(self, camera_id: str) -> Camera:
        """Return the camera of that id.

        Raises:
            KeyError: If the rig has no such camera.
        """
        for camera in self.cameras:
            if camera.id == camera_id:
                return camera
        raise KeyError(f"no camera {camera_id!r} in the rig; it has {', '.join(self.camera_ids)}")

    def subset(self, camera_ids: tuple[str, ...]) -> Rig:
        """Return a rig of these cameras only, in the order given."""
        return Rig(tuple(self.camera(i) for i in camera_ids), self.name)

    def project(self, points_world: ArrayLike) -> NDArray[np.float64]:
        """Project points `(..., 3)` in metres into every view: pixels `(V, ..., 2)`, NaN behind a camera."""
        return np.stack([camera.project(points_world) for camera in self.cameras])
