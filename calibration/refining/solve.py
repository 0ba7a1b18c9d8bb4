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
from calibration.drift.evidence import Evidence, gather, gather_view, meet, velocities_px
from calibration.drift.hypotheses import JOINTS_AS_ONE
from calibration.drift.judging import delays_s, judge_hands
from calibration.drift.sighting import Sighting
from calibration.refining.changes import Change
from calibration.refining.errors import RefineError
from calibration.refining.reprojection import Reprojection, reprojection
from calibration.rig import Rig

_ROUNDS: Final = 4
_TURN_PRIOR_RAD: Final = np.radians(2.0)
# A camera that is bumped turns about something near by: so far away at most, and its optical centre moves with it.
_LEVER_M: Final = 0.1
_LEAST_MOVE_PRIOR_M: Final = 0.001
# A view's own idea of where a joint is on the hand, standard deviation: no amount of hands averages it away.
_HABIT_M: Final = 0.002
_UNKNOWNS: Final = 6 + 3 * 21
_SAMPLE_S: Final = 0.22
_MOMENT_S: Final = 0.5
_HELD_OUT_EVERY: Final = 4
_LEAST_MOMENTS: Final = 6
_LEAST_SPREAD_M: Final = 0.02
_LEAST_GAIN: Final = 0.02
# Hands may fit a little worse than before where pictures say how the camera turned: they have their habits.
_MOST_LOSS_BESIDE_PICTURES: Final = 0.08
# Chi-square of six numbers, the 99th percentile.
_CHANCE: Final = 16.81


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

    @property
    def beyond_chance(self) -> bool:
        """Whether the hands ask for more than they would of a camera that stands right, once in a hundred times."""
        parts = np.concatenate([self.turn_deg / self.turn_sigma_deg, self.move_mm / self.move_sigma_mm])
        return bool(parts @ parts >= _CHANCE)


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
    timed = _in_step(rig, _with_velocities(sightings))
    moments = _moments(rig, [pair for pair in timed if _second(pair[0]) in solving])
    if len(moments) < _LEAST_MOMENTS:
        raise RefineError(
            f"only {len(moments)} half seconds with a hand in two views or more were found and {_LEAST_MOMENTS} are "
            "needed; record some ten seconds of hands moving through the whole volume"
        )
    moved = _who_moved(rig, tuple(moments.values()), cameras, changes)
    if any(rig.cameras[view].id not in changes for view in moved):
        _refuse_still(rig, [sighting for sighting, _ in timed])
    refined, sigmas, totals = _solve(rig, [pair for pair in timed if _second(pair[0]) in solving], moved, changes)
    held_out = [sighting for sighting, _ in timed if _second(sighting) in judging]
    before, after = reprojection(rig, held_out), reprojection(refined, held_out)
    _refuse_no_better(rig, moved, changes, before, after)
    corrections = tuple(
        CameraCorrection(
            camera_id=rig.cameras[view].id,
            turn_deg=np.degrees(total[:3]),
            turn_sigma_deg=np.degrees(sigma[:3]),
            move_mm=1e3 * total[3:],
            move_sigma_mm=1e3 * sigma[3:],
            by_picture=rig.cameras[view].id in changes,
            before=before.get(rig.cameras[view].id),
            after=after.get(rig.cameras[view].id),
        )
        for view, total, sigma in zip(moved, totals, sigmas, strict=True)
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
                timed.append((middle, velocities_px(before, after)))
    return timed


def _moments(rig: Rig, timed: Sequence[_Timed]) -> dict[tuple[int, int], Evidence]:
    parts: dict[tuple[int, int], list[Evidence]] = {}
    for sighting, velocity in timed:
        evidence = gather(rig, sighting, velocity)
        if evidence is not None:
            parts.setdefault((sighting.hand_id, _second(sighting)), []).append(evidence)
    return {key: Evidence.total(part) for key, part in parts.items()}


def _in_step(rig: Rig, timed: Sequence[_Timed]) -> list[_Timed]:
    """Correct the stamps of cameras whose pictures are older than they say: out of step is not out of place."""
    moments = _moments(rig, timed)
    if not moments:
        return list(timed)
    delays_ns = np.round(delays_s(Evidence.total(moments.values())) * 1e9).astype(np.int64)
    return [(replace(sighting, stamps_ns=sighting.stamps_ns + delays_ns), velocity) for sighting, velocity in timed]


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


def _refuse_still(rig: Rig, sightings: Sequence[Sighting]) -> None:
    """Raise if hands stayed where they were.

    A view errs in the same way on a hand that rests: moments that are held out would err alike and approve of a turn
    that is none.
    """
    tracks: dict[int, list[NDArray[np.float64]]] = {}
    for sighting in sightings:
        met = meet(rig, sighting)
        if met is not None:
            tracks.setdefault(sighting.hand_id, []).append(met[0].mean(axis=0))
    away = [np.array(track) - np.median(track, axis=0) for track in tracks.values()]
    spread_m = float(np.sqrt((np.concatenate(away) ** 2).sum(axis=1).mean())) if away else 0.0
    if spread_m < _LEAST_SPREAD_M:
        raise RefineError(
            f"the hands moved by {1e3 * spread_m:.0f} mm only (rms), {1e3 * _LEAST_SPREAD_M:.0f} are needed: of hands "
            "at rest nobody knows whether a camera turned or errs on this pose; record them moving through the whole "
            "volume, or give a recording from before with --before"
        )


def _solve(
    rig: Rig, timed: Sequence[_Timed], moved: Sequence[int], changes: Mapping[str, Change]
) -> tuple[Rig, NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Newton, one camera after the other: the refined rig, standard deviations and corrections `(M, 6)`."""
    totals = np.zeros((len(moved), 6))
    sigmas = np.zeros((len(moved), 6))
    turned = rig
    for _ in range(_ROUNDS):
        for index, view in enumerate(moved):
            mean, precision = _prior(changes.get(rig.cameras[view].id), totals[index, :3])
            normals, pulls = _by_moment(turned, timed, view)
            information = normals.sum(axis=0) * _trust(normals, pulls)
            pull = pulls.sum(axis=0) * _trust(normals, pulls)
            placing, pulling = _without_habits(information, pull)
            step = _solved(placing + precision, pulling + precision @ (mean - totals[index]))
            turned = _stepped(turned, view, step)
            totals[index] += step
            sigmas[index] = np.sqrt(np.diag(np.linalg.inv(placing + precision)))
    return turned, sigmas, totals


def _by_moment(rig: Rig, timed: Sequence[_Timed], view: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each moment says of a camera's place (6) and of its habits (3 a joint): `(M, 69, 69)` and `(M, 69)`."""
    parts: dict[tuple[int, int], tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for sighting, velocity in timed:
        seen = gather_view(rig, sighting, view, velocity)
        if seen is None:
            continue
        rows = np.zeros((len(seen.joints), 2, _UNKNOWNS))
        rows[..., :6] = seen.by_place
        for place, joint in enumerate(seen.joints):
            rows[place, :, 6 + 3 * joint : 9 + 3 * joint] = seen.by_offset[place]
        flat = rows.reshape(-1, _UNKNOWNS)
        normal = (seen.information @ rows).reshape(-1, _UNKNOWNS).T @ flat
        pull = flat.T @ seen.pull.ravel()
        key = (sighting.hand_id, _second(sighting))
        held = parts.get(key)
        parts[key] = (normal, pull) if held is None else (held[0] + normal, held[1] + pull)
    if not parts:
        raise RefineError(
            f"camera {rig.cameras[view].id} saw no hand together with another camera; record hands in its sight"
        )
    return np.stack([part[0] for part in parts.values()]), np.stack([part[1] for part in parts.values()])


def _trust(normals: NDArray[np.float64], pulls: NDArray[np.float64]) -> float:
    """What the hands' information is really worth: joints err together, and moments differ by more than their noise."""
    left = pulls[:, :6] - pulls[:, :6].mean(axis=0)
    normal = normals[:, :6, :6].sum(axis=0)
    ridge = 1e-9 * np.trace(normal) * np.eye(6)
    scatter = float(np.trace(np.linalg.solve(normal + ridge, left.T @ left))) / 6
    return 1.0 / max(JOINTS_AS_ONE, scatter)


def _without_habits(
    information: NDArray[np.float64], pull: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take the habits out: what is left speaks of the place whatever the view's idea of each joint is."""
    own = information[6:, 6:] + np.eye(_UNKNOWNS - 6) / _HABIT_M**2
    coupling = np.linalg.solve(own, information[6:, :6])
    return information[:6, :6] - information[:6, 6:] @ coupling, pull[:6] - coupling.T @ pull[6:]


def _prior(change: Change | None, turn_rad: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is known of a camera beside the hands: mean `(6,)` and precision `(6, 6)`, given its turn so far `(3,)`."""
    if change is None:
        mean, sigma, turned_rad = np.zeros(6), np.full(3, _TURN_PRIOR_RAD), turn_rad
    else:
        mean, sigma = np.concatenate([change.turn_rad, change.move_m]), change.sigma_rad
        turned_rad = change.turn_rad
    move_sigma = np.full(3, np.hypot(_LEAST_MOVE_PRIOR_M, _LEVER_M * np.linalg.norm(turned_rad)))
    return mean, np.diag(1 / np.concatenate([sigma, move_sigma]) ** 2)


def _solved(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.solve(matrix, vector), dtype=np.float64)


def _stepped(rig: Rig, view: int, step: NDArray[np.float64]) -> Rig:
    T = rig.cameras[view].T_camera_world.copy()
    R = np.asarray(cv2.Rodrigues(step[:3])[0], dtype=np.float64)
    T[:3, :3] = _orthonormal(R @ T[:3, :3])
    T[:3, 3] = R @ T[:3, 3] + step[3:]
    cameras = list(rig.cameras)
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
