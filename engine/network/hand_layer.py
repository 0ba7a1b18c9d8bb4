"""MANO's forward pass in torch, differentiable and exportable: the same model as `engine.hand_model`, batched.

smplx has such a layer too. This one walks the five fingers at once instead of joint by joint, which is a third of the
operators in an exported graph, and leaves a running service free of smplx's non-commercial licence; the tests hold it
to smplx.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.hand_model.model import MANO_TO_CANONICAL, HandModel

_FINGERS, _LEVELS = 5, 3
_JOINTS = 1 + _FINGERS * _LEVELS


@dataclass(frozen=True, eq=False, slots=True)
class RestHand:
    """Hands of some shapes in the rest pose.

    Args:
        joints: MANO's joints `(B, 16, 3)`, metres.
        tips: Tips of thumb, index, middle, ring and little finger `(B, 5, 3)`.
    """

    joints: Tensor
    tips: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class PosedHands:
    """Posed hands.

    Args:
        joints: Canonical joints `(B, 21, 3)`, metres.
        rotations: Global rotations of MANO's joints `(B, 16, 3, 3)`.
        mano_joints: MANO's own joints `(B, 16, 3)`.
    """

    joints: Tensor
    rotations: Tensor
    mano_joints: Tensor


class HandLayer(nn.Module):
    """A hand model as a layer.

    Args:
        model: The model; a right hand in this network.
    """

    template: Tensor
    shape_directions: Tensor
    pose_directions: Tensor
    skinning_weights: Tensor
    joint_template: Tensor
    joint_directions: Tensor
    tip_weights: Tensor
    canonical: Tensor

    def __init__(self, model: HandModel) -> None:
        super().__init__()
        self.has_pose_directions = model.has_pose_directions
        tips = model.tip_vertex_ids
        self._tips = [int(tip) for tip in tips]

        def constant(name: str, values: NDArray[np.float64]) -> None:
            # Not in checkpoints: a licensed hand model must not travel with weights.
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

        constant("template", model.template_vertices)
        constant("shape_directions", model.shape_directions)
        constant("skinning_weights", model.skinning_weights)
        constant("pose_directions", model.pose_directions.reshape(-1, model.pose_directions.shape[-1]).T)
        # Joints and tips of the rest pose are linear in the shape: the mesh need not be made for them.
        regress = np.concatenate([model.joint_regressor, np.eye(len(model.template_vertices))[tips]])
        constant("joint_template", regress @ model.template_vertices)
        constant("joint_directions", np.einsum("jv,vks->jks", regress, model.shape_directions))
        constant("tip_weights", model.skinning_weights[tips])
        self.register_buffer("canonical", torch.tensor(MANO_TO_CANONICAL), persistent=False)

    def rest(self, shape: Tensor) -> RestHand:
        """Return the rest pose of shapes `(B, 10)`."""
        points = self.joint_template + (self.joint_directions @ shape[:, None, :, None])[..., 0]
        return RestHand(points[:, :_JOINTS], points[:, _JOINTS:])

    def pose(self, rest: RestHand, rotations: Tensor, translation: Tensor) -> PosedHands:
        """Pose hands.

        Args:
            rest: Their rest pose.
            rotations: Each joint relative to its parent `(B, 16, 3, 3)`, the root's first; MANO's order.
            translation: `(B, 3)`, metres, added last.

        Returns:
            Joints and global rotations.
        """
        local = rotations[:, 1:].unflatten(1, (_FINGERS, _LEVELS))
        turned = rotations[:, :1]
        levels = []
        for level in range(_LEVELS):
            turned = turned @ local[:, :, level]
            levels.append(turned)
        return self.pose_globally(rest, rotations, rotations[:, 0], torch.stack(levels, dim=2), translation)

    def pose_globally(
        self, rest: RestHand, rotations: Tensor, root: Tensor, fingers: Tensor, translation: Tensor
    ) -> PosedHands:
        """Pose hands whose global rotations are known too.

        Args:
            rest: Their rest pose.
            rotations: Relative to the parent `(B, 16, 3, 3)`.
            root: The root's rotation `(B, 3, 3)`.
            fingers: Global rotations of the fingers' joints `(B, 5, 3, 3, 3)`: finger, level.
            translation: `(B, 3)`, metres.
        """
        parents = torch.cat([root[:, None, None].expand(-1, _FINGERS, -1, -1, -1), fingers[:, :, :-1]], dim=2)
        offsets = (parents @ bone_vectors(rest)[..., None])[..., 0].cumsum(dim=2)
        wrist = (rest.joints[:, 0] + translation)[:, None]
        joints = torch.cat([wrist, wrist + offsets.flatten(1, 2)], dim=1)
        global_rotations = torch.cat([root[:, None], fingers.flatten(1, 2)], dim=1)
        tips = self._skin_points(self._posed_tips(rest, rotations), self.tip_weights, global_rotations, joints, rest)
        canonical = torch.cat([joints, tips], dim=1).index_select(1, self.canonical)
        return PosedHands(canonical, global_rotations, joints)

    def vertices(self, rest: RestHand, shape: Tensor, rotations: Tensor, posed: PosedHands) -> Tensor:
        """Skin the mesh `(B, Nv, 3)` of hands that `pose` posed with these rotations."""
        points = self.template + (self.shape_directions @ shape[:, None, :, None])[..., 0]
        points = points + self._corrections(rotations, self.pose_directions)
        return self._skin_points(points, self.skinning_weights, posed.rotations, posed.mano_joints, rest)

    def _posed_tips(self, rest: RestHand, rotations: Tensor) -> Tensor:
        if not self.has_pose_directions:
            return rest.tips
        return rest.tips + self._corrections(rotations, self.tip_directions())

    def tip_directions(self) -> Tensor:
        """Pose correctives of the tips `(135, 5 * 3)`."""
        return self.pose_directions.reshape(self.pose_directions.shape[0], -1, 3)[:, self._tips].flatten(1)

    def _corrections(self, rotations: Tensor, directions: Tensor) -> Tensor:
        """Pose correctives `(B, N, 3)`, or nothing where the model has none."""
        if not self.has_pose_directions:
            return torch.zeros((), device=rotations.device)
        feature = (rotations[:, 1:] - torch.eye(3, device=rotations.device)).flatten(1)
        return (feature @ directions).unflatten(-1, (-1, 3))

    @staticmethod
    def _skin_points(points: Tensor, weights: Tensor, rotations: Tensor, joints: Tensor, rest: RestHand) -> Tensor:
        """Linear blend skinning of points `(B, N, 3)` by weights `(N, 16)`."""
        offsets = joints - (rotations @ rest.joints[..., None])[..., 0]
        blended = (weights @ torch.cat([rotations.flatten(2), offsets], dim=-1)).unflatten(-1, (4, 3))
        return (blended[..., :3, :] @ points[..., None])[..., 0] + blended[..., 3, :]


def bone_vectors(rest: RestHand) -> Tensor:
    """Each finger joint relative to its parent in the rest pose `(B, 5, 3, 3)`: finger, level, xyz; MANO's order."""
    fingers = rest.joints[:, 1:].unflatten(1, (_FINGERS, _LEVELS))
    root = rest.joints[:, :1, None].expand(-1, _FINGERS, 1, 3)
    return fingers - torch.cat([root, fingers[:, :, :-1]], dim=2)
