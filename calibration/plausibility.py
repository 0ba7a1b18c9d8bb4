"""Mistakes that leave a calibration valid and wrong: another unit of length, transforms or cameras exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.overview import axes_meeting_point, baselines_m
from calibration.rig import Rig
from calibration.units import METRES_PER_UNIT

MAX_BASELINE_M: Final = 20.0
"""Cameras further apart see no fingers of one hand."""

MIN_BASELINE_M: Final = 0.005
"""Lenses cannot be closer to each other."""

_SAME_SIZE = 0.03
"""A printer that fits to the page is off by more; two good calibrations differ by less."""
_UNMOVED_DEG = 2.0
_SAME_SHAPE = 1.3
_OTHER_SCALE = 3.0
_NEAR_UNIT = 1.3
_SAME_DEG = 20.0
_CLEARLY = 3.0
_SPACE = 10.0


def suspicions(rig: Rig, reference: Rig | None = None) -> list[str]:
    """Say what looks like a mistake, each with what to do; empty if nothing does.

    Args:
        rig: What is judged; each camera in itself is a possible one already.
        reference: A calibration that is known to be right, of the same cameras or some of them; None where there is
            none.
    """
    if len(rig) < 2:
        return []
    shared = () if reference is None else tuple(i for i in rig.camera_ids if i in reference.camera_ids)
    known = reference.subset(shared) if reference is not None and len(shared) > 1 else None
    if (direction := _direction_mistake(rig, known)) is not None:
        # Distances say nothing while the transforms are the wrong way round.
        return [direction]
    if known is not None and (swap := _swap_mistake(rig, known)) is not None:
        return [swap]
    found = []
    if (scale := _scale_mistake(rig, known)) is not None:
        found.append(scale)
    if _shared_view(rig) == 0:
        found.append(
            "no two cameras see a common point, so that nothing can be triangulated; check that T_camera_world maps "
            "from world to camera, with OpenCV's axes (x right, y down, z forward)"
        )
    return found


def board_size_remark(rig: Rig, reference: Rig) -> str | None:
    """Say whether all distances have grown or shrunk in one ratio: a board of another size than its spec does that.

    Args:
        rig: What was solved from a board.
        reference: The calibration that ran till then, of the same cameras.
    """
    ratio = _scale_to(rig, reference) if len(rig) > 1 else None
    if ratio is None or abs(ratio - 1.0) < _SAME_SIZE or _difference_deg(rig, reference) > _UNMOVED_DEG:
        return None
    new, old = (baselines_m(r)[np.triu_indices(len(rig), 1)] for r in (rig, reference))
    if float(np.ptp(new / old)) > abs(ratio - 1.0) / 4:
        # Cameras that were moved a little change distances by different ratios.
        return None
    return (
        f"the cameras are {ratio:.3f} times as far from each other as in the running calibration, and stand alike: "
        "measure the side of the board's squares, over the whole board, and correct the spec if it is another"
    )


def inverted(rig: Rig) -> Rig:
    """Return the rig that is meant if its transforms go from camera to world."""
    return Rig(tuple(camera.with_transform(_inverse(camera.T_camera_world)) for camera in rig), rig.name)


def _swap_mistake(rig: Rig, reference: Rig) -> str | None:
    """Say which two cameras have taken each other's place; two alone are told from nothing by it."""
    ids = reference.camera_ids
    if len(ids) < 3:
        return None
    new, old = _arrangement(rig.subset(ids)), _arrangement(reference)
    before = _own_deg(new, old)
    exchanged: dict[tuple[str, str], float] = {}
    for pair in combinations(np.flatnonzero(before > _SAME_DEG).tolist(), 2):
        order = list(range(len(ids)))
        order[pair[0]], order[pair[1]] = pair[1], pair[0]
        after = float(_own_deg(new.ordered(order), old)[list(pair)].max())
        if after < min(_SAME_DEG, float(before[list(pair)].min()) / _CLEARLY):
            exchanged[ids[pair[0]], ids[pair[1]]] = after
    if not exchanged:
        return None
    one, other = min(exchanged, key=lambda pair: exchanged[pair])
    return (
        f"{one} stands where {other} does in the running calibration, and {other} where {one} does: were their "
        "cables or names exchanged? Exchange them back, or, if the running calibration is the wrong one, use this one"
    )


