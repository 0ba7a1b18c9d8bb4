"""What the running cameras saw of the board so far."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.boards import Refusal
from calibration.solving.judging import COVERAGE_GRID
from calibration.solving.solve import Wishes, held_out_instants
from server.calibrating.footage import Footage, Sight
from server.live_calibration.pictures import LookedAt

MAX_INSTANTS: Final = 2000
"""Frame sets with the board that are kept, the newest: some megabytes, and many times what is solved from."""


@dataclass(frozen=True, eq=False, slots=True)
class Look:
    """What was found in one picture.

    Args:
        camera_id: Whose.
        size: Width and height of the picture, pixels.
        found: The sight, or why there is none.
        tilt_deg: How far the board is turned from facing the camera; NaN where nobody knows.
        picture_bgr: The picture, small; None where nobody is to see it.
    """

    camera_id: str
    size: tuple[int, int]
    found: Sight | Refusal
    tilt_deg: float = float("nan")
    picture_bgr: NDArray[np.uint8] | None = None

    @property
    def looked_at(self) -> LookedAt | None:
        """The picture with what was found in it."""
        if self.picture_bgr is None:
            return None
        corners_px = np.empty((0, 2)) if isinstance(self.found, Refusal) else self.found.corners_px
        return LookedAt(self.picture_bgr, self.picture_bgr.shape[1] / self.size[0], corners_px)


@dataclass(frozen=True, eq=False, slots=True)
class CameraView:
    """What one camera saw so far.

    Args:
        size: Of its pictures; None before the first one.
        sights: Pictures with the board, of those that are kept.
        learnt: Of them, those that a solve learns from; it holds the others out to judge by.
        tilted: Of them, those in which the board was turned from the camera by more than `TILTED_DEG`.
        coverage: Corners in each cell of the picture `(rows, columns)`.
        refused: Pictures without a sight, by the reason.
        corners_px: Corners in the newest picture `(N, 2)`; None where the board was not found in it.
        refusal: Why not, in words; empty where it was.
    """

    size: tuple[int, int] | None
    sights: int
    learnt: int
    tilted: int
    coverage: NDArray[np.int64]
    refused: Mapping[str, int]
    corners_px: NDArray[np.float64] | None
    refusal: str

    @property
    def covered(self) -> float:
        """Share of the picture in which corners were seen."""
        return float((self.coverage > 0).mean())


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """What all cameras saw so far.

    Args:
        frame_sets: Frame sets that were looked at.
        cameras: In the rig's order.
        shared: Frame sets in which both cameras of a pair saw the board, for every pair in the rig's order.
        shared_learnt: Of them, those that a solve learns from.
    """

    frame_sets: int
    cameras: Mapping[str, CameraView]
    shared: Mapping[tuple[str, str], int]
    shared_learnt: Mapping[tuple[str, str], int]


TILTED_DEG: Final = 20.0


@dataclass
class _Camera:
    size: tuple[int, int] | None = None
    sights: int = 0
    tilted: int = 0
    coverage: NDArray[np.int64] = field(default_factory=lambda: np.zeros(COVERAGE_GRID[::-1], dtype=np.int64))
    refused: Counter[str] = field(default_factory=Counter)
    corners_px: NDArray[np.float64] | None = None
    refusal: str = ""
    looked_at: LookedAt | None = None

    def count(self, kept: _Kept, sign: int) -> None:
        """Take a sight in, or out again with `sign` -1."""
        width, height = self.size or (1, 1)
        columns, rows = COVERAGE_GRID
        cells = ((kept.sight.corners_px + 0.5) * (columns / width, rows / height)).astype(np.int64)
        np.add.at(self.coverage, (cells[:, 1].clip(0, rows - 1), cells[:, 0].clip(0, columns - 1)), sign)
        self.sights += sign
        self.tilted += sign * kept.tilted


@dataclass(frozen=True, eq=False, slots=True)
class _Kept:
    sight: Sight
    tilted: bool


class Sightings:
    """Collects looks; any thread may ask.

    Args:
        camera_ids: The rig's cameras, in its order.
    """

    def __init__(self, camera_ids: Sequence[str]) -> None:
        self._order = {camera_id: place for place, camera_id in enumerate(camera_ids)}
        self._cameras = {camera_id: _Camera() for camera_id in camera_ids}
        self._shared = dict.fromkeys(combinations(camera_ids, 2), 0)
        self._instants: dict[int, tuple[int, tuple[_Kept, ...]]] = {}
        self._frame_sets = 0
        self._lock = threading.Lock()

    def add(self, instant: int, instant_ns: int, looks: Sequence[Look]) -> None:
        """Take what was found in one frame set.

        Args:
            instant: Its number.
            instant_ns: Median time of its pictures.
            looks: One a picture.
        """
        with self._lock:
            self._frame_sets += 1
            kept = sorted(
                (k for look in looks if (k := self._note(look))), key=lambda k: self._order[k.sight.camera_id]
            )
            if not kept:
                return
            self._instants[instant] = (instant_ns, tuple(kept))
            self._count(kept, 1)
            if len(self._instants) > MAX_INSTANTS:
                # What is no longer there to solve from must not count as seen.
                self._count(self._instants.pop(next(iter(self._instants)))[1], -1)

    def _count(self, kept: Sequence[_Kept], sign: int) -> None:
        for pair in combinations([k.sight.camera_id for k in kept], 2):
            self._shared[pair] += sign
        for k in kept:
            self._cameras[k.sight.camera_id].count(k, sign)

    def _note(self, look: Look) -> _Kept | None:
        camera = self._cameras[look.camera_id]
        camera.looked_at = look.looked_at
        if camera.size is None:
            camera.size = look.size
        if look.size != camera.size:
            width, height = look.size
            camera.refused["another size"] += 1
            camera.corners_px = None
            camera.refusal = f"its pictures are {width}x{height} now; begin anew, a calibration is of one size"
            return None
        found = look.found
        if isinstance(found, Refusal):
            camera.refused[found.reason] += 1
            camera.corners_px, camera.refusal = None, found.text
            return None
        camera.corners_px, camera.refusal = found.corners_px, ""
        return _Kept(found, look.tilt_deg > TILTED_DEG)

    def seen(self) -> Seen:
        """Return what was seen so far; it does not change any more."""
        with self._lock:
            own, shared = self._learnt()
            cameras = {
                camera_id: CameraView(
                    c.size,
                    c.sights,
                    own[camera_id],
                    c.tilted,
                    c.coverage.copy(),
                    dict(c.refused),
                    c.corners_px,
                    c.refusal,
                )
                for camera_id, c in self._cameras.items()
            }
            return Seen(
                self._frame_sets,
                MappingProxyType(cameras),
                MappingProxyType(dict(self._shared)),
                MappingProxyType({pair: shared[pair] for pair in self._shared}),
            )

    def _learnt(self) -> tuple[Counter[str], Counter[tuple[str, str]]]:
        """Count what is not held out, by camera and by pair."""
        # Where there are more instants than are solved from, other ones are held out, but as many of them.
        held_out = held_out_instants(self._instants, Wishes().hold_out)
        own: Counter[str] = Counter()
        shared: Counter[tuple[str, str]] = Counter()
        for instant, (_, kept) in self._instants.items():
            if instant not in held_out:
                ids = [k.sight.camera_id for k in kept]
                own.update(ids)
                shared.update(combinations(ids, 2))
        return own, shared

    def looked_at(self, camera_id: str) -> LookedAt | None:
        """Return the newest picture that was looked at; None before the first.

        Raises:
            KeyError: If there is no such camera.
        """
        with self._lock:
            return self._cameras[camera_id].looked_at

    def footage(self) -> Footage:
        """Return what a solver needs, of the cameras that gave pictures."""
        with self._lock:
            return Footage(
                MappingProxyType({i: c.size for i, c in self._cameras.items() if c.size is not None}),
                self._frame_sets,
                tuple(k.sight for _, kept in self._instants.values() for k in kept),
                MappingProxyType({i: dict(c.refused) for i, c in self._cameras.items()}),
                MappingProxyType({instant: at_ns for instant, (at_ns, _) in self._instants.items()}),
            )
