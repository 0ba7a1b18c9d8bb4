"""From values read out of a file to cameras and a rig, with every reason why they cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.lens import DISTORTION_COUNTS, CameraModel
from calibration.rig import Rig

MAX_CAMERAS = 256


@dataclass
class CameraDraft:
    """Values of one camera as far as a file has them; None where it does not.

    Args:
        id: Camera id, or a stand-in for messages such as `cameras[2]`.
        problems: What is wrong so far; a draft with problems never becomes a camera.
    """

    id: str
    size: tuple[int, int] | None = None
    K: NDArray[np.float64] | None = None
    distortion: NDArray[np.float64] | None = None
    T_camera_world: NDArray[np.float64] | None = None
    model: CameraModel | None = None
    rms_px: float | None = None
    problems: list[str] = field(default_factory=list)

    def build(self) -> Camera | None:
        """Return the camera, or None with every problem noted.

        A missing value was noted by whoever read the file: a harmless one stands in, so that the others are checked.
        """
        model = self.model or (
            "fisheye" if self.distortion is not None and self.distortion.size == 4 else "brown-conrady"
        )
        distortion = np.zeros(DISTORTION_COUNTS[model][0]) if self.distortion is None else self.distortion
        width, height = self.size or _plausible_size(self.K)
        K = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]]) if self.K is None else self.K
        T = np.eye(4) if self.T_camera_world is None else self.T_camera_world
        try:
            camera = Camera(self.id, width, height, K, distortion, T, model, self.rms_px)
        except CalibrationError as error:
            for reasons in error.reasons.values():
                self.problems += [reason for reason in reasons if reason not in self.problems]
            return None
        return None if self.problems else camera


def check_camera_count(count: int) -> None:
    """Refuse a file that lists more cameras than any rig has, before they are looked at.

    Raises:
        CalibrationError: If there are more than `MAX_CAMERAS`.
    """
    if count > MAX_CAMERAS:
        raise CalibrationError({"": [f"{count} cameras are listed; at most {MAX_CAMERAS} can be used"]})


def rigid_transform(R: NDArray[np.float64] | None, t: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Join a rotation `(3, 3)` and a translation `(3,)` to a transform `(4, 4)`; None if one is missing."""
    if R is None or t is None:
        return None
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, t
    return T


def assemble_rig(drafts: Sequence[CameraDraft], problems: Sequence[str] = (), name: str = "") -> Rig:
    """Build the rig.

    Args:
        drafts: Cameras in the order of the V axis.
        problems: What is wrong with the file as a whole.
        name: A name for people.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    reasons: dict[str, list[str]] = {"": list(problems)} if problems else {}
    cameras = []
    ids = [draft.id for draft in drafts]
    for draft in drafts:
        camera = draft.build()
        if camera is not None:
            cameras.append(camera)
        if ids.count(draft.id) > 1:
            draft.problems.append("the id is used more than once; give each camera its own")
        if draft.problems:
            known = reasons.setdefault(draft.id, [])
            known += [problem for problem in draft.problems if problem not in known]
    if reasons:
        raise CalibrationError(reasons)
    return Rig(tuple(cameras), name)


def _plausible_size(K: NDArray[np.float64] | None) -> tuple[int, int]:
    if K is None or K.shape != (3, 3):
        return 1, 1
    return (
        round(float(np.clip(max(abs(K[0, 0]), abs(K[1, 1]), abs(2 * K[0, 2])), 1, 1e6))),
        round(float(np.clip(max(abs(K[0, 0]), abs(K[1, 1]), abs(2 * K[1, 2])), 1, 1e6))),
    )
