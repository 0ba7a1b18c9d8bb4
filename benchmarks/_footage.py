"""Recorded footage through the pipeline, without loss, and the statistics that the reports share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.table import Table

from calibration import Rig
from capture.rig_config import RigConfig
from engine.hand_model.model import PARENTS_21, HandModel, Side
from engine.types import HandPose
from server.commands.sources import open_rig

PALM_BONE_ENDS: Final = (1, 5, 9, 13, 17)
"""Joints that a bone of the palm leads to, from the wrist."""


@dataclass(frozen=True, eq=False, slots=True)
class Instance:
    """One hand in one frame set, as the reports need it.

    Args:
        frame_set: Which frame set, counted from 0.
        id: The track.
        side: Which hand.
        joints_world: `(21, 3)`, metres.
        mano_joints_world: The hand model's own joints `(21, 3)`, metres.
        reprojection_px: The message's figure for each view `(V,)`; NaN where the view was not used.
        keypoints_px: What each view saw `(V, 21, 2)`; None when the poses were read from a file.
    """

    frame_set: int
    id: int
    side: Side
    joints_world: NDArray[np.float64]
    mano_joints_world: NDArray[np.float64]
    reprojection_px: NDArray[np.float64]
    keypoints_px: NDArray[np.float64] | None

    @classmethod
    def of(cls, frame_set: int, hand: HandPose) -> Instance:
        """Keep what the reports need of a hand."""
        return cls(
            frame_set,
            hand.id,
            hand.side,
            hand.joints_world,
            hand.posed.joints,
            hand.reprojection_px,
            hand.keypoints_px,
        )


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A sample in three numbers.

    Args:
        n: Its size.
        median: NaN when it is empty.
        p95: 95th percentile; NaN when it is empty.
    """

    n: int
    median: float
    p95: float

    @classmethod
    def of(cls, values: ArrayLike) -> Quantiles:
        """Summarise the finite values."""
        finite = np.asarray(values, dtype=np.float64).ravel()
        finite = finite[np.isfinite(finite)]
        if not finite.size:
            return cls(0, float("nan"), float("nan"))
        return cls(int(finite.size), float(np.median(finite)), float(np.percentile(finite, 95)))

    def cells(self) -> tuple[str, str, str]:
        """Return the three as table cells."""
        return str(self.n), f"{self.median:.2f}", f"{self.p95:.2f}"


def load(path: Path) -> tuple[RigConfig, Rig]:
    """Open a rig file and its calibration."""
    return open_rig(path)


def read_poses(path: Path, rig: Rig) -> tuple[int, list[Instance]]:
    """Read what `usthand run` wrote: the number of frame sets, and the hands in them."""
    right = HandModel.load()
    models: dict[Side, HandModel] = {"right": right, "left": right.mirrored()}
    instances: list[Instance] = []
    count = 0
    with path.open(encoding="utf-8") as file:
        for count, line in enumerate(file, start=1):
            for hand in json.loads(line)["hands"]:
                mano = hand["mano"]
                posed = models[hand["side"]].with_shape(mano["shape"]).posed(mano["pose"], mano["translation"])
                by_view = hand["reprojection_px"]
                instances.append(
                    Instance(
                        count - 1,
                        hand["id"],
                        hand["side"],
                        np.array(hand["joints"], dtype=np.float64),
                        posed.joints,
                        np.array([by_view.get(camera_id, np.nan) for camera_id in rig.camera_ids], dtype=np.float64),
                        None,
                    )
                )
    return count, instances


def robust_spread(values: ArrayLike) -> float:
    """Relative spread that outliers do not touch: 1.4826 * MAD / median; NaN with fewer than two values."""
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2:
        return float("nan")
    median = float(np.median(array))
    return 1.4826 * float(np.median(np.abs(array - median))) / median


def bone_lengths(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths of the 20 bones `(..., 20)` of joints `(..., 21, 3)`; bone k leads to joint k + 1."""
    parents = np.array(PARENTS_21[1:])
    lengths: NDArray[np.float64] = np.linalg.norm(joints[..., 1:, :] - joints[..., parents, :], axis=-1)
    return lengths


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=160).print(table)
