"""What cameras that are not triggered together cost, and what is won by letting each view count at its own exposure.

    python -m benchmarks.unsynchronised
    python -m benchmarks.unsynchronised --models detector lite --views 2 4 --skew-ms 8 16 --sets 120 --json

A rendered hand sways quickly before cameras that film 30 times a second, exposed evenly over the skew. Answers are
compared with the truth at the frame set's own time: of cameras that are exposed together (`together`), of cameras that
are not, with the hand taken as still between the exposures (`still`), and as the engine does it (`moved`). `off` is how
far an answer's error is from that of the synchronous cameras, joint by joint: the engine's own error cancels out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Final
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks._footage import print_table
from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.detector.instant import Instant
from engine.factory import open_engine
from engine.synthetic import HandScene, make_rig
from engine.synthetic.activities import FREE
from engine.synthetic.motion import REACH_M, HandMotion
from engine.synthetic.scene import _Body

MODES: Final = ("together", "still", "moved")

_RATE_HZ: Final = 30
# The scene is sampled so much finer, since exposures lie between frame sets.
_FINE: Final = 16
_START_NS: Final = 10**9
_FIRST: Final = 40
_WARM_UP: Final = 10
# Arms that go twice as far and five times as fast as the demo's, with fingers as slow as there.
_REACH: Final = 2.0
_PACE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What the answers of one engine before one rig were worth.

    Args:
        model: The engine.
        views: Cameras.
        skew_ms: From the first exposure to the last.
        mode: One of `MODES`.
        answers: Frame sets that were answered in all modes.
        speed_m_s: The hand's mean speed.
        error_mm: Mean distance of the joints from the truth.
        off_mm: Mean distance of the joints' errors from those of `together`.
        reprojection_px: Mean of the views' distances from the answer.
    """

    model: str
    views: int
    skew_ms: float
    mode: str
    answers: int
    speed_m_s: float
    error_mm: float
    off_mm: float
    reprojection_px: float


