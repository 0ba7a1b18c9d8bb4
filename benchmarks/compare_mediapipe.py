"""The pipeline beside MediaPipe Hands with OpenCV triangulation: speed and quality, on the same frames in the same run.

    python -m benchmarks.compare_mediapipe tests/rigs/room4.yaml --runs 3 --mediapipe-python PYTHON

Both sides decode the videos, answer every frame set and write a message. Rounds alternate, so that what else the
machine does falls on both; the ratio is taken within each round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks._footage import (
    Instance,
    Quantiles,
    bone_lengths,
    load,
    print_table,
    robust_spread,
)
from benchmarks._mediapipe import MediaPipeError, Mode, PeerRun, run_mediapipe
from benchmarks.footage_report import finite
from benchmarks.leave_one_view_out import Row, rows_of
from calibration import Rig
from capture.rig_config import RigConfig
from engine.factory import open_engine
from server.bench import measure
from server.commands.sources import footage, open_session
from training.leave_one_out import MIN_VIEWS, HeldOut, answer_without_each_view, palm_length, plain_dlt, score

_MODES: Final[tuple[Mode, ...]] = ("sequential", "threads")
_WARM_UP: Final = 10


@dataclass(frozen=True, slots=True)
class Speed:
    """One side's speed in one round.

    Args:
        who: `usthand`, or MediaPipe `sequential` or with `threads`.
        rate_hz: Frame sets a second, without the warm-up.
        p50_ms: From one message to the next, median.
        p95_ms: The same, 95th percentile.
    """

    who: str
    rate_hz: float
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Quality:
    """One side's answers.

    Args:
        who: Whose.
        hands: Hands triangulated from two views or more.
        joint_px: Distance of projected joints to what every view saw that was put together for the hand.
        view_px: Median over the joints for each hand and view.
        palm_mm: Median distance from the wrist to the middle knuckle, for each side.
        palm_spread: Its robust spread, for each side.
        bone_spread: Median over the 20 bones of their robust spreads, for each side.
    """

    who: str
    hands: int
    joint_px: Quantiles
    view_px: Quantiles
    palm_mm: dict[str, float]
    palm_spread: dict[str, float]
    bone_spread: dict[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out.

    Args:
        rig: The rig's name.
        machine: Where it ran.
        versions: What ran on the other side.
        frame_sets: Frame sets of the recording.
        rounds: The speeds of each round.
        quality: The answers.
        held_out: Leave one view out, by whose detections judge; empty for rigs of two views.
    """

    rig: str
    machine: str
    versions: dict[str, str]
    frame_sets: int
    rounds: tuple[tuple[Speed, ...], ...]
    quality: tuple[Quality, ...]
    held_out: dict[str, tuple[Row, ...]]


def _our_speed(config: RigConfig, rig: Rig) -> Speed:
    engine = open_engine()
    try:
        session = open_session(config, rig, "lossless")
        result = measure(session, engine, rig, warm_up=_WARM_UP, advance=lambda _: None)
    finally:
        engine.close()
    whole = next(stage for stage in result.stages if stage.name == "whole frame set")
    return Speed("usthand", result.rate_hz, whole.p50_ms, whole.p95_ms)


def _their_speed(run: PeerRun, mode: Mode) -> Speed:
    return Speed(f"mediapipe, {mode}", run.rate_hz, *(float(np.percentile(run.times_ms, q)) for q in (50, 95)))


def _our_answers(config: RigConfig, rig: Rig) -> tuple[list[tuple[int | None, ...]], list[Instance]]:
    frames: list[tuple[int | None, ...]] = []
    hands: list[Instance] = []
    engine = open_engine()
    try:
        for count, frame_set in enumerate(footage(config, rig)):
            frames.append(tuple(None if frame is None else frame.index for frame in frame_set.frames))
            hands += [Instance.of(count, hand) for hand in engine.process(frame_set, rig)]
    finally:
        engine.close()
    return frames, hands


def _our_quality(rig: Rig, hands: Sequence[Instance]) -> Quality:
    residuals = [
        np.linalg.norm(rig.project(hand.joints_world) - hand.keypoints_px, axis=-1)
        for hand in hands
        if hand.keypoints_px is not None
    ]
    return _quality("usthand", residuals, [(hand.side, hand.joints_world) for hand in hands])


def _their_quality(rig: Rig, run: PeerRun) -> Quality:
    residuals = []
    for seen, hands in zip(run.seen, run.hands, strict=True):
        for hand in hands:
            errors = np.full((len(rig), 21), np.nan)
            for view in hand.views:
                own = max((h for h in seen[view] if h.side == hand.side), key=lambda h: h.score)
                errors[view] = np.linalg.norm(rig.cameras[view].project(hand.joints_world) - own.keypoints_px, axis=1)
            residuals.append(errors)
    return _quality("mediapipe", residuals, [(hand.side, hand.joints_world) for hands in run.hands for hand in hands])


def _quality(
    who: str, residuals: Sequence[NDArray[np.float64]], hands: Sequence[tuple[str, NDArray[np.float64]]]
) -> Quality:
    errors = np.array(residuals).reshape(len(residuals), -1, 21)
    seen = np.isfinite(errors).any(axis=2)
    joints = {side: np.array([j for own, j in hands if own == side]) for side in sorted({side for side, _ in hands})}
    spreads = {
        side: [robust_spread(lengths) for lengths in bone_lengths(of_side).T] for side, of_side in joints.items()
    }
    return Quality(
        who,
        len(hands),
        Quantiles.of(errors),
        Quantiles.of(np.nanmedian(errors[seen], axis=1)),
        {side: 1e3 * float(np.median(palm_length(of_side))) for side, of_side in joints.items()},
        {side: robust_spread(palm_length(of_side)) for side, of_side in joints.items()},
        {side: float(np.median(values)) for side, values in spreads.items()},
    )


