"""What the engine makes of recorded footage: how often it answers, how well views agree, how steady bones are.

    python -m benchmarks.footage_report tests/rigs/room4.yaml
    python -m benchmarks.footage_report tests/rigs/room4.yaml poses.jsonl --json

With the output of `usthand run` it reports on that, without what only the running engine knows: the joints that each
view saw.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._footage import (
    PALM_BONE_ENDS,
    Instance,
    Quantiles,
    bone_lengths,
    load,
    print_table,
    read_poses,
    robust_spread,
)
from calibration import Rig
from engine.factory import open_engine
from engine.hand_model.model import JOINT_NAMES
from server.commands.sources import footage
from training.leave_one_out import palm_length, palm_px

# A view whose joints lie this share of a palm from the answer, as a whole, shows something else.
_ASTRAY_PALMS = 0.5


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """One track.

    Args:
        id: Its id.
        side: Its side.
        first: Its first frame set.
        last: Its last frame set.
        count: Frame sets in which it was seen.
        swaps: Frame sets in which its place is that of another hand of the frame set before.
    """

    id: int
    side: str
    first: int
    last: int
    count: int
    swaps: int


@dataclass(frozen=True, slots=True)
class SideBones:
    """How steady the bones of one side's hands are.

    Args:
        side: The side.
        source: `joints`, or `mano` for the hand model's own.
        instances: How many hands.
        palm_mm: Median distance from the wrist to the middle knuckle.
        palm_spread: Robust spread of each bone of the palm, wrist to joints 1, 5, 9, 13, 17.
        all_spread: Median over all 20 bones of their robust spreads.
        worst_spread: The largest of them.
        worst_bone: Where that bone leads to.
    """

    side: str
    source: str
    instances: int
    palm_mm: float
    palm_spread: dict[str, float]
    all_spread: float
    worst_spread: float
    worst_bone: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is reported.

    Args:
        rig: The rig's name.
        frame_sets: Frame sets answered.
        with_hand: Frame sets with a hand.
        instances: Hands that at least two views were used for.
        tracks: The tracks.
        message_px: The message's figure: median over the joints for each hand and view, over all views.
        message_px_by_view: The same for each view.
        used_px_by_joint: Distance of projected joints to what views saw that were used.
        seen_px_by_view: The same for each view, over all joints, of every view that saw the hand.
        astray_by_view: Hands whose palm lies more than half a palm's length from where the view saw it.
        bones: How steady bones are.
    """

    rig: str
    frame_sets: int
    with_hand: int
    instances: int
    tracks: tuple[TrackSummary, ...]
    message_px: Quantiles
    message_px_by_view: dict[str, Quantiles]
    used_px_by_joint: dict[str, Quantiles]
    seen_px_by_view: dict[str, Quantiles]
    astray_by_view: dict[str, int]
    bones: tuple[SideBones, ...]


def summarise(rig: Rig, name: str, count: int, hands: Sequence[Instance]) -> Report:
    """Work out the report on all hands of a recording."""
    message = np.array([hand.reprojection_px for hand in hands]).reshape(-1, len(rig))
    errors, astray = _residuals(rig, hands)
    used = np.where(np.isfinite(message)[..., None], errors, np.nan)
    return Report(
        rig=name,
        frame_sets=count,
        with_hand=len({hand.frame_set for hand in hands}),
        instances=int((np.isfinite(message).sum(axis=1) >= 2).sum()),
        tracks=_tracks(hands),
        message_px=Quantiles.of(message),
        message_px_by_view={c: Quantiles.of(message[:, v]) for v, c in enumerate(rig.camera_ids)},
        used_px_by_joint={j: Quantiles.of(used[..., k]) for k, j in enumerate(JOINT_NAMES)}
        if np.isfinite(used).any()
        else {},
        seen_px_by_view={c: Quantiles.of(errors[:, v]) for v, c in enumerate(rig.camera_ids)},
        astray_by_view={c: int(astray[:, v].sum()) for v, c in enumerate(rig.camera_ids)},
        bones=tuple(
            _bones(side, source, hands)
            for side in ("left", "right")
            for source in ("joints", "mano")
            if any(hand.side == side for hand in hands)
        ),
    )


