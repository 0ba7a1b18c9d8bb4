"""HaMuCo: hand pose estimation via multi-view collaborative self-supervised learning (Zheng et al. 2023).

A single-view network regresses a hand model from each view; a cross-view interaction network lets the joints of all
views look at each other along the skeleton and across views, and joins the views' hands to one. The joined hand learns
from the 2D labels of all views, each view's hand from its own labels and from the joined hand, which is the better
teacher. The joined hand stands where its joints best meet the rays of all views' 2D joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from engine.hand_model.model import HandModel
from engine.network.config import NetworkConfig
from engine.network.feature_interaction import MASKED_LOGIT, AdaptiveGcn, ConfidenceAwareAttention
from engine.network.hand_layer import HandLayer
from engine.network.mano_head import rotation_from_6d
from engine.network.triangulation import observation_weights
from training.baselines.learned import LearnedBaseline, Views, reprojection_term, summed
from training.baselines.placement import best_translation
from training.baselines.single_view import HandRegressor, Hands, JointTokens, implausibility, mesh, own_view_error
from training.methods import Answer
from training.samples import Batch

_ROUNDS: Final = 2
_PLAUSIBLE: Final = 0.01
_MUTUAL: Final = 1.0
# Distances between hands are counted in it, about a palm's length.
_UNIT_M: Final = 0.1


@dataclass(frozen=True, eq=False, slots=True)
class _Collaboration:
    """What N frames' views say alone and together.

    Args:
        single: Each view's own hand, `N V` of them.
        single_place: Where `(N V, 3)`.
        joined: One hand a frame, `N` of them.
        joined_place: Where `(N, 3)`.
    """

    single: Hands
    single_place: Tensor
    joined: Hands
    joined_place: Tensor


class HaMuCo(LearnedBaseline):
    """Single-view hands, cross-view interaction, one hand.

    Args:
        config: Trunk, decoder and widths.
        hand_model: The right hand's model.
        pretrained: Whether the backbone starts from what is embedded of trained weights.
    """

    name = "HaMuCo"

    def __init__(self, config: NetworkConfig, hand_model: HandModel, *, pretrained: bool = True) -> None:
        super().__init__(config, pretrained=pretrained)
        channels = config.fusion_channels
        layer = HandLayer(hand_model)
        self.tokens = JointTokens(config, self.backbone.channels[-1])
        self.single = HandRegressor(config, layer)
        self.gcns = nn.ModuleList(AdaptiveGcn(channels) for _ in range(_ROUNDS))
        self.attentions = nn.ModuleList(
            ConfidenceAwareAttention(channels, config.attention_heads) for _ in range(_ROUNDS)
        )
        self.refined = HandRegressor(config, layer)
        self.to_weight = nn.Linear(channels, 1)

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ARG002
        """2D consistency of the joined hand and of each view's, and each view's agreement with the joined one."""
        views = self.look(batch)
        terms, counts = self.view_terms(views, batch)
        said = self.collaborate(views)
        labels = batch.labels.flatten(0, 1)
        weights = counts * batch.label_confidence.flatten(0, 1)
        alone = (said.single.joints + said.single_place[:, None]).unflatten(0, views.view_mask.shape)
        together = said.joined.joints + said.joined_place[:, None]
        terms["projection"] = reprojection_term(self, together, views, batch, counts)
        terms["single"] = self.weights.projection * own_view_error(alone, views, labels, weights, counts)
        apart = said.single.joints.unflatten(0, views.view_mask.shape) - said.joined.joints[:, None].detach()
        distance = (apart / _UNIT_M).square().sum(dim=-1).mean(dim=-1)
        terms["mutual"] = _MUTUAL * (distance * views.view_mask).sum() / views.view_mask.sum().clamp_min(1.0)
        terms["plausible"] = _PLAUSIBLE * implausibility(said.single, views.view_mask)
        return summed(terms)

    def answer(self, batch: Batch) -> Answer:
        """The joined hand."""
        views = self.look(batch)
        said = self.collaborate(views)
        shape = batch.view_mask.shape[:2]
        joints = (said.joined.joints + said.joined_place[:, None]).unflatten(0, shape)
        return Answer(
            joints=joints,
            valid=views.valid.unflatten(0, shape),
            vertices=mesh(self.single.layer, said.joined, said.joined_place).unflatten(0, shape),
            mano_joints=joints,
        )

    def collaborate(self, views: Views) -> _Collaboration:
        """Each view's hand, and the one they make together."""
        shape = views.view_mask.shape
        projections = views.projections.flatten(0, 1)
        tokens = self.tokens(views)
        single: Hands = self.single(tokens.flatten(0, 1), projections)
        tokens = self._interact(tokens, views.view_mask)
        refined: Hands = self.refined(tokens.flatten(0, 1), projections)
        logits = self.to_weight(tokens.mean(dim=2))[..., 0] + (1.0 - views.view_mask) * MASKED_LOGIT
        weights = torch.softmax(logits, dim=1)
        rotations = (weights[..., None, None, None] * refined.rotations.unflatten(0, shape)).sum(dim=1)
        betas = (weights[..., None] * refined.shape.unflatten(0, shape)).sum(dim=1)
        joined = self.refined.posed(_orthonormal(rotations), betas)
        seen = views.joints.detach()
        trust = observation_weights(views.confidence, views.view_mask).detach()
        return _Collaboration(
            single=single,
            single_place=best_translation(
                projections[:, None], seen.flatten(0, 1)[:, None], trust.flatten(0, 1)[:, None], single.joints
            ),
            joined=joined,
            joined_place=best_translation(views.projections, seen, trust, joined.joints),
        )

    def _interact(self, tokens: Tensor, view_mask: Tensor) -> Tensor:
        """Graph convolution in each view and attention over the joints of all views, in rounds."""
        count, views, joints, channels = tokens.shape
        masked = (1.0 - view_mask)[:, :, None].expand(-1, -1, joints).reshape(count, 1, 1, -1) * MASKED_LOGIT
        # HaMuCo knows no confidence; the attention's extra channel says the same of all.
        alike = torch.ones(count, views * joints, device=tokens.device)
        for gcn, attention in zip(self.gcns, self.attentions, strict=True):
            flat = attention(gcn(tokens).reshape(count, views * joints, channels), alike, masked)
            tokens = flat.reshape(count, views, joints, channels)
        return tokens


def _orthonormal(matrices: Tensor) -> Tensor:
    """The rotations nearest by Gram-Schmidt to means of rotations `(..., 3, 3)`."""
    eye = torch.eye(3, device=matrices.device)
    columns = (matrices - eye)[..., :2].transpose(-1, -2)
    return rotation_from_6d(columns.flatten(-2))
