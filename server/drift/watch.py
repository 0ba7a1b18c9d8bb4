"""The thread that shows hands and pictures to the drift monitor, and masks what it names."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from calibration import Rig
from calibration.drift import DriftMonitor, Sighting, Verdict
from capture.frames import Frame
from server.drift.policy import Policy, consequence
from server.drift.status import DriftStatus
from server.pipeline import Pipeline
from server.solved import Solved

_log = logging.getLogger("usthand.drift")

_JUDGE_S: Final = 0.5
_LOOK_S: Final = 3.0
_LOOK_AGAIN_S: Final = 0.5
# A picture bears out another one that was exposed so much before it; frames come when they come.
_LATER_NS: Final = 400_000_000
# Pictures of one camera in a row: one, and what may bear it out.
_MOST_LOOKS: Final = 4
_IDLE_S: Final = 0.1
_MOST_WAITING: Final = 256


@dataclass(frozen=True, eq=False, slots=True)
class _Seen:
    """The hands of one answer; nothing in it holds on to the cameras' memory."""

    rig: Rig
    sightings: tuple[Sighting, ...]


class DriftWatch:
    """Watches a pipeline's calibration.

    Its work is done in a thread of its own: the engine's thread only hands over what was seen.

    Args:
        pipeline: Whose cameras.
        policy: What is done about a camera that does not fit; `off` watches nothing.
    """

    def __init__(self, pipeline: Pipeline, policy: Policy = "mask") -> None:
        self._pipeline = pipeline
        self._policy: Policy = policy
        self._monitor = DriftMonitor(pipeline.rig)
        self._rig = pipeline.rig
        self._waiting: deque[_Seen] = deque(maxlen=_MOST_WAITING)
        self._lock = threading.Lock()
        self._status = DriftStatus(policy)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._busy_s = 0.0
        self._judged_s = self._looked_s = time.monotonic()
        self._view = 0
        self._again = False
        self._looks = 0
        self._exposed_ns: int | None = None

    @property
    def status(self) -> DriftStatus:
        """What is said now, and what follows from it."""
        return self._status

    @property
    def busy_s(self) -> float:
        """Processor time that watching took so far, seconds."""
        return self._busy_s

    def start(self) -> None:
        """Begin to watch."""
        if self._policy == "off":
            return
        self._unsubscribe = self._pipeline.subscribe(self.observe)
        self._thread = threading.Thread(target=self._run, name="usthand-drift", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; whatever was masked is used again."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(1.0)
        self._pipeline.mask(self._pipeline.rig, frozenset(), frozenset())

    def observe(self, solved: Solved) -> None:
        """Note an answer; called in the engine's thread, never blocks."""
        stamps_ns = np.array([0 if f is None else f.timestamp_ns for f in solved.frame_set.frames], dtype=np.int64)
        sightings = tuple(Sighting(hand.id, hand.keypoints_px, stamps_ns) for hand in solved.hands)
        self._waiting.append(_Seen(solved.rig, sightings))

    def trust(self, camera_id: str) -> Verdict:
        """Take a camera for right until the calibration changes, and use it again.

        Raises:
            KeyError: If there is no such camera.
            RuntimeError: If nothing is watched.
        """
        return self._tell(lambda: self._monitor.trust(camera_id))

    def distrust(self, camera_id: str) -> Verdict:
        """Judge a camera again that was trusted.

        Raises:
            KeyError: If there is no such camera.
            RuntimeError: If nothing is watched.
        """
        return self._tell(lambda: self._monitor.distrust(camera_id))

    def _tell(self, change: Callable[[], Verdict]) -> Verdict:
        if self._thread is None:
            raise RuntimeError("the calibration is not watched; start the service with --drift mask, strict or watch")
        with self._lock:
            verdict = change()
            self._publish()
        return verdict

    def _run(self) -> None:
        while not self._stopping.wait(_IDLE_S):
            started_s = time.thread_time()
            try:
                self.work(time.monotonic())
            except Exception as error:  # noqa: BLE001 - the service goes on unwatched for a moment, and says so
                _log.error("the drift monitor failed: %s: %s", type(error).__name__, error, exc_info=error)
                self._stopping.wait(_JUDGE_S)
            self._busy_s += time.thread_time() - started_s

    def work(self, now_s: float) -> None:
        """Take in what waits, look at a picture if it is time, and judge if it is time."""
        with self._lock:
            self._take_in()
        if now_s - self._looked_s >= (_LOOK_AGAIN_S if self._again else _LOOK_S / len(self._rig)):
            self._looked_s = now_s
            self._look()
        if now_s - self._judged_s >= _JUDGE_S:
            self._judged_s = now_s
            with self._lock:
                before = {verdict.camera_id: verdict.state for verdict in self._monitor.verdicts}
                for verdict in self._monitor.judge():
                    if verdict.blamed and before[verdict.camera_id] != verdict.state:
                        _log.warning("camera %s: %s", verdict.camera_id, verdict.message)
                self._publish()

    def _take_in(self) -> None:
        while self._waiting:
            seen = self._waiting.popleft()
            if seen.rig is not self._rig:
                self._follow(seen.rig)
            self._monitor.see(seen.sightings)

    def _follow(self, rig: Rig) -> None:
        self._rig = rig
        self._monitor.calibrated(rig)
        self._publish()

    def _look(self) -> None:
        """Look at the newest picture of the next camera, or once more of one that is in doubt."""
        again, self._again = self._again, False
        if not again:
            self._view = (self._view + 1) % len(self._rig)
            self._looks, self._exposed_ns = 0, None
        with self._pipeline.borrow() as solved:
            frame = None if solved is None or solved.rig is not self._rig else solved.frame_set.frames[self._view]
            if frame is not None and not self._is_later(frame):
                # Where sets are few the newest picture is still the one that is in doubt: it would bear itself out.
                self._again = True
                return
            image = None if frame is None else frame.image_bgr.copy()
        # From here on the frame set's memory is free again: the picture is a copy.
        if frame is not None and image is not None:
            self._exposed_ns = frame.timestamp_ns
            self._looks += 1
            with self._lock:
                doubt = self._monitor.look(self._view, image)
            # A camera that stays in doubt must not keep the others from being looked at.
            self._again = doubt and self._looks < _MOST_LOOKS

    def _is_later(self, frame: Frame) -> bool:
        """Whether a picture was taken long enough after the one that it is to bear out."""
        return self._exposed_ns is None or frame.timestamp_ns - self._exposed_ns >= _LATER_NS

    def _publish(self) -> None:
        verdicts = self._monitor.verdicts
        follows = consequence(verdicts, self._policy)
        self._status = DriftStatus(self._policy, {verdict.camera_id: verdict for verdict in verdicts}, follows)
        self._pipeline.mask(self._rig, follows.masked, follows.suspect)
