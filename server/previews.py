"""Pictures of the cameras as JPEG, made off the event loop and once for all who ask alike."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.overlay import OverlayPainter
from server.pipeline import Pipeline
from server.solved import Solved

JPEG_QUALITY: Final = 80
NARROWEST: Final = 16
WIDEST: Final = 4096

_MOST_CACHED: Final = 64
_BRIDGE_NS: Final = 1_000_000_000
"""How long a camera's last picture stands in while single frames of it are missing."""

_NEWEST_NS: Final = 3_000_000_000
"""An answer older than this shows nothing of now: all cameras are gone, or the engine is held up."""


class NoPictureError(LookupError):
    """There is no picture of the camera now; the text says why."""


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """What somebody wants to see.

    Args:
        camera_id: A camera of the rig.
        overlay: Whether hands are drawn on it.
        width: Of the picture in pixels; None, or more than the camera's, is the camera's.
    """

    camera_id: str
    overlay: bool
    width: int | None


@dataclass(frozen=True, eq=False, slots=True)
class Preview:
    """A picture as bytes.

    Args:
        jpeg: The file.
        sequence: The answer that it was made of.
        made_ns: When the answer was there, monotonic clock.
    """

    jpeg: bytes
    sequence: int
    made_ns: int


class Previews:
    """Makes previews of a pipeline's newest answer.

    Args:
        pipeline: Whose pictures.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._painter = OverlayPainter()
        # One thread: previews must not take the cores that the engine works on.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="usthand-preview")
        self._made: OrderedDict[PreviewRequest, Preview] = OrderedDict()
        self._under_way: dict[PreviewRequest, asyncio.Future[Preview]] = {}

    async def preview(self, request: PreviewRequest) -> Preview:
        """Return the newest picture.

        Raises:
            NoPictureError: If there is none.
        """
        newest = self._pipeline.latest
        made = self._made.get(request)
        if newest is not None and made is not None and made.sequence == newest.sequence and not _is_old(made.made_ns):
            return made
        under_way = self._under_way.get(request)
        if under_way is None:
            under_way = asyncio.get_running_loop().run_in_executor(self._executor, self._make, request)
            self._under_way[request] = under_way
            under_way.add_done_callback(lambda done: self._finish(request, done))
        # Shielded: one client that goes away must not cancel the picture of the others.
        return await asyncio.shield(under_way)

    def close(self) -> None:
        """Make no more pictures."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _finish(self, request: PreviewRequest, done: asyncio.Future[Preview]) -> None:
        del self._under_way[request]
        if done.cancelled() or done.exception() is not None:
            return
        self._made[request] = done.result()
        self._made.move_to_end(request)
        while len(self._made) > _MOST_CACHED:
            self._made.popitem(last=False)

    def _make(self, request: PreviewRequest) -> Preview:
        with self._pipeline.borrow() as solved:
            picture = None if solved is None or _is_old(solved.solved_ns) else _picture(solved, request)
        # From here on the frame set's memory is free again: the picture is a copy.
        if solved is None or picture is None:
            bridge = self._made.get(request)
            if bridge is not None and time.monotonic_ns() - bridge.made_ns < _BRIDGE_NS:
                return bridge
            raise NoPictureError(self._why_none(request.camera_id, solved))
        if request.overlay:
            self._painter.draw(picture, solved.rig.camera(request.camera_id), solved.hands)
        good, jpeg = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
        if not good:
            raise NoPictureError(f"camera {request.camera_id}: its picture could not be encoded")
        return Preview(jpeg.tobytes(), solved.sequence, solved.solved_ns)

    def _why_none(self, camera_id: str, solved: Solved | None) -> str:
        for status in self._pipeline.session.states():
            if status.id == camera_id:
                why = f"{status.state}{': ' if status.message else ''}{status.message}"
                return f"camera {camera_id}: no picture {'yet' if solved is None else 'now'} ({why})"
        return f"camera {camera_id}: no picture yet"


def _is_old(made_ns: int) -> bool:
    return time.monotonic_ns() - made_ns > _NEWEST_NS


def _picture(solved: Solved, request: PreviewRequest) -> NDArray[np.uint8] | None:
    frame = solved.frame_set.frames[solved.rig.camera_ids.index(request.camera_id)]
    if frame is None:
        return None
    height, width = frame.image_bgr.shape[:2]
    if request.width is None or request.width >= width:
        return frame.image_bgr.copy()
    size = (request.width, max(1, round(height * request.width / width)))
    return np.asarray(cv2.resize(frame.image_bgr, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
