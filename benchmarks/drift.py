"""Whether a bumped camera is named, how soon, how well it is repaired, and what watching costs.

    python -m benchmarks.drift projected
    python -m benchmarks.drift footage tests/rigs/desk2.yaml --bump-at 100
    python -m benchmarks.drift footage tests/rigs/room4.yaml --bump-at 40
    python -m benchmarks.drift delays tests/rigs/room4.yaml
    python -m benchmarks.drift cost tests/rigs/room4.yaml

`projected` needs no footage: hands with a landmark network's errors, seen by made-up rigs; nobody looks at pictures
there. `footage` runs the detector engine on recordings in which one camera after the other is turned by a degree about
each of its axes: by turning its pictures, as a bump does, and by turning its calibration the other way round, which
leaves the pictures as they were. The camera is then repaired from the rest of the recording, with its pictures from
before the bump and its calibration of then for `--before`, and once more from the hands alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks._drift import JUDGE_S, LOOK_S, Bump, How, Watched, apart_deg, episode, turned, watch
from benchmarks._footage import load, print_table
from calibration import Rig
from calibration.drift import DriftMonitor, Sighting
from calibration.drift.evidence import gather
from calibration.refining import Before, RefineError, find_change, refine
from engine.synthetic.rigs import make_rig
from engine.synthetic.seen_joints import seen_joints

_AXES: Final = {"tilt": (1.0, 0.0, 0.0), "pan": (0.0, 1.0, 0.0), "roll": (0.0, 0.0, 1.0)}
_BUMP_S: Final = 8.0
_REPAIR_S: Final = 30.0
_QUIET_S: Final = 60.0
_SHIFTS: Final = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One bump.

    Args:
        named_s: How long it took until that camera, and no other, was named; None if it was not.
        suspected_s: ... until it was blamed alone or as one of several.
        wrong: Other cameras that were named.
        error_deg: Of the repaired orientation; None where the refinement refused.
        px: Held-out error of the camera before and after.
        why: Why it refused.
        hands_only_deg: Error of the orientation repaired from hands alone, without pictures; None where refused.
    """

    named_s: float | None
    suspected_s: float | None
    wrong: frozenset[str]
    error_deg: float | None
    px: tuple[float, float] | None
    why: str
    hands_only_deg: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Return it as table cells."""
        seconds = ["-" if value is None else f"{value:.1f}" for value in (self.named_s, self.suspected_s)]
        error = self.why if self.error_deg is None else f"{self.error_deg:.3f}"
        px = "-" if self.px is None else f"{self.px[0]:.2f} -> {self.px[1]:.2f}"
        alone = "-" if self.hands_only_deg is None else f"{self.hands_only_deg:.3f}"
        return *seconds, ", ".join(sorted(self.wrong)) or "-", error, px, alone


def _repaired(
    rig: Rig, sightings: Sequence[Sighting], truth: Rig, camera_id: str, **known: object
) -> tuple[float | None, tuple[float, float] | None, str]:
    try:
        refined = refine(rig, sightings, **known)  # type: ignore[arg-type]
    except RefineError as error:
        return None, None, f"refused: {str(error)[:40]}..."
    own = next((c for c in refined.corrections if c.camera_id == camera_id), None)
    px = None if own is None or own.before is None or own.after is None else (own.before.rms_px, own.after.rms_px)
    return apart_deg(refined.rig.camera(camera_id), truth.camera(camera_id)), px, ""


def projected_bump(rig: Rig, seed: int, camera_id: str, axis: str, *, hands: int = 2) -> Outcome:
    """Bump a camera of a made-up rig before projected hands."""
    bumped = turned(rig, camera_id, np.radians(1.0) * np.array(_AXES[axis]))
    monitor = DriftMonitor(rig)
    named = suspected = None
    wrong: set[str] = set()
    after: list[Sighting] = []
    judged_s = 0.0
    for real, start_s, seconds in ((rig, 0.0, _BUMP_S), (bumped, _BUMP_S, _REPAIR_S)):
        for seen in seen_joints(real, seconds, seed, hands=hands, start_s=start_s):
            if real is bumped:
                after += seen.sightings
            if seen.time_s > _BUMP_S + 10.0:
                continue
            monitor.see(seen.sightings)
            if seen.time_s - judged_s < JUDGE_S:
                continue
            judged_s = seen.time_s
            verdicts = monitor.judge()
            blamed = {v.camera_id for v in verdicts if v.state == "miscalibrated"}
            wrong |= blamed - {camera_id}
            if blamed == {camera_id} and named is None:
                named = seen.time_s - _BUMP_S
            if suspected is None and any(v.blamed and v.camera_id == camera_id for v in verdicts):
                suspected = seen.time_s - _BUMP_S
    return Outcome(named, suspected, frozenset(wrong), *_repaired(rig, after, bumped, camera_id, cameras=(camera_id,)))


def quiet_minute(rig: Rig, seed: int) -> frozenset[str]:
    """Let projected hands move for a minute before cameras that nobody bumps; which were blamed."""
    monitor = DriftMonitor(rig)
    blamed: set[str] = set()
    judged_s = 0.0
    for seen in seen_joints(rig, _QUIET_S, seed):
        monitor.see(seen.sightings)
        if seen.time_s - judged_s >= JUDGE_S:
            judged_s = seen.time_s
            blamed |= {verdict.camera_id for verdict in monitor.judge() if verdict.blamed}
    return frozenset(blamed)


def projected(seeds: int) -> None:
    """Print how projected hands fare."""
    rows = []
    for views in (3, 4, 6):
        for seed in range(1, seeds + 1):
            rig = make_rig(views, seed, 1280, 960)
            print(f"{views} views, seed {seed}: blamed in a quiet minute: {sorted(quiet_minute(rig, seed)) or 'none'}")
            for axis in _AXES:
                camera_id = rig.camera_ids[seed % views]
                outcome = projected_bump(rig, seed, camera_id, axis)
                rows.append((f"{views} views, seed {seed}", camera_id, axis, *outcome.cells()))
    print_table("Projected hands, one camera turned by 1 degree", _COLUMNS, rows)


_COLUMNS: Final = (
    "rig",
    "camera",
    "axis",
    "named s",
    "suspected s",
    "wrongly named",
    "repaired to deg",
    "held-out px",
    "hands alone",
)


def footage_bump(path: Path, bump: Bump) -> Outcome:
    """Bump a camera of a recording, watch, and repair."""
    _, rig = load(path)
    seen = watch(episode(path, bump))
    since_s = _time_of(seen, bump.from_set)
    truth = rig if bump.how == "calibration" else turned(rig, bump.camera_id, bump.turn_rad)
    camera = seen.rig.camera(bump.camera_id)
    looks = seen.pictures.get(camera.id, [])
    change = find_change(
        camera,
        [(time_s, corners) for number, time_s, corners in looks if number >= bump.from_set],
        Before([corners for number, _, corners in looks if number < bump.from_set], rig.camera(camera.id)),
    )
    after = [sighting for number, sighting in seen.sightings if number >= bump.from_set]
    changes = {} if change is None else {camera.id: change}
    alone, _, _ = _repaired(seen.rig, after, truth, camera.id, cameras=(camera.id,))
    return Outcome(
        seen.named_after_s(bump.camera_id, since_s),
        seen.suspected_after_s(bump.camera_id, since_s),
        seen.named - {bump.camera_id},
        *_repaired(seen.rig, after, truth, bump.camera_id, cameras=(bump.camera_id,), changes=changes),
        alone,
    )


def _time_of(seen: Watched, number: int) -> float:
    """When a frame set was, by the pictures around it, seconds."""
    known = sorted({(n, time_s) for looks in seen.pictures.values() for n, time_s, _ in looks})
    numbers, times = np.array([n for n, _ in known], dtype=np.float64), np.array([t for _, t in known])
    return float(np.interp(number, numbers, times))


def footage(path: Path, bump_at: int, hows: Sequence[How]) -> None:
    """Print how a recording fares."""
    config, rig = load(path)
    quiet = watch(episode(path, None))
    print(f"{config.name}, nobody bumped: named {sorted(quiet.named) or 'none'}, ", end="")
    print(f"suspected {sorted(quiet.suspected) or 'none'}")
    for verdict in quiet.verdicts[-1][1]:
        print(f"  {verdict.camera_id}: {verdict.state} {verdict.message}")
    for how in hows:
        rows = [
            (
                config.name or path.stem,
                camera_id,
                axis,
                *footage_bump(path, Bump(camera_id, np.radians(1.0) * np.array(direction), bump_at, how)).cells(),
            )
            for camera_id in rig.camera_ids
            for axis, direction in _AXES.items()
        ]
        print_table(f"{config.name}: {how} turned by 1 degree from frame set {bump_at} on", _COLUMNS, rows)


def delays(path: Path) -> None:
    """Print which camera's pictures are older or younger than their stamps say, by how well hands then fit."""
    config, rig = load(path)
    tracks: dict[int, dict[int, Sighting]] = {}
    for step in episode(path, None):
        for sighting in step.sightings:
            tracks.setdefault(sighting.hand_id, {})[step.number] = sighting
    rows = []
    for view, camera_id in enumerate(rig.camera_ids):
        misfits = [_misfit(rig, tracks, view, shift) for shift in _SHIFTS]
        rows.append((camera_id, *(f"{misfit:.2f}" for misfit in misfits), f"{_SHIFTS[int(np.argmin(misfits))]:+.2f}"))
    title = f"{config.name}: median misfit (variances a number) with one camera's joints taken so many frames later"
    print_table(title, ("camera", *(f"{shift:+.2f}" for shift in _SHIFTS), "best"), rows)


