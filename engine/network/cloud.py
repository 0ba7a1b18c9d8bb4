"""The point cloud of a frame: the flow's joints of each view (sec. 3.3), triangulated (sec. 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from engine.network.config import JOINTS
from engine.network.flow import ConditionalRealNvp
from engine.network.hand_frame import HandFrame, hand_frame
from engine.network.triangulation import observation_weights, weighted_dlt


@dataclass(frozen=True, eq=False, slots=True)
class Cloud:
    """Query points and anchors of N frames, metres, local frame.

    Args:
        keypoints: Each view's own most likely joints x_0 `(N, V, 21, 2)`, crop coordinates.
        points: All of them `(N, 21 (1 + M), 3)`.
        start: The triangulated x_0, where queries start `(N, 21, 3)`.
        anchors: The triangulated samples `(N, 21 M, 3)`, sample by sample.
    """

    keypoints: Tensor
    points: Tensor
    start: Tensor
    anchors: Tensor

    def frame(self) -> HandFrame:
        """The frame of the hand that starts there."""
        return hand_frame(self.start)

    def start_in(self, frame: HandFrame) -> Tensor:
        """The start in `frame()`."""
        return frame.to_hand(self.start)

    def anchors_in(self, frame: HandFrame) -> Tensor:
        """The anchors in `frame()`."""
        return frame.to_hand(self.anchors)


CloudMaker: TypeAlias = Callable[[ConditionalRealNvp, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Cloud]
"""`make_cloud`, or what stands in for it."""


def make_cloud(
    flow: ConditionalRealNvp,
    fused: Tensor,
    center: Tensor,
    confidence: Tensor,
    projections: Tensor,
    noise: Tensor,
    view_mask: Tensor,
) -> Cloud:
    """Let the flow make joints in each view, and triangulate them.

    Args:
        flow: The flow.
        fused: F_fuse `(N, V, 21, C)`.
        center: The heatmaps' joints `(N, V, 21, 2)`, crop coordinates.
        confidence: `(N, V, 21)`.
        projections: `(N, V, 3, 4)`.
        noise: `(N, V, M, 21, 2)`, standard normal.
        view_mask: `(N, V)`.
    """
    # x_0, from the prior's mean, first; then the random samples. `(N, V, 1 + M, 21, 2)`
    z = torch.cat([torch.zeros_like(noise[:, :, :1]), noise], dim=2)
    samples = flow(z.transpose(2, 3), fused, center).transpose(2, 3)
    keypoints = samples[:, :, 0]
    weights = observation_weights(confidence, view_mask)
    points = weighted_dlt(projections, samples.flatten(2, 3), weights.repeat(1, 1, z.shape[2]))
    return Cloud(keypoints, points, points[:, :JOINTS], points[:, JOINTS:])
