"""The refinement: a robust bundle adjustment of the moved cameras on free points, which are the joints of hands.

Gauge and scale are the other cameras': they stay where they are. Joints are eliminated (`calibration.drift.evidence`).
What is known otherwise joins as a prior: bumps are small, and the background's turn says how far a camera turned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.drift.config import DriftConfig
from calibration.drift.evidence import NOISE_OF_PALM, PARAMETERS, Evidence, gather, velocity_px
from calibration.drift.hypotheses import calmed
from calibration.drift.judging import delays_s, judge_hands
from calibration.drift.sighting import Sighting
from calibration.refining.changes import Change
from calibration.refining.errors import RefineError
from calibration.refining.reprojection import Reprojection, reprojection
from calibration.rig import Rig

_ROUNDS: Final = 6
_TURN_PRIOR_RAD: Final = np.radians(2.0)
_MOVE_PRIOR_M: Final = 0.003
# A camera whose background turned as a whole hardly moved beside that.
_MOVE_PRIOR_OF_TURNED_M: Final = 0.002
# What a landmark network is off by in all moments alike, as a share of the palm: no amount of hands averages it away.
_HABIT_OF_PALM: Final = 0.015
_SAMPLE_S: Final = 0.15
_MOMENT_S: Final = 0.5
_HELD_OUT_EVERY: Final = 4
_LEAST_MOMENTS: Final = 6
_LEAST_GAIN: Final = 0.02
# Hands may fit a little worse than before where pictures say how the camera turned: they have their habits.
_MOST_LOSS_BESIDE_PICTURES: Final = 0.08


@dataclass(frozen=True, eq=False, slots=True)
class CameraCorrection:
    """How one camera had moved against its calibration.

    Args:
        camera_id: Which.
        turn_deg: Rotation vector `(3,)` in the camera's axes, degrees.
        turn_sigma_deg: Standard deviation of each part.
        move_mm: `(3,)` in the camera's axes, millimetres.
        move_sigma_mm: Standard deviation of each part.
        by_picture: Whether its background says so, too.
        before: Its error on held-out hands with the calibration as it was; None where it saw none.
        after: With the refined one.
    """

    camera_id: str
    turn_deg: NDArray[np.float64]
    turn_sigma_deg: NDArray[np.float64]
    move_mm: NDArray[np.float64]
    move_sigma_mm: NDArray[np.float64]
    by_picture: bool
    before: Reprojection | None
    after: Reprojection | None


@dataclass(frozen=True, eq=False, slots=True)
class Refined:
    """A refinement that makes things better.

    Args:
        rig: The refined calibration.
        corrections: What moved.
        before: Errors on held-out hands by camera, as it was.
        after: ... with the refined calibration.
        moments: Pieces of evidence it was solved from.
        held_out: ... and it was judged on.
    """

    rig: Rig
    corrections: tuple[CameraCorrection, ...]
    before: Mapping[str, Reprojection]
    after: Mapping[str, Reprojection]
    moments: int
    held_out: int


def refine(
    rig: Rig,
    sightings: Sequence[Sighting],
    *,
    cameras: Sequence[str] = (),
    changes: Mapping[str, Change] | None = None,
) -> Refined:
    """Solve small changes of extrinsics.

    Args:
        rig: The calibration that fits no longer.
        sightings: Hands since it does not, in order of time.
        cameras: Which cameras moved; none leaves it to pictures and hands to say.
        changes: Turns that the backgrounds show, by camera id.

    Raises:
        RefineError: If there are too few hands, nothing says what moved, or hands held out are not predicted better.
        KeyError: If the rig has no camera of that name.
    """
    changes = changes or {}
    solving, judging = _split(sightings)
    timed = _with_velocities(sightings)
    moments = _moments(rig, [pair for pair in timed if _second(pair[0]) in solving])
    if len(moments) < _LEAST_MOMENTS:
        raise RefineError(
            f"only {len(moments)} half seconds with a hand in two views or more were found and {_LEAST_MOMENTS} are "
            "needed; record some ten seconds of hands moving through the whole volume"
        )
    moved = _who_moved(rig, tuple(moments.values()), cameras, changes)
    solving_pairs = [pair for pair in timed if _second(pair[0]) in solving]
    refined, covariance, totals = _solve(rig, solving_pairs, moved, changes)
    held_out = [sighting for sighting, _ in timed if _second(sighting) in judging]
    before, after = reprojection(rig, held_out), reprojection(refined, held_out)
    _refuse_no_better(rig, moved, changes, before, after)
    corrections = tuple(
        CameraCorrection(
            camera_id=rig.cameras[view].id,
            turn_deg=np.degrees(totals[place : place + 3]),
            turn_sigma_deg=np.degrees(np.sqrt(np.diag(covariance)[place : place + 3])),
            move_mm=1e3 * totals[place + 3 : place + 6],
            move_sigma_mm=1e3 * np.sqrt(np.diag(covariance)[place + 3 : place + 6]),
            by_picture=rig.cameras[view].id in changes,
            before=before.get(rig.cameras[view].id),
            after=after.get(rig.cameras[view].id),
        )
        for view, place in zip(moved, range(0, 6 * len(moved), 6), strict=True)
    )
    return Refined(refined, corrections, before, after, len(moments), len({_second(s) for s in held_out}))


def _second(sighting: Sighting) -> int:
    return int(sighting.time_s / _MOMENT_S)


def _split(sightings: Sequence[Sighting]) -> tuple[set[int], set[int]]:
    """Moments to solve from and moments to judge on: every fourth that has hands."""
    present = sorted({_second(sighting) for sighting in sightings if np.isfinite(sighting.time_s)})
    judging = set(present[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY])
    return set(present) - judging, judging


_Timed = tuple[Sighting, NDArray[np.float64]]


def _with_velocities(sightings: Sequence[Sighting]) -> list[_Timed]:
    """Thin sightings out, and give each the hand's velocity by its neighbours in time."""
    tracks: dict[int, list[Sighting]] = {}
    for sighting in sightings:
        if np.isfinite(sighting.time_s):
            tracks.setdefault(sighting.hand_id, []).append(sighting)
    timed: list[_Timed] = []
    for track in tracks.values():
        last_s = -np.inf
        for before, middle, after in zip(track, track[1:], track[2:], strict=False):
            if middle.time_s - last_s >= _SAMPLE_S:
                last_s = middle.time_s
                timed.append((middle, velocity_px(before, after)))
    return timed


