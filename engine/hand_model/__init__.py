"""The hand model: MANO's layout, MANO's mathematics, in numpy."""

from engine.hand_model.model import (
    HAND_POSE_SIZE,
    JOINT_NAMES,
    MANO_PARENTS,
    MANO_TO_CANONICAL,
    PARENTS_21,
    SHAPE_SIZE,
    HandModel,
    PosedHand,
    ShapedHand,
    Side,
)

__all__ = [
    "HAND_POSE_SIZE",
    "JOINT_NAMES",
    "MANO_PARENTS",
    "MANO_TO_CANONICAL",
    "PARENTS_21",
    "SHAPE_SIZE",
    "HandModel",
    "PosedHand",
    "ShapedHand",
    "Side",
]
