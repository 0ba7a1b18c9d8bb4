"""Frame sets to a file of poses: lossless, in order, and whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from calibration import Rig
from capture.errors import CaptureError
from engine.types import HandEngine, HandPose
from server.dialects import DIALECTS
from server.encoding import encode_json
from server.messages import DEFAULT_FIELDS, hands_message
from server.pipeline import FrameSource
from server.solved import Solved

SILENCE_S: Final = 60.0
_POLL_S: Final = 0.5
_BAD_STATES: Final = ("failed", "lost")


def _say_nothing(note: str) -> None:
    """Stand in where nobody watches."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to.

    Args:
        frame_sets: Sets answered.
        hands: Hands in them.
        reprojection_px: Median over all hands and views; None without hands.
        rate_hz: Sets a second.
    """

    frame_sets: int
    hands: int
    reprojection_px: float | None
    rate_hz: float

    def __str__(self) -> str:
        error = "none" if self.reprojection_px is None else f"{self.reprojection_px:.2f} px"
        return (
            f"{self.frame_sets} frame sets, {self.hands} hands, median reprojection {error}, "
            f"{self.rate_hz:.1f} frame sets a second"
        )


def solve_all(
    session: FrameSource,
    engine: HandEngine,
    rig: Rig,
    out: Path,
    *,
    limit: int | None = None,
    advance: Callable[[str], None] = _say_nothing,
    silence_s: float = SILENCE_S,
) -> Summary:
    """Answer every frame set of a session and write one line each.

    Args:
        session: A lossless session, not started; it is stopped in any case.
        engine: What answers.
        rig: The calibration.
        out: Written as a whole; `out.part` holds what there is until then.
        limit: Stop after so many sets.
        advance: Told about each set.
        silence_s: So long without a frame set, and unfinished, is a failure.

    Raises:
        CaptureError: If a camera failed or fell silent.
    """
    part = out.with_name(f"{out.name}.part")
    errors_px: list[float] = []
    sets = hands = 0
    # Opened first: a path that cannot be written must not cost a start of the cameras.
    with part.open("wb") as file:
        try:
            session.start()
            started_s = time.monotonic()
            while limit is None or sets < limit:
                solved = _next_solved(session, engine, rig, sets, silence_s)
                if solved is None:
                    break
                file.write(_line(solved))
                sets += 1
                hands += len(solved.hands)
                errors_px += [float(px) for hand in solved.hands for px in _finite(hand)]
                advance(f"{len(solved.hands)} hands")
            elapsed_s = time.monotonic() - started_s
            _refuse_failed(session)
        finally:
            session.stop()
    if not sets:
        raise CaptureError(f"no frame set came from the rig; check the sources, and that max_skew_ms fits ({part})")
    part.replace(out)
    median_px = float(np.median(errors_px)) if errors_px else None
    return Summary(sets, hands, median_px, sets / elapsed_s if elapsed_s > 0 else 0.0)


def _next_solved(session: FrameSource, engine: HandEngine, rig: Rig, sequence: int, silence_s: float) -> Solved | None:
    """Answer the next frame set; None when the sources have ended."""
    silent_since_s = time.monotonic()
    while True:
        frame_set = session.next(_POLL_S)
        if frame_set is not None:
            break
        if session.finished:
            return None
        _refuse_failed(session)
        if time.monotonic() - silent_since_s > silence_s:
            raise CaptureError(f"no frame set came for {silence_s:g} s; {_states(session)}")
    with frame_set:
        hands = engine.process(frame_set, rig)
        return Solved(frame_set, rig, hands, time.monotonic_ns(), sequence, engine.card.model_id)


def _line(solved: Solved) -> bytes:
    message = hands_message(solved, DEFAULT_FIELDS, DIALECTS["mano"], sent_ns=time.monotonic_ns())
    return encode_json(message) + b"\n"


def _finite(hand: HandPose) -> list[float]:
    values: list[float] = hand.reprojection_px[np.isfinite(hand.reprojection_px)].tolist()
    return values


def _refuse_failed(session: FrameSource) -> None:
    if any(camera.state in _BAD_STATES for camera in session.states()):
        raise CaptureError(_states(session))


def _states(session: FrameSource) -> str:
    return "; ".join(
        f"camera {camera.id} is {camera.state}{f' ({camera.message})' if camera.message else ''}"
        for camera in session.states()
    )
