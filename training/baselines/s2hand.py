"""S2Hand: model-based 3D hand reconstruction by self-supervised learning (Chen et al. 2021), one view.

A hand model's pose and shape are regressed from one picture and learnt from detected 2D keypoints: their distance to
the model's projected joints, the directions of projected bones, the agreement with the network's own 2D joints, and
what keeps shape and pose plausible. The paper's photometric terms need a texture and rendered pictures, which a fixed
trunk's maps do not have; they are left out.

The literature aligns the answer at the root. Here the camera is known, so the hand is placed where its joints meet
their rays; tables give the error with the wrist's place known beside it. Of several views the surest one answers.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from engine.hand_model.model import PARENTS_21, HandModel
from engine.network.config import JOINTS, NetworkConfig
from engine.network.constants import constant
from engine.network.hand_layer import HandLayer
from engine.network.triangulation import observation_weights, project
from training.baselines.learned import LearnedBaseline, Views, summed
from training.baselines.placement import best_translation
from training.baselines.single_view import HandRegressor, Hands, JointTokens, implausibility, mesh, own_view_error
from training.losses import weighted_mean
from training.methods import Answer
from training.samples import Batch

_PARENTS: Final = PARENTS_21[1:]
_BONES: Final = 0.1
_CONSISTENCY: Final = 1.0
_PLAUSIBLE: Final = 0.01


class S2Hand(LearnedBaseline):
    """A hand model regressed from one view.

    Args:
        config: Trunk, decoder and widths.
        hand_model: The right hand's model.
        pretrained: Whether the backbone starts from what is embedded of trained weights.
    """

    name = "S2Hand (one view)"

    def __init__(self, config: NetworkConfig, hand_model: HandModel, *, pretrained: bool = True) -> None:
        super().__init__(config, pretrained=pretrained)
        self.tokens = JointTokens(config, self.backbone.channels[-1])
        self.regressor = HandRegressor(config, HandLayer(hand_model))

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ARG002
        """Reprojection, bone directions, consistency with the 2D joints, plausibility; and the 2D stage's terms."""
        views = self.look(batch)
        terms, counts = self.view_terms(views, batch)
        hands, translation = self.placed(views)
        joints = (hands.joints + translation[:, None]).unflatten(0, views.view_mask.shape)
        labels = batch.labels.flatten(0, 1)
        weights = counts * batch.label_confidence.flatten(0, 1)
        terms["projection"] = self.weights.projection * own_view_error(joints, views, labels, weights, counts)
        terms["bones"] = _BONES * _bone_error(joints, views, labels, counts)
        own = views.joints.detach()
        terms["consistency"] = _CONSISTENCY * own_view_error(joints, views, own, counts, counts)
        terms["plausible"] = _PLAUSIBLE * implausibility(hands, views.view_mask)
        return summed(terms)

    def answer(self, batch: Batch) -> Answer:
        """The surest view's hand."""
        views = self.look(batch)
        hands, translation = self.placed(views)
        count, seen_by = views.view_mask.shape
        best = views.confidence.mean(dim=-1).argmax(dim=1) + seen_by * torch.arange(count, device=translation.device)
        chosen = Hands(hands.rotations[best], hands.shape[best], hands.joints[best])
        joints = chosen.joints + translation[best][:, None]
        shape = batch.view_mask.shape[:2]
        return Answer(
            joints=joints.unflatten(0, shape),
            valid=views.view_mask.amax(dim=1).unflatten(0, shape),
            vertices=mesh(self.regressor.layer, chosen, translation[best]).unflatten(0, shape),
            mano_joints=joints.unflatten(0, shape),
        )

    def placed(self, views: Views) -> tuple[Hands, Tensor]:
        """Each view's own hand, `N V` of them, and where it is `(N V, 3)`."""
        projections = views.projections.flatten(0, 1)
        hands: Hands = self.regressor(self.tokens(views).flatten(0, 1), projections)
        weights = observation_weights(views.confidence, views.view_mask).flatten(0, 1)[:, None]
        translation = best_translation(
            projections[:, None], views.joints.flatten(0, 1)[:, None].detach(), weights.detach(), hands.joints
        )
        return hands, translation


def _bone_error(joints: Tensor, views: Views, labels: Tensor, counts: Tensor) -> Tensor:
    """Mean squared difference of the directions of projected and labelled bones."""
    places, _ = project(views.projections.flatten(0, 1)[:, None], joints.flatten(0, 1))
    parents = constant(_PARENTS, labels.device, torch.int64)

    def directions(points: Tensor) -> Tensor:
        return functional.normalize(points[..., 1:JOINTS, :] - points.index_select(-2, parents), dim=-1)

    both = counts[..., 1:] * counts.index_select(-1, parents)
    difference = (directions(places[:, 0].reshape(labels.shape)) - directions(labels)).square().sum(dim=-1)
    return weighted_mean(difference, both, both)
