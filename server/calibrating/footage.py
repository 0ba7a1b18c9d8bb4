"""Every sight of a board in a rig's footage, with the time at which it was taken."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import CalibrationError, Rig
from calibration.boards import Board, BoardDetection, BoardDetector, Refusal
from calibration.boards.detection import UNMIRROR
from calibration.boards.hints import explain_absence
from capture.errors import CaptureError
from capture.frames import Frame
from capture.rig_config import RigConfig
from capture.session import CaptureSession
from capture.uncalibrated import stand_in_rig

WORKERS: Final = 2
_WAITING_PER_WORKER = 4
_POLL_S = 0.5
_SILENCE_POLLS = 120
_PICTURES_FOR_HINTS = 3
_UNSEEN: Final = "hold the board where this camera sees it, or leave the camera out of the rig file"
_REMEDIES: Final[Mapping[str, str]] = {
    "blurred": "hold the board still, shorten the exposure, or focus the camera",
    "too-small": "bring the board closer, or print a larger one",
    "too-few-corners": "hold the whole board into the picture, uncovered",
    "in-a-line": "hold the whole board into the picture, uncovered",
    "mirrored": UNMIRROR,
    "not-this-board": "check columns x rows, and that the board is flat",
}


@dataclass(frozen=True, eq=False, slots=True)
class Sight:
    """One camera's sight of the board.

    Args:
        camera_id: The camera.
        instant: Number of the frame set.
        timestamp_ns: When this camera's picture was taken.
        corner_ids: Which corners `(N,)`.
        corners_px: Where `(N, 2)`, distorted pixels.
        edge_px: How blurred, as `calibration.boards.BoardDetection` has it.
    """

    camera_id: str
    instant: int
    timestamp_ns: int
    corner_ids: NDArray[np.int64]
    corners_px: NDArray[np.float64]
    edge_px: float


@dataclass(frozen=True, eq=False, slots=True)
class Footage:
    """What was seen of the board.

    Args:
        sizes: Width and height of each camera's pictures, pixels, in the rig's order.
        frame_sets: How many were read.
        sights: Where the board was found, by instant and then in the rig's order.
        refused: How many pictures of each camera gave no sight, by the reason.
        instants_ns: Median time of the pictures in each frame set.
    """

    sizes: Mapping[str, tuple[int, int]]
    frame_sets: int
    sights: tuple[Sight, ...]
    refused: Mapping[str, Mapping[str, int]]
    instants_ns: Mapping[int, int]


class _Detectors(threading.local):
    """A detector for each thread."""

    def __init__(self, board: Board) -> None:
        self.detector = BoardDetector(board)


def read_footage(
    config: RigConfig, board: Board, advance: Callable[[str], None] = lambda _: None, every: int = 1
) -> Footage:
    """Read a rig's footage without loss, and look for the board in every picture.

    Args:
        config: The rig; a calibration that it names is not read.
        board: What to look for.
        advance: Told about each frame set.
        every: Look at one frame set in so many; the others are read and passed over.

    Raises:
        CaptureError: If the footage cannot be read.
        CalibrationError: If a camera never saw the board: what it saw instead, where that can be told.
    """
    rig = stand_in_rig(config)
    reader = _Reader(board, rig.camera_ids)
    threads = cv2.getNumThreads()
    # The workers are what runs side by side: OpenCV's own threads would only get in their way.
    cv2.setNumThreads(1)
    try:
        _read(reader, config, rig, advance, every)
    finally:
        cv2.setNumThreads(threads)
    if not reader.instants_ns:
        raise CaptureError("no frame set came from the rig; check the sources, and that max_skew_ms fits")
    order = {camera_id: place for place, camera_id in enumerate(rig.camera_ids)}
    footage = Footage(
        MappingProxyType({camera.id: (camera.width, camera.height) for camera in rig}),
        len(reader.instants_ns),
        tuple(sorted(reader.sights, key=lambda s: (s.instant, order[s.camera_id]))),
        MappingProxyType({i: MappingProxyType(dict(counts)) for i, counts in reader.refused.items()}),
        MappingProxyType(dict(reader.instants_ns)),
    )
    _require_sights(footage, board, reader.without)
    return footage


def _read(reader: _Reader, config: RigConfig, rig: Rig, advance: Callable[[str], None], every: int) -> None:
    """Give the reader every frame set that is to be looked at."""
    with CaptureSession(config, rig, mode="lossless") as session, ThreadPoolExecutor(WORKERS) as workers:
        silent = 0
        while not session.finished:
            frame_set = session.next(_POLL_S)
            if frame_set is None:
                silent += 1
                if silent > _SILENCE_POLLS:
                    raise CaptureError(f"no frame set came for {silent * _POLL_S:g} s; check the sources")
                continue
            silent = 0
            if frame_set.id % every:
                frame_set.release()
                continue
            with frame_set:
                frames = [frame for frame in frame_set.frames if frame is not None]
                reader.instants_ns[frame_set.id] = int(np.median([frame.timestamp_ns for frame in frames]))
                for frame in frames:
                    reader.submit(workers, frame_set.id, frame)
            advance(f"{len(reader.sights)} sights of the board")
        reader.finish()


class _Reader:
    """Keeps detections going on all workers, and their results in one place."""

    def __init__(self, board: Board, camera_ids: tuple[str, ...]) -> None:
        self.sights: list[Sight] = []
        self.refused: dict[str, Counter[str]] = {i: Counter() for i in camera_ids}
        self.instants_ns: dict[int, int] = {}
        self.without: dict[str, deque[NDArray[np.uint8]]] = {i: deque(maxlen=_PICTURES_FOR_HINTS) for i in camera_ids}
        self._own = _Detectors(board)
        self._waiting: deque[tuple[int, str, int, NDArray[np.uint8], Future[BoardDetection | Refusal]]] = deque()

    def submit(self, workers: ThreadPoolExecutor, instant: int, frame: Frame) -> None:
        # The ring takes its memory back: the grey copy is what detection needs anyway.
        grey = np.asarray(cv2.cvtColor(frame.image_bgr, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        found = workers.submit(lambda: self._own.detector.detect(grey))
        self._waiting.append((instant, frame.camera_id, frame.timestamp_ns, grey, found))
        while len(self._waiting) > _WAITING_PER_WORKER * WORKERS:
            self._take()

    def finish(self) -> None:
        while self._waiting:
            self._take()

    def _take(self) -> None:
        instant, camera_id, timestamp_ns, grey, future = self._waiting.popleft()
        found = future.result()
        if isinstance(found, BoardDetection):
            sight = Sight(camera_id, instant, timestamp_ns, found.corner_ids, found.corners_px, found.edge_px)
            self.sights.append(sight)
            return
        counts = self.refused[camera_id]
        counts[found.reason] += 1
        # The 1st, 2nd, 4th, 8th... that shows nothing: pictures from all over the footage, for hints.
        if counts.total() & (counts.total() - 1) == 0:
            self.without[camera_id].append(grey)


def _require_sights(footage: Footage, board: Board, without: Mapping[str, deque[NDArray[np.uint8]]]) -> None:
    seen = {sight.camera_id for sight in footage.sights}
    blind = [camera_id for camera_id in footage.sizes if camera_id not in seen]
    if not blind:
        return
    reasons = {}
    for camera_id in blind:
        # What was seen of the board says more than the pictures without it.
        counted = {r: n for r, n in footage.refused[camera_id].items() if r != "no-board"}
        counts = ", ".join(f"{reason}: {count}" for reason, count in footage.refused[camera_id].items())
        hint = explain_absence(board, without[camera_id])
        remedy = hint or (_REMEDIES[max(counted, key=lambda r: counted[r])] if counted else _UNSEEN)
        reasons[camera_id] = [f"board {board.spec} was found in none of its pictures ({counts}); {remedy}"]
    raise CalibrationError(reasons)
