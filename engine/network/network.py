"""UST-Hand: an uncertainty-aware spatiotemporal point cloud interaction network (arXiv 2605.17742).

A frame's way through it, with the module of each part:

    crops -> backbone, decoder (backbones) -> heatmaps (heatmaps) -> joint graph (joint_graph)
             and what a trunk that knows hands reads itself (trunk_joints)
          -> GCN and CASA (feature_interaction) -> flow: 1 + M hypotheses a view (flow)
          -> weighted DLT: query points and anchors (triangulation, cloud) -> point features (point_cloud)
          -> STPT (point_transformer) -> MANO (mano_head), covariance (uncertainty)

`forward_sequence` sees all frames of a sequence at once; `step` sees one frame and the state of the frames before, and
gives the same. Names, shapes and frames of what goes in and comes out are those of an exported model; see
docs/network.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from engine.errors import EngineError
from engine.hand_model.model import HandModel
from engine.network.backbones import build_backbone
from engine.network.backbones.base import Features
from engine.network.backbones.decoder import Decoder
from engine.network.cloud import CloudMaker, make_cloud
from engine.network.config import JOINTS, NetworkConfig
from engine.network.feature_interaction import FeatureInteraction
from engine.network.flow import ConditionalRealNvp
from engine.network.heatmaps import HeatmapHead
from engine.network.joint_graph import JointGraph
from engine.network.mano_head import ManoHead
from engine.network.point_cloud import PointFeatures
from engine.network.point_transformer import PointTransformer
from engine.network.triangulation import observation_weights, project
from engine.network.trunk_joints import TrunkJoints, read_landmarks
from engine.network.uncertainty import AnchorCovariance

_USABLE_VIEWS = 2
_SMALLEST_M = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class StepOutputs:
    """What one step answers for B hands in V views; the fields are an exported model's outputs, in their order.

    Args:
        joints: Refined query points `(B, 21, 3)`, metres, local frame.
        mano_joints: MANO's joints `(B, 21, 3)`.
        rotations: `(B, 16, 3, 3)`, relative to the parent; the root's in the local frame's axes.
        shape: `(B, 10)`.
        translation: MANO's `(B, 3)`, metres.
        vertices: MANO's mesh `(B, Nv, 3)`, metres.
        covariance_mm2: `(B, 21, 3, 3)`.
        keypoints: Each view's own most likely joints x_0 `(B, V, 21, 2)`, crop coordinates.
        view_confidence: `(B, V, 21)` in [0, 1]; 0 in masked views.
        reprojection_px: Distance of `keypoints` to the projected `joints` `(B, V, 21)`, crop pixels; 0 in masked views.
        valid: `(B,)`: 1 where at least two views were usable.
        state_out: Keys and values of the last frames `(B, K, 2, past, 21, D)`.
        state_valid_out: `(B, past)`: 1 where that frame was valid.
    """

    joints: Tensor
    mano_joints: Tensor
    rotations: Tensor
    shape: Tensor
    translation: Tensor
    vertices: Tensor
    covariance_mm2: Tensor
    keypoints: Tensor
    view_confidence: Tensor
    reprojection_px: Tensor
    valid: Tensor
    state_out: Tensor
    state_valid_out: Tensor

    def as_tuple(self) -> tuple[Tensor, ...]:
        """Return the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, eq=False, slots=True)
class SequenceOutputs:
    """What `forward_sequence` answers for T frames; `step` documents the fields of one frame.

    Args:
        frames: The answers, each field with `(B, T, ...)`; the state is the one after the last frame.
        heatmaps: `(B, T, V, 21, h, w)`.
        heatmap_joints: `(B, T, V, 21, 2)`, crop coordinates.
        queries: The query points after each STPT block, K times `(B, T, 21, 3)`, metres, local frame.
        start: The triangulated x_0 `(B, T, 21, 3)`, metres.
        flow_log_prob: Gives the flow's log density of labels: `(B, T, V, 21, 2)` to `(B, T, V, 21)` (eq. 7).
    """

    frames: StepOutputs
    heatmaps: Tensor
    heatmap_joints: Tensor
    queries: tuple[Tensor, ...]
    start: Tensor
    flow_log_prob: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False, slots=True)
class _Views:
    """The 2D stage's answer for N frames in V views."""

    features: Tensor
    heatmaps: Tensor
    joints: Tensor
    center: Tensor
    confidence: Tensor
    fused: Tensor


