"""Opening a published data set by name, and seeing whether it is what the paper used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import cv2

from training.datasets.published.dexycb import DexYcb, DexYcbSplit
from training.datasets.published.hanco import HanCo, HanCoSplit
from training.datasets.published.layout import Layout
from training.datasets.published.oakink import OakInk, OakInkSplit

SPLITS: Final[Mapping[str, tuple[str, ...]]] = {
    "hanco": ("train", "test", "all"),
    "dexycb": ("train", "validation", "test"),
    "oakink": ("train", "test"),
}
FORMATS: Final = tuple(SPLITS)
_LOOKS: Final = 9


def open_layout(format: str, folder: Path, split: str) -> Layout:
    """Open one split of a data set.

    Args:
        format: hanco, dexycb or oakink.
        folder: Where it was unpacked.
        split: One of its splits.

    Raises:
        ValueError: If the format or split is not known, or the folder does not hold it.
    """
    if format not in SPLITS:
        raise ValueError(f"data set {format!r} is not known; use one of {', '.join(FORMATS)}")
    if split not in SPLITS[format]:
        raise ValueError(f"{format} has no split {split!r}; use one of {', '.join(SPLITS[format])}")
    if format == "hanco":
        return HanCo(folder, cast(HanCoSplit, split))
    if format == "dexycb":
        return DexYcb(folder, cast(DexYcbSplit, split))
    return OakInk(folder, cast(OakInkSplit, split))


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of a split.

    Args:
        name: The data set and the split.
        moments: How many moments it has.
        expected: How many the paper counts; None where it does not say.
        problems: What is wrong, each with what was looked at.
    """

    name: str
    moments: int
    expected: int | None
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong and the count is the paper's."""
        return not self.problems and self.moments > 0 and self.expected in (None, self.moments)


def check(layout: Layout) -> Check:
    """Count a split, and read moments spread over it: pictures of the right size, joints where the pictures are."""
    moments = layout.moments()
    problems: list[str] = []
    step = max(1, -(-len(moments) // _LOOKS))
    for moment in moments[::step]:
        where = f"{moment.take} frame {moment.frame}"
        try:
            scene = layout.scene(moment)
        except (ValueError, KeyError, IndexError, OSError) as error:
            problems.append(f"{where}: {error}")
            continue
        seen = False
        for number, view in enumerate(scene.views):
            if view is None:
                problems.append(f"{where}: camera {number} has no picture")
                continue
            image = cv2.imread(str(view.picture))
            size = (view.camera.width, view.camera.height)
            if image is None or image.shape[1::-1] != size:
                problems.append(f"{view.picture}: is no picture of {size[0]}x{size[1]}")
            seen |= bool(view.camera.contains(view.camera.project(scene.joints_world)).any())
        if not seen:
            problems.append(f"{where}: no camera has a joint in its picture")
    return Check(layout.name, len(moments), layout.expected, tuple(problems))
