"""Frames of one set that were not exposed at one instant, taken as if they were: for one hand, by its velocity.

A hand that goes on by w between the set's instant and a camera's exposure stands before that camera as it stood at the
set's instant before the camera moved by -w. So each hand gets a rig of its own, for which the frames are of one
instant, and all geometry is that of synchronised cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import FrameSet

# Less than what the networks' own noise moves a joint.
_LITTLE_M = 0.5e-3


@dataclass(frozen=True, eq=False, slots=True)
class Instant:
    """The instant of a frame set, and how far its frames are from it.

    Args:
        rig: The cameras.
        late_s: How much later each view was exposed `(V,)`, seconds; 0 for a view that is missing.
    """

    rig: Rig
    late_s: NDArray[np.float64]

    @classmethod
    def of(cls, frame_set: FrameSet, rig: Rig) -> Instant:
        """That of a set with a frame at least."""
        now_ns = frame_set.timestamp_ns
        late_ns = [0 if frame is None else frame.timestamp_ns - now_ns for frame in frame_set.frames]
        return cls(rig, np.array(late_ns) * 1e-9)

    def rig_for(self, velocity_m_s: NDArray[np.float64]) -> Rig:
        """The rig for which the frames are of one instant, for a hand of a velocity `(3,)`, world."""
        if not self.matters(velocity_m_s):
            return self.rig
        ways = -self.late_s[:, None] * velocity_m_s
        return Rig(tuple(camera.moved(way) for camera, way in zip(self.rig, ways, strict=True)), self.rig.name)

    def matters(self, velocity_m_s: NDArray[np.float64]) -> bool:
        """Whether a hand of a velocity, or one whose velocity is wrong by so much, moves between the exposures."""
        return bool(np.abs(self.late_s).max() * np.linalg.norm(velocity_m_s) > _LITTLE_M)