def _scale_mistake(rig: Rig, reference: Rig | None) -> str | None:
    if reference is not None and (ratio := _scale_to(rig.subset(reference.camera_ids), reference)) is not None:
        if 1 / _OTHER_SCALE <= ratio <= _OTHER_SCALE:
            return None
        return (
            f"the cameras are {ratio:.4g} times as far from each other as in the running calibration, and stand alike: "
            f"{_unit_words(ratio)}"
        )
    longest = float(baselines_m(rig).max())
    if longest == 0:
        return (
            "all cameras stand at one place: is this a calibration of lenses only? Solve the places too (usthand "
            "calibrate extrinsics --lenses)"
        )
    if longest > MAX_BASELINE_M:
        return (
            f"the cameras are up to {longest:.4g} m apart, which no room for hands is: was the file written in mm or "
            "cm? Give its unit (units=mm), or convert the translations to metres"
        )
    if longest < MIN_BASELINE_M:
        return (
            f"all cameras are within {longest * 1e3:.3g} mm, closer than lenses can be: were metres taken for mm? Give "
            "the file's unit (units=m), or convert the translations to metres"
        )
    return None


def _scale_to(rig: Rig, reference: Rig) -> float | None:
    """Return how many times as large a rig is as another one of the same cameras; None where they stand otherwise."""
    pairs = list(combinations(range(len(rig)), 2))
    new, old = baselines_m(rig), baselines_m(reference)
    ratios = np.array([new[i, j] / old[i, j] for i, j in pairs if old[i, j] > 1e-4])
    if not ratios.size or ratios.min() <= 0 or ratios.max() > _SAME_SHAPE * ratios.min():
        return None
    # One distance has always the same ratio to itself: the directions must tell whether two cameras stand alike.
    alike = (
        len(pairs) > 1 or min(_difference_deg(rig, reference), _difference_deg(inverted(rig), reference)) < _SAME_DEG
    )
    return float(np.median(ratios)) if alike else None


def _unit_words(ratio: float) -> str:
    for name, metres in METRES_PER_UNIT.items():
        if name == "m":
            continue
        if 1 / _NEAR_UNIT < ratio * metres < _NEAR_UNIT:
            return (
                f"was the file written in {name}? Give its unit (units={name}), or convert the translations to metres"
            )
        if 1 / _NEAR_UNIT < ratio / metres < _NEAR_UNIT:
            return (
                f"were metres taken for {name}? Give the file's unit (units=m), or convert the translations to metres"
            )
    return "in which unit was the file written? Give it (units=..., also as metres per unit)"


def _direction_mistake(rig: Rig, reference: Rig | None) -> str | None:
    other = inverted(rig)
    words = (
        "do the transforms go from camera to world? T_camera_world maps from world to camera: invert each matrix, or "
        "export extrinsics instead of camera poses"
    )
    if reference is not None:
        ids = reference.camera_ids
        as_given, as_inverted = (_difference_deg(r.subset(ids), reference) for r in (rig, other))
        if as_given > _SAME_DEG and as_inverted * _CLEARLY < as_given and as_inverted < _SAME_DEG:
            return (
                f"as given, the cameras stand to each other otherwise than in the running calibration (by "
                f"{as_given:.0f} deg); inverted, they stand alike (within {as_inverted:.0f} deg): {words}"
            )
        if as_given <= _SAME_DEG:
            return None
    if not _look_at_one_place(rig) and _look_at_one_place(other) and _clearly_less_in_common(rig, other):
        return f"as given, the cameras look away from each other; inverted, they look at one place: {words}"
    return None


def _clearly_less_in_common(rig: Rig, other: Rig) -> bool:
    """Say whether the cameras of one rig look past each other, and those of the other do not.

    Lenses that diverge a little share most of their view and converge when inverted; two axes nearly meet by chance.
    """
    if _CLEARLY * _shared_view(rig) < _shared_view(other):
        return True
    return len(rig) > 2 and _CLEARLY * _miss(other) < _miss(rig)


def _miss(rig: Rig) -> float:
    """Return how far the optical axes pass each other, in parts of their distance; infinite for parallel ones."""
    meeting = axes_meeting_point(rig)
    if meeting is None:
        return np.inf
    distances = [float(np.linalg.norm(camera.center_world - meeting.point_world)) for camera in rig]
    return meeting.miss_m / max(float(np.median(distances)), 1e-9)