def _residuals(rig: Rig, hands: Sequence[Instance]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Distances `(N, V, 21)` of the projected joints to what each view saw, and which views `(N, V)` are astray."""
    errors = np.full((len(hands), len(rig), 21), np.nan)
    astray = np.zeros((len(hands), len(rig)), dtype=np.bool_)
    for n, hand in enumerate(hands):
        if hand.keypoints_px is None:
            continue
        difference = rig.project(hand.joints_world) - hand.keypoints_px
        errors[n] = np.linalg.norm(difference, axis=-1)
        for v, camera in enumerate(rig):
            away = float(np.linalg.norm(difference[v].mean(axis=0)))
            astray[n, v] = away > _ASTRAY_PALMS * palm_px(camera, hand.joints_world)
    return errors, astray


def _tracks(hands: Sequence[Instance]) -> tuple[TrackSummary, ...]:
    swaps: dict[int, int] = {}
    by_set: dict[int, list[Instance]] = {}
    for hand in hands:
        by_set.setdefault(hand.frame_set, []).append(hand)
    for index, now in by_set.items():
        before = by_set.get(index - 1, [])
        for hand in now:
            own = [other for other in before if other.id == hand.id]
            others = [other for other in before if other.id != hand.id]
            if own and any(_apart(hand, other) < 0.5 * _apart(hand, own[0]) for other in others):
                swaps[hand.id] = swaps.get(hand.id, 0) + 1
    result = []
    for track_id in sorted({hand.id for hand in hands}):
        own = [hand for hand in hands if hand.id == track_id]
        sides = sorted({hand.side for hand in own})
        sets = [hand.frame_set for hand in own]
        result.append(TrackSummary(track_id, "/".join(sides), min(sets), max(sets), len(own), swaps.get(track_id, 0)))
    return tuple(result)


def _apart(a: Instance, b: Instance) -> float:
    return float(np.linalg.norm(a.joints_world - b.joints_world, axis=1).mean())


def _bones(side: str, source: str, hands: Sequence[Instance]) -> SideBones:
    joints = np.array(
        [hand.joints_world if source == "joints" else hand.mano_joints_world for hand in hands if hand.side == side]
    )
    to_wrist = np.linalg.norm(joints - joints[:, :1], axis=-1)
    lengths = bone_lengths(joints)
    spreads = np.array([robust_spread(lengths[:, bone]) for bone in range(lengths.shape[1])])
    worst = int(np.argmax(spreads))
    return SideBones(
        side=side,
        source=source,
        instances=len(joints),
        palm_mm=1e3 * float(np.median(palm_length(joints))),
        palm_spread={JOINT_NAMES[j]: robust_spread(to_wrist[:, j]) for j in PALM_BONE_ENDS},
        all_spread=float(np.median(spreads)),
        worst_spread=float(spreads[worst]),
        worst_bone=JOINT_NAMES[worst + 1],
    )


def run(path: Path, poses: Path | None = None) -> Report:
    """Run the engine over a rig's recording, or read what a run wrote, and report."""
    config, rig = load(path)
    if poses is not None:
        count, hands = read_poses(poses, rig)
        return summarise(rig, config.name or path.stem, count, hands)
    hands = []
    count = 0
    engine = open_engine()
    try:
        for frame_set in footage(config, rig):
            hands += [Instance.of(count, hand) for hand in engine.process(frame_set, rig)]
            count += 1
    finally:
        engine.close()
    return summarise(rig, config.name or path.stem, count, hands)


def show(report: Report) -> None:
    """Print the report for people."""
    print(
        f"{report.rig}: {report.frame_sets} frame sets answered, {report.with_hand} with a hand, "
        f"{report.instances} hand instances from two views or more"
    )
    print_table(
        "Tracks",
        ("id", "side", "first", "last", "count", "swaps"),
        [(str(t.id), t.side, str(t.first), str(t.last), str(t.count), str(t.swaps)) for t in report.tracks],
    )
    rows = [("all", *report.message_px.cells(), "", "", "", "")]
    for camera_id, figure in report.message_px_by_view.items():
        rows.append(
            (
                camera_id,
                *figure.cells(),
                *report.seen_px_by_view[camera_id].cells(),
                str(report.astray_by_view[camera_id]),
            )
        )
    columns = ("view", "hands", "median px", "p95 px", "joints seen", "median px", "p95 px", "astray")
    print_table(
        "Reprojection by view: the message's figure where used, then every joint of all that saw", columns, rows
    )
    if report.used_px_by_joint:
        print_table(
            "Reprojection by joint, in views that were used",
            ("joint", "n", "median px", "p95 px"),
            [(joint, *figure.cells()) for joint, figure in report.used_px_by_joint.items()],
        )
    print_table(
        "Robust spread of bone lengths",
        ("side", "source", "n", "palm mm", *(f"0-{j} %" for j in PALM_BONE_ENDS), "all bones %", "worst bone %"),
        [
            (
                bones.side,
                bones.source,
                str(bones.instances),
                f"{bones.palm_mm:.1f}",
                *(f"{100 * spread:.1f}" for spread in bones.palm_spread.values()),
                f"{100 * bones.all_spread:.1f}",
                f"{bones.worst_bone} {100 * bones.worst_spread:.1f}",
            )
            for bones in report.bones
        ],
    )


def finite(value: Any) -> Any:
    """Turn numbers that are not finite into None, which JSON can say."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footage_report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("rig", type=Path, help="rig.yaml of recorded footage")
    parser.add_argument("poses", type=Path, nargs="?", help="report on this output of `usthand run` instead")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    report = run(arguments.rig, arguments.poses)
    if arguments.json:
        print(json.dumps(finite(asdict(report)), indent=2))
    else:
        show(report)


if __name__ == "__main__":
    main()