def _moments(rig: Rig, timed: Sequence[_Timed]) -> dict[tuple[int, int], Evidence]:
    parts: dict[tuple[int, int], list[Evidence]] = {}
    for sighting, velocity in timed:
        evidence = gather(rig, sighting, velocity)
        if evidence is not None:
            parts.setdefault((sighting.hand_id, _second(sighting)), []).append(evidence)
    moments = {key: Evidence.total(part) for key, part in parts.items()}
    if not moments:
        return moments
    # Cameras out of step are not out of place.
    late = np.zeros(len(rig) * PARAMETERS)
    late[PARAMETERS - 1 :: PARAMETERS] = delays_s(Evidence.total(moments.values()))
    return {key: moment.corrected(late) for key, moment in moments.items()}


def _who_moved(
    rig: Rig, moments: Sequence[Evidence], cameras: Sequence[str], changes: Mapping[str, Change]
) -> tuple[int, ...]:
    """Which cameras are solved for: those that somebody names, else those that pictures name, else the hands' one."""
    if not cameras and changes:
        cameras = tuple(changes)
    if cameras:
        named = tuple(sorted({rig.camera_ids.index(rig.camera(camera_id).id) for camera_id in cameras}))
        if len(named) == len(rig):
            raise RefineError("all cameras are said to have moved; one at least must stay to hold world and scale")
        return named
    finding = judge_hands(moments, None, DriftConfig())
    if not finding.blamed:
        raise RefineError(
            "neither the pictures nor the hands say that a camera moved; if you know that one did, name it with "
            "--cameras, or calibrate anew with a board"
        )
    if len(finding.blamed) > 1:
        names = " and ".join(rig.camera_ids[view] for view in sorted(finding.blamed))
        raise RefineError(
            f"the hands no longer fit, but with two views nothing tells which of {names} moved; name it with "
            "--cameras, or give a recording from before with --before"
        )
    return finding.blamed