def _difference_deg(rig: Rig, reference: Rig) -> float:
    """Return how differently two rigs of the same cameras are arranged: the median over pairs, degrees.

    It compares where one camera lies and how it is turned, as seen from another: that changes neither with the world
    frame nor with the unit of length.
    """
    angles = _angles_deg(_arrangement(rig), _arrangement(reference))
    return float(np.median(angles[np.triu_indices(len(rig), 1)]))


@dataclass(frozen=True, eq=False, slots=True)
class _Arrangement:
    """How cameras stand to each other: the turn `(V, V, 3, 3)` and the shift `(V, V, 3)` from each to each."""

    turns: NDArray[np.float64]
    shifts: NDArray[np.float64]

    def ordered(self, order: list[int]) -> _Arrangement:
        """Return the same places, taken by the cameras in another order."""
        return _Arrangement(self.turns[np.ix_(order, order)], self.shifts[np.ix_(order, order)])


def _arrangement(rig: Rig) -> _Arrangement:
    R = np.array([camera.T_camera_world[:3, :3] for camera in rig])
    t = np.array([camera.T_camera_world[:3, 3] for camera in rig])
    turns = R[None] @ R.transpose(0, 2, 1)[:, None]
    return _Arrangement(turns, t[None] - (turns @ t[:, None, :, None])[..., 0])


def _angles_deg(one: _Arrangement, other: _Arrangement) -> NDArray[np.float64]:
    """Return how differently two arrangements place and turn each camera as seen from each `(V, V)`, degrees."""
    # A turn's chord: exact where angles are small, and rounding never takes it out of the arc sine's range.
    chord = np.linalg.norm(one.turns - other.turns, axis=(2, 3)) / np.sqrt(8.0)
    turned = 2 * np.arcsin(np.clip(chord, 0, 1))
    lengths = np.linalg.norm(one.shifts, axis=2) * np.linalg.norm(other.shifts, axis=2)
    along = (one.shifts * other.shifts).sum(axis=2)
    cosine = np.divide(along, lengths, out=np.ones_like(along), where=lengths > 0)
    angles: NDArray[np.float64] = np.degrees(turned + np.arccos(np.clip(cosine, -1, 1)))
    return angles


def _own_deg(one: _Arrangement, other: _Arrangement) -> NDArray[np.float64]:
    """Return each camera's own difference `(V,)`: the median over all others, few of which are out of place."""
    count = len(one.turns)
    apart = _angles_deg(one, other)[~np.eye(count, dtype=bool)].reshape(count, count - 1)
    return np.asarray(np.median(apart, axis=1), dtype=np.float64)


def _look_at_one_place(rig: Rig) -> bool:
    """Say whether the place where the optical axes come closest lies in every camera's picture."""
    meeting = axes_meeting_point(rig)
    return meeting is not None and all(bool(c.contains(c.project(meeting.point_world))) for c in rig)


def _shared_view(rig: Rig) -> float:
    """Return which part of the space in the pictures is in the pictures of two cameras, by points in each one's view.

    The space reaches as far as the cameras are apart, several times over: all cameras share what is far enough.
    """
    lengths = baselines_m(rig)
    scale_m = max(float(np.median(lengths[lengths > 0])) if lengths.any() else 0.0, 1e-6)
    depths_m = scale_m * np.geomspace(0.1, _SPACE, 12)
    shared = total = 0
    for camera in rig:
        across = (np.arange(7) + 0.5) / 7
        u, v = np.meshgrid(across * camera.width - 0.5, across * camera.height - 0.5)
        rays = camera.unproject(np.column_stack([u.ravel(), v.ravel()]))
        rays = rays[np.isfinite(rays).all(axis=1)]
        points_camera = (np.column_stack([rays, np.ones(len(rays))])[None] * depths_m[:, None, None]).reshape(-1, 3)
        T = _inverse(camera.T_camera_world)
        points_world = points_camera @ T[:3, :3].T + T[:3, 3]
        seen = np.zeros(len(points_world), dtype=bool)
        for other in rig:
            if other is not camera:
                seen |= other.contains(other.project(points_world))
        shared, total = shared + int(seen.sum()), total + len(seen)
    return shared / max(total, 1)


def _inverse(T: NDArray[np.float64]) -> NDArray[np.float64]:
    made = np.eye(4)
    made[:3, :3], made[:3, 3] = T[:3, :3].T, -T[:3, :3].T @ T[:3, 3]
    return made
