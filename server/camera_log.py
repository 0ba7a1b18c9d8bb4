"""What the terminal is told of cameras: which stopped and came back, and when too few are left to answer a hand."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from server.pipeline import CameraStatus

_log = logging.getLogger("usthand.cameras")

_BROKEN: Final = ("stalled", "lost", "failed")
_NEEDED: Final = 2


class CameraLog:
    """Notes how cameras are, and warns where that has changed; a camera that is tried again is not back yet."""

    def __init__(self) -> None:
        self._broken: set[str] = set()
        self._too_few = False

    def note(self, cameras: Sequence[CameraStatus]) -> None:
        """Take in how all cameras of the rig are now."""
        for camera in cameras:
            if camera.state in _BROKEN and camera.id not in self._broken:
                self._broken.add(camera.id)
                _log.warning("camera %s: %s", camera.id, camera.message)
            elif camera.state == "streaming" and camera.id in self._broken:
                self._broken.discard(camera.id)
                _log.warning("camera %s: gives pictures again", camera.id)
        left = [camera.id for camera in cameras if camera.id not in self._broken]
        too_few = len(left) < _NEEDED
        if too_few and not self._too_few:
            given = f"only {left[0]} gives" if left else "no camera gives"
            _log.warning("%s pictures: a hand is placed by two views or more, so none can be answered", given)
        self._too_few = too_few
