"""Hands in named shapes."""

from __future__ import annotations

import numpy as np
import pytest

from engine.hand_model import HandModel
from engine.hand_model.rotations import axis_angle_from_matrix
from engine.synthetic.keyposes import KEYPOSES, PoseBuilder


@pytest.fixture
def shaped_hand(hand_of):
    """A hand of the synthetic world in a named shape: palm down, fingers pointing to +y, away from its owner."""
    builder = PoseBuilder(HandModel.load(side="right").with_shape(np.zeros(10)))
    # A right hand's fingers (-x) to y, its back (y) to z, its thumb (z) to -x.
    R = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

    def build(name, side="right", hand_id=1, views=3):
        pose = np.concatenate([axis_angle_from_matrix(R), builder.finger_pose(KEYPOSES[name])])
        if side == "left":
            pose = (pose.reshape(16, 3) * (1, -1, -1)).ravel()
        shaped = HandModel.load(side=side).with_shape(np.zeros(10))
        wrist = np.array([0.15 if side == "right" else -0.15, -0.05, 0.02])
        translation = wrist - shaped.rest_joints[0]
        return hand_of(shaped.posed(pose, translation), pose, translation, hand_id=hand_id, views=views)

    return build