class _HurriedScene(HandScene):
    """A hand that sways far and fast, and whose fingers do not hurry."""

    @cached_property
    def _bodies(self) -> tuple[_Body, ...]:
        (body,) = super()._bodies
        reach = (REACH_M[0] * _REACH, REACH_M[1] * _REACH, REACH_M[2] * _REACH)
        calm = replace(FREE, key_s=FREE.key_s * _PACE)
        return (replace(body, motion=HandMotion(self.seed, self.side, reach_m=reach, pace=_PACE, activity=calm)),)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What unsynchronised cameras cost")
    parser.add_argument("--models", nargs="+", default=["detector", "lite"])
    parser.add_argument("--views", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--skew-ms", nargs="+", type=float, default=[8.0, 16.0])
    parser.add_argument("--sets", type=int, default=120, help="frame sets, of which the first ten are not counted")
    parser.add_argument("--seeds", nargs="+", type=int, default=[3, 7])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    costs = [
        cost
        for model in args.models
        for views in args.views
        for skew_ms in args.skew_ms
        for cost in measure(model, views, skew_ms, args.sets, args.seeds)
    ]
    if args.json:
        print(json.dumps([asdict(cost) for cost in costs]))
        return
    print_table(
        f"Hands at {np.mean([cost.speed_m_s for cost in costs]):.2f} m/s, {_RATE_HZ} frame sets a second",
        ["engine", "views", "skew ms", "mode", "answers", "error mm", "off mm", "reprojection px"],
        [
            [
                cost.model,
                str(cost.views),
                f"{cost.skew_ms:g}",
                cost.mode,
                str(cost.answers),
                f"{cost.error_mm:.2f}",
                f"{cost.off_mm:.2f}",
                f"{cost.reprojection_px:.2f}",
            ]
            for cost in costs
        ],
    )


def measure(model: str, views: int, skew_ms: float, sets: int, seeds: Sequence[int]) -> list[Cost]:
    """What each mode's answers are worth, over scenes of some seeds."""
    errors: dict[str, list[NDArray[np.float64]]] = {mode: [] for mode in MODES}
    pixels: dict[str, list[float]] = {mode: [] for mode in MODES}
    speeds = []
    for seed in seeds:
        rig, scene = make_rig(views, seed), _HurriedScene(seed=seed, rate_hz=_RATE_HZ * _FINE)
        steps = np.round((np.arange(views) / (views - 1) - 0.5) * skew_ms * 1e-3 * _RATE_HZ * _FINE).astype(int)
        # Neighbours are not exposed one after the other.
        late = np.random.default_rng(seed).permutation(steps)
        answers = {
            "together": _answers(model, rig, scene, np.zeros(views, int), sets, nullcontext()),
            "still": _answers(
                model, rig, scene, late, sets, patch.object(Instant, "rig_for", lambda self, _: self.rig)
            ),
            "moved": _answers(model, rig, scene, late, sets, nullcontext()),
        }
        for common in zip(*(answers[mode] for mode in MODES), strict=True):
            if any(answer is None for answer in common):
                continue
            for mode, answer in zip(MODES, common, strict=True):
                assert answer is not None  # noqa: S101 - it was just asked
                errors[mode].append(answer[0])
                pixels[mode].append(answer[1])
        middles = np.stack([scene.truth(_FIRST + i * _FINE)[0].joints_world.mean(axis=0) for i in range(sets)])
        speeds.append(float(np.linalg.norm(np.diff(middles, axis=0), axis=1).mean()) * _RATE_HZ)
    found = {mode: np.stack(errors[mode]) for mode in MODES}
    return [
        Cost(
            model=model,
            views=views,
            skew_ms=skew_ms,
            mode=mode,
            answers=len(found[mode]),
            speed_m_s=float(np.mean(speeds)),
            error_mm=_mean_mm(found[mode]),
            off_mm=_mean_mm(found[mode] - found["together"]),
            reprojection_px=float(np.mean(pixels[mode])),
        )
        for mode in MODES
    ]


def _answers(
    model: str,
    rig: Rig,
    scene: HandScene,
    late: NDArray[np.int_],
    sets: int,
    mode: AbstractContextManager[object],
) -> list[tuple[NDArray[np.float64], float] | None]:
    """Errors of the joints `(21, 3)`, metres, and the views' mean reprojection error, a frame set; None unanswered."""
    engine = open_engine(model, views=len(rig))
    answers: list[tuple[NDArray[np.float64], float] | None] = []
    try:
        with mode:
            for frame_set in _film(rig, scene, late, sets):
                hands = engine.process(frame_set, rig)
                instant = round((frame_set.timestamp_ns - _START_NS) * 1e-9 * _RATE_HZ * _FINE)
                truth = scene.truth(instant)[0].joints_world
                answers.append(
                    (hands[0].joints_world - truth, float(np.nanmean(hands[0].reprojection_px))) if hands else None
                )
    finally:
        engine.close()
    return answers[_WARM_UP:]


def _film(rig: Rig, scene: HandScene, late: NDArray[np.int_], sets: int) -> Iterator[FrameSet]:
    for number in range(sets):
        frames = []
        for camera, steps in zip(rig, late, strict=True):
            index = _FIRST + number * _FINE + int(steps)
            stamp_ns = _START_NS + round(index / (_RATE_HZ * _FINE) * 1e9)
            frames.append(Frame(camera.id, number, stamp_ns, stamp_ns, scene.render(camera, index)))
        yield FrameSet(number, tuple(frames), float(np.ptp(late)) / (_RATE_HZ * _FINE) * 1e3)


def _mean_mm(errors_m: NDArray[np.float64]) -> float:
    return 1e3 * float(np.linalg.norm(errors_m, axis=2).mean())


if __name__ == "__main__":
    main()
