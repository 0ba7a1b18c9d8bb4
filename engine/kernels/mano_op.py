"""`usthand::mano_input` and `usthand::mano`: the geometry of MANO's head, before and after its network, a kernel each.

What lies there is a few hundred numbers a hand, in a long chain of small steps; as PyTorch's operators they are half a
hundred launches. Importing this registers the operators. On a CPU, and where the kernels do not load, they are the
network's own code.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.hand_model.model import MANO_TO_CANONICAL, SHAPE_SIZE
from engine.kernels.operators import loaded_library
from engine.network.config import JOINTS
from engine.network.hand_frame import hand_frame
from engine.network.hand_layer import HandLayer
from engine.network.mano_head import pose_hands

_INPUT: Final = "usthand::mano_input"
_POSE: Final = "usthand::mano"
MANO_JOINTS: Final = 16
_PLACE: Final = 3
MANO_EMBEDDED: Final = 32
MANO_NORM_EPS: Final = 1e-5

ManoAnswer: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Joints, rotations, shape, translation, rest points, global rotations and MANO's joints, as `ManoOutput` has them."""

torch.library.define(
    _INPUT,
    "(Tensor joints, Tensor features, Tensor norm_weight, Tensor norm_bias, Tensor weight, Tensor bias) -> Tensor",
)
torch.library.define(
    _POSE,
    "(Tensor joints, Tensor parameters, Tensor points, Tensor directions, Tensor tip_weights, Tensor? tip_directions)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)


class _JointLayer(HandLayer):
    """A hand layer without a mesh, of what the operator is given."""

    def __init__(self, points: Tensor, directions: Tensor, tip_weights: Tensor, tip_directions: Tensor | None) -> None:
        nn.Module.__init__(self)
        self.joint_template, self.joint_directions, self.tip_weights = points, directions, tip_weights
        self.canonical = torch.tensor(MANO_TO_CANONICAL, device=points.device)
        self.has_pose_directions = tip_directions is not None
        self._tip_directions = tip_directions

    def tip_directions(self) -> Tensor:
        """Of the tips, as `HandLayer` has them."""
        if self._tip_directions is None:
            raise ValueError("this hand has no pose correctives")
        return self._tip_directions.T


def _input_fake(joints: Tensor, *_: Tensor) -> Tensor:
    return joints.new_empty((len(joints), JOINTS, MANO_EMBEDDED + _PLACE))


def _input_by_parts(
    joints: Tensor, features: Tensor, norm_weight: Tensor, norm_bias: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    normed = functional.layer_norm(features, features.shape[-1:], norm_weight, norm_bias, MANO_NORM_EPS)
    return torch.cat([torch.relu(normed @ weight + bias), hand_frame(joints).to_hand(joints)], dim=-1)


def _input_launched(
    joints: Tensor, features: Tensor, norm_weight: Tensor, norm_bias: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    library = loaded_library(joints.device.index)
    if library is None:
        return _input_by_parts(joints, features, norm_weight, norm_bias, weight, bias)
    given = [one.contiguous() for one in (joints, features, norm_weight, norm_bias, weight, bias)]
    seen = _input_fake(joints)
    library.mano_input(
        torch.cuda.current_stream(joints.device).cuda_stream,
        *(one.data_ptr() for one in (*given, seen)),
        hands=len(joints),
        channels=features.shape[-1],
    )
    return seen


def _pose_fake(joints: Tensor, *_: Tensor | None) -> ManoAnswer:
    count = len(joints)
    shapes = (
        (JOINTS, 3), (MANO_JOINTS, 3, 3), (SHAPE_SIZE,), (3,), (JOINTS, 3), (MANO_JOINTS, 3, 3), (MANO_JOINTS, 3),
    )  # fmt: skip
    posed, rotations, shape, translation, rest, globally, own = (joints.new_empty((count, *one)) for one in shapes)
    return posed, rotations, shape, translation, rest, globally, own


def _pose_by_parts(
    joints: Tensor,
    parameters: Tensor,
    points: Tensor,
    directions: Tensor,
    tip_weights: Tensor,
    tip_directions: Tensor | None,
) -> ManoAnswer:
    made = pose_hands(
        _JointLayer(points, directions, tip_weights, tip_directions), joints, hand_frame(joints), parameters
    )
    answer = (
        made.posed.joints,
        made.rotations,
        made.shape,
        made.translation,
        torch.cat([made.rest.joints, made.rest.tips], dim=1),
        made.posed.rotations,
        made.posed.mano_joints,
    )
    posed, rotations, shape, translation, rest, globally, own = (one.contiguous() for one in answer)
    return posed, rotations, shape, translation, rest, globally, own


def _pose_launched(
    joints: Tensor,
    parameters: Tensor,
    points: Tensor,
    directions: Tensor,
    tip_weights: Tensor,
    tip_directions: Tensor | None,
) -> ManoAnswer:
    library = loaded_library(joints.device.index)
    if library is None:
        return _pose_by_parts(joints, parameters, points, directions, tip_weights, tip_directions)
    given = [one.contiguous() for one in (joints, parameters, points, directions, tip_weights)]
    columns = None if tip_directions is None else tip_directions.contiguous()
    answer = _pose_fake(joints)
    library.mano(
        torch.cuda.current_stream(joints.device).cuda_stream,
        *(one.data_ptr() for one in given),
        0 if columns is None else columns.data_ptr(),
        *(one.data_ptr() for one in answer),
        hands=len(joints),
        posed=columns is not None,
    )
    return answer


torch.library.register_fake(_INPUT, _input_fake)
torch.library.impl(_INPUT, "CPU", _input_by_parts)
torch.library.impl(_INPUT, "CUDA", _input_launched)
torch.library.register_fake(_POSE, _pose_fake)
torch.library.impl(_POSE, "CPU", _pose_by_parts)
torch.library.impl(_POSE, "CUDA", _pose_launched)
