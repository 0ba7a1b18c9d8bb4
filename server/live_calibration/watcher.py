"""The thread that looks for the board in copies of the newest pictures, now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import Camera, Rig
from calibration.boards import Board, BoardDetection, BoardDetector
from server.calibrating.footage import Sight
from server.live_calibration.pictures import small
from server.live_calibration.sightings import Look, Sightings
from server.solved import Solved

_log = logging.getLogger("usthand.calibration")

PERIOD_S: Final = 0.2
"""At most so often: a hand moves the board by little in it."""

SHARE: Final = 0.3
"""Of one core: the engine needs the rest, and a slower look costs nothing but patience."""

_IDLE_S: Final = 0.05


class Watcher:
    """Looks for the board outside the engine's thread.

    Args:
        borrow: Lends the newest frame set, pixels included; held for a copy only.
        board: What to look for.
        sightings: Where looks go.
    """

    def __init__(
        self, borrow: Callable[[], AbstractContextManager[Solved | None]], board: Board, sightings: Sightings
    ) -> None:
        self._borrow = borrow
        self._board = board
        self._sightings = sightings
        self._paused = threading.Event()
        self._stopping = threading.Event()
        self._newest = -1
        self.error = ""
        self._thread = threading.Thread(target=self._run, name="usthand-board", daemon=True)
        self._thread.start()

    def pause(self, paused: bool) -> None:
        """Look no more for a while, or again."""
        (self._paused.set if paused else self._paused.clear)()

    def stop(self, timeout_s: float = 3.0) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        detector = BoardDetector(self._board)
        instant = 0
        wait_s = _IDLE_S
        while not self._stopping.wait(wait_s):
            wait_s = _IDLE_S
            if self._paused.is_set():
                continue
            start, start_cpu = time.monotonic(), time.thread_time()
            try:
                taken = self._take()
                if taken is None:
                    continue
                at_ns, rig, pictures = taken
                looks = [self._look(detector, instant, rig, picture) for picture in pictures]
                self._sightings.add(instant, at_ns, looks)
                self.error = ""
            except Exception as error:  # noqa: BLE001 - one frame set is lost, not the session; it is said
                self.error = f"{type(error).__name__}: {error}"
                _log.exception("a frame set was not looked at for the board")
            instant += 1
            # Of its own time: a machine that is busy otherwise is no reason to look even less.
            rest_s = (time.thread_time() - start_cpu) * (1 / SHARE - 1)
            wait_s = max(PERIOD_S - (time.monotonic() - start), rest_s, 0.0)

    def _take(self) -> tuple[int, Rig, list[_Picture]] | None:
        """Copy the newest pictures; None if there are no new ones."""
        with self._borrow() as solved:
            if solved is None or solved.sequence == self._newest:
                return None
            self._newest = solved.sequence
            frames = [frame for frame in solved.frame_set.frames if frame is not None]
            if not frames:
                return None
            pictures = [
                _Picture(
                    f.camera_id,
                    f.timestamp_ns,
                    np.asarray(cv2.cvtColor(f.image_bgr, cv2.COLOR_BGR2GRAY), dtype=np.uint8),
                    small(f.image_bgr),
                )
                for f in frames
            ]
            return int(np.median([frame.timestamp_ns for frame in frames])), solved.rig, pictures

    def _look(self, detector: BoardDetector, instant: int, rig: Rig, picture: _Picture) -> Look:
        size = (picture.grey.shape[1], picture.grey.shape[0])
        camera = rig.camera(picture.camera_id)
        found = detector.detect(picture.grey)
        if not isinstance(found, BoardDetection):
            return Look(camera.id, size, found, picture_bgr=picture.small_bgr)
        tilt_deg = tilt_of(camera, self._board, found) if (camera.width, camera.height) == size else float("nan")
        sight = Sight(camera.id, instant, picture.at_ns, found.corner_ids, found.corners_px, found.edge_px)
        return Look(camera.id, size, sight, tilt_deg, picture.small_bgr)


@dataclass(frozen=True, eq=False, slots=True)
class _Picture:
    camera_id: str
    at_ns: int
    grey: NDArray[np.uint8]
    small_bgr: NDArray[np.uint8]


def tilt_of(camera: Camera, board: Board, found: BoardDetection) -> float:
    """Return how far a board is turned from facing a camera, degrees; NaN where its lens cannot say.

    The running calibration is good enough for this, also where it is bad.
    """
    rays = camera.unproject(found.corners_px)
    if not np.isfinite(rays).all():
        return float("nan")
    points = np.ascontiguousarray(board.points_board[found.corner_ids])
    done, turn, _ = cv2.solvePnP(points, np.ascontiguousarray(rays[:, None]), np.eye(3), np.zeros(5))
    if not done:
        return float("nan")
    normal = cv2.Rodrigues(turn)[0][:, 2]
    sight = np.append(rays.mean(axis=0), 1.0)
    return float(np.degrees(np.arccos(np.clip(abs(normal @ sight) / np.linalg.norm(sight), 0, 1))))