def _misfit(rig: Rig, tracks: dict[int, dict[int, Sighting]], view: int, shift: float) -> float:
    misfits = []
    for track in tracks.values():
        for number, sighting in track.items():
            other = track.get(number + (1 if shift >= 0 else -1))
            if other is None or track.get(number - (1 if shift >= 0 else -1)) is None:
                continue
            keypoints = sighting.keypoints_px.copy()
            keypoints[view] += abs(shift) * (other.keypoints_px[view] - keypoints[view])
            evidence = gather(rig, replace(sighting, keypoints_px=keypoints))
            if evidence is not None and evidence.rows:
                misfits.append(evidence.cost / evidence.rows)
    return float(np.median(misfits))


def cost(path: Path) -> None:
    """Print what watching costs a frame set: processor time of its thread."""
    config, rig = load(path)
    steps: list[tuple[Sighting, ...]] = []
    pictures: list[list[NDArray[np.uint8] | None]] = []
    times: list[float] = []
    for step in episode(path, None):
        steps.append(step.sightings)
        times.append(step.time_s)
        if step.number % 10 == 0:
            pictures.append([None if f is None else f.image_bgr.copy() for f in step.frame_set.frames])
    monitor = DriftMonitor(rig)
    hands_s = judging_s = looking_s = 0.0
    judged_s, looked, next_look_s = 0.0, 0, 0.0
    for sightings, time_s in zip(steps, times, strict=True):
        started_s = time.thread_time()
        monitor.see(sightings)
        hands_s += time.thread_time() - started_s
        if time_s - judged_s >= JUDGE_S:
            judged_s, started_s = time_s, time.thread_time()
            monitor.judge()
            judging_s += time.thread_time() - started_s
        while time_s >= next_look_s:
            next_look_s += LOOK_S / len(rig)
            image = pictures[min(looked // len(rig), len(pictures) - 1)][looked % len(rig)]
            if image is not None:
                started_s = time.thread_time()
                monitor.look(looked % len(rig), image)
                looking_s += time.thread_time() - started_s
            looked += 1
    seconds = times[-1] - times[0]
    parts = {"hands": hands_s, "judging": judging_s, "pictures": looking_s, "all": hands_s + judging_s + looking_s}
    print_table(
        f"{config.name}: {len(rig)} cameras, {len(steps) / seconds:.0f} frame sets a second",
        ("part", "ms a frame set", "ms a second of footage", "share of one core %"),
        [
            (p, f"{1e3 * s / len(steps):.3f}", f"{1e3 * s / seconds:.2f}", f"{100 * s / seconds:.2f}")
            for p, s in parts.items()
        ],
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parts = parser.add_subparsers(dest="part", required=True)
    hands = parts.add_parser("projected")
    hands.add_argument("--seeds", type=int, default=3)
    recorded = parts.add_parser("footage")
    recorded.add_argument("rig", type=Path)
    recorded.add_argument("--bump-at", type=int, default=100, help="frame set of the bump")
    recorded.add_argument("--how", choices=("pictures", "calibration", "both"), default="both")
    for name in ("delays", "cost"):
        parts.add_parser(name).add_argument("rig", type=Path)
    arguments = parser.parse_args()
    match arguments.part:
        case "projected":
            projected(arguments.seeds)
        case "footage":
            both: tuple[How, ...] = ("pictures", "calibration")
            footage(arguments.rig, arguments.bump_at, both if arguments.how == "both" else (arguments.how,))
        case "delays":
            delays(arguments.rig)
        case "cost":
            cost(arguments.rig)


if __name__ == "__main__":
    main()
