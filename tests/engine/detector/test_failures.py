"""When a look fails, the frame set fails with it, and by then nobody reads its frames any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from capture.frames import Frame, FrameSet
from engine.detector.engine import DetectorEngine
from engine.detector.eyes import Eyes
from engine.synthetic import make_rig
from engine.tracker.engine import NetworkEngine
from engine.types import HandEngine
from tests.engine.detector.scripted import ScriptedEyes, Shown, hand_at
from tests.engine.detector.support import START_NS, model
from tests.engine.tracker.support import Oracle

RIG = make_rig(4, seed=8, width=480, height=360)
PERIOD_NS = 33_333_333
BLANK = np.zeros((360, 480, 3), np.uint8)


class FailingEyes(ScriptedEyes):
    """Eyes of which the first look or search fails while the second is still reading its frame.

    Args:
        failing: What fails from now on: `look`, `find_palms` or nothing.
    """

    def __init__(self, failing: str = "") -> None:
        super().__init__(RIG)
        self.failing = failing
        self.reading = 0
        self._begun = 0
        self._lock = threading.Lock()
        self._second = threading.Event()

    def find_palms(self, frame: Frame) -> Any:
        return self._read("find_palms", lambda: super(FailingEyes, self).find_palms(frame))

    def look(self, *asked: Any) -> Any:
        return self._read("look", lambda: super(FailingEyes, self).look(*asked))

    def _read(self, what: str, read: Callable[[], Any]) -> Any:
        if what != self.failing:
            return read()
        with self._lock:
            first = self._begun == 0
            self._begun += 1
            self.reading += 1
        try:
            if first:
                assert self._second.wait(20.0)
                raise RuntimeError("the eyes failed")
            self._second.set()
            # As long as a network takes.
            time.sleep(0.05)
            return read()
        finally:
            with self._lock:
                self.reading -= 1


def _detector(eyes: Eyes) -> HandEngine:
    return DetectorEngine(model(), threads=2, eyes=eyes)


def _network(eyes: Eyes) -> HandEngine:
    return NetworkEngine(Oracle(RIG), model(), threads=2, eyes=eyes)


# The network engine looks at new hands only: what follows them is asked of the network.
@pytest.mark.parametrize(
    ("make", "failing", "after"),
    [(_detector, "find_palms", 0), (_detector, "look", 0), (_detector, "look", 3), (_network, "look", 0)],
)
def test_a_failed_look_leaves_no_other_behind(make: Callable[[Eyes], HandEngine], failing: str, after: int) -> None:
    eyes = FailingEyes()
    eyes.shown = [Shown("right", hand_at("right"))]
    engine = make(eyes)
    try:
        for number in range(after + 1):
            stamp_ns = START_NS + number * PERIOD_NS
            frames = tuple(Frame(camera.id, number, stamp_ns, stamp_ns, BLANK) for camera in RIG)
            if number < after:
                assert len(engine.process(FrameSet(number, frames, 0.0), RIG)) == 1
        eyes.failing = failing
        with pytest.raises(RuntimeError, match="the eyes failed"):
            engine.process(FrameSet(after, frames, 0.0), RIG)
        assert eyes.reading == 0
    finally:
        engine.close()