def _solve(
    rig: Rig, timed: Sequence[_Timed], moved: Sequence[int], changes: Mapping[str, Change]
) -> tuple[Rig, NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Newton: the refined rig, the covariance `(6 M, 6 M)` and the corrections `(6 M,)` of the moved cameras."""
    mean, precision = _prior(rig, moved, changes)
    own = np.concatenate([np.arange(view * PARAMETERS, view * PARAMETERS + 6) for view in moved])
    total: NDArray[np.float64] = np.zeros(len(own))
    turned = rig
    covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    for _ in range(_ROUNDS):
        moments = calmed(list(_moments(turned, timed).values()))
        normal = sum((moment.normal[np.ix_(own, own)] for moment in moments), np.zeros((len(own), len(own))))
        pulls = np.stack([moment.gradient[own] for moment in moments])
        trust = _trust(normal, pulls, sum(float(m.joints[list(moved)].sum()) for m in moments))
        information = normal * trust + precision
        step = _solved(information, pulls.sum(axis=0) * trust + precision @ (mean - total))
        turned = _stepped(turned, moved, step)
        total = total + step
        covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
    return turned, covariance, total


def _solved(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.solve(matrix, vector), dtype=np.float64)


def _prior(
    rig: Rig, moved: Sequence[int], changes: Mapping[str, Change]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is known beside the hands: mean `(6 M,)` and precision `(6 M, 6 M)`."""
    means, sigmas = [], []
    for view in moved:
        change = changes.get(rig.cameras[view].id)
        if change is None:
            means.append(np.zeros(6))
            sigmas.append(np.array([_TURN_PRIOR_RAD] * 3 + [_MOVE_PRIOR_M] * 3))
        else:
            means.append(np.concatenate([change.turn_rad, np.zeros(3)]))
            sigmas.append(np.concatenate([change.sigma_rad, np.full(3, _MOVE_PRIOR_OF_TURNED_M)]))
    return np.concatenate(means), np.diag(1 / np.concatenate(sigmas) ** 2)


def _trust(normal: NDArray[np.float64], pulls: NDArray[np.float64], joints: float) -> float:
    """What the hands' information is really worth: moments differ by more than their joints' noise, and have habits."""
    left = pulls - pulls.mean(axis=0)
    ridge = 1e-9 * np.trace(normal) * np.eye(len(normal))
    scatter = float(np.trace(np.linalg.solve(normal + ridge, left.T @ left))) / len(normal)
    habit = joints * (_HABIT_OF_PALM / NOISE_OF_PALM) ** 2
    return 1.0 / max(1.0, scatter, habit)


def _stepped(rig: Rig, moved: Sequence[int], step: NDArray[np.float64]) -> Rig:
    cameras = list(rig.cameras)
    for index, view in enumerate(moved):
        turn, move = step[6 * index : 6 * index + 3], step[6 * index + 3 : 6 * index + 6]
        T = cameras[view].T_camera_world.copy()
        R = np.asarray(cv2.Rodrigues(turn)[0], dtype=np.float64)
        T[:3, :3] = _orthonormal(R @ T[:3, :3])
        T[:3, 3] = R @ T[:3, 3] + move
        cameras[view] = cameras[view].with_transform(T)
    return replace(rig, cameras=tuple(cameras))


def _orthonormal(R: NDArray[np.float64]) -> NDArray[np.float64]:
    u, _, v = np.linalg.svd(R)
    nearest: NDArray[np.float64] = u @ v
    return nearest


def _refuse_no_better(
    rig: Rig,
    moved: Sequence[int],
    changes: Mapping[str, Change],
    before: Mapping[str, Reprojection],
    after: Mapping[str, Reprojection],
) -> None:
    """Raise unless hands that were held out are predicted better."""
    names = [rig.cameras[view].id for view in moved]
    judged = [name for name in names if name in before and name in after]
    if not judged:
        raise RefineError(
            f"no hand that was held out was seen by {', '.join(names)} and another camera; record hands in their sight"
        )
    old = float(np.sqrt(np.mean([before[name].rms_px ** 2 for name in judged])))
    new = float(np.sqrt(np.mean([after[name].rms_px ** 2 for name in judged])))
    limit = 1 + _MOST_LOSS_BESIDE_PICTURES if all(name in changes for name in names) else 1 - _LEAST_GAIN
    if new > limit * old:
        raise RefineError(
            f"hands that were held out are not predicted better: {old:.2f} px before, {new:.2f} px after in "
            f"{', '.join(judged)}; nothing is written. Record more hands, name other cameras, or calibrate with a board"
        )
