"""What the terminal is told of cameras: which stopped and came back, and when too few are left to answer a hand."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from server.pipeline import CameraStatus

_log = logging.getLogger("usthand.cameras")

_BROKEN: Final = ("stalled", "lost", "failed")
_NEEDED: Final = 2
PATIENCE: Final = 4
"""So many times in a row a camera is found without pictures before that is said: a busy machine is late at times."""


class CameraLog:
    """Notes how cameras are, and warns where that has changed; a camera that is tried again is not back yet."""

    def __init__(self) -> None:
        self._broken: Counter[str] = Counter()
        self._too_few = False

    def note(self, cameras: Sequence[CameraStatus]) -> None:
        """Take in how all cameras of the rig are now; call it twice a second."""
        for camera in cameras:
            if camera.state in _BROKEN or (camera.state == "starting" and camera.id in self._broken):
                self._broken[camera.id] += 1
                if self._broken[camera.id] == PATIENCE:
                    _log.warning("camera %s: %s", camera.id, camera.message or "gives no pictures")
            elif self._broken.pop(camera.id, 0) >= PATIENCE and camera.state == "streaming":
                _log.warning("camera %s: gives pictures again", camera.id)
        left = [camera.id for camera in cameras if self._broken[camera.id] < PATIENCE]
        too_few = len(left) < _NEEDED
        if too_few and not self._too_few:
            given = f"only {left[0]} gives" if left else "no camera gives"
            _log.warning("%s pictures: a hand is placed by two views or more, so none can be answered", given)
        self._too_few = too_few
