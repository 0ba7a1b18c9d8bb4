"""The scene of a session's rendered cameras: one copy in shared memory, and the pace that they keep together."""

from __future__ import annotations

import mmap
import pickle

import numpy as np
from numpy.typing import NDArray

from capture.errors import CaptureError
from capture.scene import Scene
from capture.shared_memory import Segment

_WORD = 8


class SceneShare:
    """Holds what every grabber process needs to render, so that starting one again never waits for it to be sent.

    Args:
        scene: What is filmed.
        cameras: How many cameras the rig has.

    Raises:
        CaptureError: If the scene cannot be pickled.
    """

    def __init__(self, scene: Scene, cameras: int) -> None:
        try:
            data = pickle.dumps(scene)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise CaptureError(
                f"scene {type(scene).__name__} cannot be pickled ({error}); grabber processes need their own copy: "
                "define its class at the top of a module, and hold no open files or locks"
            ) from error
        self._cameras = cameras
        self._length = len(data)
        self._segment = Segment(self._header_bytes + len(data), "use a smaller scene")
        self._segment.writable(self._header_bytes, len(data))[:] = np.frombuffer(data, dtype=np.uint8)

    @property
    def _header_bytes(self) -> int:
        page = mmap.ALLOCATIONGRANULARITY
        return -(-self._cameras * _WORD // page) * page

    def strides(self) -> NDArray[np.int64]:
        """Map one word a camera, for `Strides`."""
        return self._segment.writable(0, self._header_bytes).view(np.int64)[: self._cameras]

    def load(self) -> Scene:
        """Build this process's own copy of the scene."""
        data = self._segment.readable(self._header_bytes, self._length)
        scene: Scene = pickle.loads(data.data)  # noqa: S301 - pickled by this process's own parent
        return scene
