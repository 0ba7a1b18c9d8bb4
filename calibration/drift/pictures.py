"""The cameras' reference pictures, and how far each camera has turned since its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.drift.background import Landmarks, PictureMotion, find_landmarks, picture_motion
from calibration.drift.config import DriftConfig
from calibration.rig import Rig

# Far turns are known less well.
_APART_SHARE: Final = 0.1


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
        """Whether the last pictures all say that the camera was moved, and that it stands still since."""
        newest = self.motion(view)
        if newest is None:
            return False
        turn = np.array(newest.turn_rad)

        def says(motion: PictureMotion) -> bool:
            apart_deg = np.degrees(np.linalg.norm(turn - motion.turn_rad))
            still = apart_deg <= self._config.picture_apart_deg + _APART_SHARE * newest.turned_deg
            return bool(still) and motion.turned_deg >= self._config.picture_turn_deg

        return self._all(view, says)

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