def _held_out(path: Path, rig: Rig, run: PeerRun) -> dict[str, tuple[Row, ...]]:
    """Judge both sides by both sides' detections, on the hands that both have."""
    if len(rig) < MIN_VIEWS:
        return {}
    config, rig = load(path)
    ours = answer_without_each_view(footage(config, rig), rig, open_engine)
    theirs = [
        HeldOut(count, view, hand.joints_world)
        for count, views in enumerate(run.without)
        for view, hands in enumerate(views)
        for hand in hands
    ]
    result = {}
    for judge, detections in (("usthand's networks, one picture", ours.detections), ("mediapipe", run.keypoints)):
        our_score, judged = score(rig, ours.held_out, detections)
        their_score, _ = score(rig, theirs, detections)
        result[judge] = rows_of(
            {
                "usthand, joints": our_score.errors_px,
                "usthand, MANO joints": our_score.mano_px,
                "mediapipe + OpenCV": their_score.errors_px,
                "DLT of usthand's single views": plain_dlt(rig, judged, ours.detections, detections),
                "DLT of mediapipe's views": plain_dlt(rig, judged, run.keypoints, detections),
            },
            rig.camera_ids,
        )
    return result


def run(path: Path, python: str, runs: int) -> Comparison:
    """Compare on one recording.

    Raises:
        MediaPipeError: If MediaPipe cannot be run.
    """
    config, rig = load(path)
    frames, hands = _our_answers(config, rig)
    rounds = []
    peer: PeerRun | None = None
    for _ in range(runs):
        speeds = [_our_speed(config, rig)]
        for mode in _MODES:
            theirs = run_mediapipe(python, config, rig, frames, mode, _WARM_UP)
            speeds.append(_their_speed(theirs, mode))
            peer = peer or theirs
        rounds.append(tuple(speeds))
    if peer is None:
        raise ValueError(f"runs is {runs}; at least one is needed")
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    return Comparison(
        config.name or path.stem,
        machine,
        peer.versions,
        len(frames),
        tuple(rounds),
        (_our_quality(rig, hands), _their_quality(rig, peer)),
        _held_out(path, rig, peer),
    )


def show(result: Comparison) -> None:
    """Print the comparison for people."""
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    print(f"{result.rig}: {result.frame_sets} frame sets; {result.machine}; the other side: {versions}")
    rows: list[tuple[str, ...]] = []
    for number, speeds in enumerate(result.rounds, start=1):
        for speed in speeds:
            ratio = speeds[0].rate_hz / speed.rate_hz
            rows.append(
                (
                    f"{number} {speed.who}",
                    f"{speed.rate_hz:.1f}",
                    f"{speed.p50_ms:.1f}",
                    f"{speed.p95_ms:.1f}",
                    f"{ratio:.2f}",
                )
            )
    for index, speed in enumerate(result.rounds[0]):
        ratios = [speeds[0].rate_hz / speeds[index].rate_hz for speeds in result.rounds]
        columns = zip(*((s[index].rate_hz, s[index].p50_ms, s[index].p95_ms) for s in result.rounds), strict=True)
        rows.append(
            (
                f"median {speed.who}",
                *(f"{np.median(column):.1f}" for column in columns),
                f"{np.median(ratios):.2f}",
            )
        )
    print_table("Speed, decode to message", ("round", "sets/s", "p50 ms", "p95 ms", "usthand is faster by"), rows)

    def sides(values: dict[str, float], form: str, factor: float = 1.0) -> str:
        return " / ".join(format(factor * value, form) for value in values.values())

    print_table(
        "Quality (sides in the order left / right)",
        ("who", "hands", "joints px", "p95", "hand-views px", "p95", "palm mm", "palm spread %", "all bones %"),
        [
            (
                q.who,
                str(q.hands),
                f"{q.joint_px.median:.2f}",
                f"{q.joint_px.p95:.2f}",
                f"{q.view_px.median:.2f}",
                f"{q.view_px.p95:.2f}",
                sides(q.palm_mm, ".1f"),
                sides(q.palm_spread, ".1f", 100),
                sides(q.bone_spread, ".1f", 100),
            )
            for q in result.quality
        ],
    )
    for judge, by_method in result.held_out.items():
        print_table(
            f"Leave one view out, judged by {judge}: mean of 21 joints a hand",
            ("method", "n", "median px", "p95 px", "n common", "median px", "p95 px"),
            [(row.method, *row.own.cells(), *row.common.cells()) for row in by_method],
        )
    if not result.held_out:
        print(f"Leave one view out takes {MIN_VIEWS} views or more.")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_mediapipe", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("rig", type=Path, help="rig.yaml of recorded footage")
    parser.add_argument("--runs", type=int, default=3, help="rounds, each of ours and theirs")
    parser.add_argument("--mediapipe-python", default="python3", help="an interpreter that has mediapipe")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    try:
        result = run(arguments.rig, arguments.mediapipe_python, arguments.runs)
    except (ValueError, MediaPipeError) as error:
        raise SystemExit(str(error)) from error
    if arguments.json:
        print(json.dumps(finite(asdict(result)), indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
