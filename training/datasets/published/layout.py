"""What is asked of a published data set, whatever its files look like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calibration import Camera


@dataclass(frozen=True, order=True, slots=True)
class Moment:
    """One hand at one time, seen by all cameras at once.

    Args:
        take: The recording, and the hand where it has several.
        frame: The frame's number in it.
    """

    take: str
    frame: int


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """One camera's picture.

    Args:
        camera: Without distortion: the data sets publish none.
        picture: Its file.
        name: The picture's name in the data set without its ending: where other people's labels of it are looked for.
    """

    camera: Camera
    picture: Path
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """One moment.

    Args:
        views: One for each camera of the data set, always in the same order; None where it has no picture.
        joints_world: What the data set says of the 21 joints `(21, 3)`, canonical order, metres.
        vertices_world: Its mesh `(778, 3)`, metres; None where that needs the licensed hand model.
    """

    views: tuple[View | None, ...]
    joints_world: NDArray[np.float64]
    vertices_world: NDArray[np.float64] | None = None


class Layout(Protocol):
    """One split of a data set on disk; all its hands are right hands."""

    @property
    def name(self) -> str:
        """The data set and the split."""

    @property
    def expected(self) -> int | None:
        """How many moments the paper counts; None where it does not say."""

    def moments(self) -> Sequence[Moment]:
        """All moments of the split, in order."""

    def scene(self, moment: Moment) -> Scene:
        """Read a moment."""


def takes(moments: Iterable[Moment]) -> list[list[Moment]]:
    """Part moments where the recording changes or frames are missing: no window reaches over such a gap.

    Recordings may have every second frame or fewer: what is missing is judged by the commonest step of each.
    """
    parts: list[list[Moment]] = []
    for _, group in groupby(sorted(moments), key=lambda moment: moment.take):
        members = list(group)
        steps = np.diff([moment.frame for moment in members])
        usual = int(np.median(steps)) if len(steps) else 1
        cuts = [0, *(np.flatnonzero(steps > usual) + 1).tolist(), len(members)]
        parts += [members[first:last] for first, last in pairwise(cuts)]
    return parts


def undistorted_camera(
    name: str, size: tuple[int, int], K: NDArray[np.float64], T_camera_world: NDArray[np.float64]
) -> Camera:
    """A camera as data sets have them.

    Args:
        name: Its id.
        size: Width and height, pixels.
        K: Intrinsic matrix `(3, 3)`.
        T_camera_world: Rigid transform `(4, 4)`, or its first three rows.
    """
    T = np.eye(4)
    T[:3] = np.asarray(T_camera_world, dtype=np.float64)[:3]
    # Published rotations have few digits; the nearest rotation is what they mean.
    left, _, right = np.linalg.svd(T[:3, :3])
    T[:3, :3] = left @ right
    return Camera(name, *size, K=np.asarray(K, dtype=np.float64), T_camera_world=T)