class UstHandNetwork(nn.Module):
    """The whole network for right hands; left ones are mirrored before and after.

    Args:
        config: Sizes and switches.
        hand_model: The right hand's model.
        pretrained: Whether the backbone starts from what is embedded of trained weights.
    """

    def __init__(self, config: NetworkConfig, hand_model: HandModel, *, pretrained: bool = True) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone, pretrained=pretrained)
        deepest = self.backbone.channels[-1]
        cells = (config.input_px // 32) ** 2
        self.decoder = Decoder(self.backbone.channels, config.feature_channels, light=config.light_decoder)
        self.heatmap_head = HeatmapHead(config.feature_channels)
        self.joint_graph = JointGraph(deepest, cells, config.pose_channels)
        graph_channels = config.pose_channels + config.feature_channels
        # Without heatmaps joints come from the pose features alone.
        self.regressor = None if config.use_heatmap else nn.Linear(config.pose_channels, 2)
        self.trunk_joints = TrunkJoints(graph_channels, config.fusion_channels) if config.use_trunk_joints else None
        if config.use_trunk_joints and self.backbone.landmarks is None:
            raise EngineError(
                f"network {config.name}: the trunk {config.backbone} reads no joints by itself; set use_trunk_joints "
                "to false, or use a mediapipe trunk"
            )
        self.interaction = FeatureInteraction(graph_channels, config)
        self.flow = ConditionalRealNvp(config)
        self.point_features = PointFeatures(config) if config.use_projection else None
        self.joint_features = nn.Linear(config.fusion_channels, config.point_channels)
        self.transformer = PointTransformer(config)
        self.mano_head = ManoHead(config, hand_model)
        self.covariance = AnchorCovariance()
        # Off where nobody reads the mesh, and it would be made anew for every frame; its vertices are none then.
        self.makes_mesh = True
        # Another where there is something faster than PyTorch's operators.
        self.make_cloud: CloudMaker = make_cloud

    def empty_state(self, hands: int) -> tuple[Tensor, Tensor]:
        """The state before the first frame: keys and values `(B, K, 2, past, 21, D)`, validity `(B, past)`."""
        config = self.config
        device = self.heatmap_head.sharpness.device
        state = torch.zeros(hands, config.blocks, 2, config.past, JOINTS, config.point_channels, device=device)
        return state, torch.zeros(hands, config.past, device=device)

    def step(
        self, crops: Tensor, projections: Tensor, view_mask: Tensor, noise: Tensor, state: Tensor, state_valid: Tensor
    ) -> StepOutputs:
        """See one frame of B hands.

        Args:
            crops: `(B, V, S, S, 3)` uint8, RGB.
            projections: `(B, V, 3, 4)`: homogeneous points of the local frame, metres, to (u d, v d, d).
            view_mask: `(B, V)`.
            noise: `(B, V, M, 21, 2)`, standard normal.
            state: `(B, K, 2, past, 21, D)`.
            state_valid: `(B, past)`.

        Returns:
            The answer and the state for the next frame.
        """
        return self._see(crops, projections, view_mask, noise, state, state_valid).frames

    def forward_sequence(
        self, crops: Tensor, projections: Tensor, view_mask: Tensor, noise: Tensor, levels: Features | None = None
    ) -> SequenceOutputs:
        """See T frames of B hands at once; arguments as in `step`, each with `(B, T, ...)`.

        `levels` are what the trunk says of these crops, `(B T V, C, S / stride, S / stride)`, where it was asked
        before: a trunk that does not learn need not look at the same crop twice.
        """
        batch, frames = view_mask.shape[:2]
        state, state_valid = self.empty_state(batch)
        seen = self._see(
            crops.flatten(0, 1),
            projections.flatten(0, 1),
            view_mask.flatten(0, 1),
            noise.flatten(0, 1),
            state,
            state_valid,
            levels,
        )

        def unmerged(tensor: Tensor) -> Tensor:
            return tensor.unflatten(0, (batch, frames))

        merged = seen.frames
        answers = {field.name: unmerged(getattr(merged, field.name)) for field in fields(merged)[:-2]}
        return SequenceOutputs(
            frames=StepOutputs(**answers, state_out=merged.state_out, state_valid_out=merged.state_valid_out),
            heatmaps=unmerged(seen.heatmaps),
            heatmap_joints=unmerged(seen.heatmap_joints),
            queries=tuple(unmerged(places) for places in seen.queries),
            start=unmerged(seen.start),
            flow_log_prob=lambda labels: unmerged(seen.flow_log_prob(labels.flatten(0, 1))),
        )

    def _see(
        self,
        crops: Tensor,
        projections: Tensor,
        view_mask: Tensor,
        noise: Tensor,
        state: Tensor,
        state_valid: Tensor,
        levels: Features | None = None,
    ) -> SequenceOutputs:
        """See N = B T frames, hand by hand; B is the state's."""
        views = self._look(self.look(crops) if levels is None else levels, view_mask)
        hypotheses = self.config.hypotheses
        cloud = self.make_cloud(self.flow, views.fused, views.center, views.confidence, projections, noise, view_mask)
        features = self._point_features(views, projections, cloud.points, view_mask)
        frame = cloud.frame()
        valid = (view_mask.sum(dim=-1) >= _USABLE_VIEWS).to(cloud.points.dtype)
        batch = state.shape[0]
        seen_by_others = torch.cat([state_valid, valid.reshape(batch, -1)], dim=1)
        refined, query_features, state = self.transformer(
            cloud.start_in(frame),
            features[:, :JOINTS],
            cloud.anchors_in(frame),
            features[:, JOINTS:],
            seen_by_others,
            state,
        )
        queries = tuple(frame.to_local(places) for places in refined)
        joints = queries[-1] if queries else cloud.start
        mano = self.mano_head(joints, query_features)
        projected, _ = project(projections, joints)
        error_px = ((projected - cloud.keypoints).square().sum(dim=-1) + _SMALLEST_M).sqrt() * (
            self.config.input_px / 2
        )
        answer = StepOutputs(
            joints=joints,
            mano_joints=mano.posed.joints,
            rotations=mano.rotations,
            shape=mano.shape,
            translation=mano.translation,
            vertices=(
                self.mano_head.layer.vertices(mano.rest, mano.shape, mano.rotations, mano.posed)
                if self.makes_mesh
                else joints[:, :0]
            ),
            covariance_mm2=self.covariance(cloud.anchors.unflatten(1, (hypotheses, JOINTS))),
            keypoints=cloud.keypoints,
            view_confidence=views.confidence,
            reprojection_px=error_px * view_mask[..., None],
            valid=valid,
            state_out=state,
            state_valid_out=seen_by_others[:, seen_by_others.shape[1] - self.config.past :],
        )
        return SequenceOutputs(
            frames=answer,
            heatmaps=views.heatmaps,
            heatmap_joints=views.joints,
            queries=queries,
            start=cloud.start,
            flow_log_prob=lambda labels: self.flow.log_prob(labels[..., None, :], views.fused, views.center)[..., 0],
        )

    def look(self, crops: Tensor) -> Features:
        """What the trunk says of crops `(..., S, S, 3)`: F1 to F4, with all axes before the picture's joined to one."""
        images = crops.flatten(0, -4).permute(0, 3, 1, 2).to(self.heatmap_head.sharpness.dtype) * (1 / 255)
        levels: Features = self.backbone(images)
        return levels

    def _look(self, levels: Features, view_mask: Tensor) -> _Views:
        """The rest of the 2D stage: features, heatmap joints and F_fuse of N V crops."""
        count, views = view_mask.shape

        def by_view(tensor: Tensor) -> Tensor:
            return tensor.reshape(count, views, *tensor.shape[1:])

        features = self.decoder(levels)
        heatmaps, joints, confidence = self.heatmap_head(features)
        if self.regressor is not None:
            pose = self.joint_graph.saigb(levels[-1])
            joints, confidence = torch.tanh(self.regressor(pose)), torch.ones_like(confidence)
        graph = self.joint_graph(levels[-1], features, joints)
        sight = None
        if self.trunk_joints is not None and self.backbone.landmarks is not None:
            sight = read_landmarks(self.backbone.landmarks, levels[-1], self.config.input_px)
            graph = graph + self.trunk_joints.graph(sight, joints)
        confidence = by_view(confidence) * view_mask[..., None]
        fused = self.interaction(by_view(graph), confidence, view_mask)
        joints = by_view(joints)
        center = joints
        if self.trunk_joints is not None and sight is not None:
            center = self.trunk_joints.center(by_view(sight.joints), joints, fused)
        return _Views(by_view(features), by_view(heatmaps), joints, center, confidence, fused)

    def _point_features(self, views: _Views, projections: Tensor, cloud: Tensor, view_mask: Tensor) -> Tensor:
        """F_P of query points and anchors `(N, 21 (1 + M), D)`."""
        copies = 1 + self.config.hypotheses
        # What the joint is: F_fuse, joined over the views by their confidence.
        weights = observation_weights(views.confidence, view_mask)[..., None]
        total = weights.sum(dim=1).clamp_min(_SMALLEST_M)
        identity = self.joint_features((weights * views.fused).sum(dim=1) / total).repeat(1, copies, 1)
        if self.point_features is None:
            return identity
        confidence = views.confidence.repeat(1, 1, copies)
        sampled: Tensor = self.point_features(views.features, projections, cloud, confidence, view_mask)
        return sampled + identity
