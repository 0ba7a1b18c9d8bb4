"""Recording a session without a service around it: live, or every frame set of footage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from calibration import Rig
from capture.errors import CaptureError
from engine.types import HandEngine
from server.pipeline import FINISHED, FrameSource, Pipeline
from server.recording.recorder import Recorder
from server.recording.status import RecordingStatus
from server.recording.tap import FrameTap
from server.solved import Solved

SILENCE_S: Final = 30.0
_LOOK_S: Final = 0.1
_POLL_S: Final = 0.2


def record_live(
    source: FrameSource,
    recorder: Recorder,
    stopping: threading.Event,
    *,
    rig: Rig,
    engine: HandEngine | None,
    seconds: float | None = None,
    watch: Callable[[RecordingStatus], None],
    silence_s: float = SILENCE_S,
) -> None:
    """Record what comes, as it comes; the engine answers what it can.

    Args:
        source: A session, not started; it is stopped in any case.
        recorder: Stopped by whoever made it.
        stopping: Ends it when set.
        rig: The calibration.
        engine: What answers, closed in any case; None records frames only.
        seconds: Ends it when so much is recorded.
        watch: Told now and then how it goes.
        silence_s: So long without any frame set is a failure, at the beginning, and with `seconds` at any time.
            Without, cameras that are gone are waited for.

    Raises:
        CaptureError: If no frame set comes; what came before is recorded.
    """
    tap = FrameTap(source)
    with ExitStack() as ends:
        ends.callback(tap.stop)
        pipeline = None if engine is None else Pipeline(tap, engine, rig)
        if pipeline is not None:
            ends.callback(pipeline.stop)
        tap.start()
        ends.callback(tap.attach(recorder.take))
        if pipeline is not None:
            pipeline.subscribe(recorder.answer)
            pipeline.start()
        silent_from_s, frame_sets = time.monotonic(), 0
        while not stopping.wait(_LOOK_S):
            watch(status := recorder.status())
            over = source.finished if pipeline is None else pipeline.state == FINISHED
            if over or not status.active or (seconds is not None and status.seconds >= seconds):
                break
            if status.frame_sets != frame_sets:
                silent_from_s, frame_sets = time.monotonic(), status.frame_sets
            if (seconds is not None or not frame_sets) and time.monotonic() - silent_from_s > silence_s:
                raise CaptureError(
                    f"no frame set came for {silence_s:g} s, after {status.seconds:.1f} s recorded; {_states(source)}"
                )


def record_lossless(
    source: FrameSource,
    recorder: Recorder,
    stopping: threading.Event,
    *,
    rig: Rig,
    engine: HandEngine | None,
    seconds: float | None = None,
    watch: Callable[[RecordingStatus], None],
) -> None:
    """Record every frame set of footage, answered, at whatever speed that takes.

    Args:
        source: A lossless session, not started; it is stopped in any case.
        recorder: Stopped by whoever made it.
        stopping: Ends it when set.
        rig: The calibration.
        engine: What answers, closed in any case; None records frames only.
        seconds: How much to record, in time of the footage.
        watch: Told after each set how it goes.

    Raises:
        CaptureError: If a source fails.
    """
    first_ns: int | None = None
    sequence = 0
    with ExitStack() as ends:
        ends.callback(source.stop)
        if engine is not None:
            ends.callback(engine.close)
        source.start()
        while not stopping.is_set() and not source.finished:
            frame_set = source.next(_POLL_S)
            if frame_set is None:
                continue
            with frame_set:
                first_ns = frame_set.timestamp_ns if first_ns is None else first_ns
                if seconds is not None and frame_set.timestamp_ns - first_ns >= seconds * 1e9:
                    break
                if not recorder.put(frame_set):
                    break
                if engine is not None:
                    hands = engine.process(frame_set, rig)
                    solved = Solved(frame_set, rig, hands, time.monotonic_ns(), sequence, engine.card.model_id)
                    recorder.answer(solved, wait=True)
                sequence += 1
            watch(recorder.status())


def _states(source: FrameSource) -> str:
    return "; ".join(f"camera {c.id} is {c.state}{f' ({c.message})' if c.message else ''}" for c in source.states())
