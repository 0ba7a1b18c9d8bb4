"""Hands for avatars by the VMC protocol: what an Assistant sends to a Performer, which listens on port 39540.

Each answer goes out as OSC bundles: the fingers' bones as `/VMC/Ext/Bone/Pos`, named as Unity's HumanBodyBones, and
each wrist as a virtual tracker, `/VMC/Ext/Tra/Pos`. A hands-only source knows neither the arms nor where the body
stands, so the bones `LeftHand` and `RightHand` and the root are left to the Performer, which has trackers to place them
by. The tracker's axes are those of Unity's joints: z towards the fingers, y out of the back of the hand.

A bone's rotation is away from the T-pose, in its parent's axes. MANO's rest pose has the hands as the T-pose has them,
palms down: a right hand's fingers point to -x, its thumb to +z. The avatar looks along Unity's +z, with its right
hand's fingers to +x and its thumb to +z, so that (x, y, z) of MANO is (-x, y, z) of Unity, for left hands too.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.up import Up
from engine.hand_model import MANO_PARENTS, Side
from engine.hand_model.rotations import quaternion_from_axis_angle, quaternion_from_matrix
from engine.types import HandPose
from server.dialects.axes import AxisChange
from server.dialects.up import up_rotation
from server.dialects.xr import UNITY
from server.dialects.xr_joints import is_whole, xr_joints
from server.dialects.xr_rest import WRIST
from server.osc import osc_bundles, osc_message
from server.outgoing import Outgoing

_PACKET_BYTES: Final = 1400
# Single precision tells milliseconds apart within an hour.
_CLOCK_WRAPS_NS: Final = 3600 * 10**9
_SIDES: Final[tuple[Side, ...]] = ("left", "right")
_FINGERS: Final = ("Index", "Middle", "Little", "Ring", "Thumb")
_PHALANGES: Final = ("Proximal", "Intermediate", "Distal")
BONE_NAMES: Final = tuple(f"{finger}{phalanx}" for finger in _FINGERS for phalanx in _PHALANGES)
"""HumanBodyBones without the side, of MANO's 15 finger joints in MANO's order."""

_FROM_MANO: Final = AxisChange(np.diag([-1.0, 1.0, 1.0]))


def vmc_datagrams(outgoing: Outgoing, up: Up) -> list[bytes]:
    """Encode an answer as OSC bundles that fit into one packet each.

    Args:
        outgoing: The answer; of two hands of the same side the more confident one is sent.
        up: Which axis of the calibration's world points up.
    """
    solved = outgoing.solved
    messages = [
        osc_message("/VMC/Ext/OK", 1),
        osc_message("/VMC/Ext/T", solved.frame_set.timestamp_ns % _CLOCK_WRAPS_NS * 1e-9),
    ]
    for side in _SIDES:
        hands = [hand for hand in solved.hands if hand.side == side and is_whole(hand)]
        if hands:
            messages += _hand(max(hands, key=lambda hand: hand.confidence), up)
    return list(osc_bundles(messages, _PACKET_BYTES))


def _hand(hand: HandPose, up: Up) -> list[bytes]:
    side = hand.side.capitalize()
    joints = xr_joints(hand)
    wrist = UNITY.change.points(up_rotation(up) @ joints.positions_world[WRIST])
    turned = quaternion_from_matrix(up_rotation(up) @ joints.rotations_world[WRIST])
    messages = [_transform("/VMC/Ext/Tra/Pos", f"usthand-{hand.side}-wrist", wrist, UNITY.change.quaternions(turned))]
    rest = hand.posed.shaped.rest_joints
    offsets = _FROM_MANO.points(rest[1:] - rest[list(MANO_PARENTS[1:])])
    rotations = _FROM_MANO.quaternions(quaternion_from_axis_angle(hand.pose.reshape(16, 3)[1:]))
    for name, offset, rotation in zip(BONE_NAMES, offsets, rotations, strict=True):
        messages.append(_transform("/VMC/Ext/Bone/Pos", side + name, offset, rotation))
    return messages


def _transform(address: str, name: str, position: NDArray[np.float64], rotation: NDArray[np.float64]) -> bytes:
    return osc_message(address, name, *map(float, position), *map(float, rotation))
