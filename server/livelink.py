"""Hands for Unreal's LiveLink, in the form that the community's JSON LiveLink source reads from UDP port 54321.

A datagram is a JSON object with one subject, an array of bones: `Name`, `Parent` (an index, -1 for the root),
`Location` (cm), `Rotation` (x, y, z, w) and `Scale`. The source takes names and parents from the first datagram of a
subject and transforms from every one, so each carries both, and any of them may be lost. The root is the wrist, in
Unreal's world axes; every other bone is relative to its parent. Subjects are `usthand_left` and `usthand_right`.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np

from calibration.up import Up
from engine.hand_model.rotations import matrix_from_quaternion, quaternion_from_matrix
from engine.types import HandPose
from server.dialects.xr import UNREAL, XrDialect
from server.dialects.xr_joints import is_whole
from server.dialects.xr_rest import PALM, WRIST, XR_PARENTS
from server.outgoing import Outgoing

# Parents before their children: the wrist first.
_ORDER: Final = (WRIST, PALM, *range(2, 26))
_PLACE: Final = {joint: index for index, joint in enumerate(_ORDER)}
_PARENTS: Final = tuple(_PLACE.get(XR_PARENTS[joint], -1) for joint in _ORDER)
_SCALE: Final = (1, 1, 1)
_DECIMALS: Final = 5


def livelink_datagrams(outgoing: Outgoing, up: Up) -> list[bytes]:
    """Encode an answer as one datagram a side.

    Args:
        outgoing: The answer; of two hands of the same side the more confident one is sent.
        up: Which axis of the calibration's world points up.
    """
    chosen: dict[str, HandPose] = {}
    for hand in filter(is_whole, outgoing.solved.hands):
        if hand.side not in chosen or hand.confidence > chosen[hand.side].confidence:
            chosen[hand.side] = hand
    return [_subject(hand, outgoing, up) for _, hand in sorted(chosen.items())]


def _subject(hand: HandPose, outgoing: Outgoing, up: Up) -> bytes:
    said = XrDialect(UNREAL, up).hand(hand, outgoing.solved.rig)
    positions, rotations = said.joints[list(_ORDER)], matrix_from_quaternion(said.orientations_xyzw[list(_ORDER)])
    above = [max(parent, 0) for parent in _PARENTS]
    local_rotations = rotations[above].transpose(0, 2, 1) @ rotations
    local_positions = np.einsum("jki,jk->ji", rotations[above], positions - positions[above])
    local_rotations[0], local_positions[0] = rotations[0], positions[0]
    locations = np.round(local_positions, _DECIMALS).tolist()
    quaternions = np.round(quaternion_from_matrix(local_rotations), _DECIMALS).tolist()
    bones = [
        {
            "Name": UNREAL.joint_names[joint],
            "Parent": parent,
            "Location": location,
            "Rotation": rotation,
            "Scale": _SCALE,
        }
        for joint, parent, location, rotation in zip(_ORDER, _PARENTS, locations, quaternions, strict=True)
    ]
    return json.dumps({f"usthand_{hand.side}": bones}, separators=(",", ":")).encode()
