"""What to do next with the board, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.solving.lenses import MIN_VIEWS
from calibration.solving.places import FEW_SHARED
from server.live_calibration.sightings import TILTED_DEG, CameraView, Seen

ENOUGH_SIGHTS: Final = 15
ENOUGH_SHARED: Final = 8
ENOUGH_COVERED: Final = 0.4
"""The share of a picture below which the judgement of a calibration complains."""

ENOUGH_TILTED: Final = 5
"""A lens is not told from the board's distance by sights that all face the camera."""

FIRST_LOOKS: Final = 3
"""So many frame sets are looked at before a camera without a picture is complained of: one may lack a late camera."""

FEWEST_SIGHTS: Final = MIN_VIEWS
FEWEST_SHARED: Final = FEW_SHARED


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing to do.

    Args:
        text: For people.
        camera_ids: Whose pictures it is about, if any.
    """

    text: str
    camera_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Guidance:
    """What to do next.

    Args:
        hints: Most needed first; empty where there is enough of everything.
        can_solve: Whether a solve can succeed at all.
        missing: What it needs first, if it cannot; in words.
    """

    hints: tuple[Hint, ...]
    can_solve: bool
    missing: tuple[str, ...]


def guide(seen: Seen) -> Guidance:
    """Say what is missing, most needed first."""
    missing = [
        f"{camera_id} saw the board in {_counted(view.sights, view.learnt, 'pictures')}; {FEWEST_SIGHTS} are needed"
        for camera_id, view in seen.cameras.items()
        if view.learnt < FEWEST_SIGHTS
    ]
    if not missing and (apart := _bridge(seen.shared_learnt, FEWEST_SHARED)) is not None:
        one, other = apart
        counted = _counted(seen.shared[apart], seen.shared_learnt[apart], "frame sets")
        missing.append(f"{one} and {other} saw it at one time in {counted}; {FEWEST_SHARED} are needed")
    hints = [hint for camera_id, view in seen.cameras.items() for hint in _first_sights(camera_id, view, seen)]
    if (apart := _bridge(seen.shared, ENOUGH_SHARED)) is not None:
        one, other = apart
        text = f"hold the board where both {one} and {other} see it: they share {seen.shared[apart]} sights"
        hints.append(Hint(text, apart))
    begun = {i: v for i, v in seen.cameras.items() if v.sights >= FEWEST_SIGHTS}
    hints += [hint for _, hint in sorted(_uncovered(begun), key=lambda pair: pair[0])]
    hints += [
        Hint(f"tilt the board before {camera_id}, by {TILTED_DEG:.0f} degrees and more, to each side", (camera_id,))
        for camera_id, view in begun.items()
        if view.tilted < ENOUGH_TILTED
    ]
    return Guidance(tuple(hints), not missing, tuple(missing))


def _first_sights(camera_id: str, view: CameraView, seen: Seen) -> list[Hint]:
    if view.size is None and seen.frame_sets < FIRST_LOOKS:
        return [Hint(f"show the board to {camera_id}: its first picture is waited for", (camera_id,))]
    if view.size is None:
        return [Hint(f"{camera_id} gives no pictures: see its state", (camera_id,))]
    if view.sights >= ENOUGH_SIGHTS:
        return []
    why = f" ({view.refusal})" if view.refusal and view.corners_px is None else ""
    if view.sights == 0:
        return [Hint(f"show the board to {camera_id}: it has not seen it yet{why}", (camera_id,))]
    return [Hint(f"show the board longer to {camera_id}: {view.sights} of {ENOUGH_SIGHTS} sights{why}", (camera_id,))]


def _uncovered(cameras: Mapping[str, CameraView]) -> list[tuple[float, Hint]]:
    hints = []
    for camera_id, view in cameras.items():
        if view.covered < ENOUGH_COVERED:
            # Rounded down: what is wanted is not reached yet.
            text = (
                f"hold the board {_emptiest(view.coverage)} of {camera_id}'s picture: {int(100 * view.covered)} % of "
                f"it is covered, {100 * ENOUGH_COVERED:.0f} % are wanted"
            )
            hints.append((view.covered, Hint(text, (camera_id,))))
    return hints


def _emptiest(coverage: NDArray[np.int64]) -> str:
    """Name the part of a picture, of nine, of which least is covered; the corners first, where lenses bend most."""
    rows = np.array_split(np.arange(coverage.shape[0]), 3)
    columns = np.array_split(np.arange(coverage.shape[1]), 3)
    up_down, left_right = ("top", "middle", "bottom"), ("left", "middle", "right")
    shares = {
        (i, j): float((coverage[np.ix_(rows[i], columns[j])] > 0).mean()) + 0.01 * ((i == 1) + (j == 1))
        for i in range(3)
        for j in range(3)
    }
    i, j = min(shares, key=lambda place: shares[place])
    words = [word for word in (up_down[i], left_right[j]) if word != "middle"]
    return f"at the {' '.join(words)}" if words else "in the middle"


def _counted(sights: int, learnt: int, of: str) -> str:
    held_out = sights - learnt
    return f"{learnt} {of} to solve from, beside {held_out} to judge by" if held_out else f"{learnt} {of}"


def _bridge(shared: Mapping[tuple[str, str], int], enough: int) -> tuple[str, str] | None:
    """Return the pair of cameras to join next: of those in different groups, the one that shares most already."""
    group = {camera_id: camera_id for pair in shared for camera_id in pair}
    for (one, other), count in shared.items():
        if count >= enough:
            old, new = group[other], group[one]
            group = {camera_id: new if g == old else g for camera_id, g in group.items()}
    apart = {pair: count for pair, count in shared.items() if group[pair[0]] != group[pair[1]]}
    return max(apart, key=lambda pair: apart[pair]) if apart else None
