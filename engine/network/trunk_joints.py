"""What a trunk that was trained on hands says of the joints by itself: evidence beside the heatmaps.

The paper's trunk knows pictures, not hands. MediaPipe's landmark trunk comes with the linear layer that reads joints,
presence and side of its last map, learnt from very many real hands. The heatmaps, learnt from a lab's or rendered
footage, are finer but know less; a gate that is learnt for each joint and view says how far each is believed, and the
flow is centred on what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from engine.network.config import JOINTS

LANDMARK_OUTPUTS: Final = 3 * JOINTS + 2
"""What a trunk's own head gives: x, y, z of each joint, then the logits of presence and of a right hand."""

_SIGHT: Final = 7
# At first the trunk's joints are believed to four fifths: the heatmaps have learnt nothing yet.
_FIRST_LOGIT: Final = 1.4


@dataclass(frozen=True, eq=False, slots=True)
class TrunkSight:
    """What the trunk says of N crops.

    Args:
        joints: `(N, 21, 2)`, crop coordinates.
        depths: `(N, 21)`, towards the camera or away from it, in half crops.
        probabilities: That there is a hand, and that it is a right one `(N, 2)`.
    """

    joints: Tensor
    depths: Tensor
    probabilities: Tensor


def read_landmarks(head: nn.Linear, deepest: Tensor, input_px: int) -> TrunkSight:
    """Read the joints of F4 `(N, C, h, w)` by a trunk's own head, whose pixels are those of crops of `input_px`."""
    said = head(deepest.mean(dim=(-2, -1)))
    points = said[:, : 3 * JOINTS].unflatten(1, (JOINTS, 3)) * (2 / input_px)
    return TrunkSight(points[..., :2] + (1 / input_px - 1), points[..., 2], torch.sigmoid(said[:, 3 * JOINTS :]))


class TrunkJoints(nn.Module):
    """Takes the trunk's joints into the joint graph, and centres the flow between them and the heatmaps'.

    Args:
        graph_channels: D of G_init.
        fusion_channels: Channels of F_fuse.
    """

    def __init__(self, graph_channels: int, fusion_channels: int) -> None:
        super().__init__()
        self.to_graph = nn.Linear(_SIGHT, graph_channels)
        self.gate = nn.Linear(fusion_channels, 1)
        with torch.no_grad():
            self.gate.weight.zero_()
            self.gate.bias.fill_(_FIRST_LOGIT)

    def graph(self, sight: TrunkSight, joints: Tensor) -> Tensor:
        """What is added to G_init `(N, 21, D)`, beside the heatmaps' joints `(N, 21, 2)`."""
        everywhere = sight.probabilities[:, None].expand(-1, JOINTS, -1)
        told = torch.cat([sight.joints, joints - sight.joints, sight.depths[..., None], everywhere], dim=-1)
        graph: Tensor = self.to_graph(told)
        return graph

    def center(self, sight: Tensor, joints: Tensor, fused: Tensor) -> Tensor:
        """Where the flow is centred `(..., 21, 2)`: the trunk's joints, the heatmaps', or between, by F_fuse."""
        return joints + torch.sigmoid(self.gate(fused)) * (sight - joints)
