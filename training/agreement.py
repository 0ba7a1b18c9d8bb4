"""Labels that agree across views, before anything learns from them.

A detector that sees one view at a time errs most where that view says least: along a finger that points at the camera,
behind another finger, on the wrong side of a thumb. The other views see it. So each frame's labels are triangulated
robustly and the joints, seen by every view again, are its labels: multiview bootstrapping (Simon et al., CVPR 2017,
sec. 3), without its keyframes. It needs the labels and the cameras, no more, as sec. 3.6 does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.triangulation import Observations, triangulate
from training.datasets.base import WindowSource
from training.samples import JOINTS, Window
from training.truth import Truth

# A joint that falls further outside a crop than this share of its half side is not seen there.
_MARGIN: Final = 0.1
_RULE: Final = "agreed-1"


class AgreedLabels:
    """Windows whose labels are the joints on which their views agree.

    A joint's confidence is what its views' labels weigh together beyond the one that would agree with itself: 0 for a
    single view, 1 from two whole ones on. Views that have a crop and no label of their own get one too.

    Args:
        source: The windows, with a detector's labels.
    """

    def __init__(self, source: WindowSource) -> None:
        self._source = source

    @property
    def name(self) -> str:
        """The source's, and what was done to its labels."""
        return f"{self._source.name}, agreed across views"

    @property
    def version(self) -> str:
        """The source's, and the rule's."""
        return f"{self._source.version}-{_RULE}"

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Window:
        window = self._source[index]
        labels, confidence = np.zeros_like(window.labels), np.zeros_like(window.label_confidence)
        for frame in range(window.frames):
            labels[frame], confidence[frame] = _agree(window, frame)
        return replace(window, labels=labels, label_confidence=confidence)

    def truth(self, index: int) -> Truth | None:
        """The source's."""
        return self._source.truth(index)


def _agree(window: Window, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Labels `(V, 21, 2)` and confidence `(V, 21)` of a frame."""
    mask = window.view_mask[frame].astype(np.float64)
    confidence = window.label_confidence[frame] * mask[:, None]
    nothing = np.zeros((window.views, JOINTS, 2), np.float32), np.zeros((window.views, JOINTS), np.float32)
    if (confidence > 0.0).any(axis=1).sum() < 2:
        return nothing
    projections = window.projections[frame].astype(np.float64)
    halves_px = np.full(window.views, window.size_px / 2)
    found = triangulate(Observations(projections, window.labels[frame].astype(np.float64), halves_px, confidence))
    if found is None:
        return nothing
    seen = np.einsum("vik,jk->vji", projections[..., :3], found.joints_world) + projections[:, None, :, 3]
    ahead = seen[..., 2] > 0.0
    labels = seen[..., :2] / np.where(ahead, seen[..., 2], 1.0)[..., None]
    inside = ahead & (np.abs(labels) < 1.0 + _MARGIN).all(axis=-1)
    together = np.clip((found.weights * confidence).sum(axis=0) - 1.0, 0.0, 1.0)
    certain = np.where(inside, together * mask[:, None], 0.0)
    return np.where(certain[..., None] > 0.0, labels, 0.0).astype(np.float32), certain.astype(np.float32)
