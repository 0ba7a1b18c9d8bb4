"""What training reads: one hand in a few frames and views, with 2D labels and nothing three-dimensional but cameras.

Crop coordinates u, v run from -1 to 1 between the outer edges of a crop's first and last pixel: one unit is half the
crop's side. The local frame has the world's axes and an origin near the hand, one for all frames of a window. The
network is a right-hand network: the window of a left hand is the mirror image of what the cameras saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.network.backbones.base import Features
from engine.tracker.aim import NO_CAMERA
from training.devices import sent
from training.truth import Truth

JOINTS: Final = 21

_MIRROR_2D: Final = np.array([-1.0, 1.0], dtype=np.float32)
_MIRROR_3D: Final = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False, slots=True)
class Window:
    """One hand in T consecutive frames and V views, as the network sees it, with 2D labels.

    Args:
        crops: RGB pixels `(T, V, S, S, 3)`, uint8.
        projections: `(T, V, 3, 4)` float32: homogeneous points of the local frame, metres, to `(u*d, v*d, d)` with u, v
            in crop coordinates and d the depth in metres.
        view_mask: `(T, V)` float32: 1 where the view saw the hand, else 0; masked views hold anything finite.
        labels: 2D joints `(T, V, 21, 2)` float32, canonical order, crop coordinates; anything finite where their
            confidence is 0.
        label_confidence: `(T, V, 21)` float32 in [0, 1]; 0 takes a label out of every loss.

    Raises:
        ValueError: If shapes or types do not fit together, or a number is not finite.
    """

    crops: NDArray[np.uint8]
    projections: NDArray[np.float32]
    view_mask: NDArray[np.float32]
    labels: NDArray[np.float32]
    label_confidence: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.crops.ndim != 5 or self.crops.dtype != np.uint8:
            raise ValueError(f"crops are {self.crops.dtype} {self.crops.shape}; (T, V, S, S, 3) uint8 is needed")
        frames, views, size = self.crops.shape[:3]
        expected: dict[str, tuple[int, ...]] = {
            "crops": (frames, views, size, size, 3),
            "projections": (frames, views, 3, 4),
            "view_mask": (frames, views),
            "labels": (frames, views, JOINTS, 2),
            "label_confidence": (frames, views, JOINTS),
        }
        for name, shape in expected.items():
            array: NDArray[np.generic] = getattr(self, name)
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}; the crops {self.crops.shape} go with {shape}")
            if name == "crops":
                continue
            if array.dtype != np.float32:
                raise ValueError(f"{name} is {array.dtype}; convert it to float32")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has numbers that are not finite; mask them by view_mask or confidence 0")
        for name in ("view_mask", "label_confidence"):
            values: NDArray[np.float32] = getattr(self, name)
            if values.size and not (values.min() >= 0.0 and values.max() <= 1.0):
                raise ValueError(f"{name} has values outside [0, 1]")

    @property
    def frames(self) -> int:
        """T, how many frames."""
        return int(self.crops.shape[0])

    @property
    def views(self) -> int:
        """V, how many views, masked ones too."""
        return int(self.crops.shape[1])

    @property
    def size_px(self) -> int:
        """S, side of the crops."""
        return int(self.crops.shape[2])

    def with_views(self, views: Sequence[int]) -> Window:
        """Return the same window seen by some of its views only."""
        index = list(views)
        return Window(**{field.name: getattr(self, field.name)[:, index] for field in fields(self)})

    def with_masked_views(self, views: int) -> Window:
        """Return the same window with masked views added, up to so many."""
        missing = views - self.views
        if missing == 0:
            return self

        def padded(array: NDArray[np.generic], value: NDArray[np.float32] | float) -> NDArray[np.generic]:
            more = np.empty((self.frames, missing, *array.shape[2:]), dtype=array.dtype)
            more[:] = value
            return np.concatenate([array, more], axis=1)

        return Window(
            crops=padded(self.crops, 0).astype(np.uint8, copy=False),
            projections=padded(self.projections, NO_CAMERA).astype(np.float32, copy=False),
            view_mask=padded(self.view_mask, 0.0).astype(np.float32, copy=False),
            labels=padded(self.labels, 0.0).astype(np.float32, copy=False),
            label_confidence=padded(self.label_confidence, 0.0).astype(np.float32, copy=False),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Windows as the network takes them: B of them, the fields of `Window` with one axis before.

    Args:
        crops: `(B, T, V, S, S, 3)` uint8.
        projections: `(B, T, V, 3, 4)`.
        view_mask: `(B, T, V)`.
        labels: `(B, T, V, 21, 2)`.
        label_confidence: `(B, T, V, 21)`.
        levels: F1 to F4 of a fixed trunk for these crops, each `(B T V, C, S / stride, S / stride)`, where they were
            computed before; None where the trunk has yet to look.
    """

    crops: Tensor
    projections: Tensor
    view_mask: Tensor
    labels: Tensor
    label_confidence: Tensor
    levels: Features | None = None

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""
        moved = _batch({field.name: sent(getattr(self, field.name), device) for field in fields(Window)})
        if self.levels is None:
            return moved
        first, second, third, fourth = self.levels
        return replace(
            moved, levels=(sent(first, device), sent(second, device), sent(third, device), sent(fourth, device))
        )


def collate(windows: Sequence[Window]) -> Batch:
    """Stack windows; those with fewer views than others get masked ones added.

    Args:
        windows: At least one, all of equal T and S.

    Returns:
        The batch, on the CPU.

    Raises:
        ValueError: If there is none, or T or S differ.
    """
    if not windows:
        raise ValueError("no windows to collate; a batch needs at least one")
    shapes = sorted({(window.frames, window.size_px) for window in windows})
    if len(shapes) > 1:
        raise ValueError(f"windows of different (frames, crop size) cannot be one batch: {shapes}")
    views = max(window.views for window in windows)
    padded = [window.with_masked_views(views) for window in windows]
    return _batch(
        {
            field.name: torch.from_numpy(np.stack([getattr(window, field.name) for window in padded]))
            for field in fields(Window)
        }
    )


def _batch(tensors: Mapping[str, Tensor]) -> Batch:
    """A batch of the fields of `Window` by their names."""
    return Batch(
        crops=tensors["crops"],
        projections=tensors["projections"],
        view_mask=tensors["view_mask"],
        labels=tensors["labels"],
        label_confidence=tensors["label_confidence"],
    )


def mirrored_window(window: Window) -> Window:
    """Return a window's mirror image: crops flipped left to right, the local frame mirrored across x.

    It turns a left hand into a right one; done twice, it is the same window again.
    """
    projections = window.projections * _MIRROR_3D[:, None] * np.append(_MIRROR_3D, 1.0)
    return replace(
        window,
        crops=np.ascontiguousarray(window.crops[:, :, :, ::-1]),
        projections=projections.astype(np.float32),
        labels=window.labels * _MIRROR_2D,
    )


def mirrored_truth(truth: Truth) -> Truth:
    """Return the truth that goes with `mirrored_window`."""
    vertices = truth.vertices_local
    return Truth(mirrored_points(truth.joints_local), None if vertices is None else mirrored_points(vertices))


def mirrored_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mirror points `(..., 3)` of the local frame across x."""
    return points * _MIRROR_3D
