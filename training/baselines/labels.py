"""Triangulation of the 2D labels themselves: what a lab has without any learning."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from engine.network.triangulation import weighted_dlt
from engine.triangulation import Observations, triangulate
from training.methods import Answer
from training.samples import JOINTS, Batch

USABLE_VIEWS: Final = 2
"""A frame with fewer usable views has no answer."""

_MM_PER_M: Final = 1e3


class LabelDlt:
    """The direct linear transform of the labels.

    Args:
        weighted: Weigh each label by its confidence; else all that are there count alike.
    """

    def __init__(self, *, weighted: bool = False) -> None:
        self._weighted = weighted

    @property
    def name(self) -> str:
        """What tables call it."""
        return "DLT of the labels, weighted" if self._weighted else "DLT of the labels"

    def predict(self, batch: Batch, generator: torch.Generator) -> Answer:  # noqa: ARG002
        """Triangulate; a joint with fewer than two labels is where its ray and the ridge of the DLT put it."""
        weights = batch.label_confidence * batch.view_mask[..., None]
        if not self._weighted:
            weights = (weights > 0).to(weights.dtype)
        labels = torch.where(weights[..., None] > 0, batch.labels, torch.zeros_like(batch.labels))
        joints = weighted_dlt(batch.projections.flatten(0, 1), labels.flatten(0, 1), weights.flatten(0, 1))
        return Answer(joints=joints.unflatten(0, batch.view_mask.shape[:2]), valid=_valid(weights))


class RobustLabelDlt:
    """Consensus of pairs of views, then iterated reweighting: the service's own robust triangulation, of the labels.

    Args:
        input_px: Side of the crops: residuals are judged in their pixels.
    """

    name = "robust DLT of the labels"

    def __init__(self, input_px: int) -> None:
        self._unit_px = input_px / 2

    def predict(self, batch: Batch, generator: torch.Generator) -> Answer:  # noqa: ARG002
        """Triangulate frame by frame, with covariances."""
        confidence = (batch.label_confidence * batch.view_mask[..., None]).flatten(0, 1).double().numpy()
        projections = batch.projections.flatten(0, 1).double().numpy()
        labels = batch.labels.flatten(0, 1).double().numpy()
        count, views = confidence.shape[:2]
        joints = np.zeros((count, JOINTS, 3))
        covariance_mm2 = np.tile(np.eye(3), (count, JOINTS, 1, 1))
        valid = np.zeros(count)
        for number in range(count):
            observed = Observations(
                projections[number], labels[number], np.full(views, self._unit_px), confidence[number]
            )
            if (made := triangulate(observed)) is None:
                continue
            joints[number], valid[number] = made.joints_world, 1.0
            # A joint that one view alone sees lies anywhere on a metre of its ray.
            covariance_mm2[number] = np.linalg.inv(made.information + np.eye(3)) * _MM_PER_M**2
        shape = batch.view_mask.shape[:2]

        def answered(array: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
            return torch.from_numpy(array).float().unflatten(0, shape)

        return Answer(joints=answered(joints), valid=answered(valid), covariance_mm2=answered(covariance_mm2))


def _valid(weights: Tensor) -> Tensor:
    """Frames `(B, T)` with two views or more that say anything, of weights `(B, T, V, 21)`."""
    return ((weights > 0).any(dim=-1).sum(dim=-1) >= USABLE_VIEWS).to(weights.dtype)
