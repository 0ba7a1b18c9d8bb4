"""Made-up calibrated rigs around the working volume of the rendered hands.

World frame of everything synthetic: metres, right-handed, +z up, origin in the middle of the working volume. The person
whose hands are seen sits at -y and looks along +y, so that +x is to their right; the cameras stand around +y.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig

RigKind = Literal["dome", "ring"]

MAX_VIEWS: Final = 8

_FOCAL_PER_WIDTH: Final = 1.1
_ARC_DEG: Final = {1: 0.0, 2: 60.0, 3: 80.0, 4: 90.0, 5: 100.0, 6: 110.0, 7: 115.0, 8: 120.0}


def make_rig(views: int, seed: int, width: int = 640, height: int = 480, kind: RigKind = "dome") -> Rig:
    """Place cameras that all see the origin, 0.55 to 0.7 m away from it, with mild Brown-Conrady distortion.

    Args:
        views: How many cameras, 1 to 8.
        seed: Equal seeds give equal rigs.
        width: Image width, pixels.
        height: Image height, pixels.
        kind: "dome" spreads the cameras over an arc in front of the person, alternately low and high; "ring" spreads
            them all around.

    Returns:
        Cameras `cam0`, `cam1`, ... from the person's right to their left, in the synthetic world frame.

    Raises:
        ValueError: If `views` is out of range or the kind is not known.
    """
    if not 1 <= views <= MAX_VIEWS:
        raise ValueError(f"{views} views were asked for; a synthetic rig has 1 to {MAX_VIEWS}")
    rng = np.random.default_rng([seed, 0x716])
    match kind:
        case "dome":
            azimuths = np.linspace(-0.5, 0.5, views) * _ARC_DEG[views] if views > 1 else np.zeros(1)
        case "ring":
            azimuths = np.arange(views) * 360.0 / views
        case _:
            raise ValueError(f"rig kind {kind!r} is not known; use dome or ring")
    cameras = []
    for number, azimuth in enumerate(azimuths):
        elevation = (8.0 if number % 2 == 0 else 28.0) + rng.uniform(-5.0, 5.0)
        angle, rise = np.radians(90.0 + azimuth + rng.uniform(-4.0, 4.0)), np.radians(elevation)
        direction = np.array([np.cos(angle) * np.cos(rise), np.sin(angle) * np.cos(rise), np.sin(rise)])
        center = direction * rng.uniform(0.55, 0.7)
        cameras.append(
            Camera(
                id=f"cam{number}",
                width=width,
                height=height,
                K=_intrinsics(rng, width, height),
                distortion=np.array([*rng.uniform((-0.12, 0.0), (-0.04, 0.05)), *rng.normal(0.0, 4e-4, 2), 0.0]),
                T_camera_world=look_at(center, rng.normal(0.0, 0.01, 3), np.radians(rng.uniform(-4.0, 4.0))),
            )
        )
    return Rig(tuple(cameras), name=f"synthetic-{kind}-{views}")


def look_at(
    center_world: NDArray[np.float64], target_world: NDArray[np.float64], roll: float = 0.0
) -> NDArray[np.float64]:
    """Aim a camera, its image upright in a world with +z up.

    Args:
        center_world: Optical centre `(3,)`, metres; not straight above or below the target.
        target_world: The point on the optical axis `(3,)`, metres.
        roll: Turn about the optical axis, radians.

    Returns:
        `T_camera_world` `(4, 4)`.
    """
    forward = target_world - center_world
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cosine, sine = np.cos(roll), np.sin(roll)
    R = np.stack([cosine * right + sine * down, cosine * down - sine * right, forward])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, -R @ center_world
    return T


def _intrinsics(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    focal = _FOCAL_PER_WIDTH * width * rng.uniform(0.97, 1.03)
    cx, cy = (np.array([width, height]) - 1.0) / 2.0 + rng.normal(0.0, 0.008 * width, 2)
    return np.array([[focal, 0.0, cx], [0.0, focal * rng.uniform(0.998, 1.002), cy], [0.0, 0.0, 1.0]])
