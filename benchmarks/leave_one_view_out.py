"""How good the answer is where it was not asked: each view in turn is held out, and judges.

    python -m benchmarks.leave_one_view_out tests/rigs/room4.yaml
    python -m benchmarks.leave_one_view_out tests/rigs/room4.yaml --reference mediapipe --mediapipe-python PYTHON
    python -m benchmarks.leave_one_view_out tests/rigs/room4.yaml --model lite.onnx

The engine runs on the other cameras; its joints are projected into the view that was left out and compared with what
that view's own networks see there. The baseline is an equal-weight DLT of the other views' single-view detections, on
the same hands.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._footage import Quantiles, load, print_table
from benchmarks._mediapipe import MediaPipeError, run_mediapipe
from benchmarks.footage_report import finite
from engine.factory import open_engine
from engine.hand_model.model import JOINT_NAMES
from server.commands.sources import footage
from training.leave_one_out import Place, answer_without_each_view, plain_dlt, score


@dataclass(frozen=True, slots=True)
class Row:
    """One method.

    Args:
        method: Its name.
        own: Mean of 21 joints a hand, over all hands that it answered and a view could judge.
        common: The same over the hands that all methods have.
        by_view: The same as `common` for each held-out view.
        by_joint: Each joint, over `common`.
    """

    method: str
    own: Quantiles
    common: Quantiles
    by_view: dict[str, Quantiles]
    by_joint: dict[str, Quantiles]


@dataclass(frozen=True, slots=True)
class Result:
    """What came out.

    Args:
        rig: The rig's name.
        reference: Whose detections judge.
        frame_sets: Frame sets.
        detections: Detections in single views that could judge.
        unmatched: Answers for which the held-out view had no detection.
        rows: The methods.
    """

    rig: str
    reference: str
    frame_sets: int
    detections: int
    unmatched: int
    rows: tuple[Row, ...]


def rows_of(methods: Mapping[str, Mapping[Place, NDArray[np.float64]]], camera_ids: tuple[str, ...]) -> tuple[Row, ...]:
    """Summarise methods, all of them on their own hands and on those that they have in common."""
    places = sorted(set.intersection(*(set(errors) for errors in methods.values())))
    rows = []
    for method, errors in methods.items():
        common = {place: errors[place] for place in places}
        joints = np.array(list(common.values())).reshape(-1, 21)
        rows.append(
            Row(
                method,
                Quantiles.of([float(error.mean()) for error in errors.values()]),
                Quantiles.of(joints.mean(axis=1)),
                {
                    camera_id: Quantiles.of([float(e.mean()) for place, e in common.items() if place[1] == view])
                    for view, camera_id in enumerate(camera_ids)
                },
                {name: Quantiles.of(joints[:, joint]) for joint, name in enumerate(JOINT_NAMES)},
            )
        )
    return tuple(rows)


def run(path: Path, reference: str = "own", python: str = "python3", model: str = "detector") -> Result:
    """Hold out each view of a recording.

    Raises:
        ValueError: If the rig has fewer than three views.
        MediaPipeError: If MediaPipe is asked for and cannot be run.
    """
    config, rig = load(path)
    answers = answer_without_each_view(footage(config, rig), rig, lambda: open_engine(model))
    judge = answers.detections
    if reference == "mediapipe":
        judge = run_mediapipe(python, config, rig, answers.frames, "sequential").keypoints
    scored, judged = score(rig, answers.held_out, judge)
    methods = {
        "engine, joints": scored.errors_px,
        "engine, MANO joints": scored.mano_px,
        f"plain DLT of {reference} detections": plain_dlt(rig, judged, judge, judge),
    }
    return Result(
        config.name or path.stem,
        reference,
        len(answers.frames),
        sum(len(found) for views in judge for found in views),
        scored.unmatched,
        rows_of(methods, rig.camera_ids),
    )


def show(result: Result) -> None:
    """Print the result for people."""
    print(
        f"{result.rig}: {result.frame_sets} frame sets, {result.detections} single-view detections to judge by "
        f"({result.reference}), {result.unmatched} answers with none near"
    )
    columns = ("method", "n", "median px", "p95 px", "n common", "median px", "p95 px")
    print_table(
        "Held-out view, mean of 21 joints a hand",
        columns,
        [(row.method, *row.own.cells(), *row.common.cells()) for row in result.rows],
    )
    views = list(result.rows[0].by_view)
    print_table(
        "By held-out view, on common hands: n, median px / p95 px",
        ("method", *views),
        [(row.method, *(f"{q.n}: {q.median:.2f} / {q.p95:.2f}" for q in row.by_view.values())) for row in result.rows],
    )
    print_table(
        "By joint, on common hands: median px / p95 px",
        ("joint", *(row.method for row in result.rows)),
        [
            (joint, *(f"{row.by_joint[joint].median:.2f} / {row.by_joint[joint].p95:.2f}" for row in result.rows))
            for joint in JOINT_NAMES
        ],
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leave_one_view_out", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("rig", type=Path, help="rig.yaml of recorded footage, three views or more")
    parser.add_argument("--reference", choices=("own", "mediapipe"), default="own", help="whose detections judge")
    parser.add_argument("--mediapipe-python", default="python3", help="an interpreter that has mediapipe")
    parser.add_argument("--model", default="detector", help="the engine's, as `usthand run --model` takes it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    try:
        result = run(arguments.rig, arguments.reference, arguments.mediapipe_python, arguments.model)
    except (ValueError, MediaPipeError) as error:
        raise SystemExit(str(error)) from error
    if arguments.json:
        print(json.dumps(finite(asdict(result)), indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
