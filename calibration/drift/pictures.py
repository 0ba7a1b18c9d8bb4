"""The cameras' reference pictures, and how far each camera has turned since its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from calibration.drift.background import Landmarks, PictureMotion, find_landmarks, picture_motion
from calibration.drift.config import DriftConfig
from calibration.rig import Rig


class ReferencePictures:
    """Compares the cameras' pictures with those of the time from which on the calibration is in use.

    Args:
        rig: The cameras.
        config: When a picture says that its camera moved.
    """

    def __init__(self, rig: Rig, config: DriftConfig) -> None:
        self._rig = rig
        self._config = config
        self._references: dict[int, Landmarks] = {}
        self._looks: dict[int, deque[PictureMotion | None]] = {}

    def look(self, view: int, image_bgr: NDArray[np.uint8]) -> None:
        """Take in a camera's newest picture; the first after a change of the calibration is the reference.

        The first that shows anything: a camera's very first picture may be black, and would be compared with forever.
        """
        now = find_landmarks(image_bgr)
        reference = self._references.get(view)
        if reference is None:
            if now.telling:
                self._references[view] = now
            return
        looks = self._looks.setdefault(view, deque(maxlen=max(2, self._config.picture_looks)))
        looks.append(picture_motion(self._rig.cameras[view], reference, now))

    def motion(self, view: int) -> PictureMotion | None:
        """How the camera turned by its newest picture; None while that is not known."""
        looks = self._looks.get(view)
        return looks[-1] if looks else None

    def moved(self, view: int) -> bool:
        """Whether the last pictures all say that the camera was moved."""
        return self._all(view, lambda motion: motion.turned_deg >= self._config.picture_turn_deg)

    def at_rest(self, view: int) -> bool:
        """Whether the last pictures all say that the camera is where it was."""
        return self._all(view, lambda motion: motion.turned_deg <= self._config.picture_back_deg)

    def in_doubt(self, view: int) -> bool:
        """Whether the newest picture says something new, so that another should follow soon."""
        motion = self.motion(view)
        if motion is None:
            return False
        settled = self.moved(view) or self.at_rest(view)
        return motion.turned_deg >= self._config.picture_doubt_deg and not settled

    def restart(self, rig: Rig) -> None:
        """Take new references: the calibration is another one."""
        self._rig = rig
        self._references.clear()
        self._looks.clear()

    def forget(self, view: int) -> None:
        """Take a new reference of one camera."""
        self._references.pop(view, None)
        self._looks.pop(view, None)

    def _all(self, view: int, says: Callable[[PictureMotion], bool]) -> bool:
        looks = list(self._looks.get(view, ()))[-self._config.picture_looks :]
        return len(looks) == self._config.picture_looks and all(m is not None and says(m) for m in looks)
