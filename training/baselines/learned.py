"""What all learned baselines share: the trunk and decoder of UST-Hand, and the losses of their 2D stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from engine.network.backbones import build_backbone
from engine.network.backbones.decoder import Decoder
from engine.network.config import NetworkConfig
from engine.network.heatmaps import HeatmapHead
from engine.network.joint_graph import sample_features
from engine.network.trunk_joints import TrunkSight, read_landmarks
from training.baselines.labels import USABLE_VIEWS
from training.losses import (
    LossWeights,
    gaussian_heatmaps,
    heatmap_loss,
    reprojection_loss,
    squared_distance,
    weighted_mean,
)
from training.methods import Answer
from training.samples import Batch

# As in `engine.network.trunk_joints`: at first the trunk's joints are believed to four fifths.
_FIRST_LOGIT: Final = 1.4


@dataclass(frozen=True, eq=False, slots=True)
class Views:
    """The 2D stage's answer for N = B T frames.

    Args:
        deepest: F4 `(N V, C4, h4, w4)`.
        features: F_ms `(N, V, C, h, w)`.
        heatmaps: `(N, V, 21, h, w)`.
        heatmap_joints: What they say alone `(N, V, 21, 2)`, crop coordinates.
        joints: With the trunk's own reading, where it has one `(N, V, 21, 2)`.
        maps: The heatmaps, as far as the gate believes them, and Gaussians at the trunk's joints, as far as not.
        confidence: Peaks of the heatmaps `(N, V, 21)`, 0 in masked views.
        sight: What the trunk reads itself; None where it does not.
        projections: `(N, V, 3, 4)`.
        view_mask: `(N, V)`.
    """

    deepest: Tensor
    features: Tensor
    heatmaps: Tensor
    heatmap_joints: Tensor
    joints: Tensor
    maps: Tensor
    confidence: Tensor
    sight: TrunkSight | None
    projections: Tensor
    view_mask: Tensor

    @property
    def valid(self) -> Tensor:
        """1 where enough views are there `(N,)`."""
        return (self.view_mask.sum(dim=-1) >= USABLE_VIEWS).to(self.features.dtype)


class LearnedBaseline(nn.Module, ABC):
    """A method with UST-Hand's trunk, decoder and heatmap head, and the same evidence from the trunk.

    Args:
        config: UST-Hand's settings, of which it takes what it has a use for: budgets stay equal.
        pretrained: Whether the backbone starts from what is embedded of trained weights.
    """

    name: ClassVar[str]

    def __init__(self, config: NetworkConfig, *, pretrained: bool = True) -> None:
        super().__init__()
        self.config = config
        self.weights = LossWeights()
        self.backbone = build_backbone(config.backbone, pretrained=pretrained)
        self.decoder = Decoder(self.backbone.channels, config.feature_channels, light=config.light_decoder)
        self.heatmap_head = HeatmapHead(config.feature_channels)
        self.gate = nn.Linear(config.feature_channels + 1, 1) if config.use_trunk_joints else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(self.gate.bias, _FIRST_LOGIT)

    @property
    def module(self) -> nn.Module:
        """The network itself."""
        return self

    @abstractmethod
    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch and its terms; see `training.methods.TrainableMethod`."""

    @abstractmethod
    def answer(self, batch: Batch) -> Answer:
        """Answer for a batch, in any mode."""

    def predict(self, batch: Batch, generator: torch.Generator) -> Answer:  # noqa: ARG002
        """Answer for a batch; see `training.methods.Method`."""
        was_training = self.training
        self.eval()
        with torch.inference_mode():
            answer = self.answer(batch)
        self.train(was_training)
        return answer

    def look(self, batch: Batch) -> Views:
        """See all crops of a batch, each by itself."""
        view_mask = batch.view_mask.flatten(0, 1)
        count, views = view_mask.shape
        levels = batch.levels
        if levels is None:
            images = batch.crops.flatten(0, 2).permute(0, 3, 1, 2).to(view_mask.dtype) * (1 / 255)
            levels = self.backbone(images)
        features: Tensor = self.decoder(levels)
        features = self.mixed(features, batch.projections.flatten(0, 1), view_mask)
        heatmaps, heatmap_joints, confidence = self.heatmap_head(features)
        joints, maps, sight = heatmap_joints, heatmaps, None
        if self.gate is not None and self.backbone.landmarks is not None:
            sight = read_landmarks(self.backbone.landmarks, levels[-1], self.config.input_px)
            seen = torch.cat([sample_features(features, heatmap_joints), confidence[..., None]], dim=-1)
            believed = torch.sigmoid(self.gate(seen))
            joints = heatmap_joints + believed * (sight.joints - heatmap_joints)
            drawn = gaussian_heatmaps(sight.joints, heatmaps.shape[-2], heatmaps.shape[-1])
            maps = heatmaps + believed[..., None] * (drawn - heatmaps)

        def by_view(tensor: Tensor) -> Tensor:
            return tensor.reshape(count, views, *tensor.shape[1:])

        return Views(
            deepest=levels[-1],
            features=by_view(features),
            heatmaps=by_view(heatmaps),
            heatmap_joints=by_view(heatmap_joints),
            joints=by_view(joints),
            maps=by_view(maps),
            confidence=by_view(confidence) * view_mask[..., None],
            sight=sight,
            projections=batch.projections.flatten(0, 1),
            view_mask=view_mask,
        )

    def mixed(self, features: Tensor, projections: Tensor, view_mask: Tensor) -> Tensor:  # noqa: ARG002
        """F_ms `(N V, C, h, w)` after views have seen each other's; here they do not."""
        return features

    def view_terms(self, views: Views, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of single views, weighted as UST-Hand's (eq. 13, 14), and which labels count `(N, V, 21)`."""
        labels = batch.labels.flatten(0, 1)
        counts = (batch.label_confidence.flatten(0, 1) > 0) * views.view_mask[..., None]
        places = squared_distance(views.heatmap_joints, labels)
        if views.joints is not views.heatmap_joints:
            places = places + squared_distance(views.joints, labels)
        terms = {
            "heatmap": self.weights.heatmap * heatmap_loss(views.heatmaps, labels, counts),
            "heatmap_joints": self.weights.heatmap_joints * weighted_mean(places, counts, counts),
        }
        return terms, counts


def summed(terms: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of weighted terms, and the terms without their gradients."""
    return torch.stack(list(terms.values())).sum(), {name: value.detach() for name, value in terms.items()}


def reprojection_term(method: LearnedBaseline, joints: Tensor, views: Views, batch: Batch, counts: Tensor) -> Tensor:
    """The weighted squared distance of projected joints `(N, 21, 3)` to the labels in all views (as eq. 16)."""
    shape = batch.view_mask.shape[:2]
    answered = (counts * views.valid[:, None, None]).unflatten(0, shape)
    error = reprojection_loss(
        joints.unflatten(0, shape), batch.projections, batch.labels, answered * batch.label_confidence, answered
    )
    return method.weights.projection * error
