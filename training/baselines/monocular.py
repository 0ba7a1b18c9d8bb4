"""The monocular detector: MediaPipe's landmark network's own 3D joints, from the view that is surest.

Its joints are x, y and depth at one unknown scale, depth two fifths of the others' (MediaPipe divides it by 0.4). The
scale is that of a hand of average bones, and the hand is placed
where its joints meet their rays. Nothing is trained.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from engine.errors import EngineError
from engine.hand_model.model import PARENTS_21, SHAPE_SIZE, HandModel
from engine.network.backbones import build_backbone
from engine.network.config import NetworkConfig
from engine.network.constants import constant
from engine.network.hand_layer import HandLayer
from engine.network.trunk_joints import read_landmarks
from training.baselines.placement import best_translation, camera_rotations
from training.methods import Answer
from training.samples import Batch

_DEPTH_SHARE: Final = 0.4
_PARENTS: Final = PARENTS_21[1:]


class Monocular:
    """The trunk's own reading of a hand, lifted.

    Args:
        config: Of the trunk; a `mediapipe` one.
        hand_model: Whose bones have the average length.

    Raises:
        EngineError: If the trunk reads no joints by itself.
    """

    name = "monocular detector (one view)"

    def __init__(self, config: NetworkConfig, hand_model: HandModel) -> None:
        self._input_px = config.input_px
        self._backbone = build_backbone(config.backbone).eval()
        if self._backbone.landmarks is None:
            raise EngineError(f"trunk {config.backbone}: reads no joints by itself; use a mediapipe trunk")
        self._head = self._backbone.landmarks
        layer = HandLayer(hand_model)
        rest = layer.rest(torch.zeros(1, SHAPE_SIZE))
        joints = torch.cat([rest.joints, rest.tips], dim=1).index_select(1, layer.canonical)
        self._bones_m = _bone_lengths(joints).sum()

    @property
    def module(self) -> nn.Module:
        """The trunk."""
        return self._backbone

    def predict(self, batch: Batch, generator: torch.Generator) -> Answer:  # noqa: ARG002
        """Lift the surest view's joints."""
        with torch.inference_mode():
            return self._lifted(batch)

    def _lifted(self, batch: Batch) -> Answer:
        shape = batch.view_mask.shape
        levels = batch.levels
        if levels is None:
            levels = self._backbone(batch.crops.flatten(0, 2).permute(0, 3, 1, 2).float() * (1 / 255))
        sight = read_landmarks(self._head, levels[-1], self._input_px)
        sure = sight.probabilities.prod(dim=-1).reshape(-1, shape[2]) + batch.view_mask.flatten(0, 1)
        frames = torch.arange(len(sure), device=sure.device)
        best = sure.argmax(dim=1)
        flat = best + shape[2] * frames
        points, projections = sight.joints[flat], batch.projections.flatten(0, 1)[frames, best]
        lifted = torch.cat([points, sight.depths[flat][..., None] / _DEPTH_SHARE], dim=-1)
        lifted = lifted * (self._bones_m.to(lifted) / _bone_lengths(lifted).sum(dim=-1))[:, None, None]
        turned = lifted @ camera_rotations(projections)
        place = best_translation(projections[:, None], points[:, None], torch.ones_like(points[:, None, :, 0]), turned)
        joints = turned + place[:, None]
        return Answer(joints.unflatten(0, shape[:2]), batch.view_mask.amax(dim=-1))


def _bone_lengths(joints: Tensor) -> Tensor:
    """Lengths `(N, 20)` of the bones of joints `(N, 21, 3)`."""
    parents = constant(_PARENTS, joints.device, torch.int64)
    return (joints[:, 1:] - joints.index_select(1, parents)).norm(dim=-1)
