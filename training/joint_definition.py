"""Where a detector's joints lie in the hand, and where the hand model's do: not at the same place.

MediaPipe's finger tips lie a centimetre before the hand model's, its thumb's root another centimetre aside. That is a
difference of definition, not an error, and it would drown the differences between methods that learnt from such labels.
So their truth is the hand model's joints moved by a constant offset each, in a frame that goes with the joint's bone.
The offsets are fitted to what the detector says of rendered hands of the training split, by linear least squares in the
planes of its pictures; only evaluation reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.hand_model.model import PARENTS_21
from training.datasets.base import WindowSource
from training.samples import JOINTS, Window
from training.truth import Truth

Joints = Literal["detector", "model"]
"""Whose joints are meant."""

_FILE: Final = "detector_joints.json"
# The joint that a joint's bone leads to; a tip's comes from its parent.
_NEXT: Final = (9, 2, 3, 4, 4, 6, 7, 8, 8, 10, 11, 12, 12, 14, 15, 16, 16, 18, 19, 20, 20)
_MIN_CONFIDENCE: Final = 0.5
# Labels that are further off, in half crops, are mistakes and say nothing of a definition.
_FARTHEST: Final = 0.2
_M_PER_MM: Final = 1e-3


def detector_offsets_m() -> NDArray[np.float64]:
    """Offsets `(21, 3)` of MediaPipe's joints from the hand model's, metres, in the frames of `bone_frames`."""
    content = json.loads((files("training") / "data" / _FILE).read_text(encoding="utf-8"))
    return np.array(content["offsets_mm"], dtype=np.float64) * _M_PER_MM


def bone_frames(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """A frame at each joint: x along its bone, z out of the back of the hand as far as x lets it, y across.

    Args:
        joints: `(..., 21, 3)` of right hands.

    Returns:
        Axes as columns `(..., 21, 3, 3)`.
    """
    palm = np.cross(joints[..., 5, :] - joints[..., 0, :], joints[..., 17, :] - joints[..., 0, :])
    after = np.array(_NEXT)
    tip = after == np.arange(JOINTS)
    parents = np.array([0, *PARENTS_21[1:]])
    start = np.where(tip, parents, np.arange(JOINTS))
    along = _unit(joints[..., after, :] - joints[..., start, :])
    across = _unit(np.cross(palm[..., None, :], along))
    return np.stack([along, across, np.cross(along, across)], axis=-1)


def moved(joints: NDArray[np.float64], offsets_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move joints `(..., 21, 3)`, metres, by offsets `(21, 3)` in their bones' frames."""
    shifted: NDArray[np.float64] = joints + np.einsum("...jik,jk->...ji", bone_frames(joints), offsets_m)
    return shifted


def fit_offsets_m(samples: Iterable[tuple[Window, Truth]]) -> NDArray[np.float64]:
    """Find the offsets `(21, 3)`, metres, that explain labels best, from labelled windows with their truth."""
    normal, right = np.zeros((JOINTS, 3, 3)), np.zeros((JOINTS, 3))
    for window, truth in samples:
        joints, matrices = truth.joints_local, window.projections.astype(np.float64)
        homogeneous = np.einsum("tvik,tjk->tvji", matrices[..., :3], joints) + matrices[:, :, None, :, 3]
        depth = homogeneous[..., 2:]
        exact = homogeneous[..., :2] / depth
        error = window.labels - exact
        counts = (window.label_confidence * window.view_mask[..., None] > _MIN_CONFIDENCE) & (
            np.linalg.norm(error, axis=-1) < _FARTHEST
        )
        by_place = (matrices[:, :, None, :2, :3] - exact[..., None] * matrices[:, :, None, 2:, :3]) / depth[..., None]
        by_offset = np.einsum("tvjik,tjkl->tvjil", by_place, bone_frames(joints)) * counts[..., None, None]
        normal += np.einsum("tvjil,tvjim->jlm", by_offset, by_offset)
        right += np.einsum("tvjil,tvji->jl", by_offset, error)
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0], dtype=np.float64)


def defined_by(joints: Joints, source: WindowSource) -> WindowSource:
    """Windows with the truth of those joints, of windows whose truth is the model's."""
    return DefinedByDetector(source) if joints == "detector" else source


class DefinedByDetector:
    """Windows whose truth is where the detector's joints would be if it made no error.

    Args:
        source: The windows.
    """

    def __init__(self, source: WindowSource) -> None:
        self._source = source
        self._offsets_m = detector_offsets_m()

    @property
    def name(self) -> str:
        """The source's, and whose joints count."""
        return f"{self._source.name}, the detector's joints"

    @property
    def version(self) -> str:
        """The source's: the windows are the same."""
        return self._source.version

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Window:
        return self._source[index]

    def truth(self, index: int) -> Truth | None:
        """The hand model's joints moved to the detector's, and the mesh."""
        truth = self._source.truth(index)
        if truth is None:
            return None
        return Truth(moved(truth.joints_local, self._offsets_m), truth.vertices_local)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float64)
