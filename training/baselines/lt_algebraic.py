"""LT-Algebraic: learnable triangulation of human pose, the algebraic way (Iskakov et al. 2019, sec. 3.1).

Each view's soft-argmax joints meet in a differentiable DLT whose weights the network learns: a confidence for each view
and joint, read from the trunk's deepest map and normalised over the views. The paper supervises the joints in 3D; here
their reprojection is held to the 2D labels.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from engine.network.config import JOINTS, NetworkConfig
from engine.network.triangulation import weighted_dlt
from training.baselines.learned import LearnedBaseline, Views, reprojection_term, summed
from training.methods import Answer
from training.samples import Batch

_HIDDEN: Final = 128
# Keeps a view that is there in the triangulation, as the paper's own 1e-5 does, at what float32 can carry.
_FLOOR: Final = 1e-2


class LtAlgebraic(LearnedBaseline):
    """Soft-argmax in each view, learned confidences, DLT.

    Args:
        config: Trunk, decoder and widths.
        pretrained: Whether the backbone starts from what is embedded of trained weights.
    """

    name = "LT-Algebraic"

    def __init__(self, config: NetworkConfig, *, pretrained: bool = True) -> None:
        super().__init__(config, pretrained=pretrained)
        self.confidences = nn.Sequential(
            nn.Linear(self.backbone.channels[-1], _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, JOINTS)
        )

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ARG002
        """The 2D stage's terms, and the reprojection of the triangulated joints."""
        views = self.look(batch)
        terms, counts = self.view_terms(views, batch)
        terms["projection"] = reprojection_term(self, self.triangulated(views), views, batch, counts)
        return summed(terms)

    def answer(self, batch: Batch) -> Answer:
        """The triangulated joints."""
        views = self.look(batch)
        shape = batch.view_mask.shape[:2]
        return Answer(self.triangulated(views).unflatten(0, shape), views.valid.unflatten(0, shape))

    def triangulated(self, views: Views) -> Tensor:
        """Joints `(N, 21, 3)` of all views."""
        said = torch.sigmoid(self.confidences(views.deepest.mean(dim=(-2, -1))))
        return triangulate_with_confidences(
            views.projections, views.joints, said.reshape(*views.view_mask.shape, JOINTS), views.view_mask
        )


def triangulate_with_confidences(projections: Tensor, joints: Tensor, confidences: Tensor, view_mask: Tensor) -> Tensor:
    """The paper's weighted DLT: confidences, normalised over the views that are there, weigh each view's equations.

    Args:
        projections: `(N, V, 3, 4)`.
        joints: `(N, V, 21, 2)`, crop coordinates.
        confidences: `(N, V, 21)`, above 0.
        view_mask: `(N, V)`.

    Returns:
        `(N, 21, 3)`, metres, the projections' frame.
    """
    weights = (confidences + _FLOOR) * view_mask[..., None]
    weights = weights / weights.amax(dim=1, keepdim=True).clamp_min(_FLOOR)
    return weighted_dlt(projections, joints, weights)
